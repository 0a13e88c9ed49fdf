//! Brings moves into an order in which every node has room and no hard rule is newly broken at every instant. A jail
//! whose place is taken by another that waits for it is parked on a third node; where that is impossible, it stays.

use std::collections::BTreeSet;

use super::explain;
use super::model::Planned;
use super::model::Refusal;
use super::objective::State;
use super::objective::WRONG;
use crate::model::JailName;

/// The moves in order, and where they lead.
pub(super) struct Ordered<'f> {
    /// Without what each of them needs ([`needed`]).
    pub(super) moves: Vec<Planned>,
    pub(super) hops: Vec<Hop>,
    pub(super) refused: Vec<Refusal>,
    pub(super) end: State<'f>,
}

/// Of at most so many moves every order is tried.
const TRIED: usize = 12;

/// One move of the order: the jail, where from, where to.
pub(super) type Hop = (usize, usize, usize);

/// From `begin` to `wanted`, with at most `most` moves.
pub(super) fn order<'f>(begin: &State<'f>, wanted: &State<'f>, most: usize) -> Ordered<'f> {
    let mut goals: Vec<(usize, usize)> = (0..begin.place.len())
        .filter_map(|j| Some((j, *wanted.place.get(j)?)))
        .filter(|(j, to)| begin.place.get(*j) != Some(to))
        .collect();
    // What must move comes first, then what frees most of the fullest.
    goals.sort_by_key(|(j, _)| {
        let from = begin.place.get(*j).copied().unwrap_or(0);
        (std::cmp::Reverse(begin.cost_of(from)), *j)
    });
    loop {
        let whole = possible(begin, &goals);
        let all_fit = whole.is_some();
        goals = whole.unwrap_or(goals);
        let (hops, stuck, end) = sequence(begin, &goals, most);
        // Without its other half, the one half of an exchange may gain nothing. What gains nothing by itself may still
        // make room for another.
        let without = |jail: usize| goals.iter().copied().filter(|(j, _)| *j != jail).collect::<Vec<_>>();
        let makes_room = |jail: usize| all_fit && possible(begin, &without(jail)).is_none();
        let useless =
            hops.iter().find(|hop| is_useless(begin, &end, hop) && !makes_room(hop.0)).map(|(jail, ..)| *jail);
        if let Some(jail) = useless {
            goals = without(jail);
            continue;
        }
        let refused = stuck.iter().map(|(jail, to)| Refusal {
            jail: explain::jail(begin, *jail),
            why: explain::no_order(begin, *jail, *to),
            must: begin.rules_now(*jail) >= WRONG,
        });
        return Ordered { moves: told(begin, &hops), refused: refused.collect(), hops, end };
    }
}

/// An order in which each can be made, one after the other, when there is one and they are few enough to try. What is
/// taken first may stand in the way of the rest, so the first that can be made is not always a good beginning.
fn possible(begin: &State<'_>, goals: &[(usize, usize)]) -> Option<Vec<(usize, usize)>> {
    if goals.len() > TRIED {
        return None;
    }
    let all = (1_u32 << goals.len()) - 1;
    // Where everything is follows from which of them are made, in whatever order.
    let mut seen = BTreeSet::from([0_u32]);
    let mut way = vec![(0_u32, begin.clone(), 0_usize)];
    let mut taken: Vec<(usize, usize)> = Vec::new();
    while let Some((made, state, next)) = way.last_mut() {
        if *made == all {
            return Some(taken);
        }
        let Some((jail, to)) = goals.get(*next).copied() else {
            way.pop();
            taken.pop();
            continue;
        };
        let with = *made | 1 << *next;
        *next += 1;
        if with == *made || !now_possible(state, jail, to) || !seen.insert(with) {
            continue;
        }
        let mut after = state.clone();
        after.put(jail, to);
        taken.push((jail, to));
        way.push((with, after, 0));
    }
    None
}

/// Would the end be as good with this jail where it was?
fn is_useless(begin: &State<'_>, end: &State<'_>, (jail, ..): &Hop) -> bool {
    let (Some(home), Some(now)) = (begin.place.get(*jail), end.place.get(*jail)) else { return true };
    if home == now {
        return true;
    }
    let back = end.weigh_back(*jail, *home);
    back < end.price(*jail)
}

