//! Forward or back: what an interrupted run needs, from its plan and its journal. Pure.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::effect::lease::Stage;
use crate::plan::Plan;
use crate::plan::refresh;
use crate::saga::state::StepState;

/// What remains to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// The run ended by itself, or never changed anything.
    Nothing,
    /// Everything before the point of no return was done and proven: these steps (by index) remain, in this order.
    Forward(Vec<usize>),
    /// These steps (by index) may have happened and are undone, in this order: the last one first.
    Back(Vec<usize>),
}

/// What may have happened to the steps of a run whose journal is gone, from what the hub and the source keep: how far the
/// run was, and whether the source has let go of the jail. Steps that may have happened count as intended, and their
/// undo finds done what never was.
#[must_use]
pub fn from_hosts(plan: &Plan, stage: Option<Stage>, source_let_go: bool) -> BTreeMap<usize, StepState> {
    let behind = |wanted: &dyn Fn(&Effect) -> bool| {
        plan.steps.iter().position(|s| wanted(&s.effect)).map_or(plan.steps.len(), |index| index + 1)
    };
    let no_return = plan.point_of_no_return();
    let until = match stage {
        // Not even the plan was on the hub: behind the lock nothing had begun.
        None => behind(&|e| matches!(e, Effect::StorePlan { .. })),
        Some(Stage::Copying) => behind(&|e| matches!(e, Effect::Mark { stage: Stage::CutOver, .. })),
        Some(Stage::CutOver) if !source_let_go => {
            behind(&|e| matches!(e, Effect::Release { host, .. } if *host == plan.source))
        }
        Some(Stage::CutOver | Stage::Accepted) => no_return,
    };
    let state = if stage == Some(Stage::Accepted) { StepState::Done } else { StepState::Intended };
    (0..until.min(no_return)).map(|index| (index + 1, state)).collect()
}

/// The steps (by index) that are left of a run that was interrupted while it copied, in their order.
///
/// # Errors
/// Why it cannot go on: a sentence's end.
pub fn onward(plan: &Plan, states: &BTreeMap<usize, StepState>, outcome: Option<&str>) -> Result<Vec<usize>, String> {
    let state = |index: usize| states.get(&(index + 1)).copied().unwrap_or_default();
    // Stopped at once, by a second Ctrl-C, it says that a person is needed.
    if let Some(outcome) = outcome.filter(|outcome| *outcome != "needs-human") {
        return Err(format!("it was not interrupted, and ended: {outcome}"));
    }
    let all = || 0..plan.steps.len();
    if all().any(|i| matches!(state(i), StepState::Undoing | StepState::Undone | StepState::Stuck)) {
        return Err("it was on its way back".to_owned());
    }
    // A step that has failed is carried out once more: its host was away, or it fails again and the run turns round.
    let copied = refresh::seed(plan);
    let begun = |i: usize| match state(i) {
        StepState::NeverStarted => false,
        // It waited for its turn there.
        StepState::Intended | StepState::Failed => i > copied,
        _ => true,
    };
    if all().skip(copied).any(begun) {
        return Err("it has gone beyond its first copy".to_owned());
    }
    let lock = plan.steps.iter().position(|step| matches!(step.effect, Effect::Lock { .. }));
    if lock.is_none_or(|index| state(index) != StepState::Done) {
        return Err("nothing here says that it had the jail's lock".to_owned());
    }
    Ok(all().filter(|i| !matches!(state(*i), StepState::Done | StepState::Skipped)).collect())
}

/// Does a step of the last phase wait until everything before it has succeeded? The last look at what holds, which must
/// not come too early, and the lock, which `recover` needs to go on.
#[must_use]
pub fn closes(effect: &Effect) -> bool {
    effect.is_network()
        || matches!(
            effect,
            Effect::Unpark { .. } | Effect::StartJail(_) | Effect::Disarm { .. } | Effect::Unlock { .. }
        )
}

/// Decides by the point of no return. `states` are by step number, from 1, as the journal has them.
#[must_use]
pub fn direction(plan: &Plan, states: &BTreeMap<usize, StepState>, outcome: Option<&str>) -> Direction {
    if matches!(outcome, Some("moved" | "rolled-back")) {
        return Direction::Nothing;
    }
    let state = |index: usize| states.get(&(index + 1)).copied().unwrap_or_default();
    let no_return = plan.point_of_no_return();
    let settled = (0..no_return).all(|i| matches!(state(i), StepState::Done | StepState::Skipped));
    if settled && no_return > 0 {
        let left: Vec<usize> = (no_return..plan.steps.len()).filter(|i| state(*i) != StepState::Done).collect();
        return Direction::Forward(left);
    }
    let happened: Vec<usize> = (0..no_return).rev().filter(|i| state(*i).may_have_happened()).collect();
    if happened.is_empty() { Direction::Nothing } else { Direction::Back(happened) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    #[test]
    fn only_a_run_that_was_interrupted_while_it_copied_goes_on() {
        let world = Shape::testbed().world();
        let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
        let settings = Options::default().settle();
        let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap();
        let copied = refresh::seed(&plan);
        let after = |done: usize, last: StepState| -> BTreeMap<usize, StepState> {
            let done = (1..=done).map(|number| (number, StepState::Done));
            done.clone().chain([(done.count() + 1, last)]).collect()
        };
        for done in 1..copied {
            let left = onward(&plan, &after(done, StepState::Intended), None).unwrap();
            assert_eq!(left, (done..plan.steps.len()).collect::<Vec<_>>());
        }
        assert!(onward(&plan, &after(copied, StepState::NeverStarted), Some("needs-human")).is_ok());
        let why = |states: &BTreeMap<usize, StepState>, outcome| onward(&plan, states, outcome).unwrap_err();
        assert!(matches!(plan.steps[copied].effect, Effect::TakeNetwork { .. }));
        for waited in [StepState::Intended, StepState::Failed] {
            assert!(onward(&plan, &after(copied, waited), None).is_ok());
            assert!(onward(&plan, &after(3, waited), Some("needs-human")).is_ok());
            assert!(why(&after(copied + 1, waited), None).contains("beyond its first copy"));
        }
        assert!(why(&after(copied, StepState::Done), None).contains("beyond its first copy"));
        for back in [StepState::Undoing, StepState::Undone, StepState::Stuck] {
            assert!(why(&after(3, back), Some("needs-human")).contains("on its way back"));
        }
        assert!(why(&after(0, StepState::Intended), None).contains("the jail's lock"));
        assert!(why(&after(3, StepState::Intended), Some("rolled-back")).contains("ended: rolled-back"));
    }
}
