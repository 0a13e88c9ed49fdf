//! What is remembered of a schedule between two looks, and how it stands, for people and monitoring.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::schedule::decide::Busy;
use crate::schedule::decide::Decision;
use crate::schedule::decide::Skip;
use crate::schedule::decide::Wait;

/// The format that is written.
pub const FORMAT: u32 = 1;

/// A scheduler that has not looked for so long is not there.
pub const SILENCE: SignedDuration = SignedDuration::from_mins(3);

/// Without a scheduler, a time that passed so long ago was not looked at.
pub const OVERDUE: SignedDuration = SignedDuration::from_mins(15);

/// How a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The format.
    pub format: u32,
    /// The playbook's name in messages.
    pub name: String,
    /// Its file.
    pub playbook: String,
    /// Everything due up to here has been decided.
    pub decided: Timestamp,
    /// When a scheduler looked last.
    pub seen: Timestamp,
    /// The scheduler's process; `None` once it has ended in order.
    #[serde(default)]
    pub scheduler: Option<u32>,
    /// When the next run is due, without jitter.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// The last decision, with its reason.
    #[serde(default)]
    pub said: Option<Said>,
    /// The run that is under way.
    #[serde(default)]
    pub current: Option<Current>,
    /// The run that ended last.
    #[serde(default)]
    pub last: Option<Ended>,
    /// When one ended well last.
    #[serde(default)]
    pub last_success: Option<Timestamp>,
    /// Runs by outcome.
    #[serde(default)]
    pub runs: BTreeMap<String, u64>,
    /// Runs left out, by reason.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
    /// How often the clock jumped.
    #[serde(default)]
    pub clock_jumps: u64,
}

/// A decision as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// What, and why.
    pub text: String,
}

/// A run that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// Its time.
    pub due: Timestamp,
    /// When it began.
    pub since: Timestamp,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its time.
    pub due: Timestamp,
    /// When it began.
    pub since: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Its exit code; `None` when a signal ended it or nobody saw it.
    #[serde(default)]
    pub exit: Option<i32>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended, by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// 0.
    Done,
    /// 2.
    BadInput,
    /// 3: nothing was changed.
    Refused,
    /// 4: everything was put back.
    RolledBack,
    /// 5: a person has to look.
    NeedsHuman,
    /// 70, or any other code.
    Failed,
    /// A signal ended it: `recover` puts right what it left.
    Killed,
    /// It ended while no scheduler looked.
    Unseen,
}

impl Outcome {
    /// By the exit code of `jailferry`; `None` for an end by a signal.
    #[must_use]
    pub fn of(exit: Option<i32>) -> Outcome {
        match exit {
            Some(0) => Outcome::Done,
            Some(2) => Outcome::BadInput,
            Some(3) => Outcome::Refused,
            Some(4) => Outcome::RolledBack,
            Some(5) => Outcome::NeedsHuman,
            Some(_) => Outcome::Failed,
            None => Outcome::Killed,
        }
    }

    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::BadInput => "bad-input",
            Outcome::Refused => "refused",
            Outcome::RolledBack => "rolled-back",
            Outcome::NeedsHuman => "needs-human",
            Outcome::Failed => "failed",
            Outcome::Killed => "killed",
            Outcome::Unseen => "unseen",
        }
    }

    /// What it means, for a log line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::BadInput => "the playbook or the fleet is not valid: `jailferry check` says why",
            Outcome::Refused => "refused, nothing was changed; the log says why",
            Outcome::RolledBack => "failed, and everything was put back",
            Outcome::NeedsHuman => "a person has to look; the log says what is so",
            Outcome::Failed => "jailferry itself or this machine failed",
            Outcome::Killed => "ended by a signal: `jailferry recover` puts right what it left",
            Outcome::Unseen => "ended while no scheduler looked: `jailferry runs` says how",
        }
    }

    /// Does it need somebody?
    #[must_use]
    pub fn is_a_problem(self) -> bool {
        match self {
            Outcome::Done | Outcome::Refused | Outcome::RolledBack | Outcome::Unseen => false,
            Outcome::BadInput | Outcome::NeedsHuman | Outcome::Failed | Outcome::Killed => true,
        }
    }
}

