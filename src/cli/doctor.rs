//! `jailferry doctor`: everything that would refuse or endanger a move of any jail to any node; changes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures_util::future::join_all;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::gather;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::output;
use crate::cli::prepare;
use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::plan::Finding;
use crate::plan::assemble;
use crate::plan::doctor;
use crate::plan::doctor::Move;
use crate::plan::doctor::Report;
use crate::plan::finding::Findings;
use crate::plan::situation;
use crate::plan::situation::Evidence;
use crate::playbook::Options;
use crate::playbook::Transfer;
use crate::remote::Hosts;
use crate::ui::doctor_view;

pub(super) async fn doctor(global: &Global, nodes: &[String], options: &Options) -> Exit {
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    let only = match chosen(&fleet, nodes) {
        Ok(only) => only,
        Err(exit) => return exit,
    };
    let owner = match prepare::owner() {
        Ok(owner) => owner,
        Err(exit) => return exit,
    };
    let report = match examine(&fleet, &only, options, &owner).await {
        Ok(report) => report,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::Internal;
        }
    };
    let (errors, _) = report.count();
    if global.json {
        if let Err(error) = output::json(&report) {
            output::complain(&error.to_string());
            return Exit::Internal;
        }
    } else {
        output::say(&doctor_view::render(&report, output::paint()));
    }
    if errors == 0 { Exit::Done } else { Exit::Refused }
}

/// The nodes that the command line names, all when it names none.
fn chosen(fleet: &FleetFile, nodes: &[String]) -> Result<BTreeSet<NodeName>, Exit> {
    let mut chosen = BTreeSet::new();
    for text in nodes {
        let node = NodeName::new(text.as_str()).map_err(|error| {
            output::complain(&error.to_string());
            Exit::BadInput
        })?;
        prepare::known(fleet, &node)?;
        chosen.insert(node);
    }
    Ok(if chosen.is_empty() { fleet.fleet.nodes.keys().cloned().collect() } else { chosen })
}

async fn examine(
    fleet: &FleetFile,
    only: &BTreeSet<NodeName>,
    options: &Options,
    owner: &Owner,
) -> Result<Report, gather::GatherError> {
    let mut report = Report::default();
    let (hosts, unreached) = gather::connect_reachable(&fleet.fleet, fleet.ssh_config.as_deref()).await?;
    let mut findings = Findings::default();
    for error in unreached {
        report.unexamined.insert(error.host.clone());
        findings.error(
            "unreachable",
            &error.host,
            format!("{} ({}) cannot be examined: {}: {}", error.host, error.destination, error.reason, error.said),
            error.next,
        );
    }
    let mut facts: BTreeMap<NodeName, HostFacts> = BTreeMap::new();
    for (node, answer) in gather::facts_of_each(&hosts, &fleet.fleet, &|_| ()).await {
        match answer {
            Ok(answer) => {
                report.examined.insert(node.clone());
                facts.insert(node, answer);
            }
            Err(problems) => {
                report.unexamined.insert(node.clone());
                for problem in problems {
                    findings.error("no-facts", &node, problem, "is it a FreeBSD host (13.2 or newer), and root there?");
                }
            }
        }
    }
    report.add(findings.into_sorted(), None);
    gather::wake(&hosts, &fleet.fleet, &report.examined, &mut facts).await;
    let (of_hosts, known) = doctor::of_hosts(&fleet.fleet, &facts, only);
    report.add(of_hosts, None);
    let (moves, left_out) = doctor::moves(&fleet.fleet, &facts, only);
    report.left_out = left_out;
    if !known {
        report.left_out.push("all moves: who the hosts are is in doubt".to_owned());
    } else if !facts.contains_key(&fleet.fleet.hub) {
        report.left_out.push(format!("all moves: the hub {} could not be examined", fleet.fleet.hub));
    } else {
        plan_all(&mut report, fleet, &hosts, facts, moves, options, owner).await;
    }
    report.sort();
    Ok(report)
}

/// Plans every move: jail by jail at once, the targets of a jail one after the other.
async fn plan_all(
    report: &mut Report,
    fleet: &FleetFile,
    hosts: &Hosts,
    facts: BTreeMap<NodeName, HostFacts>,
    moves: BTreeSet<Move>,
    options: &Options,
    owner: &Owner,
) {
    let evidence = Evidence {
        fleet: fleet.fleet.clone(),
        hosts: facts,
        jail: None,
        target: None,
        link: None,
        bases: None,
        past: Vec::new(),
    };
    let mut by_jail: BTreeMap<JailName, Vec<Move>> = BTreeMap::new();
    for one in &moves {
        by_jail.entry(one.jail.clone()).or_default().push(one.clone());
    }
    let asked = by_jail.into_values().map(|moves| {
        let mut evidence = evidence.clone();
        async move {
            let mut of_jail: Option<JailFacts> = None;
            let mut found = Vec::new();
            for one in moves {
                let (planned, findings) = plan_one(&mut evidence, &mut of_jail, hosts, &one, options, owner).await;
                found.push((one, planned, findings));
            }
            found
        }
    });
    for (one, planned, findings) in join_all(asked).await.into_iter().flatten() {
        report.add(findings, Some(&one));
        if planned {
            report.planned.insert(one);
        }
    }
    report.moves = moves;
}

/// What the plan of one move finds, and whether there could be a plan.
async fn plan_one(
    evidence: &mut Evidence,
    of_jail: &mut Option<JailFacts>,
    hosts: &Hosts,
    one: &Move,
    options: &Options,
    owner: &Owner,
) -> (bool, Vec<Finding>) {
    let mut findings = Findings::default();
    let Some(situation) = situation::resolve(evidence, &one.jail, &one.target, &mut findings) else {
        return (false, findings.into_sorted());
    };
    let silent = |node: &NodeName, error: gather::GatherError, mut findings: Findings| {
        findings.error("no-facts", node, error.to_string(), "look at what the message names");
        (false, findings.into_sorted())
    };
    let (source, target) = (&situation.source.node, &situation.target.node);
    let jail = match of_jail.take() {
        Some(known) => known,
        None => match gather::about_jail(hosts, evidence, &situation).await {
            Ok(answer) => answer,
            Err(error) => return silent(source, error, findings),
        },
    };
    *of_jail = Some(jail.clone());
    let there = match gather::about_target(hosts, evidence, &situation, &jail, &mut findings).await {
        Ok(answer) => answer,
        Err(error) => return silent(target, error, findings),
    };
    (evidence.jail, evidence.target) = (Some(jail), Some(there));
    let settings = options.over(&evidence.fleet.options_of(&one.jail)).settle();
    if settings.transfer == Transfer::Direct {
        evidence.link = crate::cli::link::ask(hosts, evidence, &situation, &mut findings).await;
    }
    match assemble::plan(evidence, &situation, &settings, owner, "doctor", findings) {
        Ok(plan) => (true, plan.findings),
        Err(findings) => (false, findings),
    }
}
