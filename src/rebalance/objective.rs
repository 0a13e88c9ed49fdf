//! A distribution of jails, what is allowed in it, and what it costs. Costs are thousandths of a node: a node that is
//! three points of a hundred above where it should be costs 30.

use super::model::Fleet;
use super::model::Goal;
use super::model::Load;
use super::model::Options;
use super::model::Usage;

/// Something that must not stay: a broken hard rule, a jail on a node that is emptied.
pub(super) const WRONG: i64 = 10_000_000;
/// A thousandth of a node above the limit, against one above the average.
const OVER: i64 = 100;
/// A soft rule that is broken.
const SOFT: i64 = 50;
/// A node that has jails, where few are to have any.
pub(super) const NODE: i64 = 1000;
/// A jail that is on none of the nodes it prefers.
const PREFERENCE: i64 = 20;
/// Bytes and milliseconds that weigh a thousandth of a node.
const BYTES: u64 = 10 << 30;
const MILLISECONDS: u64 = 1000;

/// Where every jail is, with sums.
#[derive(Debug, Clone)]
pub(super) struct State<'f> {
    pub(super) fleet: &'f Fleet,
    pub(super) options: &'f Options,
    /// The node of each jail.
    pub(super) place: Vec<usize>,
    /// What each node's jails use.
    pub(super) used: Vec<Load>,
    /// What can still arrive at each node. It never grows: a source keeps its copy until `finalize`.
    pub(super) disk: Vec<u64>,
    /// The jails of each node.
    pub(super) residents: Vec<Vec<usize>>,
    /// Jails that have moved already and do not move again.
    pub(super) moved: Vec<bool>,
    /// Nodes that are to be empty.
    pub(super) emptied: Vec<bool>,
    pub(super) load: Vec<Load>,
    /// The groups of each jail.
    groups: Vec<Vec<usize>>,
    /// Above which share each node costs something, by resource.
    threshold: Vec<[u64; 2]>,
    /// Up to which share a node is filled by moves that are made for balance.
    pub(super) aim: [u64; 2],
}

/// The middle one.
fn median(samples: &[Load]) -> Load {
    let of = |pick: fn(&Load) -> u64| {
        let mut all: Vec<u64> = samples.iter().map(pick).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    };
    Load { cpu: of(|l| l.cpu), memory: of(|l| l.memory) }
}

/// `used` of `capacity` in thousandths, rounded up so that what is full counts as full.
pub(super) fn share(used: u64, capacity: u64) -> u64 {
    if used == 0 {
        return 0;
    }
    if capacity == 0 {
        return 1_000_000;
    }
    u64::try_from((u128::from(used) * 1000).div_ceil(u128::from(capacity))).unwrap_or(1_000_000).min(1_000_000)
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX / 1000)
}