/// Takes always the first move that can be made now.
fn sequence<'f>(
    begin: &State<'f>,
    goals: &[(usize, usize)],
    most: usize,
) -> (Vec<Hop>, Vec<(usize, usize)>, State<'f>) {
    let mut state = begin.clone();
    let mut hops: Vec<Hop> = Vec::new();
    let mut open: Vec<(usize, usize)> = goals.to_vec();
    let mut parked: Vec<usize> = Vec::new();
    while !open.is_empty() && hops.len() < most {
        let before = open.len();
        let mut left = Vec::new();
        for (jail, to) in open {
            if hops.len() < most && now_possible(&state, jail, to) {
                let from = state.place.get(jail).copied().unwrap_or(to);
                hops.push((jail, from, to));
                state.put(jail, to);
            } else {
                left.push((jail, to));
            }
        }
        open = left;
        if open.len() < before || open.is_empty() {
            continue;
        }
        // A circle: one of them waits elsewhere, and costs a move more.
        let park = open.iter().filter(|(j, _)| !parked.contains(j)).find_map(|(jail, to)| {
            let from = *state.place.get(*jail)?;
            let third = (0..state.fleet.nodes.len())
                .filter(|n| *n != from && n != to && now_possible(&state, *jail, *n))
                .min_by_key(|n| (state.fullness(*n), *n))?;
            Some((*jail, from, third))
        });
        let Some((jail, from, third)) = park.filter(|_| hops.len() + 1 < most) else { break };
        parked.push(jail);
        hops.push((jail, from, third));
        state.put(jail, third);
    }
    // A jail that was parked and got no further is brought nowhere: the parking is taken out again.
    let lost: Vec<usize> = parked.iter().copied().filter(|j| open.iter().any(|(o, _)| o == j)).collect();
    if let Some(jail) = lost.first() {
        let others: Vec<(usize, usize)> = goals.iter().copied().filter(|(j, _)| j != jail).collect();
        let (hops, mut stuck, end) = sequence(begin, &others, most);
        stuck.extend(goals.iter().filter(|(j, _)| j == jail));
        return (hops, stuck, end);
    }
    // Half of what is together as it must be does not go alone.
    let together =
        |unit: &Vec<usize>| unit.iter().all(|j| begin.place.get(*j) == unit.first().and_then(|f| begin.place.get(*f)));
    let halves: Vec<usize> = open.iter().map(|(j, _)| begin.unit(*j)).filter(together).flatten().collect();
    if hops.iter().any(|(jail, ..)| halves.contains(jail)) {
        let (whole, half): (Vec<_>, Vec<_>) = goals.iter().copied().partition(|(j, _)| !halves.contains(j));
        let (hops, mut stuck, end) = sequence(begin, &whole, most);
        stuck.extend(half);
        return (hops, stuck, end);
    }
    for (jail, ..) in &hops {
        if let Some(moved) = state.moved.get_mut(*jail) {
            *moved = true;
        }
    }
    let stuck = if hops.len() < most { open } else { Vec::new() };
    (hops, stuck, state)
}

/// Is there room at the target while the jail is still at the source?
fn now_possible(state: &State<'_>, jail: usize, to: usize) -> bool {
    let load = state.load.get(jail).copied().unwrap_or_default();
    let there = state.used.get(to).copied().unwrap_or_default().plus(load);
    state.may_come(jail, to) && state.has_room(to, there, false) && !state.breaks_between(jail, to)
}

fn told(begin: &State<'_>, hops: &[Hop]) -> Vec<Planned> {
    let mut state = begin.clone();
    let mut all: Vec<Planned> = Vec::new();
    for (index, (jail, from, to)) in hops.iter().enumerate() {
        let last = !hops.iter().skip(index + 1).any(|(j, ..)| j == jail);
        let spec = begin.fleet.jails.get(*jail);
        all.push(Planned {
            number: 0,
            jail: explain::jail(begin, *jail),
            from: explain::node(begin, *from),
            to: explain::node(begin, *to),
            after: Vec::new(),
            bytes: spec.map_or(0, |s| s.bytes),
            predicted_blackout_milliseconds: spec.map_or(0, |s| s.blackout),
            why: explain::reason(&state, *jail, *from, *to, last),
        });
        state.put(*jail, *to);
    }
    all
}

/// For each move, the jails whose moves have to have ended well before it; `hops` are all moves, of every round, and
/// `begin` is the fleet before the first of them.
pub(super) fn needed(begin: &State<'_>, hops: &[Hop]) -> Vec<Vec<JailName>> {
    let mut state = begin.clone();
    let mut all = Vec::new();
    for (index, (jail, _, to)) in hops.iter().enumerate() {
        let last = !hops.iter().skip(index + 1).any(|(j, ..)| j == jail);
        // Would there be room if whoever comes to that node before it had come, and nobody had left? Then it needs none of
        // them, whichever of them fails, and in whatever order they end.
        let mut without = begin.clone();
        for (other, _, there) in hops.iter().take(index).filter(|(j, _, there)| there == to && j != jail) {
            without.put(*other, *there);
        }
        if let Some(place) = state.place.get(*jail).filter(|p| begin.place.get(*jail) != Some(*p)) {
            without.put(*jail, *place);
        }
        let mut after: Vec<JailName> = Vec::new();
        if !now_possible(&without, *jail, *to) || !last {
            let touching = hops.iter().take(index).filter(|(j, f, t)| j == jail || f == to || t == to);
            after.extend(touching.map(|(j, ..)| explain::jail(begin, *j)));
        } else {
            after.extend(hops.iter().take(index).filter(|(j, ..)| j == jail).map(|(j, ..)| explain::jail(begin, *j)));
        }
        after.sort();
        after.dedup();
        all.push(after);
        state.put(*jail, *to);
    }
    all
}
