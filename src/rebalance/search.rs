//! Looks for a better distribution: always the best single move or exchange from a node that costs something, until none
//! is worth its price; in a small fleet also several moves ahead. Every state on the way is allowed, so it can end at any time.

use std::collections::BTreeSet;

use super::model::Goal;
use super::objective::NODE;
use super::objective::State;

/// How many of the emptiest nodes are weighed for each jail.
const WEIGHED: usize = 48;

/// Nodes times jails of a fleet that is small enough to look several moves ahead.
const SMALL: usize = 400;
/// How many of the best states are followed then.
const AHEAD: usize = 64;
/// Nodes times jails of a fleet in which all states are followed.
const SMALLEST: usize = 40;

/// What a step would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Move(usize, usize),
    Exchange(usize, usize),
    /// The jail with all that must be with it.
    Together(usize, usize),
}

/// Nodes by how full they are.
struct Emptiest(BTreeSet<(u64, u64, usize)>);

impl Emptiest {
    fn of(state: &State<'_>) -> Emptiest {
        let may = |node: &usize| {
            let accepts = state.fleet.nodes.get(*node).is_some_and(|n| n.accepts);
            accepts && !state.emptied.get(*node).copied().unwrap_or(true)
        };
        Emptiest((0..state.fleet.nodes.len()).filter(may).map(|n| key(state, n)).collect())
    }

    /// The node's place changes with `change`.
    fn after(&mut self, state: &mut State<'_>, nodes: [usize; 2], change: impl FnOnce(&mut State<'_>)) {
        let were: Vec<usize> = nodes.into_iter().filter(|n| self.0.remove(&key(state, *n))).collect();
        change(state);
        self.0.extend(were.into_iter().map(|n| key(state, n)));
    }
}

/// Fullness first; between equals the seed decides.
fn key(state: &State<'_>, node: usize) -> (u64, u64, usize) {
    let mixed = (node as u64 ^ state.options.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    (state.fullness(node), mixed, node)
}

/// Improves the state as far as it can, by exchanges of two jails too or by moves alone; `false` when the budget ended
/// first.
pub(super) fn improve(state: &mut State<'_>, exchanges: bool) -> bool {
    let mut budget = state.options.budget;
    let begin = state.clone();
    let mut complete = descend(state, exchanges, &mut budget);
    if complete && begin.place.len() * begin.fleet.nodes.len() <= SMALL {
        complete = look_ahead(&begin, state, &mut budget);
    }
    if state.options.goal == Goal::Consolidate && complete {
        return consolidate(state, exchanges, &mut budget);
    }
    complete
}

/// Looks several moves ahead, also through states that cost more than the one before: it may take a move that gains
/// nothing to make room for one that gains much. `best` is replaced by what is better.
fn look_ahead<'f>(begin: &State<'f>, best: &mut State<'f>, budget: &mut u64) -> bool {
    let size = begin.place.len() * begin.fleet.nodes.len();
    let mut least = best.worth(begin);
    let mut front = vec![(begin.cost(), begin.clone())];
    let mut seen = BTreeSet::from([begin.place.clone()]);
    while !front.is_empty() {
        let mut next: Vec<(i64, State<'f>)> = Vec::new();
        for (cost, state) in &front {
            let leaves = |j: &usize| state.may_leave(*j) && state.place.get(*j) == begin.place.get(*j);
            for jail in (0..state.place.len()).filter(leaves) {
                for to in 0..state.fleet.nodes.len() {
                    *budget = budget.saturating_sub(1);
                    if *budget == 0 {
                        return false;
                    }
                    let Some(change) = state.weigh(jail, to) else { continue };
                    let mut place = state.place.clone();
                    if let Some(place) = place.get_mut(jail) {
                        *place = to;
                    }
                    if seen.insert(place) {
                        let mut after = state.clone();
                        after.put(jail, to);
                        next.push((cost + change + state.price(jail), after));
                    }
                }
            }
        }
        next.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.place.cmp(&other.place)));
        if size > SMALLEST {
            next.truncate(AHEAD);
        }
        if let Some((cost, state)) = next.first().filter(|(cost, _)| *cost < least) {
            least = *cost;
            best.clone_from(state);
        }
        front = next;
    }
    true
}

/// One pass after the other, until one changes nothing.
fn descend(state: &mut State<'_>, exchanges: bool, budget: &mut u64) -> bool {
    let mut emptiest = Emptiest::of(state);
    loop {
        let mut costly: Vec<(i64, usize)> =
            (0..state.fleet.nodes.len()).map(|n| (state.cost_of(n), n)).filter(|(cost, _)| *cost > 0).collect();
        costly.sort_unstable_by_key(|(cost, node)| (std::cmp::Reverse(*cost), *node));
        let mut changed = false;
        for (_, node) in costly {
            while let Some(step) = best_of(state, &emptiest, node, exchanges, budget) {
                changed = true;
                match step {
                    Step::Move(jail, to) => {
                        let from = state.place.get(jail).copied().unwrap_or(node);
                        emptiest.after(state, [from, to], |s| s.put(jail, to));
                    }
                    Step::Together(jail, to) => {
                        for one in state.unit(jail) {
                            let from = state.place.get(one).copied().unwrap_or(to);
                            if from != to {
                                emptiest.after(state, [from, to], |s| s.put(one, to));
                            }
                        }
                    }
                    Step::Exchange(one, other) => {
                        let here = state.place.get(one).copied().unwrap_or(node);
                        let there = state.place.get(other).copied().unwrap_or(node);
                        emptiest.after(state, [here, there], |s| {
                            s.put(one, there);
                            s.put(other, here);
                        });
                    }
                }
            }
            if *budget == 0 {
                return false;
            }
        }
        if !changed {
            return true;
        }
    }
}

