//! What to do now: run, leave out, or wait; always with the reason.
//!
//! The memory of a schedule is one instant, up to which everything is decided. It only moves forward, so that no run is
//! ever begun twice, whatever the clock does; the caller keeps it on disk before it starts anything.

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::Digest;
use sha2::Sha256;

use crate::schedule::calendar::occurrences;
use crate::schedule::rules::CatchUp;
use crate::schedule::rules::Schedule;
use crate::schedule::window;

/// A run that begins within this of its time is on time; later it was missed. Longer than the time between two looks.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A memory that is further ahead than this is that of a clock which was wrong.
pub const TRUSTED: SignedDuration = SignedDuration::from_hours(24);

/// Missed runs are counted up to here.
const MOST_COUNTED: usize = 100_000;

/// A schedule, in its time zone, on this machine.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The playbook's words.
    pub schedule: Schedule,
    /// The zone it names, or the machine's.
    pub zone: TimeZone,
    /// What makes the jitter of this playbook on this machine differ from that of others.
    pub salt: String,
}

/// What is known when a decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Everything due up to here has been decided.
    pub decided: Timestamp,
    /// A run that was seen on time and waits for its turn.
    pub admitted: Option<Timestamp>,
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// A run of the same playbook.
    Same {
        /// Since when.
        since: Timestamp,
    },
    /// A run of another playbook.
    Other {
        /// Its name.
        name: String,
        /// Since when.
        since: Timestamp,
    },
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Begin a run.
    Run {
        /// Its time.
        due: Timestamp,
        /// Earlier ones that it stands for.
        missed: usize,
        /// How long after its time (and jitter) this is, when it makes up for a missed one.
        late: Option<SignedDuration>,
    },
    /// Leave it out.
    Skip {
        /// Its time.
        due: Timestamp,
        /// Runs that are left out, this one included.
        count: usize,
        /// Why.
        why: Skip,
    },
    /// Nothing to do before that instant.
    Wait {
        /// When to look again.
        until: Timestamp,
        /// A run that is admitted meanwhile.
        admitted: Option<Timestamp>,
        /// Why.
        why: Wait,
    },
}

/// Why a run is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Outside its windows.
    Window,
    /// The one before is under way since then.
    Running(Timestamp),
    /// Nobody was there at its time, so long ago.
    Missed(SignedDuration),
    /// The same, and longer ago than may be made up for.
    TooLate(SignedDuration),
}

/// Why nothing happens now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Nothing is due before.
    NotDue,
    /// Its jitter is not over.
    Jitter {
        /// Its time.
        due: Timestamp,
    },
    /// A missed run waits for a window.
    Window {
        /// Its time.
        due: Timestamp,
    },
    /// A run waits for another to end.
    Turn {
        /// Its time.
        due: Timestamp,
        /// What it waits for.
        busy: Busy,
    },
    /// The clock was set back: what comes before that instant has been decided.
    ClockBack {
        /// That instant.
        decided: Timestamp,
    },
    /// No time that it means will come.
    Never,
}

impl Plan {
    /// How much later than its time a run begins: the same whenever it is asked, another for every run and machine.
    #[must_use]
    pub fn jitter(&self, due: Timestamp) -> SignedDuration {
        let Some(most) = self.schedule.jitter.and_then(|j| u64::try_from(j.as_secs()).ok()).filter(|s| *s > 0) else {
            return SignedDuration::ZERO;
        };
        let digest = Sha256::digest(format!("{}\n{}", self.salt, due.as_second()).as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        SignedDuration::from_secs(i64::try_from(number % most.saturating_add(1)).unwrap_or(0))
    }

    /// The next time after `at`, without jitter.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        occurrences(&self.schedule.cron, &self.zone, at).next()
    }
}

/// A memory that can be trusted: one far ahead of the clock comes from a clock that was wrong, and would keep everything
/// from running until then. `None` when it is all right.
#[must_use]
pub fn mended(memory: &Memory, now: Timestamp) -> Option<Memory> {
    (memory.decided.duration_since(now) > TRUSTED).then_some(Memory { decided: now, admitted: None })
}

/// Decides. After a [`Decision::Run`] or [`Decision::Skip`] the memory is `decided: due` (what came before is decided,
/// too); the caller asks again until it is told to wait.
#[must_use]
pub fn decide(plan: &Plan, memory: &Memory, now: Timestamp, busy: Option<&Busy>) -> Decision {
    let schedule = &plan.schedule;
    let mut due = None;
    let mut count = 0_usize;
    let mut next = None;
    for at in occurrences(&schedule.cron, &plan.zone, memory.decided) {
        if at > now {
            next = Some(at);
            break;
        }
        due = Some(at);
        count += 1;
        if count >= MOST_COUNTED {
            // Years of minutes: what is left is decided by the next question.
            return Decision::Skip { due: at, count, why: Skip::Missed(now.duration_since(at)) };
        }
    }
    let Some(due) = due else {
        let Some(next) = next else { return wait(far(now), Wait::Never) };
        let why = if memory.decided > now { Wait::ClockBack { decided: memory.decided } } else { Wait::NotDue };
        return wait(next.checked_add(plan.jitter(next)).unwrap_or(next), why);
    };
    let begins = due.checked_add(plan.jitter(due)).unwrap_or(due);
    let late = now.duration_since(begins);
    if late.is_negative() {
        return wait(begins, Wait::Jitter { due });
    }
    let on_time = late <= TOLERANCE || memory.admitted == Some(due);
    if !on_time {
        match schedule.catch_up {
            CatchUp::None => return Decision::Skip { due, count, why: Skip::Missed(late) },
            CatchUp::Once if schedule.catch_up_within.is_some_and(|within| late > within) => {
                return Decision::Skip { due, count, why: Skip::TooLate(late) };
            }
            CatchUp::Once => {}
        }
    }
    if let Some(Busy::Same { since }) = busy
        && schedule.skips_if_running()
    {
        return Decision::Skip { due, count, why: Skip::Running(*since) };
    }
    if !window::any_open(&schedule.windows, &plan.zone, now) {
        return match window::next_opening(&schedule.windows, &plan.zone, now) {
            Some(opens) if !on_time => wait(opens, Wait::Window { due }),
            _ => Decision::Skip { due, count, why: Skip::Window },
        };
    }
    if let Some(busy) = busy {
        let until = next.unwrap_or(far(now));
        let admitted = on_time.then_some(due);
        return Decision::Wait { until, admitted, why: Wait::Turn { due, busy: busy.clone() } };
    }
    Decision::Run { due, missed: count - 1, late: (!on_time).then_some(late) }
}

fn wait(until: Timestamp, why: Wait) -> Decision {
    Decision::Wait { until, admitted: None, why }
}

/// Long enough that somebody will have looked again before.
fn far(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24)).unwrap_or(now)
}
