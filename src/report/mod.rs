//! What a run did, from its journal: as a value for machines ([`Report`]), and as one page for people ([`page`]). Pure.
//!
//! - [`timeline`]: which step ran when on which host, the blackout, and which command belongs to which step;
//! - [`page`]: the page, with its style inside and no script, so that nothing on it needs the network.

pub mod page;
pub mod timeline;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::Finding;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::forecast::Term;
use crate::rebalance::Usage;
use crate::report::timeline::Span;
use crate::saga::Record;
use crate::saga::RunRecord;
use crate::saga::StepState;

/// The format that is written.
pub const FORMAT: u32 = 1;

/// A run, looked back at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The format of this value.
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// Its jail.
    pub jail: JailName,
    /// The source.
    pub source: NodeName,
    /// The target.
    pub target: NodeName,
    /// The hub, when the journal holds its plan.
    pub hub: Option<NodeName>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// `moved`, `rolled-back`, `needs-human`, `refused`; `running` or `interrupted` without an end.
    pub outcome: String,
    /// The exit code that goes with the outcome.
    pub exit: Option<u8>,
    /// What is and what will be, as the plan said.
    pub summary: Vec<String>,
    /// What the preflight found.
    pub findings: Vec<Finding>,
    /// Bytes to send before the cut-over, as the plan said.
    pub planned_bytes: Option<u64>,
    /// The blackout that the plan predicted, in milliseconds.
    pub predicted_blackout_milliseconds: Option<u64>,
    /// The blackout that was measured, in milliseconds.
    pub blackout_milliseconds: Option<u64>,
    /// Its parts by our own clock, predicted against measured.
    pub terms: Vec<TermView>,
    /// From the stop of the jail to its first proven answer, by the clock of the machine that ran jailferry: milliseconds
    /// since the beginning.
    pub cut_over: Option<Span>,
    /// Milliseconds from the beginning to the last line.
    pub length: u64,
    /// The hosts, the source first, with what ran on them.
    pub lanes: Vec<Lane>,
    /// Addresses, routes, AllowedIPs and rules: before and after.
    pub network: Vec<Changed>,
    /// How full the nodes were before and after the rebalance that the run belongs to.
    pub levels: Option<Levels>,
    /// Everything else that is different.
    pub other_changes: Vec<Changed>,
    /// Every step.
    pub steps: Vec<StepView>,
    /// Commands that belong to no step: questions, signs of life, what was asked after the run.
    pub other_commands: Vec<CommandView>,
    /// What was noted.
    pub notes: Vec<NoteView>,
    /// Was the journal cut off in the middle of a line?
    pub torn: bool,
}

/// A part of the blackout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TermView {
    /// Which one.
    pub term: Term,
    /// Milliseconds that the plan predicted.
    pub predicted: u64,
    /// Milliseconds that it took.
    pub measured: Option<u64>,
}

/// Nodes before and after a rebalance, as it was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Before.
    pub before: Vec<Usage>,
    /// After all of its moves.
    pub after: Vec<Usage>,
}

/// What ran on a host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lane {
    /// The host.
    pub host: NodeName,
    /// Steps and their undoing.
    pub bars: Vec<Bar>,
}

/// A step while it ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// The step's number.
    pub number: usize,
    /// When, in milliseconds since the beginning.
    pub span: Span,
    /// Was it undone here?
    pub undo: bool,
    /// Did it fail, or never end?
    pub failed: bool,
}

/// Something before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// The step.
    pub number: usize,
    /// The host.
    pub host: NodeName,
    /// What it is.
    pub what: String,
    /// Before.
    pub before: String,
    /// After, if the step was done and not undone.
    pub after: String,
    /// Where the step is.
    pub state: StepState,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepView {
    /// Its number.
    pub number: usize,
    /// Its phase.
    pub phase: Phase,
    /// The host.
    pub host: NodeName,
    /// What it does.
    pub title: String,
    /// Where it is.
    pub state: StepState,
    /// Why it failed or was left out.
    pub reason: Option<String>,
    /// How long it took, in milliseconds, when it was done.
    pub milliseconds: Option<u64>,
    /// What ran for it, its undoing included.
    pub commands: Vec<CommandView>,
}

/// A command that ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommandView {
    /// When it had ended, in milliseconds since the beginning.
    pub at: u64,
    /// The host.
    pub host: NodeName,
    /// The command line.
    pub line: String,
    /// The script on its standard input.
    pub script: Option<String>,
    /// Exit status.
    pub status: Option<i32>,
    /// How long it took.
    pub milliseconds: u64,
    /// The end of standard output.
    pub stdout: String,
    /// The end of standard error.
    pub stderr: String,
    /// What went wrong besides.
    pub problem: Option<String>,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoteView {
    /// When, in milliseconds since the beginning.
    pub at: u64,
    /// Its text.
    pub text: String,
}

