//! `jailferry plan`: the plan as people or machines read it.

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::output;
use crate::cli::prepare;
use crate::cli::words;
use crate::plan::Plan;
use crate::playbook::Options;
use crate::ui::plan_view;
use crate::ui::renderer::Renderer;

pub(super) async fn plan(global: &Global, words: &[String], options: &Options) -> Exit {
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
    let renderer = Renderer::quiet();
    let planned = prepare::plan(global, &fleet, &hosts, &jail, &target, options, &|e| renderer.event(&e)).await;
    drop(hosts);
    match planned {
        Ok(plan) => show(global, &plan),
        Err(exit) => exit,
    }
}

/// Prints a plan; a plan that a finding forbids ends with "refused".
pub(super) fn show(global: &Global, plan: &Plan) -> Exit {
    if global.json {
        if let Err(error) = output::json(&plan_view::machine(plan)) {
            output::complain(&error.to_string());
            return Exit::Internal;
        }
    } else {
        output::say(&plan_view::render(plan, output::paint()));
    }
    if plan.refused() {
        if !global.json {
            output::complain(&format!("jail {} would not be moved: see the errors above", plan.jail));
        }
        return Exit::Refused;
    }
    Exit::Done
}
