//! What a journal says, as values: one JSON object a line, the first of them the header.
//!
//! Format 1: a line is `{"at": time, "what": {kind: fields}}`, the first one begins with `"format": 1`. A reader refuses
//! a newer format; fields may be added within a format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::forecast::Terms;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::interrupt::RECOVERED;
use crate::saga::state::IllegalEvent;
use crate::saga::state::StepEvent;
use crate::saga::state::StepState;

/// The format that is written.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The format, on the first line only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<u32>,
    /// When it was written, by the operator's clock. Nothing is decided by it.
    pub at: Timestamp,
    /// What it says.
    pub what: Record,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The first line: what this run is.
    Header(Header),
    /// A step came to a new state.
    Step(StepRecord),
    /// A command ran.
    Command(CommandRecord),
    /// The run goes on with another plan, the same up to here: the facts were read again before the cut-over.
    Plan(serde_json::Value),
    /// Something worth knowing, a measurement or a decision.
    Note(NoteRecord),
    /// The run is over.
    Finished(FinishedRecord),
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Its id.
    pub run: RunId,
    /// The jail that moves.
    pub jail: JailName,
    /// The source.
    pub from: NodeName,
    /// The target.
    pub to: NodeName,
    /// The plan, whole.
    pub plan: serde_json::Value,
    /// What it needs to go on when it was interrupted while it copied ([`Begun`](crate::plan::refresh::Begun)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<serde_json::Value>,
}

/// A step came to a new state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its place in the plan, from 1.
    pub number: usize,
    /// What happened.
    pub phase: StepEvent,
    /// What went wrong, or why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A command ran, as it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// The host.
    pub host: NodeName,
    /// The string that ssh handed to the login shell.
    pub line: String,
    /// The script on standard input, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Exit status, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// How long it took.
    pub milliseconds: u64,
    /// The end of standard output, sanitised.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// The end of standard error, sanitised.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// What went wrong besides the exit status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteRecord {
    /// The text.
    pub text: String,
    /// What was decided, for programs: the outcome of the rebalance that the run belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<serde_json::Value>,
}

/// The run is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedRecord {
    /// How it ended: `moved`, `rolled-back`, `needs-human`.
    pub outcome: String,
    /// Milliseconds in which nobody answered, when measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blackout_milliseconds: Option<u64>,
    /// What was measured on the way; for the forecasts of later runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// What a run that moved its jail has measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Datasets that moved.
    pub datasets: u64,
    /// Milliseconds of each part of the blackout, by the operator's clock.
    pub terms: Terms,
    /// Bytes and milliseconds of each round of copying, the first copy first.
    pub rounds: Vec<(u64, u64)>,
    /// Bytes a second that these went at most, when that was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
}

/// A journal that has been read: the run as far as it got.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// What the run is.
    pub header: Header,
    /// When it began.
    pub started: Timestamp,
    /// All lines, the header first.
    pub entries: Vec<Entry>,
    /// The state of every step that the journal mentions.
    pub steps: BTreeMap<usize, StepState>,
    /// How it ended; `None` while it runs, or when it was interrupted. A resumed run ends more than once, the last
    /// ending counts, and a step after an ending makes the run unfinished again.
    pub finished: Option<FinishedRecord>,
    /// Was there an unterminated last line, which was ignored?
    pub torn: bool,
    /// Bytes of the terminated lines.
    pub length: u64,
}

impl RunRecord {
    /// Where a step is.
    #[must_use]
    pub fn state(&self, number: usize) -> StepState {
        self.steps.get(&number).copied().unwrap_or_default()
    }

    /// When it ended.
    #[must_use]
    pub fn ended(&self) -> Option<Timestamp> {
        self.finished.as_ref()?;
        self.entries.iter().rev().find(|e| matches!(e.what, Record::Finished(_))).map(|e| e.at)
    }

    /// Does it say so in a note?
    #[must_use]
    pub fn notes(&self, text: &str) -> bool {
        self.entries.iter().any(|e| matches!(&e.what, Record::Note(note) if note.text == text))
    }

