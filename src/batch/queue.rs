//! The queue of a playbook's moves: as soon as one ends, whatever may begin begins. There are no rounds to wait for.

use std::collections::BTreeSet;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::batch::Parallel;

/// One move, as the queue sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The jail.
    pub jail: JailName,
    /// Where it is now, as far as known.
    pub from: Option<NodeName>,
    /// Where it goes.
    pub to: NodeName,
    /// Jails whose moves must have succeeded before.
    pub after: Vec<JailName>,
}

/// How a move ended, as far as others depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The jail runs at the target, or ran there already.
    There,
    /// It does not; counts as a failure.
    Failed,
    /// It was not begun, and why.
    NotTried(String),
}

/// Where a move stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has not begun.
    Waiting,
    /// It is under way.
    UnderWay,
    /// It is over.
    Over(End),
}

/// The moves and where they stand.
#[derive(Debug, Clone)]
pub struct Queue {
    jobs: Vec<Job>,
    standing: Vec<Standing>,
    limits: Parallel,
    stop_after: Option<u32>,
    stopped: Option<String>,
}

impl Queue {
    /// All moves wait. Jobs of one jail keep their order.
    #[must_use]
    pub fn new(jobs: Vec<Job>, limits: Parallel, stop_after: Option<u32>) -> Queue {
        let standing = vec![Standing::Waiting; jobs.len()];
        Queue { jobs, standing, limits, stop_after, stopped: None }
    }

    /// The first move that may begin now; it is under way from here on.
    pub fn begin(&mut self) -> Option<usize> {
        if self.stopped.is_some() {
            return None;
        }
        let next = (0..self.jobs.len()).find(|index| self.holds_back(*index).is_none())?;
        self.set(next, Standing::UnderWay);
        Some(next)
    }

    /// A move is over. What depends on one that failed is not tried any more.
    pub fn end(&mut self, index: usize, end: End) {
        if end == End::There
            && let Some(job) = self.jobs.get(index).cloned()
        {
            for later in self.jobs.iter_mut().skip(index + 1).filter(|j| j.jail == job.jail) {
                later.from = Some(job.to.clone());
            }
        }
        self.set(index, Standing::Over(end));
        self.spread();
        let failures = self.failures();
        if self.stop_after.is_some_and(|most| failures >= most) {
            self.stop(&match failures {
                1 => "a move has failed".to_owned(),
                many => format!("{many} moves have failed"),
            });
        }
    }

    /// No other move begins.
    pub fn stop(&mut self, why: &str) {
        if self.stopped.is_none() {
            self.stopped = Some(why.to_owned());
        }
        for standing in self.standing.iter_mut().filter(|s| **s == Standing::Waiting) {
            *standing = Standing::Over(End::NotTried(why.to_owned()));
        }
    }

    /// Why no other move begins.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Where every move stands, in the order of the playbook.
    #[must_use]
    pub fn standing(&self) -> &[Standing] {
        &self.standing
    }

