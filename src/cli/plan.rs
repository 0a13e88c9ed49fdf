//! `jailferry plan`: the plan as people or machines read it, or in a file for `jailferry apply`.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::output;
use crate::cli::prepare;
use crate::cli::prepare::Drawn;
use crate::cli::words;
use crate::plan::Plan;
use crate::plan::saved::SavedPlan;
use crate::playbook::Options;
use crate::ui::plan_script;
use crate::ui::plan_view;
use crate::ui::renderer::Renderer;

/// What becomes of the plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// A file for it.
    pub(super) out: Option<&'a Path>,
    /// As a shell script instead of a list.
    pub(super) as_script: bool,
}

pub(super) async fn plan(global: &Global, words: &[String], options: &Options, shown: Shown<'_>) -> Exit {
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
    if let Some(file) = shown.out.filter(|file| file.exists()) {
        output::complain(&format!("{} is there already; a plan is written to a new file", file.display()));
        return Exit::BadInput;
    }
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let renderer = Renderer::quiet();
    let there = (&jail, &target);
    let drawn = prepare::draw(global, &fleet, &hosts, there, options, &|e| renderer.event(&e), &|_, _| ()).await;
    drop(hosts);
    let drawn = match drawn {
        Ok(drawn) => drawn,
        Err(exit) => return exit,
    };
    if shown.as_script {
        output::say(&script(&fleet, &drawn.plan));
    }
    let exit = match (shown.as_script || shown.out.is_some(), drawn.plan.refused()) {
        (true, true) => {
            output::error(&plan_view::findings(&drawn.plan.findings, output::error_paint()));
            output::complain(&format!("jail {jail} would not be moved: see the errors above"));
            Exit::Refused
        }
        (true, false) => Exit::Done,
        (false, _) => show(global, &drawn.plan),
    };
    match shown.out {
        Some(file) if exit == Exit::Done => save(global, drawn, options, file),
        Some(_) => {
            output::complain("no plan was written");
            exit
        }
        None => exit,
    }
}

fn script(fleet: &FleetFile, plan: &Plan) -> String {
    plan_script::render(plan, &|host| fleet.fleet.nodes.get(host).map(|n| n.become_root).unwrap_or_default())
}

/// A new file that only this user reads: it says where everything is.
fn save(global: &Global, drawn: Drawn, options: &Options, file: &Path) -> Exit {
    let made = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let saved = SavedPlan::new(drawn.plan, options.clone(), drawn.settings, drawn.fields, made);
    let plan = &saved.plan;
    let write = || -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&saved)?;
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        out.write_all(&text)?;
        out.write_all(b"\n")?;
        out.sync_all()
    };
    if let Err(error) = write() {
        output::complain(&format!("{} cannot be written: {error}", file.display()));
        return Exit::Internal;
    }
    if global.json {
        let told = serde_json::json!({ "saved": file.display().to_string(), "run": plan.run, "jail": plan.jail, "from": plan.source, "to": plan.target });
        return if output::json(&told).is_ok() { Exit::Done } else { Exit::Internal };
    }
    output::error(&format!(
        "{}: run {}, jail {} from {} to {} in {} steps. jailferry apply {} carries it out, once, while what it rests on is as it is now.",
        file.display(),
        plan.run,
        plan.jail,
        plan.source,
        plan.target,
        plan.steps.len(),
        file.display()
    ));
    Exit::Done
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
