//! Executes a plan: forward step by step, and back when something fails before the point of no return.

mod away;
mod back;
mod broken;
mod chain;
mod contents;
mod forward;
mod rounds;
mod shells;
mod step_error;
mod stream;
mod terms;
mod turning;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::effect::Effect;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Step;
use crate::plan::advice;
use crate::plan::forecast::Term;
use crate::plan::refresh;
use crate::playbook::batch::Edge;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::RemoteError;
use crate::saga::beats::Beats;
use crate::saga::direction;
use crate::saga::direction::Direction;
use crate::saga::hooks;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::interrupt::Interrupts;
use crate::saga::interrupt::RECOVERED;
use crate::saga::interrupt::TURNS_ROUND;
use crate::saga::journal::Journal;
use crate::saga::lanes;
use crate::saga::record::Measured;
use crate::saga::run::rounds::Rounds;
use crate::saga::run::step_error::StepError;
use crate::saga::run::terms::Watch;
use crate::saga::state::StepEvent;
use crate::saga::state::StepState;
use crate::saga::turn::NoTurn;
use crate::saga::turn::Turn;
use crate::ui::event::Event;

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
    /// A host is away while the jail is copied, or a person has stopped that. The jail runs at the source as before, and what
    /// has been copied is kept.
    Kept {
        /// Why.
        reason: String,
        /// The source is the host that is away, so nobody knows whether the jail still runs there.
        unseen: bool,
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

/// What came of an effect.
#[derive(Debug, Default)]
struct Yield {
    /// Bytes moved.
    bytes: u64,
    /// How long that took.
    took: Duration,
    /// Standard output of its last command.
    said: String,
    /// When it began, by our own clock.
    began: Option<Instant>,
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
    /// Of those, what had been done before the run was interrupted.
    settled: BTreeSet<usize>,
    /// And what was under way then.
    under_way: BTreeSet<usize>,
    /// The parts of the blackout, by our own clock.
    terms: Watch,
    /// The longest silence that the hub saw.
    seen_outside: Option<Duration>,
    /// What it waits for behind its copy.
    turn: Option<&'a dyn Turn>,
    /// How many hooks have run.
    hooked: usize,
    /// When it began, or went on.
    begun: Instant,
    /// Is it on its way back? Whoever asks it to turn round has what he asked for.
    going_back: AtomicBool,
    /// Proven: what remains is made to last, whether that can be written down or not.
    accepted: AtomicBool,
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
            settled: BTreeSet::new(),
            under_way: BTreeSet::new(),
            terms: Watch::default(),
            seen_outside: None,
            turn: None,
            hooked: 0,
            begun: Instant::now(),
            going_back: AtomicBool::new(false),
            accepted: AtomicBool::new(false),
        }
    }

    /// Lets it wait for its turn before it goes on from behind its copy.
    #[must_use]
    pub fn in_turn(mut self, turn: &'a dyn Turn) -> Run<'a> {
        self.turn = Some(turn);
        self
    }

    /// Lets it go on where an interruption while it copied has left it, as its journal says.
    #[must_use]
    pub fn going_on(mut self, states: &BTreeMap<usize, StepState>) -> Run<'a> {
        for (number, state) in states.iter().filter(|(number, _)| **number > 0) {
            let index = number - 1;
            let Some(step) = self.plan.steps.get(index) else { continue };
            if state.may_have_happened() {
                self.started.insert(index);
            }
            if matches!(state, StepState::Done | StepState::Skipped) {
                self.settled.insert(index);
            } else {
                self.under_way.insert(index);
            }
            if let Some(host) = listener(step).filter(|_| *state == StepState::Done) {
                self.beats.begin(host);
            }
        }
        if !states.is_empty() {
            // However little of the first copy is left to send: the jail has written since, and that is the next round's.
            self.rounds.add(0, 0, Duration::ZERO);
            self.hooked = self.plan.hooks.iter().filter(|call| call.place() <= (Phase::Copy, Edge::Before)).count();
        }
        self
    }

    /// Has somebody asked it to turn round, and it has not yet?
    fn is_to_turn_round(&self) -> bool {
        self.interrupts.asked() && !self.going_back.load(Ordering::Relaxed)
    }

    /// Forward to the end, or back to the beginning, heard by the hosts all the time.
    pub async fn execute(&mut self) -> Outcome {
        let (beats, hosts) = (self.beats.clone(), self.hosts);
        let (interrupts, events) = (self.interrupts.clone(), self.events);
        let outcome = tokio::select! {
            outcome = self.whole() => outcome,
            () = beats.go_on(hosts) => unreachable!("beats never end"),
            () = heard(&interrupts, events) => unreachable!("nor does this"),
        };
        self.keep_shells(0);
        outcome
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
            if self.settled.contains(&index) {
                index += 1;
                continue;
            }
            if index == refresh::seed(self.plan)
                && let Some(turn) = self.turn.take()
            {
                match self.take_turn(index, turn).await {
                    Ok(()) => {}
                    Err(NoTurn::Away(reason)) if !self.interrupts.asked() => return self.kept(reason, false),
                    Err(NoTurn::Away(reason) | NoTurn::Never(reason)) => return self.unwind(index + 1, reason).await,
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
                && let Some(behind) = self.rounds.behind(self.plan.precopy_until, self.plan.rate_limit())
            {
                let predicted = self.plan.forecast.with_data(behind.left(self.plan.forecast.carries));
                if let Some(accepted) = self.plan.accept_blackout.filter(|accepted| predicted > *accepted) {
                    return self.unwind(index, behind.too_long(predicted, accepted)).await;
                }
                (self.events)(Event::Note { text: behind.told(predicted) });
            }
            let together = lanes::group(&self.plan.steps, index, no_return);
            let end = together.clone().find(|i| self.settled.contains(i)).unwrap_or(together.end);
            let together = together.start..end;
            self.keep_shells_for(step.phase, end..no_return);
            match self.forward(together).await {
                Ok(()) => {}
                Err((at, StepError::Stopped)) => return self.stopped(at),
                // Held by another run: nothing was changed. Any other failure may have left the lock behind, so it is undone.
                Err((_, error)) if matches!(step.effect, Effect::Lock { .. }) && is_held_by_another(&error) => {
                    return Outcome::Refused { reason: error.to_string() };
                }
                Err((_, StepError::TurnedRound)) => return self.unwind(end, INTERRUPTED.into()).await,
                Err((at, error)) => {
                    if let Some(outcome) = self.taken_over().or_else(|| self.kept_for_later(at, &error)) {
                        return outcome;
                    }
                    let (step, said) = (self.plan.steps.get(at), error.to_string());
                    let (title, advice) =
                        step.map_or_else(Default::default, |s| (s.title.as_str(), advice::of(s, &said)));
                    return self.unwind(end, format!("step {} ({title}) failed: {said}{advice}", at + 1)).await;
                }
            }
            if step.phase == Phase::Prove {
                self.terms.answered(Instant::now());
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
        // The jail is where it belongs. A disk here that takes no more words is no reason to let a host forget that; what is not
        // written down as done `recover` does again.
        self.accepted.store(true, Ordering::Relaxed);
        self.hosts.log_where_possible();
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
            let own_clock = self.terms.whole(Instant::now()).unwrap_or_default();
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

    /// What was measured: only of a run that saw its whole blackout.
    #[must_use]
    pub fn measured(&self) -> Option<Measured> {
        let of_the_rest = |step: &&Step| Term::of(step) == Some(Term::Data);
        Some(Measured {
            datasets: self.plan.steps.iter().filter(of_the_rest).count() as u64,
            terms: self.terms.terms()?,
            rounds: self.rounds.measured(),
            rate_limit: self.plan.rate_limit(),
        })
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

    fn is_before(&self, index: usize, phase: Phase) -> bool {
        self.plan.steps.get(index).is_some_and(|step| step.phase < phase)
    }

    /// Why a step of a later copy round is left out.
    fn not_needed(&self, step: &Step) -> Option<String> {
        self.rounds.not_needed(step.round?, self.plan.precopy_until)
    }
}

/// Tells once that somebody asked the run to turn round; what is under way may take a while to end. Never ends.
async fn heard(interrupts: &Interrupts, events: &(dyn Fn(Event) + Send + Sync)) {
    interrupts.asked_to().await;
    events(Event::Note { text: TURNS_ROUND.into() });
    std::future::pending().await
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
