//! The way back: the undo effects of what was done, last step first, and what is left for a person where that fails.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
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
use crate::remote::RemoteError;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::state::StepEvent;
use crate::saga::undo;
use crate::ui::event::Event;

/// A step that could not be undone.
struct Failed {
    index: usize,
    error: String,
    /// Its host could not be reached.
    away: bool,
    /// That host is the source.
    at_source: bool,
}

/// Is there a second try of what fails now?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    Last,
}

/// What going through the steps once has left.
#[derive(Default)]
struct Left {
    failed: Vec<Failed>,
    /// Steps that wait until all others are undone.
    put_off: Vec<usize>,
}

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

    /// The undo effects of these steps, in this order. What could not be undone since its host was away is tried once more
    /// when all else is: those effects that wait for a host ([`undo::PATIENCE`]) may have seen it come back.
    pub(super) async fn go_back(&self, indexes: &[usize], reason: String) -> Outcome {
        self.going_back.store(true, Ordering::Relaxed);
        (self.events)(Event::Unwinding { reason: reason.clone() });
        self.hosts.log_where_possible();
        // Without a journal nothing more can be recorded, but the way back is still the right way.
        let _ = self.journal.note(format!("unwinding: {reason}"));
        let first = match self.undo_in_order(indexes, Pass::First, &reason).await {
            Ok(left) => left,
            Err(outcome) => return outcome,
        };
        let (away, mut failed): (Vec<_>, Vec<_>) = first.failed.into_iter().partition(|failed| failed.away);
        if away.is_empty() {
            return self.ends_with(failed, reason);
        }
        let waits = first.put_off.into_iter().filter(|index| failed.is_empty() || !self.is_lock(*index));
        let again: Vec<usize> = away.iter().map(|failed| failed.index).chain(waits).collect();
        match self.undo_in_order(&again, Pass::Last, &reason).await {
            Ok(left) => failed.extend(left.failed),
            Err(outcome) => return outcome,
        }
        failed.sort_by_key(|failed| std::cmp::Reverse(failed.index));
        self.ends_with(failed, reason)
    }

    fn is_lock(&self, index: usize) -> bool {
        self.plan.steps.get(index).is_some_and(|step| matches!(step.effect, Effect::Lock { .. }))
    }

    fn ends_with(&self, failed: Vec<Failed>, reason: String) -> Outcome {
        if failed.is_empty() { Outcome::RolledBack { reason } } else { self.partly_back(&reason, &failed) }
    }

    /// Goes through these steps once; the error is how the run ends, where nothing more may be undone.
    async fn undo_in_order(&self, indexes: &[usize], pass: Pass, reason: &str) -> Result<Left, Outcome> {
        let (mut left, mut away) = (Left::default(), BTreeSet::new());
        for &index in indexes {
            let Some(step) = self.plan.steps.get(index) else { continue };
            if let Some(outcome) = self.taken_over() {
                return Err(outcome);
            }
            if step.undo.is_empty() {
                continue;
            }
            let waits = match step.effect {
                // With something left to put right the lock stays, so that `recover` finds its own and nobody else begins.
                Effect::Lock { .. } => !left.failed.is_empty(),
                // Nobody else changes the network before what is tried once more has been.
                Effect::TakeNetwork { .. } => pass == Pass::First && left.failed.iter().any(|failed| failed.away),
                _ => false,
            };
            if waits {
                left.put_off.push(index);
                continue;
            }
            // One try for each host is enough to know.
            let mut hosts = step.undo.iter().map(Effect::host);
            if let Some(host) = hosts.find(|host| pass == Pass::Last && away.contains(*host)) {
                let at_source = *host == self.plan.source;
                left.failed.push(Failed { index, error: format!("{host} is still away"), away: true, at_source });
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
            // What comes behind one that fails is done all the same: the jail starts, whoever still believes its old address.
            for effect in &step.undo {
                if let Err(error) = self.undo(number, step, effect).await {
                    if let Some(outcome) = self.taken_over() {
                        return Err(outcome);
                    }
                    let gone = error.remote().filter(|error| error.is_away()).map(|error| error.host.clone());
                    let error = error.to_string();
                    (self.events)(Event::StepFailed { number, error: error.clone(), undo: true });
                    if undo::guards_the_source(effect) {
                        let _ = self.journal.step(number, StepEvent::Stuck, Some(error.clone()));
                        return Err(self.stuck(index, &left.failed, reason, &error));
                    }
                    let at_source = gone.as_ref() == Some(&self.plan.source);
                    failure.get_or_insert(Failed { index, error, away: gone.is_some(), at_source });
                    away.extend(gone);
                }
            }
            if let Some(failed) = failure {
                // Once for the step: a second one could not follow (see `StepState::after`).
                let _ = self.journal.step(number, StepEvent::Stuck, Some(failed.error.clone()));
                left.failed.push(failed);
                continue;
            }
            let _ = self.journal.step(number, StepEvent::Undone, None);
            if let Some(host) = listener(step) {
                self.beats.end(host);
            }
            let milliseconds = milliseconds(started.elapsed());
            (self.events)(Event::StepDone { number, milliseconds, undo: true });
        }
        Ok(left)
    }

    /// The jail is back, but not everything else.
    fn partly_back(&self, reason: &str, failed: &[Failed]) -> Outcome {
        let steps = failed.iter().filter_map(|failed| Some((self.plan.steps.get(failed.index)?, &failed.error)));
        let remaining =
            steps.clone().flat_map(|(step, _)| step.undo_commands()).map(|c| (c.host.to_string(), c.text())).collect();
        let errors: Vec<String> = steps.map(|(step, error)| format!("{}: {error}", step.title)).collect();
        let (jail, source) = (&self.plan.jail, &self.plan.source);
        let runs = if failed.iter().any(|failed| failed.at_source) {
            format!("whether jail {jail} runs on {source} is not known, since {source} is away, and")
        } else {
            format!("jail {jail} runs on {source} again, but")
        };
        let reason = format!("{reason}; {runs} not everything could be put back: {}", errors.join("; "));
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
                Err(error) => {
                    let lost = |e: &&RemoteError| matches!(e.kind, Kind::ConnectionLost | Kind::NoFreshConnection(_));
                    let Some(lost) = error.remote().filter(lost).filter(|_| started.elapsed() < patience) else {
                        return Err(error);
                    };
                    tokio::time::sleep(undo::PAUSE).await;
                    // Whether the host is back is seen by the next try.
                    let _ = self.hosts.reconnect(&lost.host).await;
                }
            }
        }
    }

    /// What guards the source could not be undone: nothing more is.
    fn stuck(&self, index: usize, failed: &[Failed], reason: &str, error: &str) -> Outcome {
        let remaining = self.remaining(index, failed);
        Outcome::NeedsHuman { reason: format!("{reason}; then going back failed too: {error}"), remaining }
    }

    /// What is left to undo, for a person, as host and command: what failed before, and all from this step on.
    fn remaining(&self, index: usize, failed: &[Failed]) -> Vec<(String, String)> {
        let before = failed.iter().filter_map(|failed| self.plan.steps.get(failed.index));
        let steps = before.chain(self.plan.steps.iter().take(index + 1).rev());
        steps.flat_map(Step::undo_commands).map(|command| (command.host.to_string(), command.text())).collect()
    }

    /// The same of a run that went no further than this step and undid nothing.
    pub(super) fn all_remaining(&self, index: usize) -> Vec<(String, String)> {
        self.remaining(index, &[])
    }
}
