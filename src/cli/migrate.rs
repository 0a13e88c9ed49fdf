//! `jailferry migrate`: plan, ask, do, tell.

use std::io::BufRead;
use std::io::IsTerminal;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::execute;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::network_turn::Alone;
use crate::cli::output;
use crate::cli::plan;
use crate::cli::prepare;
use crate::cli::replan::Replan;
use crate::cli::words;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::playbook::Options;
use crate::remote::Hosts;
use crate::ui::event::Event;
use crate::ui::paint::Paint;
use crate::ui::plan_view;
use crate::ui::renderer::Renderer;

/// What the operator allowed on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consent {
    pub(super) dry_run: bool,
    pub(super) yes: bool,
}

pub(super) async fn migrate(global: &Global, words: &[String], options: &Options, consent: Consent) -> Exit {
    let (jail, target) = match words::jail_to_node(words) {
        Ok(names) => names,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::BadInput;
        }
    };
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    if let Err(exit) = prepare::known(&fleet, &target) {
        return exit;
    }
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let exit = one(global, &fleet, &hosts, &jail, &target, options, consent).await;
    drop(hosts);
    exit
}

/// A dry run for machines is one JSON value, the plan.
pub(super) fn renderer(global: &Global, consent: Consent) -> Renderer {
    if consent.dry_run && global.json {
        Renderer::quiet()
    } else {
        Renderer::choose(global.json, output::colour(std::io::stdout().is_terminal()))
    }
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
    let renderer = renderer(global, consent);
    let there = (jail, target);
    let drawn = prepare::draw(global, fleet, hosts, there, options, &|e| renderer.event(&e), &|_, _| ()).await;
    let drawn = match drawn {
        Ok(drawn) => drawn,
        Err(exit) => return exit,
    };
    let (plan, begun) = (&drawn.plan, drawn.begun(false));
    let replan = Replan { fleet, hosts, renderer: &renderer, hooks: Some(&[]), plan, begun: &begun };
    decide(global, &replan, consent).await
}

/// Shows the plan, or refuses, or asks and carries it out.
pub(super) async fn decide(global: &Global, replan: &Replan<'_>, consent: Consent) -> Exit {
    let Replan { hosts, renderer, .. } = *replan;
    let the_plan = replan.plan;
    if consent.dry_run {
        renderer.finish();
        return plan::show(global, the_plan);
    }
    if the_plan.refused() {
        output::error(&plan_view::findings(&the_plan.findings, output::error_paint()));
        output::complain(&format!("jail {} is not moved; nothing was changed", the_plan.jail));
        return Exit::Refused;
    }
    renderer.settle();
    if !consent.yes && !agreed(global, the_plan) {
        return Exit::Refused;
    }
    if consent.yes {
        tell_warnings(renderer, the_plan);
    }
    // A question may stand there for hours: what the hosts said before it is old.
    let turn = if consent.yes { Alone::new(*replan) } else { Alone::after_a_while(*replan) };
    execute::in_turn(the_plan, replan.begun, hosts, renderer, &turn, None).await.exit
}

/// Who agreed beforehand has seen no plan: what may surprise stands at least in the log.
fn tell_warnings(renderer: &Renderer, plan: &Plan) {
    let warnings: Vec<Finding> = plan.findings.iter().filter(|f| f.severity == Severity::Warning).cloned().collect();
    if !warnings.is_empty() {
        renderer.event(&Event::Note { text: plan_view::findings(&warnings, Paint::new(false)).trim().to_owned() });
    }
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