impl<'f> State<'f> {
    pub(super) fn new(fleet: &'f Fleet, options: &'f Options) -> State<'f> {
        let count = fleet.nodes.len();
        let load: Vec<Load> = fleet.jails.iter().map(|j| median(&j.samples)).collect();
        let mut used = vec![Load::default(); count];
        let mut residents = vec![Vec::new(); count];
        let mut groups = vec![Vec::new(); fleet.jails.len()];
        for (jail, spec) in fleet.jails.iter().enumerate() {
            if let (Some(used), Some(residents)) = (used.get_mut(spec.at), residents.get_mut(spec.at)) {
                *used = used.plus(load.get(jail).copied().unwrap_or_default());
                residents.push(jail);
            }
        }
        for (index, group) in fleet.groups.iter().enumerate() {
            for jail in &group.jails {
                if let Some(of) = groups.get_mut(*jail) {
                    of.push(index);
                }
            }
        }
        let mut state = State {
            fleet,
            options,
            place: fleet.jails.iter().map(|j| j.at).collect(),
            used,
            disk: fleet.nodes.iter().map(|n| n.disk).collect(),
            residents,
            moved: vec![false; fleet.jails.len()],
            emptied: fleet.nodes.iter().map(|n| n.emptied).collect(),
            load,
            groups,
            threshold: vec![[options.limit; 2]; count],
            aim: [options.limit; 2],
        };
        state.look_anew();
        state
    }

    /// Decides which nodes are to be relieved, from where jails are now. A node that was above the band in every sample is
    /// relieved to its middle; others cost nothing below its edge.
    pub(super) fn look_anew(&mut self) {
        let limit = self.options.limit;
        if self.options.goal != Goal::Spread {
            return;
        }
        let samples = self.fleet.jails.iter().map(|j| j.samples.len()).max().unwrap_or(0);
        let live = |index: usize| self.fleet.nodes.get(index).is_some_and(|n| n.accepts && !n.emptied);
        let mut total = Load::default();
        for (index, node) in self.fleet.nodes.iter().enumerate() {
            if live(index) {
                total = total.plus(node.capacity);
            }
        }
        let mean_of = |sum: Load| {
            let [cpu, memory] = [share(sum.cpu, total.cpu), share(sum.memory, total.memory)];
            [cpu, memory]
        };
        let everything = self.load.iter().fold(Load::default(), |sum, l| sum.plus(*l));
        let mean = mean_of(everything);
        let band = self.options.band;
        let edge = mean.map(|m| (m + band).min(limit));
        self.aim = mean.map(|m| (m + band / 2).min(limit));
        let mut always = vec![[true; 2]; self.fleet.nodes.len()];
        for sample in 0..samples {
            let mut used = vec![Load::default(); self.fleet.nodes.len()];
            let mut sum = Load::default();
            for (jail, place) in self.fleet.jails.iter().zip(&self.place) {
                let load = jail.samples.get(sample).or(jail.samples.last()).copied().unwrap_or_default();
                sum = sum.plus(load);
                if let Some(used) = used.get_mut(*place) {
                    *used = used.plus(load);
                }
            }
            let edge = mean_of(sum).map(|m| (m + band).min(limit));
            for ((node, used), always) in self.fleet.nodes.iter().zip(&used).zip(&mut always) {
                for (((used, capacity), edge), always) in
                    used.each().into_iter().zip(node.capacity.each()).zip(edge).zip(always.iter_mut())
                {
                    *always &= share(used, capacity) > edge;
                }
            }
        }
        for (threshold, always) in self.threshold.iter_mut().zip(&always) {
            for (((threshold, always), edge), aim) in threshold.iter_mut().zip(always).zip(edge).zip(self.aim) {
                *threshold = if *always { aim } else { limit.max(edge) };
            }
        }
    }

    /// What the load of a node costs.
    pub(super) fn node_cost(&self, node: usize, used: Load) -> i64 {
        let (Some(spec), Some(threshold)) = (self.fleet.nodes.get(node), self.threshold.get(node)) else { return 0 };
        let mut cost = 0;
        for ((used, capacity), threshold) in used.each().into_iter().zip(spec.capacity.each()).zip(threshold) {
            let share = share(used, capacity);
            cost += whole(share.saturating_sub(*threshold));
            cost += OVER * whole(share.saturating_sub(self.options.limit));
        }
        cost
    }

    /// Is the jail on a node where it must not be, whatever others do?
    pub(super) fn misplaced(&self, jail: usize, node: usize) -> bool {
        self.emptied.get(node).copied().unwrap_or(true) || self.unfit(jail, node)
    }

    /// By the rules of the jail alone.
    fn unfit(&self, jail: usize, node: usize) -> bool {
        let (Some(spec), Some(there)) = (self.fleet.jails.get(jail), self.fleet.nodes.get(node)) else { return true };
        spec.never.contains(&node)
            || spec.only.as_ref().is_some_and(|only| !only.contains(&node))
            || !spec.needs.is_subset(&there.provides)
    }

    /// What the jail's rules cost with the jail on `node`, and those of `moved` elsewhere than they are.
    fn rules(&self, jail: usize, node: usize, moved: &[(usize, usize)]) -> i64 {
        let Some(spec) = self.fleet.jails.get(jail) else { return 0 };
        let mut cost = 0;
        if self.misplaced(jail, node) {
            cost += WRONG;
        }
        if !spec.prefers.is_empty() && !spec.prefers.contains(&node) {
            cost += PREFERENCE;
        }
        for group in self.groups.get(jail).into_iter().flatten().filter_map(|g| self.fleet.groups.get(*g)) {
            let mut broken = 0;
            for mate in group.jails.iter().filter(|m| **m != jail) {
                let elsewhere = moved.iter().find(|(j, _)| j == mate).map(|(_, to)| *to);
                let place = elsewhere.or_else(|| self.place.get(*mate).copied()).unwrap_or(node);
                if (place == node) != group.together {
                    broken += 1;
                }
            }
            cost += broken * if group.hard { WRONG } else { SOFT };
        }
        cost
    }

    /// What the rules of the jail cost where it is.
    pub(super) fn rules_now(&self, jail: usize) -> i64 {
        self.place.get(jail).map_or(0, |node| self.rules(jail, *node, &[]))
    }

    /// What a node costs now, with the rules of its jails.
    pub(super) fn cost_of(&self, node: usize) -> i64 {
        let used = self.used.get(node).copied().unwrap_or_default();
        let rules: i64 = self.residents.get(node).into_iter().flatten().map(|j| self.rules_now(*j)).sum();
        self.node_cost(node, used) + rules
    }

    /// What the whole distribution costs.
    pub(super) fn cost(&self) -> i64 {
        (0..self.fleet.nodes.len()).map(|n| self.cost_of(n)).sum()
    }

    /// What the distribution costs, with what it costs to come to it from `begin`.
    pub(super) fn worth(&self, begin: &State<'_>) -> i64 {
        let moved = (0..self.place.len()).filter(|j| self.place.get(*j) != begin.place.get(*j));
        self.cost() + moved.map(|j| self.price(j)).sum::<i64>()
    }

    /// What it costs to move a jail at all.
    pub(super) fn price(&self, jail: usize) -> i64 {
        let Some(spec) = self.fleet.jails.get(jail) else { return 0 };
        whole(self.options.min_gain.max(1) + spec.disk / BYTES + spec.blackout / MILLISECONDS)
    }

    /// May the jail leave where it is?
    pub(super) fn may_leave(&self, jail: usize) -> bool {
        let stays = self.fleet.jails.get(jail).is_none_or(|j| j.stays.is_some());
        !stays && !self.moved.get(jail).copied().unwrap_or(true)
    }

    /// May the jail come to the node, by everything but load, and by disk?
    pub(super) fn may_come(&self, jail: usize, node: usize) -> bool {
        let (Some(spec), Some(there)) = (self.fleet.jails.get(jail), self.fleet.nodes.get(node)) else { return false };
        let from = self.place.get(jail).and_then(|n| self.fleet.nodes.get(*n));
        there.accepts
            && !self.misplaced(jail, node)
            && !spec.failed.contains(&node)
            && from.is_none_or(|from| there.release >= from.release)
            && self.disk.get(node).is_some_and(|free| *free >= spec.disk)
    }

    /// Would the node's load be within bounds?
    pub(super) fn has_room(&self, node: usize, used: Load, voluntary: bool) -> bool {
        let Some(spec) = self.fleet.nodes.get(node) else { return false };
        let now = self.used.get(node).copied().unwrap_or_default();
        let bounds = if voluntary { self.aim } else { [self.options.limit; 2] };
        used.each()
            .into_iter()
            .zip(now.each())
            .zip(spec.capacity.each())
            .zip(bounds)
            .all(|(((used, now), capacity), bound)| used <= now || share(used, capacity) <= bound)
    }

    /// Would more hard rules be broken by the jail on the node than are now?
    pub(super) fn breaks(&self, jail: usize, node: usize) -> bool {
        let now = self.rules_now(jail) / WRONG;
        self.rules(jail, node, &[]) / WRONG > now
    }

    /// What a move changes in cost, its price left out; `None` when it is not allowed.
    pub(super) fn weigh(&self, jail: usize, to: usize) -> Option<i64> {
        let from = *self.place.get(jail)?;
        if from == to || !self.may_come(jail, to) {
            return None;
        }
        let load = *self.load.get(jail)?;
        let rules_now = self.rules(jail, from, &[]);
        let there = self.used.get(to)?.plus(load);
        if !self.has_room(to, there, rules_now < WRONG) || self.breaks(jail, to) || self.breaks_between(jail, to) {
            return None;
        }
        let here = *self.used.get(from)?;
        let loads = self.node_cost(from, here.less(load)) - self.node_cost(from, here) + self.node_cost(to, there)
            - self.node_cost(to, *self.used.get(to)?);
        // What breaks between two jails is counted at both.
        let own = self.rules(jail, to, &[]) - rules_now;
        Some(loads + own + self.mates(jail, to))
    }

    /// Would the jail on the node break a hard rule that it does not break where it is, or that its mates do not break?
    pub(super) fn breaks_between(&self, jail: usize, to: usize) -> bool {
        // A rule that says together is broken on the way while the others follow one by one.
        let apart = |node: usize| {
            let groups = self.groups.get(jail).into_iter().flatten().filter_map(|g| self.fleet.groups.get(*g));
            let hard = groups.filter(|g| g.hard && !g.together);
            hard.flat_map(|g| g.jails.iter()).filter(|m| **m != jail && self.place.get(**m) == Some(&node)).count()
        };
        let from = self.place.get(jail).copied().unwrap_or(to);
        apart(to) > apart(from)
    }

    /// What bringing the jail back to `home` changes in cost, whether it is allowed or not; what is not allowed there
    /// costs.
    pub(super) fn weigh_back(&self, jail: usize, home: usize) -> i64 {
        let (Some(now), Some(load)) = (self.place.get(jail).copied(), self.load.get(jail).copied()) else { return 0 };
        let (here, there) =
            (self.used.get(now).copied().unwrap_or_default(), self.used.get(home).copied().unwrap_or_default());
        let loads = self.node_cost(now, here.less(load)) - self.node_cost(now, here)
            + self.node_cost(home, there.plus(load))
            - self.node_cost(home, there);
        let given_up = self.options.goal == Goal::Consolidate && self.residents.get(home).is_some_and(Vec::is_empty);
        let used_again = if given_up { NODE } else { 0 };
        loads + used_again + self.rules(jail, home, &[]) - self.rules(jail, now, &[]) + self.mates(jail, home)
    }

    /// The jail and all that must be on one node with it, one through the other.
    pub(super) fn unit(&self, jail: usize) -> Vec<usize> {
        let mut unit = vec![jail];
        let mut next = 0;
        while let Some(one) = unit.get(next).copied() {
            next += 1;
            let groups = self.groups.get(one).into_iter().flatten().filter_map(|g| self.fleet.groups.get(*g));
            for mate in groups.filter(|g| g.hard && g.together).flat_map(|g| &g.jails) {
                if !unit.contains(mate) {
                    unit.push(*mate);
                }
            }
        }
        unit.sort_unstable();
        unit
    }

    /// What moving the whole unit changes in cost; `None` when it is not allowed.
    pub(super) fn weigh_unit(&self, unit: &[usize], to: usize) -> Option<i64> {
        let mut nodes = vec![to];
        for jail in unit {
            nodes.extend(self.place.get(*jail));
            let groups = self.groups.get(*jail).into_iter().flatten().filter_map(|g| self.fleet.groups.get(*g));
            nodes.extend(groups.flat_map(|g| &g.jails).filter_map(|m| self.place.get(*m)));
        }
        nodes.sort_unstable();
        nodes.dedup();
        let cost = |s: &State<'_>| -> i64 { nodes.iter().map(|n| s.cost_of(*n)).sum() };
        let wrong = |s: &State<'_>| -> i64 { unit.iter().map(|j| s.rules_now(*j) / WRONG).sum() };
        let voluntary = wrong(self) == 0;
        let mut after = self.clone();
        for jail in unit {
            if after.place.get(*jail) == Some(&to) {
                continue;
            }
            let there = after.used.get(to)?.plus(*after.load.get(*jail)?);
            let possible = after.may_leave(*jail) && after.may_come(*jail, to) && after.has_room(to, there, voluntary);
            if !possible || after.breaks_between(*jail, to) {
                return None;
            }
            after.put(*jail, to);
        }
        (wrong(&after) <= wrong(self)).then(|| cost(&after) - cost(self))
    }

    /// The nodes of the jails it belongs together with.
    pub(super) fn mates_places(&self, jail: usize) -> Vec<usize> {
        let groups = self.groups.get(jail).into_iter().flatten().filter_map(|g| self.fleet.groups.get(*g));
        let mates = groups.filter(|g| g.together).flat_map(|g| g.jails.iter().filter(|m| **m != jail));
        mates.filter_map(|m| self.place.get(*m).copied()).collect()
    }

    /// What the rules of the jails in its groups change when the jail goes to `to`.
    fn mates(&self, jail: usize, to: usize) -> i64 {
        let mut change = 0;
        let mut seen: Vec<usize> = Vec::new();
        for group in self.groups.get(jail).into_iter().flatten().filter_map(|g| self.fleet.groups.get(*g)) {
            for mate in group.jails.iter().filter(|m| **m != jail) {
                if seen.contains(mate) {
                    continue;
                }
                seen.push(*mate);
                let Some(place) = self.place.get(*mate) else { continue };
                change += self.rules(*mate, *place, &[(jail, to)]) - self.rules(*mate, *place, &[]);
            }
        }
        change
    }

    /// What an exchange of two jails changes in cost; `None` when it is not allowed.
    pub(super) fn weigh_exchange(&self, one: usize, other: usize) -> Option<i64> {
        let (here, there) = (*self.place.get(one)?, *self.place.get(other)?);
        if here == there || !self.may_come(one, there) || !self.may_come(other, here) {
            return None;
        }
        let (first, second) = (*self.load.get(one)?, *self.load.get(other)?);
        let (used_here, used_there) = (*self.used.get(here)?, *self.used.get(there)?);
        let (new_here, new_there) = (used_here.less(first).plus(second), used_there.less(second).plus(first));
        let voluntary = self.rules_now(one) < WRONG && self.rules_now(other) < WRONG;
        if !self.has_room(there, new_there, voluntary) || !self.has_room(here, new_here, voluntary) {
            return None;
        }
        let loads = self.node_cost(here, new_here) - self.node_cost(here, used_here) + self.node_cost(there, new_there)
            - self.node_cost(there, used_there);
        if loads >= 0 && self.groups.get(one)?.is_empty() && self.groups.get(other)?.is_empty() {
            return None;
        }
        let mut jails: Vec<usize> = vec![one, other];
        for group in [one, other].iter().filter_map(|j| self.groups.get(*j)).flatten() {
            jails.extend(self.fleet.groups.get(*group).map(|g| g.jails.as_slice()).unwrap_or_default());
        }
        jails.sort_unstable();
        jails.dedup();
        let swapped = [(one, there), (other, here)];
        let place = |jail: usize, moved: &[(usize, usize)]| {
            let to = moved.iter().find(|(j, _)| *j == jail).map(|(_, to)| *to);
            to.or_else(|| self.place.get(jail).copied()).unwrap_or(here)
        };
        let touched =
            |moved: &[(usize, usize)]| -> i64 { jails.iter().map(|j| self.rules(*j, place(*j, moved), moved)).sum() };
        let (before, now) = (touched(&[]), touched(&swapped));
        if now / WRONG > before / WRONG {
            return None;
        }
        Some(loads + now - before)
    }

    /// Puts the jail elsewhere. The target loses disk, the source gains none.
    pub(super) fn put(&mut self, jail: usize, to: usize) {
        let Some(place) = self.place.get_mut(jail) else { return };
        let from = std::mem::replace(place, to);
        let load = self.load.get(jail).copied().unwrap_or_default();
        let disk = self.fleet.jails.get(jail).map_or(0, |j| j.disk);
        if let Some(used) = self.used.get_mut(from) {
            *used = used.less(load);
        }
        if let Some(used) = self.used.get_mut(to) {
            *used = used.plus(load);
        }
        if let Some(free) = self.disk.get_mut(to) {
            *free = free.saturating_sub(disk);
        }
        if let Some(residents) = self.residents.get_mut(from) {
            residents.retain(|j| *j != jail);
        }
        if let Some(residents) = self.residents.get_mut(to) {
            residents.push(jail);
            residents.sort_unstable();
        }
    }

    /// The fullest resource of a node, in thousandths.
    pub(super) fn fullness(&self, node: usize) -> u64 {
        let (Some(used), Some(spec)) = (self.used.get(node), self.fleet.nodes.get(node)) else { return 0 };
        used.each().into_iter().zip(spec.capacity.each()).map(|(u, c)| share(u, c)).max().unwrap_or(0)
    }

    pub(super) fn usage(&self) -> Vec<Usage> {
        let nodes = self.fleet.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| Usage {
                node: node.name.clone(),
                jails: self.residents.get(index).map_or(0, Vec::len),
                used: self.used.get(index).copied().unwrap_or_default(),
                capacity: node.capacity,
                disk: self.disk.get(index).copied().unwrap_or(0),
            })
            .collect()
    }
}
