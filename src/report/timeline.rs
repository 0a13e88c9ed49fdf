//! When what ran where, from the lines of a journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::effect::Effect;
use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::effect::shell;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::leases;
use crate::report::Bar;
use crate::report::CommandView;
use crate::saga::Record;
use crate::saga::RunRecord;
use crate::saga::StepEvent;
use crate::saga::record::CommandRecord;

/// A part of a run, in milliseconds since its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
}

/// What the lines add up to.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) length: u64,
    pub(super) cut_over: Option<Span>,
    pub(super) bars: BTreeMap<NodeName, Vec<Bar>>,
    /// By step: why it failed or was left out, as said last.
    pub(super) reasons: BTreeMap<usize, String>,
    /// By step: milliseconds until it was done.
    pub(super) lengths: BTreeMap<usize, u64>,
    pub(super) commands: BTreeMap<usize, Vec<CommandView>>,
    pub(super) other_commands: Vec<CommandView>,
}

/// Milliseconds since the run began. A clock that was set back meanwhile makes nothing negative.
pub(super) fn since(record: &RunRecord, at: Timestamp) -> u64 {
    u64::try_from(at.duration_since(record.started).as_millis()).unwrap_or(0)
}

/// Goes through the lines.
pub(super) fn tell(record: &RunRecord, plan: Option<&Plan>) -> Told {
    let mut told = Told::default();
    // Steps that have begun and not ended: number, beginning, undoing?
    let mut open: Vec<(usize, u64, bool)> = Vec::new();
    let planned = Planned::of(plan);
    let mut stopped: Option<u64> = None;
    let mut answered: Option<u64> = None;
    for entry in &record.entries {
        let at = since(record, entry.at);
        told.length = told.length.max(at);
        match &entry.what {
            Record::Step(step) => {
                let number = step.number;
                if let Some(reason) = &step.reason {
                    told.reasons.insert(number, reason.clone());
                }
                let undo = matches!(step.phase, StepEvent::Undoing | StepEvent::Undone | StepEvent::Stuck);
                let begins = matches!(step.phase, StepEvent::Intended | StepEvent::Undoing);
                let effect = plan.and_then(|p| p.steps.get(number.checked_sub(1)?));
                let stops = effect.is_some_and(|s| matches!(s.effect, Effect::StopJail(_)));
                if begins {
                    // A step that is done once more by a resumed run never ended the first time.
                    close(&mut told, &planned, &mut open, number, at, true);
                    open.push((number, at, undo));
                    if stops && !undo {
                        stopped = stopped.or(Some(at));
                    }
                } else {
                    let failed = matches!(step.phase, StepEvent::Failed | StepEvent::Stuck);
                    if let Some(length) = close(&mut told, &planned, &mut open, number, at, failed)
                        && step.phase == StepEvent::Done
                    {
                        told.lengths.insert(number, length);
                    }
                    let proves = effect.is_some_and(|s| s.phase == Phase::Prove) && step.phase == StepEvent::Done;
                    let home = stops && step.phase == StepEvent::Undone;
                    if stopped.is_some() && (proves || home) {
                        answered = answered.or(Some(at));
                    }
                }
            }
            Record::Command(command) => {
                let view = view(command, at);
                match planned.step_of(command, &open) {
                    Some(number) => told.commands.entry(number).or_default().push(view),
                    None => told.other_commands.push(view),
                }
            }
            Record::Header(_) | Record::Note(_) | Record::Finished(_) => {}
        }
    }
    let (length, rest) = (told.length, open.clone());
    for (number, ..) in rest {
        close(&mut told, &planned, &mut open, number, length, true);
    }
    told.cut_over = stopped.map(|from| Span { from, to: answered.unwrap_or(length).max(from) });
    told
}

/// Ends a step's bar; how long it was.
fn close(
    told: &mut Told,
    planned: &Planned,
    open: &mut Vec<(usize, u64, bool)>,
    number: usize,
    at: u64,
    failed: bool,
) -> Option<u64> {
    let index = open.iter().position(|(n, ..)| *n == number)?;
    let (_, from, undo) = open.remove(index);
    let host = planned.hosts.get(number.checked_sub(1)?)?.clone();
    let span = Span { from, to: at.max(from) };
    told.bars.entry(host).or_default().push(Bar { number, span, undo, failed });
    Some(span.to - span.from)
}

/// The commands of a plan, by what a journal has of them.
#[derive(Debug, Default)]
struct Planned {
    hosts: Vec<NodeName>,
    /// Of each step: host and essence of every command that it or its undoing may run.
    commands: Vec<Vec<(NodeName, String)>>,
    /// Signs of life.
    beats: Vec<(NodeName, String)>,
}

impl Planned {
    fn of(plan: Option<&Plan>) -> Planned {
        let Some(plan) = plan else { return Planned::default() };
        let essence = |command: &Command| (command.host.clone(), essence(command));
        Planned {
            hosts: plan.steps.iter().map(|s| s.host().clone()).collect(),
            commands: plan
                .steps
                .iter()
                .map(|s| s.commands().iter().chain(&s.undo_commands()).map(essence).collect())
                .collect(),
            beats: leases::beats(&plan.steps).values().map(essence).collect(),
        }
    }

    /// The open step that has this command; else, since a key that is made during the run changes its text, the only
    /// open one, or the one of that host.
    fn step_of(&self, command: &CommandRecord, open: &[(usize, u64, bool)]) -> Option<usize> {
        let is = |(host, essence): &(NodeName, String)| {
            *host == command.host
                && match &command.stdin {
                    Some(script) => script.contains(essence.as_str()),
                    None => command.line.ends_with(essence.as_str()),
                }
        };
        if self.beats.iter().any(is) {
            return None;
        }
        // Steps of a plan that cannot be read are not shown, so nothing may be put with them.
        let known = |number: &usize| (1..=self.hosts.len()).contains(number);
        let numbers = || open.iter().map(|(number, ..)| *number).filter(known);
        let of = |number: usize| number.checked_sub(1).and_then(|i| self.commands.get(i));
        let on_host =
            |number: &usize| number.checked_sub(1).and_then(|i| self.hosts.get(i)).is_some_and(|h| *h == command.host);
        numbers()
            .find(|n| of(*n).is_some_and(|list| list.iter().any(is)))
            .or_else(|| numbers().find(on_host))
            .or_else(|| if open.len() == 1 { numbers().next() } else { None })
    }
}

/// What of a command stays the same however it is wrapped.
fn essence(command: &Command) -> String {
    match &command.form {
        Form::Argv(argv) => shell::line(argv),
        Form::Script(body) => body.clone(),
    }
}

fn view(command: &CommandRecord, at: u64) -> CommandView {
    CommandView {
        at,
        host: command.host.clone(),
        line: command.line.clone(),
        script: command.stdin.clone(),
        status: command.status,
        milliseconds: command.milliseconds,
        stdout: command.stdout.clone(),
        stderr: command.stderr.clone(),
        problem: command.problem.clone(),
    }
}
