//! `jailferry migrate`: plan, ask, do, tell.

use std::io::BufRead;
use std::io::IsTerminal;
use std::sync::Arc;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::output;
use crate::cli::plan;
use crate::cli::prepare;
use crate::cli::words;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::playbook::Options;
use crate::remote::Hosts;
use crate::saga::Header;
use crate::saga::Journal;
use crate::saga::Record;
use crate::saga::interrupt::Interrupts;
use crate::saga::journal;
use crate::saga::record::FinishedRecord;
use crate::saga::run::Outcome;
use crate::saga::run::Run;
use crate::ui::event::Event;
use crate::ui::plan_view;
use crate::ui::renderer::Renderer;

/// What the operator allowed on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consent {
    pub(super) dry_run: bool,
    pub(super) yes: bool,
}

pub(super) async fn migrate(global: &Global, words: &[String], dry_run: bool, yes: bool) -> Exit {
    let (jail, target) = match words::jail_to_node(words) {
        Ok(names) => names,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::BadInput;
        }
    };
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let exit = one(global, &fleet, &hosts, &jail, &target, &Options::default(), Consent { dry_run, yes }).await;
    drop(hosts);
    exit
}

/// One move, on hosts that are connected already.
pub(super) async fn one(
    global: &Global,
    fleet: &FleetFile,
    hosts: &Hosts,
    jail: &JailName,
    target: &NodeName,
    options: &Options,
    consent: Consent,
) -> Exit {
    let renderer = Renderer::choose(global.json, output::colour(std::io::stdout().is_terminal()));
    let planned = prepare::plan(global, fleet, hosts, jail, target, options, &|e| renderer.event(&e)).await;
    let the_plan = match planned {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    if consent.dry_run {
        return plan::show(global, &the_plan);
    }
    if the_plan.refused() {
        output::error(&plan_view::findings(&the_plan.findings, output::paint()));
        output::complain(&format!("jail {jail} is not moved; nothing was changed"));
        return Exit::Refused;
    }
    renderer.settle();
    if !consent.yes && !agreed(global, &the_plan) {
        return Exit::Refused;
    }
    execute(&the_plan, hosts, renderer).await
}

/// Shows the essence and asks; without a terminal nobody can answer, so `--yes` is required.
fn agreed(global: &Global, plan: &Plan) -> bool {
    if global.json || !std::io::stdin().is_terminal() {
        output::complain("nobody is here to answer: add --yes to go ahead, or --dry-run to see the plan");
        return false;
    }
    output::say(&plan_view::essence(plan, output::paint()));
    output::say(&format!("Move jail {} from {} to {} now? Type yes: ", plan.jail, plan.source, plan.target));
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).is_err() || answer.trim() != "yes" {
        output::say("Nothing was changed.");
        return false;
    }
    true
}

/// Runs a plan from the first step to its outcome.
async fn execute(plan: &Plan, hosts: &Hosts, renderer: Renderer) -> Exit {
    let journal = match open_journal(plan) {
        Ok(journal) => Arc::new(journal),
        Err(message) => {
            output::complain(&format!("{message}\nnothing was changed"));
            return Exit::Internal;
        }
    };
    let interrupts = match Interrupts::listen() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            output::complain(&format!("signals cannot be handled: {error}; nothing was changed"));
            return Exit::Internal;
        }
    };
    hosts.log_to(journal.clone());
    renderer.event(&Event::RunStarted {
        run: plan.run.clone(),
        steps: plan.steps.len(),
        title: format!("jail {} from {} to {}", plan.jail, plan.source, plan.target),
    });
    let events = |event: Event| renderer.event(&event);
    let outcome = Run::new(plan, hosts, &journal, &interrupts, &events).execute().await;
    let (word, exit, summary, blackout) = told(plan, &outcome);
    if let Err(error) =
        journal.append(Record::Finished(FinishedRecord { outcome: word.into(), blackout_milliseconds: blackout }))
    {
        output::complain(&format!("the outcome cannot be written to the journal: {error}"));
    }
    renderer.event(&Event::RunFinished {
        run: plan.run.clone(),
        outcome: word.into(),
        blackout_milliseconds: blackout,
        summary,
    });
    renderer.finish();
    exit
}

fn open_journal(plan: &Plan) -> Result<Journal, String> {
    let folder = journal::runs_directory().map_err(|e| e.to_string())?;
    let whole = serde_json::to_value(plan).map_err(|e| format!("the plan cannot be written: {e}"))?;
    let header = Header {
        run: plan.run.clone(),
        jail: plan.jail.clone(),
        from: plan.source.clone(),
        to: plan.target.clone(),
        plan: whole,
    };
    Journal::create(&folder, header).map_err(|e| e.to_string())
}

/// The outcome in a word, as an exit code, and in sentences.
fn told(plan: &Plan, outcome: &Outcome) -> (&'static str, Exit, String, Option<u64>) {
    let Plan { jail, source, target, .. } = plan;
    match outcome {
        Outcome::Moved { blackout, from_outside } => {
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
            Exit::RolledBack,
            format!("{reason}\nEverything was put back: jail {jail} runs on {source} as before."),
            None,
        ),
        Outcome::NeedsHuman { reason, remaining } => {
            let mut text = format!("{reason}\n");
            if !remaining.is_empty() {
                text.push_str("What remains to be done, in this order:\n");
                for (host, command) in remaining {
                    text.push_str(&format!("on {host}:\n{}\n", indent(command)));
                }
            }
            text.push_str(&format!(
                "Before starting jail {jail} anywhere, make sure that it runs neither on {source} nor on {target}: jls -j {jail}. `jailferry show {}` has every command and answer.",
                plan.run
            ));
            ("needs-human", Exit::NeedsHuman, text, None)
        }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
