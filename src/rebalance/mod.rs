//! Which jails should go where: the planner of `jailferry rebalance`.
//!
//! Pure: facts in ([`Fleet`], which [`survey`] makes of what hosts and files say), a decision out ([`Outcome`]). [`search`] looks for a better distribution, [`order`] brings
//! its moves into an order in which every node has room at every instant, [`explain`] says why, [`table`] shows it.
//! The same input gives the same output; no clock is looked at, and a budget of steps ends the search.

pub mod explain;
pub mod model;
pub mod objective;
pub mod order;
pub mod search;
pub mod survey;
pub mod table;

#[cfg(test)]
mod exact;
#[cfg(test)]
mod scenarios_tests;
#[cfg(test)]
mod tests;

pub use model::Fleet;
pub use model::Goal;
pub use model::Group;
pub use model::Jail;
pub use model::Load;
pub use model::Node;
pub use model::Options;
pub use model::Outcome;
pub use model::Planned;
pub use model::Refusal;
pub use model::Usage;

use objective::State;

/// Decides which jails move, and in which order.
#[must_use]
pub fn plan(fleet: &Fleet, options: &Options) -> Outcome {
    let mut state = State::new(fleet, options);
    let before = state.usage();
    let mut first: Option<State<'_>> = None;
    let mut hops: Vec<order::Hop> = Vec::new();
    let mut moves: Vec<Planned> = Vec::new();
    let mut refused: Vec<Refusal> = Vec::new();
    // Each round is what the next run would do, with the jails that have moved where they are; so that run has nothing to
    // do. Every round but the last moves a jail that did not move before.
    let complete = loop {
        state.look_anew();
        let begin = state.clone();
        first.get_or_insert_with(|| begin.clone());
        let left = options.most_moves.saturating_sub(moves.len());
        let (complete, ordered) = round(&begin, left);
        if refused.is_empty() {
            refused = ordered.refused;
        }
        let done = ordered.moves.is_empty();
        moves.extend(ordered.moves);
        hops.extend(ordered.hops);
        state = ordered.end;
        if done {
            break complete;
        }
    };
    // A round counts on those before it, but a move of theirs may fail.
    let needed = first.map(|first| order::needed(&first, &hops)).unwrap_or_default();
    for (index, (one, after)) in moves.iter_mut().zip(needed).enumerate() {
        one.number = index + 1;
        one.after = after;
    }
    refused.retain(|r| moves.iter().all(|m| m.jail != r.jail));
    refused.extend(explain::stuck(&state, &refused));
    let summary = explain::summary(&state, &moves, complete);
    Outcome { moves, refused, before, after: state.usage(), summary, complete }
}

/// One round: the best that is found, from where jails are at its beginning.
fn round<'f>(begin: &State<'f>, most: usize) -> (bool, order::Ordered<'f>) {
    let (complete, ordered) = attempt(begin, most, true);
    if ordered.refused.is_empty() {
        return (complete, ordered);
    }
    // Two jails that cannot change places may each have a place elsewhere.
    let (_, other) = attempt(begin, most, false);
    (complete, if other.end.worth(begin) < ordered.end.worth(begin) { other } else { ordered })
}

/// What is better, and the way there.
fn attempt<'f>(begin: &State<'f>, most: usize, exchanges: bool) -> (bool, order::Ordered<'f>) {
    let mut better = begin.clone();
    let complete = search::improve(&mut better, exchanges);
    (complete, order::order(begin, &better, most))
}
