//! Which steps run at the same time. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::effect::Effect;
use crate::effect::Transfer;
use crate::effect::Work;
use crate::effect::chain;
use crate::effect::command::Command;
use crate::effect::command::TURN;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Step;

/// The step at `first` and those behind it that run alongside, before `end`.
#[must_use]
pub fn group(steps: &[Step], first: usize, end: usize) -> Range<usize> {
    let more = steps.iter().take(end).skip(first + 1).take_while(|s| s.alongside).count();
    first..first + 1 + more
}

/// Streams at once. Each waits for its channels, or for a connection of its own from node to node, and for the end of its
/// receive, mostly with little to send, so that several wait together; more of them would take the channels from everything
/// else (CHANNELS, remote/room.rs).
const STREAMS: usize = 3;

/// What a lane is: a host does one thing after the other; streams go beside that, and so do fresh connections.
#[derive(Debug, PartialEq, Eq)]
enum Lane<'a> {
    /// Streams of as many datasets as there are lanes for, those of one dataset one after the other. That they run at the
    /// same time means that all of them are increments: a dataset that is new needs the one above it first, and the plan
    /// puts them one behind the other.
    Streams(usize),
    Host(&'a NodeName),
    /// A fresh connection takes a while and disturbs nobody.
    Fresh(&'a NodeName),
}

/// The steps of a group in lanes; within a lane their order is the plan's.
#[must_use]
pub fn lanes(steps: &[Step], group: Range<usize>) -> Vec<Vec<usize>> {
    let mut lanes: Vec<(Lane<'_>, Vec<usize>)> = Vec::new();
    let mut streamed: Vec<&DatasetName> = Vec::new();
    for index in group {
        let Some(step) = steps.get(index) else { continue };
        let lane = match &step.effect {
            Effect::Transfer(Transfer { dataset, .. }) => {
                let place = streamed.iter().position(|known| *known == dataset).unwrap_or_else(|| {
                    streamed.push(dataset);
                    streamed.len() - 1
                });
                Lane::Streams(place % STREAMS)
            }
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

/// A lane in pieces: the steps of each go to their host as one command. Together they keep the jail's turn no longer than
/// anybody waits for it.
#[must_use]
pub fn pieces(steps: &[Step], lane: &[usize]) -> Vec<Vec<usize>> {
    let mut pieces: Vec<(Vec<usize>, Option<Command>, u32)> = Vec::new();
    for &index in lane {
        let scripts = steps.get(index).and_then(scripts).unwrap_or_default();
        let fits = |first: &Command| !scripts.is_empty() && scripts.iter().all(|c| chain::can_follow(first, c));
        let takes: u32 = scripts.iter().map(chain::longest).sum();
        match pieces.last_mut() {
            Some((piece, Some(first), seconds)) if fits(first) && *seconds + takes < TURN => {
                piece.push(index);
                *seconds += takes;
            }
            _ => {
                let first = scripts.first().filter(|first| fits(first)).cloned();
                pieces.push((vec![index], first, takes));
            }
        }
    }
    pieces.into_iter().map(|(piece, ..)| piece).collect()
}

/// How many commands at once the steps of these groups, all of them while nobody answers, have on each host at most: one in
/// each lane.
#[must_use]
pub fn channels(steps: &[Step], range: Range<usize>) -> BTreeMap<NodeName, usize> {
    let mut most = BTreeMap::new();
    let mut first = range.start;
    while first < range.end && steps.get(first).is_some_and(|step| step.phase == Phase::CutOver) {
        let together = group(steps, first, range.end);
        first = together.end;
        let mut now: BTreeMap<NodeName, usize> = BTreeMap::new();
        for lane in lanes(steps, together) {
            let commands = lane.iter().filter_map(|index| steps.get(*index)).flat_map(Step::commands);
            let hosts: BTreeSet<NodeName> = commands.map(|command| command.host).collect();
            hosts.into_iter().for_each(|host| *now.entry(host).or_default() += 1);
        }
        for (host, count) in now {
            let known = most.entry(host).or_default();
            *known = count.max(*known);
        }
    }
    most
}

/// What a step runs, where it is nothing but scripts, one after the other.
#[must_use]
pub fn scripts(step: &Step) -> Option<Vec<Command>> {
    match step.work() {
        Work::Run(commands) => Some(commands),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Base;
    use crate::effect::command::Guard;
    use crate::model::JailName;
    use crate::model::Owner;
    use crate::model::RunId;
    use crate::model::SnapshotLabel;

    fn step(host: &str) -> Step {
        let host = NodeName::new(host).unwrap();
        Step::new(Phase::CutOver, "", Effect::KeepWayBack { host })
    }

    fn stream(dataset: &str) -> Step {
        let dataset = DatasetName::new(dataset).unwrap();
        let transfer = Transfer {
            from: NodeName::new("a").unwrap(),
            to: NodeName::new("b").unwrap(),
            into: dataset.clone(),
            dataset,
            label: SnapshotLabel::new("jailferry-web-12345678-final").unwrap(),
            base: Base::Bookmark(SnapshotLabel::new("jailferry-web-12345678").unwrap()),
            through: vec![],
            run: RunId::new("web-12345678").unwrap(),
            owner: None,
            raw: false,
            estimate: None,
            round: None,
            rate: None,
            way: crate::effect::Way::Relay,
            refquota: None,
            unlimited: false,
            volume: false,
            delegated: false,
        };
        Step::new(Phase::CutOver, "", Effect::Transfer(transfer)).alongside()
    }

    #[test]
    fn streams_of_several_datasets_go_together_and_those_of_one_behind_each_other() {
        let mut steps: Vec<Step> = ["z/a", "z/b", "z/b", "z/c", "z/d", "z/a"].map(stream).into();
        steps.push(step("a").alongside());
        assert_eq!(lanes(&steps, 0..7), vec![vec![0, 4, 5], vec![1, 2], vec![3], vec![6]]);
    }

    #[test]
    fn as_many_channels_as_a_group_has_lanes_until_the_jail_runs() {
        let on = |host: &str| {
            Step::new(
                Phase::CutOver,
                "",
                Effect::ProxyArp { host: NodeName::new(host).unwrap(), on: true, unless_kept: false },
            )
        };
        let mut steps = vec![on("a"), stream("z/a"), stream("z/b"), stream("z/b"), on("a").alongside(), on("b")];
        steps[1].alongside = false;
        steps.push(Step { phase: Phase::Prove, ..on("c") });
        let of =
            |from| channels(&steps, from..steps.len()).into_iter().map(|(h, n)| (h.to_string(), n)).collect::<Vec<_>>();
        let some = |counts: &[(&str, usize)]| counts.iter().map(|(h, n)| ((*h).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(of(0), some(&[("a", 3), ("b", 2)]));
        assert_eq!(of(5), some(&[("b", 1)]));
        assert_eq!(of(6), []);
        assert_eq!(channels(&steps, 0..1).len(), 1);
    }

    /// A step whose script waits for the jail's turn, as all do that a run guards.
    fn guarded(host: &str, jail: &str) -> Step {
        let (host, jail) = (NodeName::new(host).unwrap(), JailName::new(jail).unwrap());
        let on = Effect::ProxyArp { host, on: true, unless_kept: false };
        let mut step = Step::new(Phase::CutOver, "", on);
        let (run, owner) = (RunId::new("web-12345678").unwrap(), Owner::new("anna@laptop-1").unwrap());
        step.guard = Some(Guard { run, jail, owner, lease: true });
        step
    }

    #[test]
    fn what_waits_for_the_same_turn_goes_together() {
        let web = || guarded("a", "web");
        let mut lonely = web();
        lonely.guard = None;
        let steps = [web(), web(), step("a"), web(), lonely, web(), guarded("a", "db"), stream("z/a"), web(), web()];
        let lane: Vec<usize> = (0..steps.len()).collect();
        let expected = vec![vec![0, 1], vec![2], vec![3], vec![4], vec![5], vec![6], vec![7], vec![8, 9]];
        assert_eq!(pieces(&steps, &lane), expected);
        assert_eq!(pieces(&steps, &[]), Vec::<Vec<usize>>::new());
        // Nobody who waits for the turn gives up before such a piece is over.
        let many: Vec<Step> = (0..9).map(|_| web()).collect();
        let lane: Vec<usize> = (0..many.len()).collect();
        let longest = |piece: &Vec<usize>| {
            piece.iter().filter_map(|i| scripts(&many[*i])).flatten().map(|c| chain::longest(&c)).sum::<u32>()
        };
        let pieces = pieces(&many, &lane);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() > 1 || piece.contains(&8)), "{pieces:?}");
        assert!(pieces.iter().all(|piece| longest(piece) < TURN), "{pieces:?}");
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
