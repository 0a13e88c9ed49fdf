//! Runs a plan, or what is left of one, and tells the outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::Exit;
use crate::cli::cipher;
use crate::cli::known;
use crate::cli::output;
use crate::plan::Plan;
use crate::plan::refresh::Begun;
use crate::remote::Hosts;
use crate::saga::Header;
use crate::saga::Journal;
use crate::saga::Record;
use crate::saga::StepState;
use crate::saga::direction::Direction;
use crate::saga::interrupt::Interrupts;
use crate::saga::journal;
use crate::saga::record::FinishedRecord;
use crate::saga::record::NoteRecord;
use crate::saga::run::Outcome;
use crate::saga::run::Run;
use crate::saga::turn::Turn;
use crate::ui::event::Event;
use crate::ui::plan_view;
use crate::ui::renderer::Renderer;

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The exit code.
    pub(super) exit: Exit,
    /// In a word: `moved`, `rolled-back`, `refused`, `needs-human`, or `failed` when it could not even begin.
    pub(super) outcome: &'static str,
    /// What it means for the jail.
    pub(super) summary: String,
    /// Milliseconds in which nobody answered.
    pub(super) blackout: Option<u64>,
}

impl Ended {
    fn failed(summary: String) -> Ended {
        Ended { exit: Exit::Internal, outcome: "failed", summary, blackout: None }
    }
}

/// Runs a plan from the first step to its outcome, waiting for its turn behind the copy; `note` goes into its journal.
pub(super) async fn in_turn<'a>(
    plan: &'a Plan,
    begun: &Begun,
    hosts: &'a Hosts,
    renderer: &'a Renderer,
    turn: &'a dyn Turn,
    note: Option<&NoteRecord>,
) -> Ended {
    match open_journal(plan, begun, note) {
        Ok(journal) => whole(plan, hosts, renderer, journal, Way::Onward(turn, &BTreeMap::new())).await,
        Err(message) => {
            output::complain(&format!("{message}\nnothing was changed"));
            Ended::failed(message)
        }
    }
}

/// What an interrupted run needs.
pub(super) async fn carry_out(
    plan: &Plan,
    hosts: &Hosts,
    renderer: &Renderer,
    journal: Journal,
    direction: &Direction,
) -> Exit {
    whole(plan, hosts, renderer, journal, Way::Recovered(direction)).await.exit
}

/// The rest of a run that was interrupted while it copied, whose steps are as its journal says.
pub(super) async fn go_on<'a>(
    plan: &'a Plan,
    hosts: &'a Hosts,
    renderer: &'a Renderer,
    journal: Journal,
    turn: &'a dyn Turn,
    states: &'a BTreeMap<usize, StepState>,
) -> Exit {
    whole(plan, hosts, renderer, journal, Way::Onward(turn, states)).await.exit
}

/// Which way a run goes.
enum Way<'a> {
    /// To its end, from where those states say that it is.
    Onward(&'a dyn Turn, &'a BTreeMap<usize, StepState>),
    /// As an interruption left it to be put right.
    Recovered(&'a Direction),
}

async fn whole<'a>(plan: &'a Plan, hosts: &'a Hosts, renderer: &'a Renderer, journal: Journal, way: Way<'a>) -> Ended {
    let journal = Arc::new(journal);
    let interrupts = match Interrupts::listen() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            let message = format!("signals cannot be handled: {error}");
            output::complain(&format!("{message}; nothing was changed"));
            return Ended::failed(message);
        }
    };
    hosts.log_to(journal.clone());
    renderer.event(&Event::RunStarted {
        run: plan.run.clone(),
        steps: plan.steps.len(),
        title: format!("jail {} from {} to {}", plan.jail, plan.source, plan.target),
    });
    let events = |event: Event| renderer.event(&event);
    let mut run = Run::new(plan, hosts, &journal, &interrupts, &events);
    let outcome = match way {
        Way::Onward(turn, states) => {
            cipher::choose(plan, hosts, &events).await;
            run = run.in_turn(turn).going_on(states);
            run.execute().await
        }
        Way::Recovered(direction) => run.recover(direction).await,
    };
    let measured = run.measured();
    let (word, exit, summary, blackout) = told(plan, &outcome, matches!(way, Way::Recovered(_)));
    let measured = measured.filter(|_| matches!(outcome, Outcome::Moved { .. }));
    let finished = FinishedRecord { outcome: word.into(), blackout_milliseconds: blackout, measured };
    if let Err(error) = journal.append(Record::Finished(finished)) {
        output::complain(&format!("the outcome cannot be written to the journal: {error}"));
    }
    renderer.event(&Event::RunFinished {
        run: plan.run.clone(),
        outcome: word.into(),
        blackout_milliseconds: blackout,
        summary: summary.clone(),
    });
    renderer.finish();
    Ended { exit, outcome: word, summary, blackout }
}

