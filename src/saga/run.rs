//! Executes a plan: forward step by step, and back when something fails before the point of no return.

mod rounds;
mod stream;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;

use crate::effect::Effect;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::lease;
use crate::effect::commands::watch;
use crate::effect::direct::SshPublicKey;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Step;
use crate::plan::refresh;
use crate::playbook::batch::Edge;
use crate::remote::CopyError;
use crate::remote::DirectError;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::READY_SHELLS;
use crate::remote::RemoteError;
use crate::saga::beats::Beats;
use crate::saga::direction;
use crate::saga::direction::Direction;
use crate::saga::hooks;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::interrupt::Interrupts;
use crate::saga::interrupt::RECOVERED;
use crate::saga::journal::Journal;
use crate::saga::journal::JournalError;
use crate::saga::lanes;
use crate::saga::record::Record;
use crate::saga::run::rounds::Rounds;
use crate::saga::run::stream::Ends;
use crate::saga::state::StepEvent;
use crate::saga::turn::Turn;
use crate::saga::undo;
use crate::ui::event::Event;
use crate::ui::sanitize;

/// How often a command whose connection broke is tried again on a fresh one; all our scripts may be repeated.
const FRESH_TRIES: u32 = 2;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The jail runs at the target, everything is made to last.
    Moved {
        /// The longest silence.
        blackout: Duration,
        /// Seen by the hub; otherwise by our own clock, from the stop at the source to the first proven answer.
        from_outside: bool,
    },
    /// The jail runs at the source as before.
    RolledBack {
        /// Why.
        reason: String,
    },
    /// Another run moves the jail; nothing was changed.
    Refused {
        /// Who, and since when.
        reason: String,
    },
    /// Neither; a person has to look.
    NeedsHuman {
        /// What is so, and what it means for the jail.
        reason: String,
        /// What remains to be done, as host and command, in order.
        remaining: Vec<(String, String)>,
    },
}

