//! The scheduler's loop: look at the clock, decide, start, wait.

use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::cli::Exit;
use crate::cli::output;
use crate::cli::schedule::child::World;
use crate::cli::schedule::clock::Jumps;
use crate::cli::schedule::http::Board;
use crate::cli::schedule::job::Job;
use crate::cli::schedule::keeper;
use crate::cli::schedule::keeper::Keeper;
use crate::schedule::decide;
use crate::schedule::decide::Busy;
use crate::schedule::decide::Decision;
use crate::schedule::decide::Memory;
use crate::schedule::decide::Wait;
use crate::schedule::metrics;
use crate::schedule::standing;
use crate::schedule::standing::Current;
use crate::schedule::standing::Outcome;
use crate::schedule::standing::Said;
use crate::schedule::standing::Standing;
use crate::schedule::standing::length;

/// The longest time between two looks: a clock that jumps is noticed by then.
const LOOK: SignedDuration = SignedDuration::from_secs(30);

/// A playbook with what is known of it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) job: std::sync::Arc<Job>,
    pub(super) keeper: Keeper,
    pub(super) standing: Standing,
    pub(super) admitted: Option<Timestamp>,
    /// The last reason for waiting, so that it is said once.
    pub(super) told: Option<Wait>,
}

/// The run that is under way.
struct Running {
    task: usize,
    since: Timestamp,
    end: JoinHandle<Result<Option<i32>, String>>,
}

/// The scheduler.
pub(super) struct Scheduler {
    pub(super) tasks: Vec<Task>,
    pub(super) world: World,
    pub(super) board: Board,
    /// One look, and what it finds due.
    pub(super) once: bool,
    /// Nothing is said when nothing is due.
    pub(super) quiet: bool,
}

impl Scheduler {
    /// Looks until it is asked to stop.
    pub(super) async fn serve(mut self, metrics_file: Option<&Path>) -> Exit {
        let clock = self.world.clock.clone();
        let mut stop = self.world.stop.clone();
        let mut jumps = Jumps::new(&clock);
        let mut running: Option<Running> = None;
        let mut worst = Exit::Done;
        loop {
            let now = clock.now();
            if let Some(jump) = jumps.since_last(&clock) {
                self.jumped(now, jump);
            }
            let stopping = *stop.borrow_and_update() > 0;
            let mut until = now + LOOK;
            let mut settled = true;
            for index in 0..self.tasks.len() {
                if stopping {
                    break;
                }
                match self.look(index, &mut running) {
                    Ok(Look { again, patient }) => {
                        until = until.min(again);
                        settled &= !patient;
                    }
                    Err(message) => {
                        output::complain(&message);
                        worst = Exit::Internal;
                    }
                }
            }
            if let Err(message) = self.publish(metrics_file) {
                self.world.log.say(now, "scheduler", &message);
            }
            if running.is_none() && (stopping || worst == Exit::Internal || (self.once && settled)) {
                return self.end(worst);
            }
            // At least a moment, whatever a clock of tests makes of it.
            let pause = clock.sleep(until.duration_since(now)).max(std::time::Duration::from_millis(10));
            tokio::select! {
                ended = end_of(&mut running) => {
                    let exit = self.ended(ended);
                    if self.once && exit != Exit::Done { worst = exit; }
                }
                () = tokio::time::sleep(pause) => {}
                Ok(()) = stop.changed() => {
                    let what = match &running {
                        None => "asked to stop".to_owned(),
                        Some(r) => format!("asked to stop: the run of {} is asked to turn round", self.name(r.task)),
                    };
                    self.world.log.say(clock.now(), "scheduler", &what);
                }
            }
        }
    }

    fn name(&self, index: usize) -> &str {
        self.tasks.get(index).map_or("", |t| t.job.name.as_str())
    }

    /// One playbook's turn: everything that can be decided now.
    fn look(&mut self, index: usize, running: &mut Option<Running>) -> Result<Look, String> {
        let clock = self.world.clock.clone();
        let now = clock.now();
        let busy = self.busy(index, running.as_ref(), now)?;
        let log = self.world.log;
        let Some(task) = self.tasks.get_mut(index) else { return Ok(Look { again: now + LOOK, patient: false }) };
        let memory = |task: &Task| Memory { decided: task.standing.decided, admitted: task.admitted };
        if let Some(mended) = decide::mended(&memory(task), now) {
            let text = format!(
                "everything was decided up to {}, which is far ahead: that was a wrong clock's time, and counts no longer",
                standing::short(task.standing.decided)
            );
            log.say(now, &task.job.name, &text);
            task.standing.decided = mended.decided;
            task.admitted = mended.admitted;
        }
        loop {
            let decision = decide::decide(&task.job.plan, &memory(task), now, busy.as_ref());
            let text = standing::sentence(&decision);
            let said = Said { at: now, text: text.clone() };
            match decision {
                Decision::Wait { until, admitted, why } => {
                    task.admitted = admitted;
                    let patient = matches!(why, Wait::Jitter { .. });
                    // The next time is the same news only while nothing else was said.
                    if task.told.as_ref() != Some(&why) || task.standing.next != task.job.plan.next(now) {
                        if !(self.quiet && why == Wait::NotDue) {
                            log.say(now, &task.job.name, &text);
                        }
                        task.standing.said = Some(said);
                        task.told = Some(why);
                    }
                    task.standing.next = task.job.plan.next(now);
                    task.standing.seen = now;
                    task.keeper.keep(&task.standing)?;
                    return Ok(Look { again: until, patient });
                }
                Decision::Skip { due, count, why } => {
                    log.say(now, &task.job.name, &text);
                    *task.standing.skipped.entry(standing::word(&why).to_owned()).or_default() += count as u64;
                    task.standing.decided = due;
                    task.standing.said = Some(said);
                    task.admitted = None;
                    task.told = None;
                }
                Decision::Run { due, .. } => {
                    // Another process may have begun a run since we looked.
                    let Some(lock) = task.keeper.running()? else {
                        return Ok(Look { again: now + LOOK, patient: false });
                    };
                    log.say(now, &task.job.name, &text);
                    task.standing.decided = due;
                    task.standing.said = Some(said);
                    task.standing.current = Some(Current { due, since: now });
                    task.standing.next = task.job.plan.next(now);
                    task.admitted = None;
                    task.told = None;
                    // On the disk before anything begins: whatever happens then, it is not begun again.
                    task.standing.seen = now;
                    task.keeper.keep(&task.standing)?;
                    let (world, job) = (self.world.clone(), task.job.clone());
                    let end = tokio::spawn(async move {
                        let errand = world.run(&job);
                        let exit = world.carry_out(&errand, Some(lock)).await;
                        if job.schedule().finalize == Some(true) {
                            world.finalize_outdated(&job, world.clock.now()).await;
                        }
                        exit
                    });
                    *running = Some(Running { task: index, since: now, end });
                    return Ok(Look { again: now + LOOK, patient: true });
                }
            }
        }
    }