impl Report {
    /// Looks back at a run. `active`: does a process work on it right now?
    #[must_use]
    pub fn of(record: &RunRecord, active: bool) -> Report {
        let header = &record.header;
        // A journal of an older or newer jailferry may hold another plan: what happened is told without it.
        let plan: Option<Plan> = serde_json::from_value(header.plan.clone()).ok();
        let outcome = match (&record.finished, active) {
            (Some(finished), _) => finished.outcome.clone(),
            (None, true) => "running".into(),
            (None, false) => "interrupted".into(),
        };
        let told = timeline::tell(record, plan.as_ref());
        let steps = steps(record, plan.as_ref(), &told);
        let (network, other_changes) =
            changes(record, plan.as_ref()).into_iter().partition(|(is_network, _)| *is_network);
        let without_mark = |list: Vec<(bool, Changed)>| list.into_iter().map(|(_, changed)| changed).collect();
        Report {
            format: FORMAT,
            run: header.run.clone(),
            jail: header.jail.clone(),
            source: header.from.clone(),
            target: header.to.clone(),
            hub: plan.as_ref().map(|p| p.hub.clone()),
            started: record.started,
            ended: record.ended(),
            exit: exit(&outcome),
            outcome,
            summary: plan.as_ref().map(|p| p.summary.clone()).unwrap_or_default(),
            findings: plan.as_ref().map(|p| p.findings.clone()).unwrap_or_default(),
            planned_bytes: plan.as_ref().map(|p| p.bytes),
            predicted_blackout_milliseconds: plan.as_ref().map(|p| p.predicted_blackout),
            blackout_milliseconds: record.finished.as_ref().and_then(|f| f.blackout_milliseconds),
            terms: terms(record, plan.as_ref()),
            cut_over: told.cut_over,
            length: told.length,
            lanes: lanes(header.from.clone(), header.to.clone(), plan.as_ref(), told.bars),
            network: without_mark(network),
            levels: levels(record),
            other_changes: without_mark(other_changes),
            steps,
            other_commands: told.other_commands,
            notes: notes(record),
            torn: record.torn,
        }
    }
}

/// The exit code of `migrate` for an outcome.
fn exit(outcome: &str) -> Option<u8> {
    match outcome {
        "moved" => Some(0),
        "refused" => Some(3),
        "rolled-back" => Some(4),
        "needs-human" => Some(5),
        _ => None,
    }
}

/// The parts of the blackout that were predicted or measured. A plan of an older jailferry predicted none.
fn terms(record: &RunRecord, plan: Option<&Plan>) -> Vec<TermView> {
    let predicted = plan.map(|p| &p.forecast.terms);
    let measured = record.finished.as_ref().and_then(|f| f.measured.as_ref()).map(|m| &m.terms);
    let known = predicted.into_iter().chain(measured).flat_map(|terms| terms.0.keys().copied());
    let view = |term: Term| TermView {
        term,
        predicted: predicted.map_or(0, |terms| terms.get(term)),
        measured: measured.map(|terms| terms.get(term)),
    };
    known.collect::<BTreeSet<_>>().into_iter().map(view).collect()
}

fn levels(record: &RunRecord) -> Option<Levels> {
    record.entries.iter().find_map(|entry| match &entry.what {
        Record::Note(note) => serde_json::from_value(note.decision.clone()?).ok(),
        _ => None,
    })
}

fn notes(record: &RunRecord) -> Vec<NoteView> {
    let mut notes = Vec::new();
    for entry in &record.entries {
        if let Record::Note(note) = &entry.what {
            notes.push(NoteView { at: timeline::since(record, entry.at), text: note.text.clone() });
        }
    }
    notes
}

/// The source first, the target behind it, then the hub and the others by name.
fn lanes(source: NodeName, target: NodeName, plan: Option<&Plan>, bars: BTreeMap<NodeName, Vec<Bar>>) -> Vec<Lane> {
    let mut order = vec![source, target];
    order.extend(plan.map(|p| p.hub.clone()));
    order.extend(bars.keys().cloned());
    let mut lanes: Vec<Lane> = Vec::new();
    for host in order {
        if !lanes.iter().any(|l| l.host == host) {
            let bars = bars.get(&host).cloned().unwrap_or_default();
            lanes.push(Lane { host, bars });
        }
    }
    lanes
}

fn steps(record: &RunRecord, plan: Option<&Plan>, told: &timeline::Told) -> Vec<StepView> {
    let mut steps = Vec::new();
    for (index, step) in plan.iter().flat_map(|p| p.steps.iter()).enumerate() {
        let number = index + 1;
        steps.push(StepView {
            number,
            phase: step.phase,
            host: step.host().clone(),
            title: step.title.clone(),
            state: record.state(number),
            reason: told.reasons.get(&number).cloned(),
            milliseconds: told.lengths.get(&number).copied(),
            commands: told.commands.get(&number).cloned().unwrap_or_default(),
        });
    }
    steps
}

/// Every change that a step announced, with whether it is one of the network.
fn changes(record: &RunRecord, plan: Option<&Plan>) -> Vec<(bool, Changed)> {
    let mut changes = Vec::new();
    for (index, step) in plan.iter().flat_map(|p| p.steps.iter()).enumerate() {
        let state = record.state(index + 1);
        for change in &step.changes {
            let after = match state {
                StepState::Done => change.after.clone(),
                StepState::NeverStarted | StepState::Skipped | StepState::Undone => change.before.clone(),
                StepState::Intended | StepState::Failed | StepState::Undoing | StepState::Stuck => {
                    format!("{} or {}", or_nothing(&change.before), or_nothing(&change.after))
                }
            };
            let changed = Changed {
                number: index + 1,
                host: step.host().clone(),
                what: change.what.clone(),
                before: change.before.clone(),
                after,
                state,
            };
            changes.push((step.effect.is_network(), changed));
        }
    }
    changes
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}
