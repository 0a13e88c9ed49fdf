//! The decision in sentences.

use super::model::Goal;
use super::model::Planned;
use super::model::Refusal;
use super::objective::State;
use super::objective::WRONG;
use super::objective::share;
use crate::model::JailName;
use crate::model::NodeName;
use crate::ui::text::bytes;

/// Jails named at most for what stays as it is.
const NAMED: usize = 50;

pub(super) fn jail(state: &State<'_>, index: usize) -> JailName {
    state.fleet.jails[index].name.clone()
}

pub(super) fn node(state: &State<'_>, index: usize) -> NodeName {
    state.fleet.nodes[index].name.clone()
}

/// `48.5 %`.
pub(super) fn percent(thousandths: u64) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// The fuller resource of a node and its share.
fn fullest(state: &State<'_>, index: usize) -> String {
    let (Some(used), Some(spec)) = (state.used.get(index), state.fleet.nodes.get(index)) else { return String::new() };
    let (cpu, memory) = (share(used.cpu, spec.capacity.cpu), share(used.memory, spec.capacity.memory));
    if cpu > memory { format!("{} of cpu", percent(cpu)) } else { format!("{} of memory", percent(memory)) }
}

/// Why the jail makes this move, as the fleet is then.
pub(super) fn reason(state: &State<'_>, jail: usize, from: usize, to: usize, last: bool) -> String {
    let here = node(state, from);
    if !last {
        return "waits there until its place is free, since none of those that change places can go first".to_owned();
    }
    if state.emptied.get(from).copied().unwrap_or(false) {
        return format!("{here} is to be empty");
    }
    if state.misplaced(jail, from) {
        return format!("a rule forbids it on {here}");
    }
    if state.rules_now(jail) >= WRONG {
        return format!("it breaks a rule with other jails on {here}");
    }
    let mut after = state.clone();
    after.put(jail, to);
    let (now, then) = (fullest(state, from), fullest(&after, from));
    match state.options.goal {
        Goal::Consolidate => {
            format!("{here} can be emptied, and {} has room ({})", node(state, to), fullest(&after, to))
        }
        Goal::Spread | Goal::Violations if now != then => {
            format!("{here} uses {now}, {then} without it; {} then uses {}", node(state, to), fullest(&after, to))
        }
        Goal::Spread | Goal::Violations => format!("it is better on {}", node(state, to)),
    }
}

/// Why a move that the search wanted is in no possible order.
pub(super) fn no_order(state: &State<'_>, jail: usize, to: usize) -> String {
    let there = node(state, to);
    format!(
        "it would go to {there}, but others would have to leave before it, they wait for its place, and there is no \
         third node with room to park one of them"
    )
    .replace("  ", " ")
        + if state.disk.get(to).is_some_and(|d| state.fleet.jails.get(jail).is_some_and(|j| *d < j.disk)) {
            "; disk is short too, since sources keep their copies until finalize"
        } else {
            ""
        }
}

/// Why a jail that should leave cannot go to any node, with a word for each.
fn nowhere(state: &State<'_>, index: usize) -> String {
    let Some(spec) = state.fleet.jails.get(index) else { return String::new() };
    if let Some(why) = &spec.stays {
        return why.clone();
    }
    if state.moved.get(index).copied().unwrap_or(false) {
        return "it moves in this run already".to_owned();
    }
    let mut reasons = Vec::new();
    for (other, there) in state.fleet.nodes.iter().enumerate().filter(|(n, _)| state.place.get(index) != Some(n)) {
        let load = state.load.get(index).copied().unwrap_or_default();
        let used = state.used.get(other).copied().unwrap_or_default().plus(load);
        let why = if !there.accepts || state.emptied.get(other).copied().unwrap_or(true) {
            "takes no jails".to_owned()
        } else if state.misplaced(index, other) {
            if spec.needs.is_subset(&there.provides) { "is forbidden".into() } else { "lacks what it needs".into() }
        } else if spec.failed.contains(&other) {
            "a move there has failed lately".to_owned()
        } else if state
            .place
            .get(index)
            .and_then(|n| state.fleet.nodes.get(*n))
            .is_some_and(|n| n.release > there.release)
        {
            "runs an older FreeBSD".to_owned()
        } else if state.disk.get(other).is_none_or(|free| *free < spec.disk) {
            let free = state.disk.get(other).copied().unwrap_or(0);
            format!("has {} of disk for its {}", bytes(free), bytes(spec.disk))
        } else if !state.has_room(other, used, false) {
            "would be above the limit".to_owned()
        } else if state.breaks(index, other) {
            "has jails that must not be with it, or lacks those that must".to_owned()
        } else {
            "gains less than the move costs".to_owned()
        };
        reasons.push(format!("{} {why}", there.name));
        if reasons.len() == 5 && state.fleet.nodes.len() > 6 {
            reasons.push(format!("and so on for {} more", state.fleet.nodes.len() - 6));
            break;
        }
    }
    if reasons.is_empty() { "there is no other node".to_owned() } else { reasons.join("; ") }
}

/// What is still wrong after all moves, and why each jail concerned stays.
pub(super) fn stuck(state: &State<'_>, said: &[Refusal]) -> Vec<Refusal> {
    let mut all = Vec::new();
    for (index, spec) in state.fleet.jails.iter().enumerate() {
        let at = state.place.get(index).copied().unwrap_or(0);
        let over = state.node_cost(at, state.used.get(at).copied().unwrap_or_default()) > 0;
        let wrong = state.rules_now(index) >= WRONG;
        if !(wrong || over) || said.iter().any(|r| r.jail == spec.name) || all.len() >= NAMED {
            continue;
        }
        let what = if state.emptied.get(at).copied().unwrap_or(false) {
            format!("should leave {}", node(state, at))
        } else if wrong {
            "is where a rule forbids it".to_owned()
        } else {
            format!("stays on {}, which uses {}", node(state, at), fullest(state, at))
        };
        let why = format!("{what}: {}", nowhere(state, index));
        all.push(Refusal { jail: spec.name.clone(), why, must: wrong });
    }
    all
}

/// The whole in a sentence.
pub(super) fn summary(state: &State<'_>, moves: &[Planned], complete: bool) -> String {
    let rest = if complete { "" } else { "; the search was ended by its budget, and there may be better ones" };
    let wrong = (0..state.fleet.nodes.len()).filter(|n| state.cost_of(*n) >= WRONG).count();
    let full =
        (0..state.fleet.nodes.len()).any(|n| state.node_cost(n, state.used.get(n).copied().unwrap_or_default()) > 0);
    let left = match wrong {
        0 => String::new(),
        1 => "; 1 node still has a jail that must not be there".to_owned(),
        many => format!("; {many} nodes still have a jail that must not be there"),
    };
    match (moves.len(), state.options.goal) {
        (0, _) if wrong > 0 || full => {
            format!("Nothing can be moved now that should be: the reasons are below{left}{rest}.")
        }
        (0, Goal::Spread) => {
            let mean = state.aim.iter().max().copied().unwrap_or(0);
            format!(
                "Nothing to do: no move is worth it; a node is relieved to {} or less once it is above its band{rest}.",
                percent(mean)
            )
        }
        (0, _) => format!("Nothing to do: no move gains anything{rest}."),
        (1, _) => format!("1 move{left}{rest}."),
        (n, _) => format!("{n} moves, one after the other{left}{rest}."),
    }
}
