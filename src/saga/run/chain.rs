//! Steps of one host that go to it as one command: all of them written down before, each one after.

use std::time::Instant;

use super::Run;
use super::StepError;
use super::Yield;
use crate::effect::command::Command;
use crate::remote::Broken;
use crate::remote::FRESH_TRIES;
use crate::remote::Kind;
use crate::saga::lanes;
use crate::saga::state::StepEvent;

/// Results of steps, by index.
type Results = Vec<(usize, Result<Yield, StepError>)>;

impl Run<'_> {
    /// Steps of one host, one after the other, until one fails. Any of them may have happened once the command is on its
    /// way, so all are intended before; those that the host says it did not begin are left out.
    pub(super) async fn in_one_go(&self, indexes: &[usize]) -> Results {
        let mut parts: Vec<(usize, Command)> = Vec::new();
        for &index in indexes {
            if let Err(error) = self.intend(index) {
                return vec![(index, Err(error.into()))];
            }
            let scripts = self.plan.steps.get(index).and_then(lanes::scripts).unwrap_or_default();
            parts.extend(scripts.into_iter().map(|script| (index, script)));
        }
        let mut progress = Progress { run: self, first: 0, parts: &parts, began: Instant::now(), results: Vec::new() };
        progress.begin();
        let mut tries = 0;
        loop {
            let (first, left) = (progress.first, parts.get(progress.first..).unwrap_or_default());
            let commands: Vec<Command> = left.iter().map(|(_, command)| command.clone()).collect();
            let Err(Broken { part, error, told }) = self.hosts.chain(&commands, |_, said| progress.ended(said)).await
            else {
                return progress.results;
            };
            let error = match error {
                // Scripts may be repeated, those too that nobody has heard of.
                lost if matches!(lost.kind, Kind::ConnectionLost) && tries < FRESH_TRIES => {
                    tries += 1;
                    let host = commands.first().map(|command| &command.host);
                    match self.hosts.reconnect(host.unwrap_or(&lost.host)).await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                error => {
                    self.beats.heed(&error);
                    error
                }
            };
            let failed = parts.get(first + part).map(|(index, _)| *index);
            return progress.broken(indexes, failed, error.into(), told);
        }
    }
}

/// How far a chain of steps is.
struct Progress<'a> {
    run: &'a Run<'a>,
    parts: &'a [(usize, Command)],
    /// The first part that has not ended.
    first: usize,
    /// When its step began.
    began: Instant,
    results: Results,
}

impl Progress<'_> {
    fn index(&self, part: usize) -> Option<usize> {
        self.parts.get(part).map(|(index, _)| *index)
    }

    fn begin(&mut self) {
        self.began = Instant::now();
        if let Some(index) = self.index(self.first) {
            self.run.tell_begun(index);
        }
    }

    /// The first part that had not ended has succeeded.
    fn ended(&mut self, said: &[u8]) {
        let Some(index) = self.index(self.first) else { return };
        self.first += 1;
        if self.index(self.first) == Some(index) {
            return;
        }
        let said = String::from_utf8_lossy(said).into_owned();
        let done = self.run.done(index, self.began);
        let came = Yield { said, began: Some(self.began), ..Yield::default() };
        self.results.push((index, done.map(|()| came).map_err(StepError::from)));
        self.begin();
    }

    /// A step has failed. Those behind it never began, or nobody knows.
    fn broken(mut self, indexes: &[usize], failed: Option<usize>, error: StepError, told: bool) -> Results {
        let Some(failed) = failed else { return self.results };
        self.results.push((failed, Err(self.run.failed(failed, error))));
        for &index in indexes.iter().filter(|index| **index > failed) {
            let left_out = Some("a step before it failed".to_owned());
            if !told || self.run.journal.step(index + 1, StepEvent::Skipped, left_out).is_err() {
                self.results.push((index, Err(StepError::Unheard)));
            }
        }
        self.results
    }
}
