//! Hosts that are away while the jail runs: what has been copied is worth waiting for, and where that is in vain it is kept
//! for `recover --continue`.

use super::Outcome;
use super::Run;
use super::StepError;
use super::Yield;
use crate::effect::Effect;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::refresh;
use crate::saga::interrupt::INTERRUPTED;
use crate::ui::event::Event;

/// Seconds to wait before each try; the last one again and again.
const WAITS: [u64; 6] = [1, 2, 5, 10, 20, LAST_WAIT];

/// Seconds before each of the tries behind those.
const LAST_WAIT: u64 = 40;

/// Tries that a host which is away gets in any case.
const TRIES: u32 = 6;

/// Seconds of waiting that a copy is worth at most.
const LONGEST: u64 = 3600;

/// And where others wait meanwhile for their turn to change the network.
const LONGEST_IN_TURN: u64 = 600;

/// Tries of something whose host is away.
pub(super) struct Tries {
    made: u32,
    most: u32,
}

/// Seconds to wait before the try with that number, counted from 0.
pub(super) fn pause(tries: u32) -> u64 {
    usize::try_from(tries).ok().and_then(|n| WAITS.get(n)).copied().unwrap_or(LAST_WAIT)
}

impl Run<'_> {
    /// Tries beyond the usual ones while a host is away: what took hours to copy is not given up after a minute. While
    /// nobody answers there are none.
    pub(super) fn more_tries(&self, index: usize) -> u32 {
        if !self.is_before(index, Phase::Arm) {
            return 0;
        }
        let most = if index < refresh::seed(self.plan) { LONGEST } else { LONGEST_IN_TURN };
        u32::try_from(self.begun.elapsed().as_secs().min(most) / LAST_WAIT).unwrap_or(0)
    }

    /// Carries out a step. Where its host is away once something has been copied, it is waited for: a transfer does so
    /// itself.
    pub(super) async fn patiently(&self, index: usize, step: &Step) -> Result<Yield, StepError> {
        let mut tries = self.tries(index);
        loop {
            match self.perform(index + 1, &step.work()).await {
                Err(StepError::Remote(error)) if error.is_away() && self.waits_at(index) => {
                    if !self.waits_once_more(&mut tries, &error.to_string()).await {
                        return Err(error.into());
                    }
                }
                other => return other,
            }
        }
    }

    pub(super) fn tries(&self, index: usize) -> Tries {
        Tries { made: 0, most: TRIES.saturating_add(self.more_tries(index)) }
    }

    /// Waits before something is tried again whose host is away; false: it is given up.
    pub(super) async fn waits_once_more(&self, tries: &mut Tries, why: &str) -> bool {
        if tries.made >= tries.most || self.interrupts.asked() || self.beats.superseded().is_some() {
            return false;
        }
        let seconds = pause(tries.made);
        tries.made += 1;
        let text = format!("{why}\ntrying again in {seconds} s ({} of {})", tries.made, tries.most);
        (self.events)(Event::Note { text });
        self.wait(seconds).await.is_ok()
    }

    /// Is a copy at stake at that step, and the jail not?
    fn waits_at(&self, index: usize) -> bool {
        self.is_before(index, Phase::Arm) && self.has_copied()
    }

    fn has_copied(&self) -> bool {
        let sent =
            |index: &usize| self.plan.steps.get(*index).is_some_and(|step| matches!(step.effect, Effect::Transfer(_)));
        self.started.iter().any(sent)
    }

    /// How a run ends whose first copy could not be finished since a host is away; `None` where that is not so.
    pub(super) fn kept_for_later(&self, index: usize, error: &StepError) -> Option<Outcome> {
        let away = match error {
            StepError::Away { .. } => true,
            StepError::Remote(error) => error.is_away(),
            _ => false,
        };
        let step = self.plan.steps.get(index)?;
        (away && index < refresh::seed(self.plan) && self.has_copied() && !self.interrupts.asked()).then(|| {
            let unseen = error.remote().is_some_and(|error| error.host == self.plan.source);
            self.kept(format!("step {} ({}) failed: {error}", index + 1, step.title), unseen)
        })
    }

    /// Nothing is taken back: the jail runs as before, and what has been copied waits.
    pub(super) fn kept(&self, reason: String, unseen: bool) -> Outcome {
        let _ = self.journal.note(format!("what has been copied is kept: {reason}"));
        Outcome::Kept { reason, unseen }
    }

    /// Ended by a second Ctrl-C.
    pub(super) fn stopped(&self, index: usize) -> Outcome {
        let _ = self.journal.note(INTERRUPTED);
        let reason = format!("stopped at once, as asked, in step {} of {}", index + 1, self.plan.steps.len());
        if index <= refresh::seed(self.plan) {
            return self.kept(reason, false);
        }
        Outcome::NeedsHuman { reason, remaining: self.all_remaining(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay() {
        let all: Vec<u64> = (0..8).map(pause).collect();
        assert_eq!(all, [1, 2, 5, 10, 20, 40, 40, 40]);
        assert_eq!(u32::try_from(WAITS.len()).unwrap(), TRIES);
    }
}
