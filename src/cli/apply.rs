//! `jailferry apply`: a saved plan is carried out as it stands in its file, if everything that it rests on is as it was.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::gather;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::known;
use crate::cli::migrate;
use crate::cli::migrate::Consent;
use crate::cli::output;
use crate::cli::prepare;
use crate::cli::prepare::Drawn;
use crate::cli::replan::Replan;
use crate::plan::assemble;
use crate::plan::saved;
use crate::plan::saved::Difference;
use crate::plan::saved::SavedPlan;
use crate::remote::Hosts;
use crate::ui::event::Event;
use crate::ui::sanitize;

/// No plan is larger; a file that is, is none.
const LARGEST: u64 = 64 << 20;

pub(super) async fn apply(global: &Global, file: &Path, consent: Consent) -> Exit {
    let saved = match read(file) {
        Ok(saved) => saved,
        Err(message) => {
            output::complain(&message);
            return Exit::BadInput;
        }
    };
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    if let Err(exit) = usable(&saved).and_then(|()| prepare::known(&fleet, &saved.plan.target)) {
        return exit;
    }
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let renderer = migrate::renderer(global, consent);
    let drawn = match compare(&saved, &fleet, &hosts, &|event| renderer.event(&event)).await {
        Ok(Ok(drawn)) => drawn,
        Ok(Err(stale)) => {
            renderer.finish();
            return tell(global, file, &saved, &stale);
        }
        Err(exit) => return exit,
    };
    if consent.dry_run && !global.json {
        renderer.finish();
        let plan = &saved.plan;
        output::say(&format!(
            "{} holds: jail {} from {} to {} in {} steps, as planned on {}.",
            file.display(),
            plan.jail,
            plan.source,
            plan.target,
            plan.steps.len(),
            sanitize::line(&saved.made)
        ));
        return Exit::Done;
    }
    let (plan, begun) = (&drawn.plan, drawn.begun(true));
    let replan = Replan { fleet: &fleet, hosts: &hosts, renderer: &renderer, hooks: Some(&[]), plan, begun: &begun };
    let exit = migrate::decide(global, &replan, consent).await;
    drop(hosts);
    exit
}

fn read(file: &Path) -> Result<SavedPlan, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    let mut bytes = Vec::new();
    File::open(file).map_err(told)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(told)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(format!("{} is larger than any plan", file.display()));
    }
    SavedPlan::read(&bytes).map_err(|error| sanitize::block(&format!("{}: {error}", file.display())))
}

/// Whose is it, and was it used? The journals that tell are those of the user and machine that made it.
fn usable(saved: &SavedPlan) -> Result<(), Exit> {
    let (plan, ours) = (&saved.plan, prepare::owner()?);
    if plan.owner != ours {
        output::complain(&format!(
            "this plan was made by {}, and here is {ours}: it can be applied only there, where the journals tell whether it was used. Nothing was changed; make a plan here: jailferry plan {} {}",
            plan.owner, plan.jail, plan.target
        ));
        return Err(Exit::Refused);
    }
    let Some(used) = known::runs()?.into_iter().find(|r| r.run == plan.run) else { return Ok(()) };
    let how = match &used.record {
        _ if used.active => "it is under way".to_owned(),
        Ok(record) => match &record.finished {
            Some(finished) => format!("it was carried out, and ended: {}", sanitize::line(&finished.outcome)),
            None => format!("it was begun and interrupted; jailferry recover {}", plan.run),
        },
        Err(error) => format!("its journal cannot be read: {error}"),
    };
    output::complain(&format!(
        "a plan is applied once, and run {} is known here: {how}. Nothing was changed; plan anew: jailferry plan {} {}",
        plan.run, plan.jail, plan.target
    ));
    Err(Exit::Refused)
}

/// Asks the hosts again: the plan with what it rests on now, or what is not as it was when it was made.
async fn compare(
    saved: &SavedPlan,
    fleet: &FleetFile,
    hosts: &Hosts,
    events: &(dyn Fn(Event) + Send + Sync),
) -> Result<Result<Drawn, Vec<Difference>>, Exit> {
    let (plan, jail) = (&saved.plan, &saved.plan.jail);
    let settings = saved.options.over(&fleet.fleet.options_of(jail)).settle();
    let gathered = gather::evidence(hosts, &fleet.fleet, jail, &plan.target, settings.transfer, events).await;
    let (evidence, situation, findings) = gathered.map_err(|error| {
        output::complain(&format!("the fleet cannot be asked; nothing was changed\n{error}"));
        Exit::Refused
    })?;
    let Some(situation) = situation else { return Ok(Err(saved.stale(&saved.evidence, &findings.into_sorted()))) };
    let fields = saved::matters(&evidence, &situation, &settings);
    let evidence = saved.planned_from(evidence);
    let stale = match assemble::plan_as(&evidence, &situation, &settings, &plan.owner, &plan.run, findings) {
        Ok(now) => {
            let mut all = saved.stale(&fields, &now.findings);
            if all.is_empty() {
                all = saved.other_steps(&now);
            }
            all
        }
        Err(findings) => saved.stale(&fields, &findings),
    };
    if !stale.is_empty() {
        return Ok(Err(stale));
    }
    Ok(Ok(Drawn { plan: plan.clone(), fields, settings, evidence, situation }))
}

fn tell(global: &Global, file: &Path, saved: &SavedPlan, stale: &[Difference]) -> Exit {
    let plan = &saved.plan;
    if global.json {
        let told = serde_json::json!({ "run": plan.run, "jail": plan.jail, "stale": stale });
        return if output::json(&told).is_ok() { Exit::Refused } else { Exit::Internal };
    }
    let value = |value: &Option<String>| value.as_ref().map_or_else(|| "nothing".to_owned(), |v| sanitize::line(v));
    let mut text = String::new();
    for difference in stale {
        text.push_str(&format!(
            "  {}\n    planned with: {}\n    now:          {}\n",
            sanitize::line(&difference.field),
            value(&difference.before),
            value(&difference.now)
        ));
    }
    output::error(&text);
    let count = match stale.len() {
        1 => "one thing is".to_owned(),
        many => format!("{many} things are"),
    };
    output::complain(&format!(
        "{} is stale: {count} not as it was on {}. Nothing was changed; plan anew: jailferry plan {} {}",
        file.display(),
        sanitize::line(&saved.made),
        plan.jail,
        plan.target
    ));
    Exit::Refused
}