    /// What is under way as this playbook sees it. A run of an earlier scheduler that has ended meanwhile is noted.
    fn busy(&mut self, index: usize, running: Option<&Running>, now: Timestamp) -> Result<Option<Busy>, String> {
        if let Some(r) = running {
            let since = r.since;
            let name = self.name(r.task).to_owned();
            return Ok(Some(if r.task == index { Busy::Same { since } } else { Busy::Other { name, since } }));
        }
        // Survivors of an earlier scheduler count for all of ours, as a run of this one would.
        let mut busy = None;
        for (at, task) in self.tasks.iter_mut().enumerate() {
            if task.keeper.is_running()? {
                let since = task.standing.current.as_ref().map_or(now, |c| c.since);
                if at == index {
                    return Ok(Some(Busy::Same { since }));
                }
                busy = Some(Busy::Other { name: task.job.name.clone(), since });
            } else if task.standing.current.is_some() {
                task.standing.ended(now, None, Outcome::Unseen);
                let text = format!("the run that an earlier scheduler began {}", Outcome::Unseen.meaning());
                self.world.log.say(now, &task.job.name, &text);
            }
        }
        Ok(busy)
    }

    /// Our run is over.
    fn ended(&mut self, (index, since, end): (usize, Timestamp, Result<Option<i32>, String>)) -> Exit {
        let now = self.world.clock.now();
        let (exit, outcome, why) = match end {
            Ok(exit) => (exit, Outcome::of(exit), String::new()),
            Err(error) => (None, Outcome::Failed, format!(" ({error})")),
        };
        let code = exit.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        let took = length(now.duration_since(since));
        self.world.log.say(
            now,
            self.name(index),
            &format!("the run ended after {took} with {code}: {}{why}", outcome.meaning()),
        );
        if let Some(task) = self.tasks.get_mut(index) {
            task.standing.ended(now, exit, outcome);
            if let Err(message) = task.keeper.keep(&task.standing) {
                self.world.log.say(now, &task.job.name, &message);
            }
        }
        match outcome {
            Outcome::Done | Outcome::Unseen => Exit::Done,
            Outcome::BadInput => Exit::BadInput,
            Outcome::Refused => Exit::Refused,
            Outcome::RolledBack => Exit::RolledBack,
            Outcome::NeedsHuman | Outcome::Killed => Exit::NeedsHuman,
            Outcome::Failed => Exit::Internal,
        }
    }

    fn jumped(&mut self, now: Timestamp, jump: SignedDuration) {
        let text = if jump.is_positive() {
            format!("the clock went forward by {} (it was set, or this machine slept)", length(jump))
        } else {
            format!("the clock was set back by {}; what was decided is not decided again", length(jump.abs()))
        };
        self.world.log.say(now, "scheduler", &text);
        for task in &mut self.tasks {
            task.standing.clock_jumps += 1;
            task.told = None;
        }
    }

    /// For monitoring.
    fn publish(&self, file: Option<&Path>) -> Result<(), String> {
        let now = self.world.clock.now();
        let all: Vec<&Standing> = self.tasks.iter().map(|t| &t.standing).collect();
        let text = metrics::text(&all);
        let problems = all.iter().flat_map(|s| s.problems(now)).collect();
        let written = file.map(|path| (path, keeper::replace(path, text.as_bytes(), 0o644, false)));
        self.board.renew(text, problems);
        match written {
            Some((path, Err(error))) => Err(format!("--metrics-file {}: {error}", path.display())),
            _ => Ok(()),
        }
    }

    /// The last word.
    fn end(mut self, exit: Exit) -> Exit {
        let now = self.world.clock.now();
        for task in &mut self.tasks {
            task.standing.scheduler = None;
            task.standing.seen = now;
            if let Err(message) = task.keeper.keep(&task.standing) {
                self.world.log.say(now, &task.job.name, &message);
            }
        }
        if !self.once {
            self.world.log.say(now, "scheduler", "ended");
        }
        exit
    }
}

/// What came of a look at one playbook.
struct Look {
    again: Timestamp,
    /// Is something to come that `--once` waits for?
    patient: bool,
}

/// Waits for the run's end; for ever without one.
async fn end_of(running: &mut Option<Running>) -> (usize, Timestamp, Result<Option<i32>, String>) {
    let Some(r) = running.as_mut() else { return std::future::pending().await };
    let end = (&mut r.end).await.unwrap_or_else(|e| Err(format!("the scheduler lost it: {e}")));
    let (task, since) = (r.task, r.since);
    *running = None;
    (task, since, end)
}
