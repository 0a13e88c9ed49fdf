//! Where a step is, from the events in the journal: one total match, everything else is refused.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Nothing of it has happened.
    #[default]
    NeverStarted,
    /// It was about to happen; whether it has is known only to the host.
    Intended,
    /// It has happened.
    Done,
    /// It failed; the host may have done a part of it.
    Failed,
    /// It was left out, nothing has happened.
    Skipped,
    /// Its undoing was about to happen; whether it has is known only to the host.
    Undoing,
    /// It has been undone.
    Undone,
    /// Its undoing failed: a person has to look.
    Stuck,
}

/// What the journal says about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEvent {
    /// Written before the step's command runs.
    Intended,
    /// Written after it succeeded, or was found to be so already.
    Done,
    /// Written after it failed.
    Failed,
    /// Written when it is left out.
    Skipped,
    /// Written before its undo runs.
    Undoing,
    /// Written after its undo succeeded.
    Undone,
    /// Written after its undo failed.
    Stuck,
}

/// An event that cannot follow: the journal is damaged, or not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a step that is {state} cannot become {event}")]
pub struct IllegalEvent {
    /// Where the step was.
    pub state: StepState,
    /// What was said of it.
    pub event: StepEvent,
}

impl StepState {
    /// Where the step is after `event`.
    ///
    /// Three events may come again, since a run that was killed is resumed by executing the same step once more:
    /// `Intended` after itself or a failure, `Undoing` after itself or when a person has cleared what was stuck.
    ///
    /// # Errors
    /// [`IllegalEvent`] when it cannot follow.
    pub fn after(self, event: StepEvent) -> Result<StepState, IllegalEvent> {
        use StepEvent as E;
        use StepState as S;
        match (self, event) {
            (S::NeverStarted | S::Intended | S::Failed, E::Intended) => Ok(S::Intended),
            (S::NeverStarted | S::Intended, E::Skipped) => Ok(S::Skipped),
            (S::Intended, E::Done) => Ok(S::Done),
            (S::Intended, E::Failed) => Ok(S::Failed),
            (S::Intended | S::Done | S::Failed | S::Undoing | S::Stuck, E::Undoing) => Ok(S::Undoing),
            (S::Undoing, E::Undone) => Ok(S::Undone),
            (S::Undoing, E::Stuck) => Ok(S::Stuck),
            (state, event) => Err(IllegalEvent { state, event }),
        }
    }

    /// May the host carry something of this step?
    #[must_use]
    pub fn may_have_happened(self) -> bool {
        match self {
            StepState::NeverStarted | StepState::Skipped | StepState::Undone => false,
            StepState::Intended | StepState::Done | StepState::Failed | StepState::Undoing | StepState::Stuck => true,
        }
    }

    /// Is the journal sure what the host carries, so that nothing needs to be asked?
    #[must_use]
    pub fn is_certain(self) -> bool {
        !matches!(self, StepState::Intended | StepState::Failed | StepState::Undoing | StepState::Stuck)
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StepState::NeverStarted => "never started",
            StepState::Intended => "intended",
            StepState::Done => "done",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
            StepState::Undoing => "being undone",
            StepState::Undone => "undone",
            StepState::Stuck => "stuck",
        })
    }
}

impl fmt::Display for StepEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StepEvent::Intended => "intended",
            StepEvent::Done => "done",
            StepEvent::Failed => "failed",
            StepEvent::Skipped => "skipped",
            StepEvent::Undoing => "undoing",
            StepEvent::Undone => "undone",
            StepEvent::Stuck => "stuck",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [StepEvent; 7] = [
        StepEvent::Intended,
        StepEvent::Done,
        StepEvent::Failed,
        StepEvent::Skipped,
        StepEvent::Undoing,
        StepEvent::Undone,
        StepEvent::Stuck,
    ];

    fn through(events: &[StepEvent]) -> Result<StepState, IllegalEvent> {
        events.iter().try_fold(StepState::default(), |state, event| state.after(*event))
    }

    #[test]
    fn the_ways_of_a_step() {
        use StepEvent as E;
        assert_eq!(through(&[E::Intended, E::Done]), Ok(StepState::Done));
        assert_eq!(through(&[E::Intended, E::Done, E::Undoing, E::Undone]), Ok(StepState::Undone));
        assert_eq!(through(&[E::Intended, E::Undoing, E::Stuck, E::Undoing, E::Undone]), Ok(StepState::Undone));
        assert_eq!(through(&[E::Intended, E::Failed, E::Intended, E::Done]), Ok(StepState::Done));
        assert_eq!(through(&[E::Skipped]), Ok(StepState::Skipped));
        for refused in [
            &[E::Done][..],
            &[E::Undoing],
            &[E::Skipped, E::Undoing],
            &[E::Intended, E::Done, E::Intended],
            &[E::Intended, E::Done, E::Undoing, E::Undone, E::Intended],
            &[E::Intended, E::Done, E::Done],
        ] {
            assert!(through(refused).is_err(), "{refused:?}");
        }
        let error = through(&[E::Done]).unwrap_err();
        assert_eq!(error.to_string(), "a step that is never started cannot become done");
    }

    proptest! {
        /// Whatever a journal says: no panic, and these hold of what is accepted.
        #[test]
        fn no_sequence_of_events_breaks_the_rules(choice in proptest::collection::vec(0..7usize, 0..30)) {
            let events: Vec<StepEvent> = choice.iter().map(|i| EVENTS[*i]).collect();
            let mut state = StepState::default();
            let (mut intended, mut undoing) = (false, false);
            for event in &events {
                let Ok(next) = state.after(*event) else { break };
                intended |= *event == StepEvent::Intended;
                undoing |= *event == StepEvent::Undoing;
                // Nothing is done, failed or undone that was not written down as intended before.
                prop_assert!(intended || matches!(next, StepState::Skipped));
                prop_assert!(undoing || !matches!(next, StepState::Undone | StepState::Stuck));
                // Once undoing has begun there is no way forward again.
                prop_assert!(!undoing || !matches!(next, StepState::Intended | StepState::Done | StepState::Skipped));
                state = next;
            }
            prop_assert!(intended || !state.may_have_happened());
        }
    }
}