    /// How many failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        let failed = self.standing.iter().filter(|s| **s == Standing::Over(End::Failed)).count();
        u32::try_from(failed).unwrap_or(u32::MAX)
    }

    /// Why a move cannot begin now; `None` when it can, `Some` also when it does not wait at all.
    #[must_use]
    pub fn holds_back(&self, index: usize) -> Option<String> {
        let job = self.jobs.get(index)?;
        if self.standing.get(index) != Some(&Standing::Waiting) {
            return Some("it does not wait".to_owned());
        }
        if let Some(before) = self.before(index).into_iter().find(|b| !self.is_there(*b)) {
            return Some(format!("comes after {}", self.jobs.get(before)?.jail));
        }
        let under_way = || {
            let both = self.jobs.iter().zip(&self.standing);
            both.filter(|(_, s)| **s == Standing::UnderWay).map(|(j, _)| j)
        };
        let reached = |count: usize, most: u32| u32::try_from(count).unwrap_or(u32::MAX) >= most;
        if reached(under_way().count(), self.limits.moves) {
            return Some(format!("{} moves are under way", self.limits.moves));
        }
        let ends = |j: &Job| j.from.iter().chain([&j.to]).cloned().collect::<BTreeSet<NodeName>>();
        let own = ends(job);
        for node in &own {
            if reached(under_way().filter(|j| ends(j).contains(node)).count(), self.limits.per_node) {
                return Some(format!("{node} has {} under way", self.limits.per_node));
            }
        }
        if own.len() == 2 && reached(under_way().filter(|j| ends(j) == own).count(), self.limits.per_link) {
            let names: Vec<String> = own.iter().map(ToString::to_string).collect();
            return Some(format!("between {} there are {} under way", names.join(" and "), self.limits.per_link));
        }
        None
    }

    fn set(&mut self, index: usize, standing: Standing) {
        if let Some(place) = self.standing.get_mut(index) {
            *place = standing;
        }
    }

    fn is_there(&self, index: usize) -> bool {
        self.standing.get(index) == Some(&Standing::Over(End::There))
    }

    /// What must have succeeded before: earlier moves of the same jail, and the moves of the jails that it comes after; of
    /// a jail that moves more than once, those that stand before this one.
    fn before(&self, index: usize) -> Vec<usize> {
        let Some(job) = self.jobs.get(index) else { return Vec::new() };
        let moves_of = |jail: &JailName| self.jobs.iter().filter(|j| j.jail == *jail).count();
        let all = self.jobs.iter().enumerate().filter(|(other, _)| *other != index);
        all.filter(|(other, j)| {
            let earlier = *other < index;
            if j.jail == job.jail {
                earlier
            } else {
                job.after.contains(&j.jail) && (earlier || moves_of(&j.jail) == 1)
            }
        })
        .map(|(other, _)| other)
        .collect()
    }

    /// What waits for something that is over and did not succeed will never begin.
    fn spread(&mut self) {
        loop {
            let lost =
                (0..self.jobs.len()).filter(|i| self.standing.get(*i) == Some(&Standing::Waiting)).find_map(|i| {
                    let over = |b: &usize| {
                        matches!(self.standing.get(*b), Some(Standing::Over(End::Failed | End::NotTried(_))))
                    };
                    let cause = self.before(i).into_iter().find(over)?;
                    Some((i, self.jobs.get(cause)?.jail.clone()))
                });
            let Some((index, cause)) = lost else { return };
            self.set(index, Standing::Over(End::NotTried(format!("it comes after {cause}, which was not moved"))));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(jail: &str, from: &str, to: &str, after: &[&str]) -> Job {
        Job {
            jail: JailName::new(jail).unwrap(),
            from: Some(NodeName::new(from).unwrap()),
            to: NodeName::new(to).unwrap(),
            after: after.iter().map(|a| JailName::new(*a).unwrap()).collect(),
        }
    }

    fn limits(moves: u32, per_node: u32, per_link: u32) -> Parallel {
        Parallel { moves, per_node, per_link }
    }

    fn begun(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.begin()).collect()
    }

    #[test]
    fn a_slow_move_holds_up_only_what_needs_it() {
        let jobs = vec![
            job("slow", "a", "b", &[]),
            job("one", "a", "c", &[]),
            job("two", "c", "d", &["one"]),
            job("three", "a", "b", &[]),
        ];
        let mut queue = Queue::new(jobs, limits(3, 2, 1), None);
        assert_eq!(begun(&mut queue), [0, 1]);
        assert_eq!(queue.holds_back(3).unwrap(), "a has 2 under way");
        queue.end(1, End::There);
        // What came after `one` begins while `slow` is still under way; `three` would be the second on its link.
        assert_eq!(begun(&mut queue), [2]);
        assert_eq!(queue.holds_back(3).unwrap(), "between a and b there are 1 under way");
        queue.end(0, End::Failed);
        assert_eq!(begun(&mut queue), [3]);
    }

    #[test]
    fn a_failure_holds_back_what_comes_after_it_and_nothing_else() {
        let jobs = vec![
            job("db", "a", "b", &[]),
            job("web", "a", "b", &["db"]),
            job("cache", "a", "b", &["web"]),
            job("mail", "a", "b", &[]),
        ];
        let mut queue = Queue::new(jobs, limits(1, 9, 9), None);
        assert_eq!(begun(&mut queue), [0]);
        queue.end(0, End::Failed);
        assert_eq!(begun(&mut queue), [3]);
        let not_tried = |why: &str| Standing::Over(End::NotTried(why.to_owned()));
        assert_eq!(queue.standing()[1], not_tried("it comes after db, which was not moved"));
        assert_eq!(queue.standing()[2], not_tried("it comes after web, which was not moved"));
    }

    #[test]
    fn after_so_many_failures_nothing_begins() {
        let jobs = (0..5).map(|n| job(&format!("j{n}"), "a", "b", &[])).collect();
        let mut queue = Queue::new(jobs, limits(2, 9, 9), Some(2));
        assert_eq!(begun(&mut queue), [0, 1]);
        queue.end(0, End::Failed);
        assert_eq!(begun(&mut queue), [2]);
        queue.end(2, End::Failed);
        assert_eq!(begun(&mut queue), [] as [usize; 0]);
        assert_eq!(queue.stopped(), Some("2 moves have failed"));
        queue.end(1, End::There);
        assert_eq!(queue.standing()[1], Standing::Over(End::There));
        assert_eq!(queue.standing()[4], Standing::Over(End::NotTried("2 moves have failed".into())));
    }

    #[test]
    fn a_jail_that_moves_twice_does_so_in_order_and_from_where_it_came_to() {
        let jobs = vec![job("web", "a", "b", &[]), job("web", "a", "c", &[]), job("x", "a", "c", &[])];
        let mut queue = Queue::new(jobs, limits(9, 9, 1), None);
        assert_eq!(begun(&mut queue), [0, 2]);
        queue.end(0, End::There);
        // From b now, so the link from a to c is not in its way.
        assert_eq!(begun(&mut queue), [1]);
    }

    /// What a rebalance orders when two jails change places: the first waits on a third node for the second to leave.
    #[test]
    fn what_comes_after_a_jail_that_moves_twice_waits_for_the_moves_above_it() {
        let jobs =
            vec![job("one", "a", "c", &[]), job("two", "b", "a", &["one"]), job("one", "c", "b", &["one", "two"])];
        let mut queue = Queue::new(jobs, limits(9, 9, 9), None);
        for index in 0..3 {
            assert_eq!(begun(&mut queue), [index]);
            queue.end(index, End::There);
        }
        assert!(queue.standing().iter().all(|s| *s == Standing::Over(End::There)));
    }

    fn jobs() -> impl Strategy<Value = Vec<Job>> {
        let one = (0..4u8, 0..4u8, proptest::collection::vec(any::<prop::sample::Index>(), 0..3));
        proptest::collection::vec(one, 1..12).prop_map(|list| {
            let name = |n: usize| format!("j{n}");
            let made = list.iter().enumerate().map(|(n, (from, to, after))| {
                // Only what stands above, so that there is no circle.
                let after: Vec<String> = after.iter().filter(|_| n > 0).map(|i| name(i.index(n))).collect();
                let after: Vec<&str> = after.iter().map(String::as_str).collect();
                job(&name(n), &format!("n{from}"), &format!("n{to}"), &after)
            });
            made.collect()
        })
    }

    proptest! {
        /// Whatever fails whenever: limits hold at every instant, order is kept, everything comes to an end.
        #[test]
        fn limits_and_order_hold_and_it_ends(
            jobs in jobs(),
            (moves, per_node, per_link) in (1..4u32, 1..4u32, 1..3u32),
            stop_after in proptest::option::of(1..4u32),
            fate in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 12),
        ) {
            let mut queue = Queue::new(jobs.clone(), limits(moves, per_node, per_link), stop_after);
            let mut under_way: Vec<usize> = Vec::new();
            let mut there: Vec<&JailName> = Vec::new();
            let mut fate = fate.into_iter();
            loop {
                while let Some(index) = queue.begin() {
                    prop_assert!(jobs[index].after.iter().all(|a| there.contains(&a)), "begun too early");
                    under_way.push(index);
                }
                prop_assert!(under_way.len() <= moves as usize);
                for node in 0..4 {
                    let node = Some(NodeName::new(format!("n{node}")).unwrap());
                    let busy = under_way.iter().filter(|i| jobs[**i].from == node || Some(&jobs[**i].to) == node.as_ref());
                    prop_assert!(busy.count() <= per_node as usize);
                }
                if under_way.is_empty() {
                    break;
                }
                let (good, which) = fate.next().unwrap();
                let index = under_way.remove(which.index(under_way.len()));
                if good {
                    there.push(&jobs[index].jail);
                }
                queue.end(index, if good { End::There } else { End::Failed });
                if stop_after.is_some_and(|most| queue.failures() >= most) {
                    prop_assert!(queue.begin().is_none());
                }
            }
            prop_assert!(queue.standing().iter().all(|s| matches!(s, Standing::Over(_))), "{:?}", queue.standing());
        }
    }
}
