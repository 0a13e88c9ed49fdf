//! `jailferry recover --continue`: a run that was interrupted while it copied goes on with what has arrived.

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::execute;
use crate::cli::input;
use crate::cli::network_turn::Alone;
use crate::cli::output;
use crate::cli::prepare;
use crate::cli::recover;
use crate::cli::recover::Looked;
use crate::cli::replan::Replan;
use crate::plan::Plan;
use crate::plan::refresh::Begun;
use crate::saga::direction;
use crate::saga::turn::NoTurn;
use crate::ui::renderer::Renderer;

pub(super) async fn go_on(global: &Global, wanted: Option<&str>, dry_run: bool) -> Exit {
    let found = match recover::find(wanted) {
        Ok(Looked::Here(found)) => found,
        Ok(Looked::Damaged(run)) => {
            output::complain(&format!(
                "without its journal nobody knows how far run {run} was; `jailferry recover {run}` without --continue takes it back"
            ));
            return Exit::NeedsHuman;
        }
        Ok(Looked::Nowhere) => {
            output::complain(
                "no such run was begun on this machine, and only the machine that began it knows how far it was; without --continue any machine takes it back",
            );
            return Exit::BadInput;
        }
        Err(exit) => return exit,
    };
    let (journal, record, plan) = match recover::opened(&found) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let outcome = record.finished.as_ref().map(|f| f.outcome.as_str());
    let left = match direction::onward(&plan, &record.steps, outcome) {
        Ok(left) => left,
        Err(why) => {
            let exit = refused(&plan, &why);
            let ended = outcome.is_some_and(|outcome| outcome != "needs-human");
            // Behind its first copy the jail need not run where it ran.
            return if ended { exit } else { Exit::NeedsHuman };
        }
    };
    let begun: Begun = match record.header.begun.clone().map(serde_json::from_value) {
        Some(Ok(begun)) => begun,
        Some(Err(error)) => {
            output::complain(&format!("the facts in {} cannot be read: {error}", found.path.display()));
            return Exit::Internal;
        }
        None => {
            return refused(
                &plan,
                "its journal here does not say what it began with (another machine or an earlier version of jailferry began it)",
            );
        }
    };
    output::error(&format!(
        "Run {}: jail {} from {} to {} was interrupted while it copied; {} of its {} steps are left.",
        plan.run,
        plan.jail,
        plan.source,
        plan.target,
        left.len(),
        plan.steps.len()
    ));
    if dry_run {
        return recover::remaining(global, &plan, &left);
    }
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    match recover::holder(&plan, &hosts).await {
        Ok(None) => {}
        Ok(Some(_)) => return refused(&plan, "it has the jail's lock no more"),
        Err(exit) => return exit,
    }
    let renderer = Renderer::choose(global.json, output::colour(std::io::IsTerminal::is_terminal(&std::io::stdout())));
    let replan = Replan { fleet: &fleet, hosts: &hosts, renderer: &renderer, hooks: None, plan: &plan, begun: &begun };
    // Before anything else is copied for nothing; and once more when it is this run's turn.
    if let Err(NoTurn::Away(why) | NoTurn::Never(why)) = replan.again().await {
        renderer.finish();
        return refused(&plan, &why);
    }
    let turn = Alone::after_a_while(replan);
    let exit = execute::go_on(&plan, &hosts, &renderer, journal, &turn, &record.steps).await;
    drop(hosts);
    exit
}

fn refused(plan: &Plan, why: &str) -> Exit {
    output::complain(&format!(
        "run {} does not go on: {why}. Nothing was changed now; `jailferry recover {}` without --continue puts it right",
        plan.run, plan.run
    ));
    Exit::Refused
}