    /// Did the move fail of itself? Not when a person turned it round, nor when only the machine that drove it was lost:
    /// that says nothing about the jail and its target.
    #[must_use]
    pub fn failed(&self) -> bool {
        let step_failed =
            || self.entries.iter().any(|e| matches!(&e.what, Record::Step(step) if step.phase == StepEvent::Failed));
        match &self.finished {
            Some(finished) if finished.outcome == "moved" => false,
            _ if self.notes(INTERRUPTED) => false,
            Some(_) => step_failed() || !self.notes(RECOVERED),
            None => step_failed(),
        }
    }
}

/// Why a journal cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJournal {
    /// Not even the header was written: nothing had been changed yet.
    #[error("it has no header: the run was interrupted before it changed anything")]
    NoHeader,
    /// A newer jailferry wrote it.
    #[error("it has format {0}, and this jailferry reads up to {FORMAT}: use the jailferry that wrote it")]
    Newer(u32),
    /// A line that is not a record.
    #[error("line {line} is not a record: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line that cannot follow those before it.
    #[error("line {line}: step {step}: {error}")]
    Step {
        /// Its number, from 1.
        line: usize,
        /// The step's number.
        step: usize,
        /// Why not.
        error: IllegalEvent,
    },
}

/// Reads a journal's bytes. The last line counts only with its line end: without it, the writer was interrupted before
/// anything that depends on the line happened.
///
/// # Errors
/// [`BadJournal`] when it is damaged or newer.
pub fn read(bytes: &[u8]) -> Result<RunRecord, BadJournal> {
    let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let whole = bytes.get(..end).unwrap_or_default();
    let mut run: Option<RunRecord> = None;
    for (index, text) in whole.split_inclusive(|b| *b == b'\n').enumerate() {
        let line = index + 1;
        match &mut run {
            None => run = Some(first(text, bytes.len() != end, end)?),
            Some(run) => {
                let entry: Entry =
                    serde_json::from_slice(text).map_err(|e| BadJournal::Line { line, reason: e.to_string() })?;
                follow(run, line, entry)?;
            }
        }
    }
    run.ok_or(BadJournal::NoHeader)
}

/// The first line.
fn first(text: &[u8], torn: bool, end: usize) -> Result<RunRecord, BadJournal> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let bad = |reason: String| BadJournal::Line { line: 1, reason };
    // The version alone first: the rest of a newer header may look different.
    let version: Version = serde_json::from_slice(text).map_err(|e| bad(e.to_string()))?;
    if version.format > FORMAT {
        return Err(BadJournal::Newer(version.format));
    }
    let entry: Entry = serde_json::from_slice(text).map_err(|e| bad(e.to_string()))?;
    let Record::Header(header) = entry.what.clone() else { return Err(bad("not a header".to_owned())) };
    let (started, length) = (entry.at, end as u64);
    let (steps, finished) = (BTreeMap::new(), None);
    Ok(RunRecord { header, started, entries: vec![entry], steps, finished, torn, length })
}

