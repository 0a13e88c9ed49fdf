//! Transfers: one stream after the other until everything has arrived, and how far they are.

use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use tokio::time::timeout;

use super::Run;
use super::StepError;
use super::Yield;
use super::milliseconds;
use crate::effect::Effect;
use crate::effect::command::Command;
use crate::effect::resume::Onward;
use crate::effect::resume::Resume;
use crate::effect::size::Size;
use crate::model::SnapshotLabel;
use crate::plan::Phase;
use crate::remote::Bounds;
use crate::remote::Copied;
use crate::remote::CopyError;
use crate::saga::run::broken::GivenUp;
use crate::saga::run::broken::is_away;
use crate::ui::event::Event;

/// How long a transfer may stand still.
const WATCHDOG: Duration = Duration::from_secs(120);

/// How long an answer that nobody needs any more is waited for, so that it stands in the log.
const ANSWER: Duration = Duration::from_secs(5);

/// The commands at both ends.
pub(super) struct Ends<'a> {
    /// From node to node: what runs on the source in the place of both.
    pub(super) direct: Option<&'a Command>,
    pub(super) from: &'a Command,
    pub(super) to: &'a Command,
    /// Bytes a second through this machine, at most.
    pub(super) rate: Option<NonZeroU64>,
}

/// What is sent next.
pub(super) enum Next {
    /// The snapshot from its beginning.
    All,
    /// What is left of it behind so many bytes.
    Rest { resume: Box<Resume>, kept: u64, left: u64 },
    /// Of several in one stream: those behind the ones that have arrived.
    Onward(Box<Onward>),
}

/// Bookkeeping over all tries.
#[derive(Default)]
pub(super) struct Tally {
    /// Bytes sent in all.
    pub(super) sent: u64,
    /// Bytes that the target had when this run went on behind an interruption.
    pub(super) before: u64,
    /// Bytes that the target had kept at the last break.
    pub(super) kept: u64,
    /// Of those sent: told as sent again already.
    pub(super) again: u64,
    /// Tries in a row that gained nothing.
    pub(super) tries: u32,
    /// Of several snapshots in one stream: the last that had arrived at the last break.
    pub(super) arrived: Option<SnapshotLabel>,
}

