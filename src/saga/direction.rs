//! Forward or back: what an interrupted run needs, from its plan and its journal. Pure.

use std::collections::BTreeMap;

use crate::plan::Plan;
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
