//! The way back: the undo effects of what was done, last step first, and what is left for a person where that fails.

use std::time::Duration;
use std::time::Instant;

use super::Outcome;
use super::Run;
use super::StepError;
use super::listener;
use super::milliseconds;
use crate::effect::Effect;
use crate::plan::Phase;
use crate::plan::Step;
use crate::remote::Kind;
use crate::remote::READY_SHELLS;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::state::StepEvent;
use crate::saga::undo;
use crate::ui::event::Event;

impl Run<'_> {
    /// The undo effects of the first `count` steps, last step first; and of what an interruption has left behind those,
    /// since steps of one group do not end in order.
    pub(super) async fn unwind(&self, count: usize, reason: String) -> Outcome {
        let count = self.started.last().map_or(count, |last| count.max(last + 1));
        if self.interrupts.asked() {
            let _ = self.journal.note(INTERRUPTED);
        }
        if !self.is_before(count.saturating_sub(1), Phase::CutOver) {
            self.keep_shells(READY_SHELLS);
        }
        let indexes: Vec<usize> = (0..count).rev().filter(|i| self.started.contains(i)).collect();
        self.go_back(&indexes, reason).await
    }

    /// The undo effects of these steps, in this order.
    pub(super) async fn go_back(&self, indexes: &[usize], reason: String) -> Outcome {
        (self.events)(Event::Unwinding { reason: reason.clone() });
        // Without a journal nothing more can be recorded, but the way back is still the right way.
        let _ = self.journal.note(format!("unwinding: {reason}"));
        let mut left: Vec<(usize, String)> = Vec::new();
        for &index in indexes {
            let Some(step) = self.plan.steps.get(index) else { continue };
            // With something left to put right the lock stays, so that `recover` finds its own and nobody else begins.
            if let Some(outcome) = self.taken_over() {
                return outcome;
            }
            if step.undo.is_empty() || !left.is_empty() && matches!(step.effect, Effect::Lock { .. }) {
                continue;
            }
            let started = Instant::now();
            let number = index + 1;
            (self.events)(Event::StepStarted {
                number,
                host: step.host().clone(),
                title: step.title.clone(),
                undo: true,
            });
            let _ = self.journal.step(number, StepEvent::Undoing, None);
            let mut failure = None;
            for effect in &step.undo {
                if let Err(error) = self.undo(number, step, effect).await {
                    if let Some(outcome) = self.taken_over() {
                        return outcome;
                    }
                    let error = error.to_string();
                    (self.events)(Event::StepFailed { number, error: error.clone(), undo: true });
                    let _ = self.journal.step(number, StepEvent::Stuck, Some(error.clone()));
                    if undo::guards_the_source(effect) {
                        return self.stuck(index, &reason, &error);
                    }
                    failure = Some(error);
                    break;
                }
            }
            if let Some(error) = failure {
                left.push((index, error));
                continue;
            }
            let _ = self.journal.step(number, StepEvent::Undone, None);
            if let Some(host) = listener(step) {
                self.beats.end(host);
            }
            let milliseconds = milliseconds(started.elapsed());
            (self.events)(Event::StepDone { number, milliseconds, undo: true });
        }
        if left.is_empty() { Outcome::RolledBack { reason } } else { self.partly_back(&reason, &left) }
    }

    /// The jail is back, but not everything else.
    pub(super) fn partly_back(&self, reason: &str, left: &[(usize, String)]) -> Outcome {
        let steps = left.iter().filter_map(|(index, error)| Some((self.plan.steps.get(*index)?, error)));
        let remaining =
            steps.clone().flat_map(|(step, _)| step.undo_commands()).map(|c| (c.host.to_string(), c.text())).collect();
        let errors: Vec<String> = steps.map(|(step, error)| format!("{}: {error}", step.title)).collect();
        let reason = format!(
            "{reason}; jail {} runs on {} again, but not everything could be put back: {}",
            self.plan.jail,
            self.plan.source,
            errors.join("; ")
        );
        Outcome::NeedsHuman { reason, remaining }
    }

    /// Carries out an undo effect. What keeps the source safe is worth waiting for while a host reboots or a link is
    /// down; until it is done the jail may not start at the source.
    pub(super) async fn undo(&self, number: usize, step: &Step, effect: &Effect) -> Result<(), StepError> {
        let patience = if undo::guards_the_source(effect) { undo::PATIENCE } else { Duration::ZERO };
        let started = Instant::now();
        loop {
            match self.perform(number, &step.undo_work(effect)).await {
                Ok(_) => return Ok(()),
                Err(StepError::Remote(error))
                    if matches!(error.kind, Kind::ConnectionLost | Kind::NoFreshConnection(_))
                        && started.elapsed() < patience =>
                {
                    tokio::time::sleep(undo::PAUSE).await;
                    // Whether the host is back is seen by the next try.
                    let _ = self.hosts.reconnect(&error.host).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What is left to undo, for a person.
    pub(super) fn stuck(&self, index: usize, reason: &str, error: &str) -> Outcome {
        let mut remaining = Vec::new();
        for step in self.plan.steps.iter().take(index + 1).rev() {
            remaining.extend(step.undo_commands().into_iter().map(|c| (c.host.to_string(), c.text())));
        }
        Outcome::NeedsHuman { reason: format!("{reason}; then going back failed too: {error}"), remaining }
    }
}