impl Standing {
    /// A schedule that nobody has looked at before: what was due earlier is no business of it.
    #[must_use]
    pub fn new(name: &str, playbook: &str, now: Timestamp) -> Standing {
        Standing {
            format: FORMAT,
            name: name.to_owned(),
            playbook: playbook.to_owned(),
            decided: now,
            seen: now,
            scheduler: None,
            next: None,
            said: None,
            current: None,
            last: None,
            last_success: None,
            runs: BTreeMap::new(),
            skipped: BTreeMap::new(),
            clock_jumps: 0,
        }
    }

    /// A run ended.
    pub fn ended(&mut self, now: Timestamp, exit: Option<i32>, outcome: Outcome) {
        let Some(current) = self.current.take() else { return };
        if outcome == Outcome::Done {
            self.last_success = Some(now);
        }
        *self.runs.entry(outcome.word().to_owned()).or_default() += 1;
        self.last = Some(Ended { due: current.due, since: current.since, ended: now, exit, outcome });
    }

    /// What is wrong with it, one sentence each; nothing when all is well.
    #[must_use]
    pub fn problems(&self, now: Timestamp) -> Vec<String> {
        let mut problems = Vec::new();
        let silent = now.duration_since(self.seen);
        match (self.scheduler, self.next) {
            // It did not end in order.
            (Some(pid), _) if silent > SILENCE => {
                problems.push(format!(
                    "{}: its scheduler, process {pid}, has not looked for {}",
                    self.name,
                    length(silent)
                ));
            }
            (None, Some(next)) if now.duration_since(next) > OVERDUE => {
                problems.push(format!(
                    "{}: the time {} has passed, and no scheduler has looked",
                    self.name,
                    short(next)
                ));
            }
            _ => {}
        }
        if let Some(last) = self.last.as_ref().filter(|l| l.outcome.is_a_problem()) {
            problems.push(format!("{}: the run of {} {}", self.name, short(last.due), last.outcome.meaning()));
        }
        problems
    }

    /// How it stands, for people.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let mut lines = vec![format!("{} ({})", self.name, self.playbook)];
        let mut line = |label: &str, text: String| lines.push(format!("  {label:<11} {text}"));
        let silent = now.duration_since(self.seen);
        line(
            "scheduler",
            match self.scheduler {
                Some(pid) if silent <= SILENCE => format!("process {pid}"),
                Some(pid) => format!("process {pid}, which has not looked for {}", length(silent)),
                None => format!("none; the last one looked {} ago", length(silent)),
            },
        );
        line("next", self.next.map_or_else(|| "no time that it means will come".into(), short));
        if let Some(current) = &self.current {
            line("under way", format!("the run of {}, since {}", short(current.due), short(current.since)));
        }
        if let Some(last) = &self.last {
            let took = length(last.ended.duration_since(last.since));
            line("last run", format!("that of {}, {took}: {}", short(last.due), last.outcome.meaning()));
        }
        if let Some(at) = self.last_success {
            line("last done", short(at));
        }
        if let Some(said) = &self.said {
            line("last word", format!("{}: {}", short(said.at), said.text));
        }
        let counted = |counts: &BTreeMap<String, u64>| {
            counts.iter().map(|(word, n)| format!("{word} {n}")).collect::<Vec<_>>().join(", ")
        };
        for (label, counts) in [("runs", &self.runs), ("left out", &self.skipped)] {
            if !counts.is_empty() {
                line(label, counted(counts));
            }
        }
        lines.join("\n")
    }
}

/// Why a run is left out, in a word, for counting.
#[must_use]
pub fn word(skip: &Skip) -> &'static str {
    match skip {
        Skip::Window => "window",
        Skip::Running(_) => "running",
        Skip::Missed(_) => "missed",
        Skip::TooLate(_) => "too-late",
    }
}

