//! `jailferry leftovers`: everything of ours on any host, and why it is there. Changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::gather;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::known;
use crate::cli::output;
use crate::effect::command::Command;
use crate::facts::leftovers::Traces;
use crate::facts::parse;
use crate::facts::questions;
use crate::model::NodeName;
use crate::plan::leftovers;
use crate::plan::leftovers::Fate;
use crate::plan::leftovers::Fleetwide;
use crate::plan::leftovers::Known;
use crate::plan::leftovers::Leftover;
use crate::plan::leftovers::Verdict;
use crate::saga::journal::FoundRun;
use crate::ui::sanitize;

/// Seconds a host gets to look through its files and datasets.
const ROUND: u32 = 120;

pub(super) async fn leftovers(global: &Global) -> Exit {
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    let runs = match known::runs() {
        Ok(runs) => runs,
        Err(exit) => return exit,
    };
    let mut answered: BTreeMap<NodeName, Traces> = BTreeMap::new();
    let mut silent = false;
    for (node, answer) in asked(&fleet).await {
        match answer {
            Ok(traces) => drop(answered.insert(node, traces)),
            Err(error) => {
                silent = true;
                output::complain(&error);
            }
        }
    }
    let known: Vec<Known> = runs.iter().map(what_became_of).collect();
    let mut fleetwide = Fleetwide { complete: !silent, ..Fleetwide::default() };
    for (node, traces) in &answered {
        for jail in &traces.jails {
            fleetwide.jails.entry(jail.clone()).or_default().insert(node.clone());
        }
    }
    let all: Vec<Leftover> =
        answered.iter().flat_map(|(node, traces)| leftovers::explain(node, traces, &known, &fleetwide)).collect();
    if global.json {
        let machine: Vec<_> = all.iter().map(machine).collect();
        if output::json(&machine).is_err() {
            return Exit::Internal;
        }
    } else {
        output::say(&text(answered.keys(), &all));
    }
    if silent {
        output::complain("not every host was asked, so there may be more");
        return Exit::Refused;
    }
    Exit::Done
}

/// What each host of the fleet tells, or why it does not.
pub(super) async fn asked(fleet: &FleetFile) -> Vec<(NodeName, Result<Traces, String>)> {
    join_all(fleet.fleet.nodes.keys().map(|node| ask(fleet, node))).await
}

/// One host by itself: what others keep can be told while it cannot be reached.
async fn ask(fleet: &FleetFile, node: &NodeName) -> (NodeName, Result<Traces, String>) {
    let mut alone = fleet.fleet.clone();
    alone.nodes.retain(|name, _| name == node);
    let answer = async {
        let hosts = gather::connect(&alone, fleet.ssh_config.as_deref()).await.map_err(|e| e.to_string())?;
        let named = alone.nodes.get(node).and_then(|n| n.wireguard_config.as_ref());
        let command = Command::script(node, ROUND, questions::leftover_questions(named));
        let output = hosts.run(&command).await.map_err(|e| e.to_string())?;
        parse::parse_leftovers(&output.stdout).map_err(|e| format!("{node}: {e}"))
    };
    (node.clone(), answer.await)
}

/// What a journal says of its run.
fn what_became_of(found: &FoundRun) -> Known {
    let record = found.record.as_ref().ok();
    let outcome = record.and_then(|r| r.finished.as_ref()).map(|f| f.outcome.as_str());
    let fate = match (found.active, outcome) {
        (true, _) => Fate::UnderWay,
        (false, Some("moved")) if record.is_some_and(known::is_finalized) => Fate::Over,
        (false, Some("moved")) => Fate::Moved,
        (false, Some("rolled-back" | "superseded" | "refused")) => Fate::Over,
        (false, _) => Fate::Interrupted,
    };
    let plan = record.and_then(|r| serde_json::from_value(r.header.plan.clone()).ok());
    Known { run: found.run.clone(), fate, plan }
}

fn since(leftover: &Leftover) -> Option<String> {
    Some(Timestamp::from_second(leftover.since?).ok()?.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

fn machine(leftover: &Leftover) -> serde_json::Value {
    let mut value = serde_json::json!(leftover);
    if let Some(object) = value.as_object_mut() {
        let since = leftover.since.and_then(|s| Timestamp::from_second(s).ok()).map(|t| t.to_string());
        object.insert("since".into(), serde_json::json!(since));
    }
    value
}

fn heading(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InUse => "in use",
        Verdict::Kept => "kept until finalize",
        Verdict::Interrupted => "left by an interrupted run",
        Verdict::Nobodys => "nobody's any more",
        Verdict::Unknown => "to be looked at",
    }
}

fn text<'a>(nodes: impl Iterator<Item = &'a NodeName>, all: &[Leftover]) -> String {
    let paint = output::paint();
    let mut out = String::new();
    for node in nodes {
        let here: Vec<&Leftover> = all.iter().filter(|l| l.host == *node).collect();
        if here.is_empty() {
            let _ = writeln!(out, "{}: nothing", paint.bold(node.as_str()));
            continue;
        }
        let _ = writeln!(out, "{}:", paint.bold(node.as_str()));
        let mut verdict = None;
        for leftover in here {
            if verdict != Some(leftover.verdict) {
                verdict = Some(leftover.verdict);
                let _ = writeln!(out, "  {}", heading(leftover.verdict));
            }
            let when = since(leftover).map(|w| format!("  since {w}")).unwrap_or_default();
            let _ = writeln!(out, "    {} {}{when}", leftover.kind.words(), sanitize::line(&leftover.name));
            let _ = writeln!(out, "        {}", sanitize::line(&leftover.why));
            if let Some(command) = &leftover.command {
                let place = leftover.on.as_ref().map(|n| format!("on {n}: ")).unwrap_or_default();
                let _ = writeln!(out, "        {place}{}", sanitize::line(command));
            }
        }
    }
    out
}