fn open_journal(plan: &Plan, begun: &Begun, note: Option<&NoteRecord>) -> Result<Journal, String> {
    let folder = journal::runs_directory().map_err(|e| e.to_string())?;
    let whole = serde_json::to_value(plan).map_err(|e| format!("the plan cannot be written: {e}"))?;
    let header = Header {
        run: plan.run.clone(),
        jail: plan.jail.clone(),
        from: plan.source.clone(),
        to: plan.target.clone(),
        plan: whole,
        begun: Some(serde_json::to_value(begun).map_err(|e| format!("the facts cannot be written: {e}"))?),
    };
    let journal = Journal::create(&folder, header).map_err(|e| e.to_string())?;
    if let Ok(schedule) = std::env::var(known::SCHEDULE_VARIABLE) {
        journal.note(known::started_by(&schedule)).map_err(|e| e.to_string())?;
    }
    if let Some(note) = note {
        journal.append(Record::Note(note.clone())).map_err(|e| e.to_string())?;
    }
    Ok(journal)
}

/// The outcome in a word, as an exit code, and in sentences.
fn told(plan: &Plan, outcome: &Outcome, recovered: bool) -> (&'static str, Exit, String, Option<u64>) {
    let Plan { jail, source, target, .. } = plan;
    match outcome {
        Outcome::Moved { blackout, from_outside } => {
            if recovered {
                let text =
                    format!("jail {jail} runs on {target}; what an interrupted run had left is made to last now.");
                return ("moved", Exit::Done, text, None);
            }
            let milliseconds = u64::try_from(blackout.as_millis()).unwrap_or(u64::MAX);
            let text = format!(
                "jail {jail} runs on {target}; nobody answered for {} ({}; predicted {}). Its datasets on {source} are kept, read-only and unmounted.",
                plan_view::seconds(milliseconds),
                if *from_outside { format!("seen from {}", plan.hub) } else { "by our own clock".into() },
                plan_view::seconds(plan.predicted_blackout),
            );
            ("moved", Exit::Done, text, Some(milliseconds))
        }
        Outcome::RolledBack { reason } => (
            "rolled-back",
            if recovered { Exit::Done } else { Exit::RolledBack },
            format!("{reason}\nEverything was put back: jail {jail} runs on {source} as before."),
            None,
        ),
        Outcome::Refused { reason } => {
            ("refused", Exit::Refused, format!("{reason}\nNothing was changed: jail {jail} runs on {source}."), None)
        }
        Outcome::Kept { reason, unseen } => {
            let runs = if *unseen {
                format!("Nothing was changed for jail {jail}, but whether it runs is not known: {source} is away. What")
            } else {
                format!("Jail {jail} runs on {source} as before, and what")
            };
            let text = format!(
                "{reason}\n{runs} has been copied to {target} is kept. `jailferry recover --continue {run}` goes on with it, on this machine; `jailferry recover {run}` takes it away.",
                run = plan.run
            );
            ("needs-human", Exit::NeedsHuman, text, None)
        }
        Outcome::NeedsHuman { reason, remaining } => {
            let mut text = format!("{reason}\n");
            if !remaining.is_empty() {
                text.push_str("What remains to be done, in this order:\n");
                for (host, command) in remaining {
                    text.push_str(&format!("on {host}:\n{}\n", indent(command)));
                }
            }
            text.push_str(&format!(
                "When the cause is mended, `jailferry recover {}` goes on. Before starting jail {jail} anywhere by hand, make sure that it runs neither on {source} nor on {target}: jls -j {jail}. `jailferry show {}` has every command and answer.",
                plan.run, plan.run
            ));
            ("needs-human", Exit::NeedsHuman, text, None)
        }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