/// A decision as a sentence.
#[must_use]
pub fn sentence(decision: &Decision) -> String {
    match decision {
        Decision::Run { due, missed, late } => {
            let mut text = format!("run, due {}", short(*due));
            if let Some(late) = late {
                text.push_str(&format!(", {} late: catching up", length(*late)));
            }
            if *missed > 0 {
                text.push_str(&format!("; stands for {missed} earlier ones as well"));
            }
            text
        }
        Decision::Skip { due, count, why } => {
            let what = match count {
                0 | 1 => format!("left out, due {}", short(*due)),
                more => format!("left out, {more} runs, the last due {}", short(*due)),
            };
            let why = match why {
                Skip::Window => "outside its windows".into(),
                Skip::Running(since) => format!("the run before is under way since {}", short(*since)),
                Skip::Missed(late) => {
                    format!("nobody was there at its time, {} ago, and catch_up is none", length(*late))
                }
                Skip::TooLate(late) => {
                    format!("missed {} ago, longer than catch_up_within", length(*late))
                }
            };
            format!("{what}: {why}")
        }
        Decision::Wait { until, why, .. } => match why {
            Wait::NotDue => format!("nothing is due before {}", short(*until)),
            Wait::Jitter { due } => format!("due {}, begins {} (jitter)", short(*due), short(*until)),
            Wait::Window { due } => format!("missed {}, waits for its window at {}", short(*due), short(*until)),
            Wait::Turn { due, busy } => {
                let (what, since) = match busy {
                    Busy::Same { since } => ("the run before".to_owned(), since),
                    Busy::Other { name, since } => (format!("the run of {name}"), since),
                };
                format!("due {}, waits for {what}, under way since {}", short(*due), short(*since))
            }
            Wait::ClockBack { decided } => format!(
                "the clock was set back: everything before {} is decided; nothing is due before {}",
                short(*decided),
                short(*until)
            ),
            Wait::Never => "no time that it means will come".into(),
        },
    }
}

/// An instant, to the second.
#[must_use]
pub fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A length of time: `40 s`, `3 min`, `2 h 05 min`, `4 days 02 h`.
#[must_use]
pub fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days {:02} h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_person_reads() {
        let now = at("2026-11-27T02:40:00Z");
        let mut standing = Standing::new("nightly", "/etc/jailferry/nightly.yml", at("2026-11-26T00:00:00Z"));
        standing.current = Some(Current { due: at("2026-11-27T02:30:00Z"), since: at("2026-11-27T02:30:04Z") });
        standing.ended(at("2026-11-27T02:33:00Z"), Some(5), Outcome::of(Some(5)));
        standing.seen = now;
        standing.scheduler = Some(4711);
        standing.next = Some(at("2026-11-28T02:30:00Z"));
        standing.skipped.insert("window".into(), 2);
        standing.said = Some(Said { at: now, text: "nothing is due before 2026-11-28 02:30:00Z".into() });
        insta::assert_snapshot!(standing.text(now), @"
        nightly (/etc/jailferry/nightly.yml)
          scheduler   process 4711
          next        2026-11-28 02:30:00Z
          last run    that of 2026-11-27 02:30:00Z, 2 min: a person has to look; the log says what is so
          last word   2026-11-27 02:40:00Z: nothing is due before 2026-11-28 02:30:00Z
          runs        needs-human 1
          left out    window 2
        ");
        assert_eq!(standing.problems(now).len(), 1);
        let later = now + SignedDuration::from_hours(1);
        assert_eq!(standing.problems(later).len(), 2, "and nobody looks");
        standing.current = Some(Current { due: later, since: later });
        standing.ended(later, Some(0), Outcome::Done);
        standing.seen = later;
        assert_eq!((standing.problems(later), standing.last_success), (vec![], Some(later)));
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
    }

    #[test]
    fn lengths() {
        let shown: Vec<String> =
            [-5, 40, 200, 7500, 353_000].into_iter().map(|s| length(SignedDuration::from_secs(s))).collect();
        assert_eq!(shown, ["0 s", "40 s", "3 min", "2 h 05 min", "4 days 02 h"]);
    }
}
