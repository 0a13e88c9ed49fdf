//! One step or those that belong together: written down before and after, and carried out.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::watch::Sender;

use super::Run;
use super::StepError;
use super::Yield;
use super::listener;
use super::milliseconds;
use crate::effect::Effect;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::lease;
use crate::effect::commands::watch;
use crate::effect::direct::SshPublicKey;
use crate::effect::work::DONE;
use crate::plan::Phase;
use crate::remote::DirectError;
use crate::remote::Kind;
use crate::remote::RemoteError;
use crate::saga::interrupt::GRACE;
use crate::saga::journal::JournalError;
use crate::saga::lanes;
use crate::saga::run::stream::Ends;
use crate::saga::state::StepEvent;
use crate::ui::event::Event;
use crate::ui::sanitize;

/// Lines of another host's answer that an error carries.
const TOLD_LINES: usize = 8;

impl Run<'_> {
    /// Steps that belong together: different lanes at the same time, each lane in order. When one fails, what is under way
    /// in the others comes to its end before that is told, but for what only knocks at a host's door.
    pub(super) async fn forward(&mut self, together: Range<usize>) -> Result<(), (usize, StepError)> {
        let first = together.start;
        let stop = self.interrupts.clone();
        let began = Instant::now();
        let results = {
            let (run, failed) = (&*self, Sender::new(false));
            let lanes = lanes::lanes(&run.plan.steps, together);
            let all = join_all(lanes.into_iter().map(|lane| run.lane(lane, &failed)));
            tokio::select! {
                results = all => results,
                () = stop.stop_now() => return Err((first, StepError::Stopped)),
            }
        };
        let mut results: Vec<_> = results.into_iter().flatten().collect();
        share(began.elapsed(), results.iter_mut().filter_map(|(_, result)| result.as_mut().ok()));
        let mut failure: Option<(usize, StepError)> = None;
        for (index, result) in results {
            self.started.insert(index);
            match result {
                Ok(came) => self.absorb(index, &came),
                Err(error) if failure.as_ref().is_none_or(|(at, _)| index < *at) => failure = Some((index, error)),
                Err(_) => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The steps of one lane, until one fails, here or in another.
    async fn lane(&self, indexes: Vec<usize>, failed: &Sender<bool>) -> Vec<(usize, Result<Yield, StepError>)> {
        let mut results = Vec::new();
        for piece in lanes::pieces(&self.plan.steps, &indexes) {
            if *failed.borrow() {
                break;
            }
            match piece.as_slice() {
                [index] if self.only_knocks(*index) => {
                    let mut elsewhere = failed.subscribe();
                    tokio::select! {
                        result = self.one(*index) => results.push((*index, result)),
                        _ = elsewhere.wait_for(|failed| *failed) => self.not_waited_for(*index),
                    }
                }
                [index] => results.push((*index, self.one(*index).await)),
                several => results.extend(self.in_one_go(several).await),
            }
            if results.iter().any(|(_, result)| result.is_err()) {
                failed.send_replace(true);
            }
        }
        results
    }

    /// A host that lets nobody in takes a minute to say so, while the jail may be down, and nothing of it is to be undone.
    fn only_knocks(&self, index: usize) -> bool {
        self.plan.steps.get(index).is_some_and(|step| matches!(step.effect, Effect::Confirm { .. }))
    }

    /// Written down, too: nothing more comes of it.
    fn not_waited_for(&self, index: usize) {
        let reason = "another step has failed meanwhile".to_owned();
        (self.events)(Event::StepSkipped { number: index + 1, reason: reason.clone() });
        // A journal that takes nothing more stops the run at the step that failed.
        let _ = self.journal.step(index + 1, StepEvent::Skipped, Some(reason));
    }

    /// One step: written down before and after.
    pub(super) async fn one(&self, index: usize) -> Result<Yield, StepError> {
        let Some(step) = self.plan.steps.get(index) else { return Ok(Yield::default()) };
        self.intend(index)?;
        self.tell_begun(index);
        let began = Instant::now();
        match self.patiently(index, step).await {
            Ok(came) => {
                self.done(index, began)?;
                Ok(Yield { began: Some(began), ..came })
            }
            Err(error) => Err(self.failed(index, error)),
        }
    }

    /// Written down before anything of a step happens.
    pub(super) fn intend(&self, index: usize) -> Result<(), JournalError> {
        self.written(self.journal.step(index + 1, StepEvent::Intended, None))
    }

    /// Behind the proof what cannot be written down is no failure.
    fn written(&self, said: Result<(), JournalError>) -> Result<(), JournalError> {
        if self.accepted.load(Ordering::Relaxed) { Ok(()) } else { said }
    }

    /// Tells people that a step begins.
    pub(super) fn tell_begun(&self, index: usize) {
        let Some(step) = self.plan.steps.get(index) else { return };
        let (number, host, title) = (index + 1, step.host().clone(), step.title.clone());
        (self.events)(Event::StepStarted { number, host, title, undo: false });
    }

    /// Written down after a step has succeeded.
    pub(super) fn done(&self, index: usize, began: Instant) -> Result<(), JournalError> {
        let number = index + 1;
        if let Some(host) = self.plan.steps.get(index).and_then(listener) {
            self.beats.begin(host);
        }
        self.written(self.journal.step(number, StepEvent::Done, None))?;
        (self.events)(Event::StepDone { number, milliseconds: milliseconds(began.elapsed()), undo: false });
        Ok(())
    }

    /// Written down after a step has failed; gives what to go on with.
    pub(super) fn failed(&self, index: usize, error: StepError) -> StepError {
        let (number, text) = (index + 1, error.to_string());
        (self.events)(Event::StepFailed { number, error: text.clone(), undo: false });
        match self.journal.step(number, StepEvent::Failed, Some(text)) {
            Ok(()) => error,
            Err(journal) => journal.into(),
        }
    }

    /// Remembers what later decisions need: bytes of each round, the silence that the hub saw.
    pub(super) fn absorb(&mut self, index: usize, came: &Yield) {
        let Some(step) = self.plan.steps.get(index) else { return };
        if let Some(began) = came.began {
            self.terms.begins(step, began);
        }
        if matches!(step.effect, Effect::Unwatch { .. }) {
            self.seen_outside = watch::longest_silence(&came.said);
        }
        let round = match &step.effect {
            Effect::Transfer(transfer) => transfer.round,
            _ => step.round,
        };
        if let Some(round) = round {
            self.rounds.add(round, came.bytes, came.took);
        }
    }

    /// Carries out an effect; tells what came of it.
    pub(super) async fn perform(&self, number: usize, work: &Work) -> Result<Yield, StepError> {
        match work {
            Work::Nothing => Ok(Yield::default()),
            Work::Run(commands) => {
                let mut said = String::new();
                for command in commands {
                    said = self.command(command).await?;
                }
                Ok(Yield { said, ..Yield::default() })
            }
            Work::StorePlan { host, run, .. } => {
                let store = lease::store_plan(host, run, &serde_json::to_string(self.plan)?);
                let guard = self.plan.steps.get(number - 1).and_then(|s| s.guard.clone());
                self.command(&guard.map_or(store.clone(), |guard| store.exclusive(&guard))).await?;
                Ok(Yield::default())
            }
            Work::Fresh(command) => {
                self.hosts.reconnect(&command.host).await?;
                self.command(command).await?;
                Ok(Yield::default())
            }
            Work::Explained { tried, why } => match (self.command(tried).await, why) {
                (Ok(said), _) => Ok(Yield { said, ..Yield::default() }),
                (Err(error), Some(why)) if matches!(error.kind, Kind::Exit(_)) => {
                    let told = self.command(why).await.unwrap_or_default();
                    match told.trim() {
                        "" => Err(error.into()),
                        told => Err(StepError::Explained { error, why: sanitize::tail(told.as_bytes(), TOLD_LINES) }),
                    }
                }
                (Err(error), _) => Err(error.into()),
            },
            Work::Compare { left, right } => {
                let (left, right) = tokio::join!(self.command(left), self.command(right));
                let (left, right) = (left?, right?);
                if left != right || left.trim().is_empty() {
                    return Err(StepError::Differs(format!("{:?} against {:?}", left.trim(), right.trim())));
                }
                Ok(Yield::default())
            }
            Work::Contents(both) => self.compare_contents(both).await,
            Work::Long(command) => {
                // Its undo ends it.
                let stop = self.interrupts.clone();
                tokio::select! {
                    said = self.command(command) => Ok(Yield { said: said?, ..Yield::default() }),
                    () = stop.asked_to() => Err(StepError::TurnedRound),
                }
            }
            Work::Pipe { from, to, estimate, rate, size, resume } => {
                let ends = Ends { direct: None, from, to, rate: *rate };
                self.until_asked(number, self.sized_stream(number, &ends, *estimate, size.as_ref(), resume.as_deref()))
                    .await
            }
            Work::Direct { send, from, to, estimate, size, resume } => {
                let ends = Ends { direct: Some(send), from, to, rate: None };
                self.until_asked(number, self.sized_stream(number, &ends, *estimate, size.as_ref(), resume.as_deref()))
                    .await
            }
            Work::AdmitKey { make, direct, receives, .. } => {
                let made = self.command(make).await?;
                let key = SshPublicKey::new(&made).map_err(|e| DirectError::Answer(make.host.clone(), e))?;
                self.command(&direct.admit(&key, receives)).await?;
                Ok(Yield::default())
            }
            Work::Unless { done, work } => match self.command(done).await?.trim() {
                DONE => Ok(Yield::default()),
                _ => Box::pin(self.perform(number, work)).await,
            },
            Work::Sequence(parts) => {
                let mut all = Yield::default();
                for part in parts {
                    let came = Box::pin(self.perform(number, part)).await?;
                    all.bytes = all.bytes.saturating_add(came.bytes);
                    all.took += came.took;
                }
                Ok(all)
            }
        }
    }

    /// A stream, which may take hours while the jail runs: it is cut off then when somebody asks the run to turn round, and
    /// does not ask it soon to stop where it is. Its undo ends what it has left at work.
    async fn until_asked(
        &self,
        number: usize,
        stream: impl Future<Output = Result<Yield, StepError>>,
    ) -> Result<Yield, StepError> {
        if !self.is_before(number.saturating_sub(1), Phase::Arm) {
            return stream.await;
        }
        let stop = self.interrupts.clone();
        let cut_off = async {
            stop.asked_to().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            came = stream => came,
            () = cut_off => Err(StepError::TurnedRound),
        }
    }

    /// Runs a command; a broken connection is made anew and the command repeated, which all our scripts allow.
    pub(super) async fn command(&self, command: &Command) -> Result<String, RemoteError> {
        match self.hosts.run_repeatable(command).await {
            Ok(output) => Ok(output.text()),
            Err(error) => {
                self.beats.heed(&error);
                Err(error)
            }
        }
    }
}

/// Streams side by side took so long together: each its share of it, so that their pace is that of the link.
fn share<'a>(whole: Duration, streams: impl Iterator<Item = &'a mut Yield>) {
    let streams: Vec<&mut Yield> = streams.collect();
    let sum: Duration = streams.iter().map(|came| came.took).sum();
    if sum > whole {
        let part = whole.as_secs_f64() / sum.as_secs_f64();
        streams.into_iter().for_each(|came| came.took = came.took.mul_f64(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_side_by_side_took_no_longer_than_it_lasted() {
        let took = |seconds: u64| Yield { took: Duration::from_secs(seconds), ..Yield::default() };
        let shared = |of: &[u64], whole: u64| -> Vec<u64> {
            let mut all: Vec<Yield> = of.iter().map(|s| took(*s)).collect();
            share(Duration::from_secs(whole), all.iter_mut());
            all.iter().map(|came| came.took.as_secs()).collect()
        };
        assert_eq!(shared(&[6, 3, 3], 6), [3, 1, 1]);
        assert_eq!(shared(&[6, 3], 12), [6, 3]);
        assert!(shared(&[], 1).is_empty());
    }
}