impl Run<'_> {
    /// Sends a snapshot, and asks beside it how much that will be where the plan does not say. An answer that does not
    /// come is only missed by whoever looks on.
    pub(super) async fn sized_stream(
        &self,
        number: usize,
        ends: &Ends<'_>,
        estimate: Option<u64>,
        size: Option<&Command>,
        resume: Option<&Resume>,
    ) -> Result<Yield, StepError> {
        let known = OnceLock::new();
        if let Some(total) = estimate {
            let _ = known.set(Size::of(total));
        }
        let asked = async {
            let Some(command) = size else { return };
            if let Some(size) = self.command(command).await.ok().and_then(|answer| Size::read(&answer)) {
                let _ = known.set(size);
            }
        };
        let (mut stream, mut asked) = (pin!(self.stream(number, ends, &known, resume)), pin!(asked));
        let mut answered = false;
        loop {
            tokio::select! {
                came = &mut stream => {
                    if !answered {
                        let _ = timeout(ANSWER, asked).await;
                    }
                    return came;
                }
                () = &mut asked, if !answered => answered = true,
            }
        }
    }

    /// Sends a snapshot, whatever breaks in between, as often as its plan allows.
    async fn stream(
        &self,
        number: usize,
        ends: &Ends<'_>,
        size: &OnceLock<Size>,
        resume: Option<&Resume>,
    ) -> Result<Yield, StepError> {
        let started = Instant::now();
        let mut tally = Tally::default();
        let mut next = Next::All;
        let mut gone = None;
        if let Some(resume) = resume.filter(|_| self.under_way.contains(&number.saturating_sub(1))) {
            match self.found_again(number, ends, resume, &mut tally).await {
                Ok(Some(more)) => next = more,
                Ok(None) => return Ok(self.arrived(number, 0, started)),
                Err(StepError::Remote(away)) if is_away(&away) => gone = Some(CopyError::of_target(away)),
                Err(other) => return Err(other),
            }
        }
        loop {
            let sent = match gone.take() {
                Some(error) => Err(error),
                None => self.send(number, ends, size, &next, tally.arrived.as_ref()).await,
            };
            let error = match sent {
                Ok(copied) => {
                    tally.sent = tally.sent.saturating_add(copied.bytes);
                    match self.behind_the_rest(&next, resume, &mut tally).await {
                        Ok(Some(more)) => {
                            next = more;
                            continue;
                        }
                        Ok(None) => return Ok(self.arrived(number, tally.sent, started)),
                        Err(StepError::Remote(away)) if is_away(&away) => CopyError::of_target(away),
                        Err(other) => return Err(other),
                    }
                }
                Err(error) => error,
            };
            tally.sent = tally.sent.saturating_add(error.bytes);
            let Some(resume) = resume else { return Err(error.into()) };
            match self.go_on_behind(number, ends, resume, &error, &mut tally).await {
                Ok(Some(more)) => next = more,
                Ok(None) => return Ok(self.arrived(number, tally.sent, started)),
                Err(GivenUp::Plainly) => return Err(error.into()),
                Err(GivenUp::Because(why)) => return Err(StepError::Broken { error, why }),
                Err(GivenUp::Away(why)) => return Err(StepError::Away { error, why }),
            }
        }
    }

    /// One try.
    async fn send(
        &self,
        number: usize,
        ends: &Ends<'_>,
        size: &OnceLock<Size>,
        next: &Next,
        arrived: Option<&SnapshotLabel>,
    ) -> Result<Copied, CopyError> {
        let before = || size.get().map_or(0, |size| size.up_to(arrived));
        let (direct, from, to, kept, rest) = match next {
            Next::Onward(onward) => (onward.direct.as_ref(), &onward.from, ends.to, before(), None),
            Next::All => (ends.direct, ends.from, ends.to, 0, None),
            Next::Rest { resume, kept, left } => {
                let kept = kept.saturating_add(before());
                (resume.direct.as_ref(), &resume.from, &resume.to, kept, Some(kept.saturating_add(*left)))
            }
        };
        // What the target has kept is known better than what was reckoned, but only of this one snapshot.
        let total = || match (rest, size.get()) {
            (Some(rest), Some(size)) if arrived.is_some() => Some(size.total.max(rest)),
            (Some(rest), _) => Some(rest),
            (None, size) => size.map(|size| size.total),
        };
        let progress = self.progress(number, ends.to, kept, total);
        let bounds = Bounds { watchdog: WATCHDOG, rate: ends.rate, urgent: self.is_urgent(number) };
        match direct {
            Some(send) => self.hosts.send_direct(send, from, to, progress, bounds).await,
            None => self.hosts.copy(from, to, progress, bounds).await,
        }
    }

    /// Does anybody wait for what that step sends: other runs for the network's turn, or clients for the jail?
    fn is_urgent(&self, number: usize) -> bool {
        let index = number.saturating_sub(1);
        let before = self.plan.steps.get(..index).unwrap_or_default();
        let has_turn = before.iter().any(|step| matches!(step.effect, Effect::TakeNetwork { .. }));
        has_turn || !self.is_before(index, Phase::Arm)
    }

    /// Tells how far a transfer is, a few times a second.
    fn progress<T: Fn() -> Option<u64> + Send>(
        &self,
        number: usize,
        to: &Command,
        kept: u64,
        total: T,
    ) -> impl FnMut(u64) + Send + use<'_, T> {
        let (events, what) = (self.events, to.text());
        let mut told = Instant::now();
        move |bytes| {
            if told.elapsed() > Duration::from_millis(200) {
                told = Instant::now();
                events(Event::Transfer {
                    number,
                    what: what.clone(),
                    bytes: kept.saturating_add(bytes),
                    total: total(),
                });
            }
        }
    }

    /// Tells what a transfer came to.
    fn arrived(&self, number: usize, bytes: u64, started: Instant) -> Yield {
        let took = started.elapsed();
        (self.events)(Event::TransferDone { number, bytes, milliseconds: milliseconds(took) });
        Yield { bytes, took, ..Yield::default() }
    }
}