/// Lines of another host's answer that an error carries.
const TOLD_LINES: usize = 8;

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("{0}")]
    Remote(#[from] RemoteError),
    #[error("{0}")]
    Copy(#[from] CopyError),
    #[error("{error}\nit could not go on: {why}")]
    Broken { error: CopyError, why: String },
    #[error("{0}")]
    Key(#[from] DirectError),
    #[error("{error}\n{why}")]
    Explained { error: RemoteError, why: String },
    #[error("the two hosts differ: {0}")]
    Differs(String),
    #[error("the journal cannot be written: {0}")]
    Journal(#[from] JournalError),
    #[error("the plan cannot be written as JSON: {0}")]
    Plan(#[from] serde_json::Error),
    #[error("stopped at once, as asked")]
    Stopped,
}

/// What came of an effect.
#[derive(Debug, Default)]
struct Yield {
    /// Bytes moved.
    bytes: u64,
    /// How long that took.
    took: Duration,
    /// Standard output of its last command.
    said: String,
}

/// One execution of a plan.
pub struct Run<'a> {
    plan: &'a Plan,
    hosts: &'a Hosts,
    journal: &'a Journal,
    interrupts: &'a Interrupts,
    events: &'a (dyn Fn(Event) + Send + Sync),
    beats: Arc<Beats>,
    /// What each round sent.
    rounds: Rounds,
    /// Indexes of steps of which something may have happened.
    started: BTreeSet<usize>,
    stopped_at: Option<Instant>,
    blackout: Option<Duration>,
    /// The longest silence that the hub saw.
    seen_outside: Option<Duration>,
    /// What it waits for behind its copy.
    turn: Option<&'a dyn Turn>,
    /// How many hooks have run.
    hooked: usize,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("run", &self.plan.run).field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// A run of `plan` that tells what happens to `events`.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        hosts: &'a Hosts,
        journal: &'a Journal,
        interrupts: &'a Interrupts,
        events: &'a (dyn Fn(Event) + Send + Sync),
    ) -> Run<'a> {
        Run {
            plan,
            hosts,
            journal,
            interrupts,
            events,
            beats: Arc::new(Beats::new(plan)),
            rounds: Rounds::default(),
            started: BTreeSet::new(),
            stopped_at: None,
            blackout: None,
            seen_outside: None,
            turn: None,
            hooked: 0,
        }
    }

    /// Lets it wait for its turn before it goes on from behind its copy.
    #[must_use]
    pub fn in_turn(mut self, turn: &'a dyn Turn) -> Run<'a> {
        self.turn = Some(turn);
        self
    }

    /// Forward to the end, or back to the beginning, heard by the hosts all the time.
    pub async fn execute(&mut self) -> Outcome {
        let (beats, hosts) = (self.beats.clone(), self.hosts);
        let outcome = tokio::select! {
            outcome = self.whole() => outcome,
            () = beats.go_on(hosts) => unreachable!("beats never end"),
        };
        self.keep_shells_ready(0);
        outcome
    }

    /// Shells at hand where something happens while nobody answers.
    fn keep_shells_ready(&self, count: usize) {
        let silent = self.plan.steps.iter().filter(|s| matches!(s.phase, Phase::CutOver | Phase::Prove));
        let hosts: BTreeSet<NodeName> = silent.flat_map(Step::commands).map(|command| command.host).collect();
        hosts.iter().for_each(|host| self.hosts.keep_ready(host, count));
    }

    async fn whole(&mut self) -> Outcome {
        let mut no_return = self.plan.point_of_no_return();
        let mut index = 0;
        while index < no_return {
            let Some(step) = self.plan.steps.get(index) else { break };
            if let Some(outcome) = self.taken_over() {
                return outcome;
            }
            if self.interrupts.asked() {
                return self.unwind(index, INTERRUPTED.into()).await;
            }
            if index == refresh::seed(self.plan)
                && let Some(turn) = self.turn.take()
            {
                if let Err(reason) = self.take_turn(index, turn).await {
                    return self.unwind(index + 1, reason).await;
                }
                no_return = self.plan.point_of_no_return();
                // Coming to the turn was this step.
                if self.started.contains(&index) {
                    index += 1;
                }
                continue;
            }
            if let Err(reason) = self.hooks_until((step.phase, Edge::Before)).await {
                if index == 0 {
                    return Outcome::Refused { reason };
                }
                return self.unwind(index, reason).await;
            }
            if let Some(reason) = self.not_needed(step) {
                (self.events)(Event::StepSkipped { number: index + 1, reason: reason.clone() });
                if let Err(error) = self.journal.step(index + 1, StepEvent::Skipped, Some(reason)) {
                    return self.unwind(index, format!("the journal cannot be written: {error}")).await;
                }
                index += 1;
                continue;
            }
            if step.phase == Phase::Arm
                && self.started.iter().all(|i| self.is_before(*i, Phase::Arm))
                && let Some(text) = self.rounds.behind(self.plan.precopy_until)
            {
                (self.events)(Event::Note { text });
            }
            // The network is rehearsed in the meantime, so they are open when the jail stops.
            if step.phase == Phase::Arm {
                self.keep_shells_ready(READY_SHELLS);
            }
            let together = lanes::group(&self.plan.steps, index, no_return);
            let end = together.end;
            if matches!(step.effect, Effect::StopJail(_)) {
                self.stopped_at = Some(Instant::now());
            }
            match self.forward(together).await {
                Ok(()) => {}
                Err((at, StepError::Stopped)) => return self.stopped(at),
                // Held by another run: nothing was changed. Any other failure may have left the lock behind, so it is undone.
                Err((_, error)) if matches!(step.effect, Effect::Lock { .. }) && is_held_by_another(&error) => {
                    return Outcome::Refused { reason: error.to_string() };
                }
                Err((at, error)) => {
                    if let Some(outcome) = self.taken_over() {
                        return outcome;
                    }
                    let title = self.plan.steps.get(at).map_or("", |s| s.title.as_str());
                    return self.unwind(end, format!("step {} ({title}) failed: {error}", at + 1)).await;
                }
            }
            if self.blackout.is_none() && step.phase == Phase::Prove {
                self.blackout = self.stopped_at.map(|t| t.elapsed());
            }
            index = end;
        }
        // None of these can stop the move any more.
        let _ = self.hooks_until((Phase::Persist, Edge::Before)).await;
        let rest: Vec<usize> = (no_return..self.plan.steps.len()).collect();
        let outcome = self.make_it_last(&rest).await;
        if matches!(outcome, Outcome::Moved { .. }) {
            let _ = self.hooks_until((Phase::Persist, Edge::After)).await;
        }
        outcome
    }

    /// Waits until this run may cut over, and goes on with the plan that holds then.
    async fn take_turn(&mut self, index: usize, turn: &'a dyn Turn) -> Result<(), String> {
        let written = |e: JournalError| format!("the journal cannot be written: {e}");
        let (number, begun) = (index + 1, Instant::now());
        let step = self.plan.steps.get(index).filter(|step| matches!(step.effect, Effect::TakeNetwork { .. }));
        if let Some(step) = step {
            // Coming to the turn takes it, and whatever stops us then must give it back.
            let (host, title) = (step.host().clone(), step.title.clone());
            (self.events)(Event::StepStarted { number, host, title, undo: false });
            self.journal.step(number, StepEvent::Intended, None).map_err(written)?;
            self.started.insert(index);
        }
        let stop = self.interrupts.clone();
        let came = tokio::select! {
            came = turn.come() => came,
            () = stop.asked_to() => Err(INTERRUPTED.into()),
        };
        if let Err(reason) = came {
            if step.is_some() {
                (self.events)(Event::StepFailed { number, error: reason.clone(), undo: false });
                self.journal.step(number, StepEvent::Failed, Some(reason.clone())).map_err(written)?;
            }
            return Err(reason);
        }
        if step.is_some() {
            self.journal.step(number, StepEvent::Done, None).map_err(written)?;
            (self.events)(Event::StepDone { number, milliseconds: milliseconds(begun.elapsed()), undo: false });
        }
        let Some(plan) = turn.plan() else { return Ok(()) };
        let whole = serde_json::to_value(plan).map_err(|e| format!("the plan cannot be written: {e}"))?;
        self.journal.append(Record::Plan(whole)).map_err(|e| format!("the journal cannot be written: {e}"))?;
        self.plan = plan;
        // The hub's copy, for a machine without this journal.
        let kept = plan.steps.iter().enumerate().find(|(_, s)| matches!(s.effect, Effect::StorePlan { .. }));
        if let Some((index, step)) = kept {
            self.perform(index + 1, &step.work()).await.map_err(|e| format!("{}: {e}", step.title))?;
        }
        Ok(())
    }

    /// Runs the hooks up to that place in the order of the phases. A failure is told; one that can take the move back is
    /// given.
    async fn hooks_until(&mut self, place: (Phase, Edge)) -> Result<(), String> {
        while let Some(call) = self.plan.hooks.get(self.hooked).filter(|call| call.place() <= place) {
            self.hooked += 1;
            let stop = self.interrupts.clone();
            let came = tokio::select! {
                came = hooks::run(call, self.hosts) => came,
                () = stop.stop_now() => Err(INTERRUPTED.into()),
            };
            let text = match &came {
                Ok(said) => said.clone(),
                Err(error) => format!("FAILED: {error}"),
            };
            (self.events)(Event::Note { text: text.clone() });
            let _ = self.journal.note(text);
            if call.can_stop() {
                came?;
            }
        }
        Ok(())
    }

    /// From the point of no return on every step is tried, whatever became of the one before it.
    async fn make_it_last(&mut self, indexes: &[usize]) -> Outcome {
        let mut remaining = Vec::new();
        let mut reasons = Vec::new();
        for &index in indexes {
            let Some(step) = self.plan.steps.get(index) else { continue };
            if let Some(outcome) = self.taken_over() {
                return outcome;
            }
            // With something left to make last the lock stays: `recover` goes on only with the lock of its own run.
            if !reasons.is_empty() && direction::closes(&step.effect) {
                continue;
            }
            if let Err((_, error)) = self.forward(index..index + 1).await {
                reasons.push(format!("step {} ({}): {error}", index + 1, step.title));
                remaining.extend(step.commands().into_iter().map(|c| (c.host.to_string(), c.text())));
            }
        }
        if reasons.is_empty() {
            let own_clock = self.blackout.or_else(|| self.stopped_at.map(|t| t.elapsed())).unwrap_or_default();
            return Outcome::Moved {
                blackout: self.seen_outside.unwrap_or(own_clock),
                from_outside: self.seen_outside.is_some(),
            };
        }
        Outcome::NeedsHuman {
            reason: format!(
                "jail {} runs on {} and was proven to answer, but this was not made to last: {}",
                self.plan.jail,
                self.plan.target,
                reasons.join("; ")
            ),
            remaining,
        }
    }

    /// The undo effects of the first `count` steps, last step first.
    async fn unwind(&self, count: usize, reason: String) -> Outcome {
        if self.interrupts.asked() {
            let _ = self.journal.note(INTERRUPTED);
        }
        let indexes: Vec<usize> = (0..count).rev().filter(|i| self.started.contains(i)).collect();
        self.go_back(&indexes, reason).await
    }

    /// Goes on with a run that was interrupted, in the direction that its journal gives.
    pub async fn recover(&mut self, direction: &Direction) -> Outcome {
        // Hosts that are still armed wait for what we do.
        for host in self.plan.steps.iter().filter_map(listener) {
            self.beats.begin(host);
        }
        let (beats, hosts) = (self.beats.clone(), self.hosts);
        tokio::select! {
            outcome = self.go_on(direction) => outcome,
            () = beats.go_on(hosts) => unreachable!("beats never end"),
        }
    }

    async fn go_on(&mut self, direction: &Direction) -> Outcome {
        match direction {
            Direction::Nothing => Outcome::RolledBack { reason: "nothing had been changed".into() },
            Direction::Back(indexes) => {
                let _ = self.journal.note(RECOVERED);
                self.go_back(indexes, RECOVERED.into()).await
            }
            Direction::Forward(indexes) => self.make_it_last(indexes).await,
        }
    }

    /// Another machine drives the run now: whatever we did would be wrong.
    fn taken_over(&self) -> Option<Outcome> {
        let said = self.beats.superseded()?;
        Some(Outcome::NeedsHuman {
            reason: format!(
                "another machine has taken this run over ({said}); nothing more is done from here, and that machine tells how it ends"
            ),
            remaining: Vec::new(),
        })
    }

    /// The undo effects of these steps, in this order.
    async fn go_back(&self, indexes: &[usize], reason: String) -> Outcome {
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
    fn partly_back(&self, reason: &str, left: &[(usize, String)]) -> Outcome {
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
    async fn undo(&self, number: usize, step: &Step, effect: &Effect) -> Result<(), StepError> {
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
    fn stuck(&self, index: usize, reason: &str, error: &str) -> Outcome {
        let mut remaining = Vec::new();
        for step in self.plan.steps.iter().take(index + 1).rev() {
            remaining.extend(step.undo_commands().into_iter().map(|c| (c.host.to_string(), c.text())));
        }
        Outcome::NeedsHuman { reason: format!("{reason}; then going back failed too: {error}"), remaining }
    }

    fn stopped(&self, index: usize) -> Outcome {
        let _ = self.journal.note(INTERRUPTED);
        match self.stuck(index, "stopped at once, as asked", "not tried") {
            Outcome::NeedsHuman { remaining, .. } => Outcome::NeedsHuman {
                reason: format!("stopped at once, as asked, in step {} of {}", index + 1, self.plan.steps.len()),
                remaining,
            },
            other => other,
        }
    }

    fn is_before(&self, index: usize, phase: Phase) -> bool {
        self.plan.steps.get(index).is_some_and(|step| step.phase < phase)
    }

    /// Why a step of a later copy round is left out.
    fn not_needed(&self, step: &Step) -> Option<String> {
        self.rounds.not_needed(step.round?, self.plan.precopy_until)
    }

    /// Steps that belong together: different lanes at the same time, each lane in order. All of them come to an end
    /// before the first failure is told.
    async fn forward(&mut self, together: Range<usize>) -> Result<(), (usize, StepError)> {
        let first = together.start;
        let stop = self.interrupts.clone();
        let results = {
            let run = &*self;
            let lanes = lanes::lanes(&run.plan.steps, together);
            let all = join_all(lanes.into_iter().map(|lane| run.lane(lane)));
            tokio::select! {
                results = all => results,
                () = stop.stop_now() => return Err((first, StepError::Stopped)),
            }
        };
        let mut failure: Option<(usize, StepError)> = None;
        for (index, result) in results.into_iter().flatten() {
            self.started.insert(index);
            match result {
                Ok(came) => self.absorb(index, &came),
                Err(error) if failure.as_ref().is_none_or(|(at, _)| index < *at) => failure = Some((index, error)),
                Err(_) => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The steps of one lane, until one fails.
    async fn lane(&self, indexes: Vec<usize>) -> Vec<(usize, Result<Yield, StepError>)> {
        let mut results = Vec::new();
        for index in indexes {
            let result = self.one(index).await;
            let failed = result.is_err();
            results.push((index, result));
            if failed {
                break;
            }
        }
        results
    }

    /// One step: written down before and after.
    async fn one(&self, index: usize) -> Result<Yield, StepError> {
        let Some(step) = self.plan.steps.get(index) else { return Ok(Yield::default()) };
        let number = index + 1;
        (self.events)(Event::StepStarted { number, host: step.host().clone(), title: step.title.clone(), undo: false });
        self.journal.step(number, StepEvent::Intended, None)?;
        let started = Instant::now();
        match self.perform(number, &step.work()).await {
            Ok(came) => {
                if let Some(host) = listener(step) {
                    self.beats.begin(host);
                }
                self.journal.step(number, StepEvent::Done, None)?;
                let milliseconds = milliseconds(started.elapsed());
                (self.events)(Event::StepDone { number, milliseconds, undo: false });
                Ok(came)
            }
            Err(error) => {
                let text = error.to_string();
                (self.events)(Event::StepFailed { number, error: text.clone(), undo: false });
                self.journal.step(number, StepEvent::Failed, Some(text))?;
                Err(error)
            }
        }
    }

    /// Remembers what later decisions need: bytes of each round, the silence that the hub saw.
    fn absorb(&mut self, index: usize, came: &Yield) {
        let Some(step) = self.plan.steps.get(index) else { return };
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
    async fn perform(&self, number: usize, work: &Work) -> Result<Yield, StepError> {
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
            Work::Pipe { from, to, estimate, resume } => {
                self.stream(number, &Ends { direct: None, from, to }, *estimate, resume.as_deref()).await
            }
            Work::Direct { send, from, to, estimate, resume } => {
                self.stream(number, &Ends { direct: Some(send), from, to }, *estimate, resume.as_deref()).await
            }
            Work::AdmitKey { make, direct, receives, .. } => {
                let made = self.command(make).await?;
                let key = SshPublicKey::new(&made).map_err(|e| DirectError::Answer(make.host.clone(), e))?;
                self.command(&direct.admit(&key, receives)).await?;
                Ok(Yield::default())
            }
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

    /// Runs a command; a broken connection is made anew and the command repeated, which all our scripts allow.
    async fn command(&self, command: &Command) -> Result<String, RemoteError> {
        let mut tries = 0;
        loop {
            match self.hosts.run(command).await {
                Ok(output) => return Ok(output.text()),
                Err(error) if matches!(error.kind, Kind::ConnectionLost) && tries < FRESH_TRIES => {
                    tries += 1;
                    self.hosts.reconnect(&command.host).await?;
                }
                Err(error) => {
                    self.beats.heed(&error);
                    return Err(error);
                }
            }
        }
    }
}

/// Exit status 23 of the lock's script.
fn is_held_by_another(error: &StepError) -> bool {
    matches!(error, StepError::Remote(RemoteError { kind: Kind::Exit(23), .. }))
}

/// The host that listens for us once the step is done.
fn listener(step: &Step) -> Option<&NodeName> {
    match &step.effect {
        Effect::Lock { host, .. } => Some(host),
        Effect::Arm(lease) => Some(&lease.host),
        _ => None,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
