//! `jailferry rollback`: an accepted run is moved back, with what was written since.

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::known;
use crate::cli::migrate;
use crate::cli::migrate::Consent;
use crate::cli::prepare;
use crate::cli::replan::Replan;
use crate::plan::finding::Findings;
use crate::plan::finding::Severity;
use crate::plan::rollback;
use crate::playbook::Options;

pub(super) async fn rollback(global: &Global, wanted: &str, options: &Options, consent: Consent) -> Exit {
    // That it is not well there may be why it goes back.
    let options = &Options { check_first: Some(false), ..options.clone() };
    let (run, runs) = match known::moved(wanted) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let later = known::later(&run, &runs);
    drop(runs);
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    if let Err(exit) = prepare::known(&fleet, &run.source) {
        return exit;
    }
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let renderer = migrate::renderer(global, consent);
    let events = |event| renderer.event(&event);
    let there = (&run.jail, &run.source);
    let drawn = prepare::draw(global, &fleet, &hosts, there, options, &events, &|evidence, findings| {
        rollback::examine(&run, &later, &evidence.hosts, findings);
    })
    .await;
    let mut drawn = match drawn {
        Ok(drawn) => drawn,
        Err(exit) => return exit,
    };
    let plan = &mut drawn.plan;
    let mut more = Findings::default();
    rollback::only_increments(&run, &plan.steps, &mut more);
    let known: Vec<_> = more.into_sorted().into_iter().filter(|f| !plan.findings.contains(f)).collect();
    plan.findings.splice(0..0, known);
    plan.findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    if plan.findings.iter().all(|f| f.severity != Severity::Error) {
        plan.summary.insert(0, rollback::summary(&run));
    }
    let (plan, begun) = (&drawn.plan, drawn.begun(false));
    let replan = Replan { fleet: &fleet, hosts: &hosts, renderer: &renderer, hooks: Some(&[]), plan, begun: &begun };
    let exit = migrate::decide(global, &replan, consent).await;
    drop(hosts);
    exit
}
