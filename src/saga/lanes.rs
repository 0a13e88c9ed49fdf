//! Which steps run at the same time. Pure.

use std::ops::Range;

use crate::effect::Effect;
use crate::model::NodeName;
use crate::plan::Step;

/// The step at `first` and those behind it that run alongside, before `end`.
#[must_use]
pub fn group(steps: &[Step], first: usize, end: usize) -> Range<usize> {
    let more = steps.iter().take(end).skip(first + 1).take_while(|s| s.alongside).count();
    first..first + 1 + more
}

/// What a lane is: a host does one thing after the other; streams go one after the other beside that, and so do fresh
/// connections.
#[derive(Debug, PartialEq, Eq)]
enum Lane<'a> {
    Streams,
    Host(&'a NodeName),
    /// A fresh connection takes a while and disturbs nobody.
    Fresh(&'a NodeName),
}

/// The steps of a group in lanes; within a lane their order is the plan's.
#[must_use]
pub fn lanes(steps: &[Step], group: Range<usize>) -> Vec<Vec<usize>> {
    let mut lanes: Vec<(Lane<'_>, Vec<usize>)> = Vec::new();
    for index in group {
        let Some(step) = steps.get(index) else { continue };
        let lane = match &step.effect {
            Effect::Transfer(_) => Lane::Streams,
            Effect::Confirm { host } => Lane::Fresh(host),
            _ => Lane::Host(step.host()),
        };
        match lanes.iter_mut().find(|(l, _)| *l == lane) {
            Some((_, indexes)) => indexes.push(index),
            None => lanes.push((lane, vec![index])),
        }
    }
    lanes.into_iter().map(|(_, indexes)| indexes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Phase;

    fn step(host: &str) -> Step {
        let host = NodeName::new(host).unwrap();
        Step::new(Phase::CutOver, "", Effect::KeepWayBack { host })
    }

    #[test]
    fn a_host_keeps_its_order_and_hosts_do_not_wait_for_each_other() {
        let steps =
            vec![step("a"), step("a"), step("b").alongside(), step("a").alongside(), step("b").alongside(), step("c")];
        assert_eq!(group(&steps, 0, 6), 0..1);
        assert_eq!(group(&steps, 1, 6), 1..5);
        assert_eq!(group(&steps, 1, 3), 1..3);
        assert_eq!(group(&steps, 5, 6), 5..6);
        assert_eq!(lanes(&steps, 1..5), vec![vec![1, 3], vec![2, 4]]);
    }
}