/// Any later line.
fn follow(run: &mut RunRecord, line: usize, entry: Entry) -> Result<(), BadJournal> {
    match &entry.what {
        Record::Header(_) => return Err(BadJournal::Line { line, reason: "a second header".to_owned() }),
        Record::Step(step) => {
            let state = run.steps.entry(step.number).or_default();
            *state = state.after(step.phase).map_err(|error| BadJournal::Step { line, step: step.number, error })?;
            run.finished = None;
        }
        Record::Finished(finished) => run.finished = Some(finished.clone()),
        Record::Plan(plan) => run.header.plan = plan.clone(),
        Record::Command(_) | Record::Note(_) => {}
    }
    run.entries.push(entry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn journal() -> String {
        let header = r#"{"format":1,"at":"2026-11-22T20:00:00Z","what":{"header":{"run":"web-0123abcd","jail":"web","from":"spare","to":"big","plan":{"steps":[]}}}}"#;
        let step = |number: usize, phase: &str| {
            format!(r#"{{"at":"2026-11-22T20:00:01Z","what":{{"step":{{"number":{number},"phase":"{phase}"}}}}}}"#)
        };
        let command = r#"{"at":"2026-11-22T20:00:01Z","what":{"command":{"host":"big","line":"exec true","status":0,"milliseconds":12}}}"#;
        let finished = r#"{"at":"2026-11-22T20:00:09Z","what":{"finished":{"outcome":"moved"}}}"#;
        [header, &step(1, "intended"), command, &step(1, "done"), &step(2, "intended"), &step(2, "done"), finished, ""]
            .join("\n")
    }

    #[test]
    fn a_move_that_was_interrupted_has_not_failed() {
        let line = |what: &str| format!(r#"{{"at":"2026-11-22T20:00:10Z","what":{what}}}"#) + "\n";
        let header = journal().lines().next().unwrap().to_owned() + "\n";
        let note = |text: &str| line(&format!(r#"{{"note":{{"text":"{text}"}}}}"#));
        let step = |phase: &str| line(&format!(r#"{{"step":{{"number":1,"phase":"{phase}"}}}}"#));
        let end = |outcome: &str| line(&format!(r#"{{"finished":{{"outcome":"{outcome}"}}}}"#));
        let failed = |rest: &[String]| read((header.clone() + &rest.concat()).as_bytes()).unwrap().failed();
        let (began, back) = (step("intended"), end("rolled-back"));
        assert!(failed(&[began.clone(), step("failed"), back.clone()]));
        // A hook said no: no step failed, and nobody asked.
        assert!(failed(&[began.clone(), step("done"), back.clone()]));
        assert!(failed(&[began.clone(), step("failed"), note(RECOVERED), end("needs-human")]));
        assert!(failed(&[began.clone(), step("failed")]));
        assert!(!failed(&[began.clone(), step("done"), end("moved")]));
        assert!(!failed(&[began.clone(), step("failed"), note(INTERRUPTED), back.clone()]));
        assert!(!failed(&[began.clone(), note(RECOVERED), back]));
        assert!(!failed(&[began]));
    }

    #[test]
    fn a_whole_journal_reads_back() {
        let run = read(journal().as_bytes()).unwrap();
        assert_eq!((run.header.jail.as_str(), run.entries.len(), run.torn), ("web", 7, false));
        assert_eq!(
            (run.state(1), run.state(2), run.state(3)),
            (StepState::Done, StepState::Done, StepState::NeverStarted)
        );
        assert_eq!(run.finished.as_ref().map(|f| f.outcome.as_str()), Some("moved"));
        assert_eq!(run.ended().unwrap().to_string(), "2026-11-22T20:00:09Z");
        let lines: Vec<String> = run.entries.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        assert_eq!(lines.join("\n") + "\n", journal());
    }

    #[test]
    fn cut_at_every_byte_it_is_a_shorter_run_and_never_another() {
        let (text, whole) = (journal(), read(journal().as_bytes()).unwrap());
        for cut in 0..text.len() {
            match read(&text.as_bytes()[..cut]) {
                Ok(run) => {
                    assert_eq!(run.entries, whole.entries[..run.entries.len()], "cut at {cut}");
                    assert_eq!(run.torn, !text[..cut].ends_with('\n'), "cut at {cut}");
                    assert_eq!(run.length, text[..cut].rfind('\n').unwrap() as u64 + 1);
                }
                Err(error) => assert_eq!((error, text[..cut].contains('\n')), (BadJournal::NoHeader, false)),
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_line() {
        let newer = journal().replace("\"format\":1", "\"format\":2").replace("header", "prologue");
        assert_eq!(read(newer.as_bytes()), Err(BadJournal::Newer(2)));
        let swapped = journal().replacen("\"intended\"", "\"undone\"", 1);
        let error = read(swapped.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "line 2: step 1: a step that is never started cannot become undone");
        let garbage = journal().replacen("exec true", "exec \u{0}true", 1);
        assert!(matches!(read(garbage.as_bytes()), Err(BadJournal::Line { line: 3, .. })));
        let twice = journal() + &journal();
        assert!(matches!(read(twice.as_bytes()), Err(BadJournal::Line { line: 8, .. })));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..900usize, len in 0..80usize) {
            let _ = read(&bytes);
            // And a journal with a hole or another text in the middle.
            let mut damaged = journal().into_bytes();
            let at = at.min(damaged.len());
            let to = (at + len).min(damaged.len());
            damaged.splice(at..to, bytes.iter().copied().take(20));
            let _ = read(&damaged);
        }
    }
}
