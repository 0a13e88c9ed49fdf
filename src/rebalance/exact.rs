//! The test's oracle: the best of all distributions that single moves in some order lead to, by trying every one.

use std::collections::BTreeSet;

use super::model::Fleet;
use super::model::Options;
use super::objective::State;

/// The least cost, prices of the moves included, over every sequence of allowed moves in which no jail moves twice.
pub(super) fn least(fleet: &Fleet, options: &Options) -> i64 {
    let begin = State::new(fleet, options);
    let mut best = begin.cost();
    let mut seen = BTreeSet::new();
    visit(&begin, 0, &mut best, &mut seen);
    best
}

fn visit(state: &State<'_>, paid: i64, best: &mut i64, seen: &mut BTreeSet<Vec<usize>>) {
    if !seen.insert(state.place.clone()) {
        return;
    }
    *best = (*best).min(state.cost() + paid);
    for jail in 0..state.place.len() {
        if !state.may_leave(jail) {
            continue;
        }
        for to in 0..state.fleet.nodes.len() {
            if state.weigh(jail, to).is_none() {
                continue;
            }
            let mut next = state.clone();
            next.put(jail, to);
            next.moved[jail] = true;
            visit(&next, paid + state.price(jail), best, seen);
        }
    }
}
