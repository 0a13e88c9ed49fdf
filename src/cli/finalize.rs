//! `jailferry finalize`: let go of what a successful run kept. From then on there is no way back to the old copy.

use std::io::BufRead;
use std::io::IsTerminal;
use std::sync::Arc;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::output;
use crate::cli::prepare;
use crate::effect::Effect;
use crate::model::RunId;
use crate::plan::Plan;
use crate::plan::finalize;
use crate::saga::Journal;
use crate::saga::journal;

pub(super) async fn finalize(global: &Global, run: &str, dry_run: bool, yes: bool) -> Exit {
    let (journal, plan) = match open(run) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let list = finalize::finalize(&plan);
    output::say(&format!("Run {}: jail {} moved from {} to {}", plan.run, plan.jail, plan.source, plan.target));
    for (title, effect) in &list {
        output::say(&format!("  {title}"));
        if dry_run {
            for command in effect.work().commands() {
                for line in command.text().lines() {
                    output::say(&format!("      {}: {line}", command.host));
                }
            }
        }
    }
    if dry_run {
        return Exit::Done;
    }
    if !yes && !agreed(&plan) {
        return Exit::Refused;
    }
    let Ok(mut fleet) = input::fleet(global) else { return Exit::BadInput };
    let needed = [&plan.hub, &plan.source, &plan.target];
    fleet.fleet.nodes.retain(|name, _| needed.contains(&name));
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    hosts.log_to(Arc::new(journal));
    let running = effect_of_running(&plan);
    if let Err(error) = hosts.run(&running).await {
        output::complain(&format!(
            "jail {} does not run on {}, so the copy on {} is not let go: {error}",
            plan.jail, plan.target, plan.source
        ));
        return Exit::Refused;
    }
    for (title, effect) in &list {
        for command in effect.work().commands() {
            if let Err(error) = hosts.run(command).await {
                output::complain(&format!("{title}: {error}\nthe rest was left; it is safe to try again"));
                return Exit::NeedsHuman;
            }
        }
        output::say(&format!("done: {title}"));
    }
    Exit::Done
}

/// The old copy may only go while the new one is in use.
fn effect_of_running(plan: &Plan) -> crate::effect::command::Command {
    crate::effect::command::Command::argv(&plan.target, 60, ["jls", "-j", plan.jail.as_str(), "jid"])
}

fn agreed(plan: &Plan) -> bool {
    if !std::io::stdin().is_terminal() {
        output::complain("nobody is here to answer: add --yes to go ahead, or --dry-run to see the commands");
        return false;
    }
    output::say(&format!("Let go of the copy on {} for good? Type yes: ", plan.source));
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).is_err() || answer.trim() != "yes" {
        output::say("Nothing was changed.");
        return false;
    }
    true
}

/// The journal and plan of a run that moved its jail.
fn open(run: &str) -> Result<(Journal, Plan), Exit> {
    let bad = |message: &str| {
        output::complain(message);
        Exit::BadInput
    };
    let id = RunId::new(run).map_err(|e| bad(&e.to_string()))?;
    let folder = journal::runs_directory().map_err(|e| bad(&e.to_string()))?;
    let (journal, record) = Journal::open(&journal::path_of(&folder, &id)).map_err(|e| bad(&e.to_string()))?;
    if record.finished.as_ref().is_none_or(|f| f.outcome != "moved") {
        return Err(bad(&format!("run {id} did not move its jail: nothing to let go of (see `jailferry show {id}`)")));
    }
    let plan: Plan = serde_json::from_value(record.header.plan)
        .map_err(|e| bad(&format!("the plan of run {id} cannot be read: {e}")))?;
    let parked = plan.steps.iter().any(|s| matches!(&s.effect, Effect::Park { .. }));
    if parked { Ok((journal, plan)) } else { Err(bad(&format!("run {id} parked nothing"))) }
}