/// Keeps the step when it gains, and more than the best known.
fn take(best: &mut Option<(i64, Step)>, change: i64, step: Step) {
    if change < 0 && best.is_none_or(|known| (change, step) < known) {
        *best = Some((change, step));
    }
}

/// The step from a node that gains most, if it gains more than its price.
fn best_of(state: &State<'_>, emptiest: &Emptiest, node: usize, exchanges: bool, budget: &mut u64) -> Option<Step> {
    if state.cost_of(node) <= 0 {
        return None;
    }
    let mut best: Option<(i64, Step)> = None;
    let residents: Vec<usize> =
        state.residents.get(node).into_iter().flatten().copied().filter(|j| state.may_leave(*j)).collect();
    for jail in &residents {
        let unit = state.unit(*jail);
        for to in candidates(state, emptiest, *jail) {
            *budget = budget.saturating_sub(1);
            if *budget == 0 {
                return None;
            }
            if let Some(change) = state.weigh(*jail, to) {
                take(&mut best, change + state.price(*jail), Step::Move(*jail, to));
            }
            if unit.len() > 1 {
                let price: i64 = unit.iter().map(|j| state.price(*j)).sum();
                if let Some(change) = state.weigh_unit(&unit, to) {
                    take(&mut best, change + price, Step::Together(*jail, to));
                }
            }
        }
    }
    if best.is_some() || !exchanges {
        return best.map(|(_, step)| step);
    }
    // No move by itself helps: two jails may change places.
    for jail in &residents {
        for to in emptiest.0.iter().take(WEIGHED).map(|(_, _, n)| *n).filter(|n| *n != node) {
            if !state.may_come(*jail, to) {
                continue;
            }
            for other in state.residents.get(to).into_iter().flatten().copied().filter(|j| state.may_leave(*j)) {
                *budget = budget.saturating_sub(1);
                if *budget == 0 {
                    return None;
                }
                if let Some(change) = state.weigh_exchange(*jail, other) {
                    take(&mut best, change + state.price(*jail) + state.price(other), Step::Exchange(*jail, other));
                }
            }
        }
    }
    best.map(|(_, step)| step)
}

/// The emptiest nodes that the jail may come to, those it prefers, and those of the jails it belongs to.
fn candidates(state: &State<'_>, emptiest: &Emptiest, jail: usize) -> Vec<usize> {
    let from = state.place.get(jail).copied();
    let fits = |node: &usize| Some(*node) != from && state.may_come(jail, *node);
    let mut all: Vec<usize> = emptiest.0.iter().map(|(_, _, n)| *n).filter(fits).take(WEIGHED).collect();
    let prefers = state.fleet.jails.get(jail).into_iter().flat_map(|j| j.prefers.iter().copied());
    all.extend(prefers.chain(state.mates_places(jail)).filter(fits));
    all.sort_unstable();
    all.dedup();
    all
}

/// Empties one node after the other, the least used first, as long as the others take everything.
fn consolidate(state: &mut State<'_>, exchanges: bool, budget: &mut u64) -> bool {
    loop {
        let mut nodes: Vec<(u64, usize)> = (0..state.fleet.nodes.len())
            .filter(|n| !state.emptied.get(*n).copied().unwrap_or(true))
            .filter(|n| state.residents.get(*n).is_some_and(|r| !r.is_empty()))
            .map(|n| (state.fullness(n), n))
            .collect();
        nodes.sort_unstable();
        let mut changed = false;
        for (_, node) in nodes {
            let here = state.residents.get(node).cloned().unwrap_or_default();
            if here.iter().any(|j| !state.may_leave(*j)) {
                continue;
            }
            let mut tried = state.clone();
            // Nodes without jails stay so.
            for (index, emptied) in tried.emptied.iter_mut().enumerate() {
                *emptied |= index == node || tried.residents.get(index).is_some_and(Vec::is_empty);
            }
            // A node that is given up is worth all of it: the moves must not cost more.
            let price: i64 = here.iter().map(|j| state.price(*j)).sum();
            let complete = descend(&mut tried, exchanges, budget);
            if tried.residents.get(node).is_some_and(Vec::is_empty) && price < NODE {
                tried.emptied.clone_from(&state.emptied);
                *state = tried;
                changed = true;
            }
            if !complete {
                return false;
            }
        }
        if !changed {
            return true;
        }
    }
}
