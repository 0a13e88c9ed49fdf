//! Connects to the fleet and asks it: first every host, then the source about the jail and the target about its place.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use futures_util::future::join_all;

use crate::cli::known;
use crate::cli::link;
use crate::effect::command::Command;
use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::facts::TargetFacts;
use crate::facts::parse;
use crate::facts::questions;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::keys;
use crate::plan::mounts;
use crate::plan::preflight;
use crate::plan::programs;
use crate::plan::situation;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::playbook;
use crate::playbook::Fleet;
use crate::playbook::Transfer;
use crate::remote::ConnectError;
use crate::remote::Hosts;
use crate::remote::Target;
use crate::ui::event::Event;

/// Seconds a host gets to answer a round of questions: some hundred commands, one after the other.
const ROUND: u32 = 300;

/// Why the fleet could not be asked; every host that has a problem, not only the first.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct GatherError(pub Vec<String>);

fn targets(fleet: &Fleet) -> Vec<Target> {
    let target = |(name, node): (&NodeName, &playbook::Node)| Target {
        name: name.clone(),
        destination: node.ssh.clone(),
        become_root: node.become_root,
    };
    fleet.nodes.iter().map(target).collect()
}

/// Connects to those nodes of the fleet that can be reached, and says which cannot.
///
/// # Errors
/// [`GatherError`] when this machine cannot connect to any host at all.
pub async fn connect_reachable(
    fleet: &Fleet,
    ssh_config: Option<&Path>,
) -> Result<(Hosts, Vec<ConnectError>), GatherError> {
    let connected = Hosts::connect_reachable(&targets(fleet), ssh_config).await;
    connected.map_err(|errors| GatherError(errors.0.iter().map(ToString::to_string).collect()))
}

/// Connects to all nodes of the fleet.
///
/// # Errors
/// [`GatherError`] with every host that could not be reached.
pub async fn connect(fleet: &Fleet, ssh_config: Option<&Path>) -> Result<Hosts, GatherError> {
    Hosts::connect(&targets(fleet), ssh_config)
        .await
        .map_err(|errors| GatherError(errors.0.iter().map(ToString::to_string).collect()))
}

/// The first round, of all hosts at once.
///
/// # Errors
/// [`GatherError`] with every host that did not answer or answered what cannot be read.
pub async fn facts_of_all(
    hosts: &Hosts,
    fleet: &Fleet,
    events: &(dyn Fn(Event) + Send + Sync),
) -> Result<BTreeMap<NodeName, HostFacts>, GatherError> {
    all_or_errors(facts_of_each(hosts, fleet, events).await)
}

/// The first round, of all hosts at once, with what went wrong host by host.
pub async fn facts_of_each(
    hosts: &Hosts,
    fleet: &Fleet,
    events: &(dyn Fn(Event) + Send + Sync),
) -> Vec<(NodeName, Result<HostFacts, Vec<String>>)> {
    let asked = hosts.names().cloned().map(|name| async move {
        events(Event::AskingHost { host: name.clone() });
        let started = Instant::now();
        let named = fleet.nodes.get(&name).and_then(|node| node.wireguard_config.as_ref());
        let command = Command::script(&name, ROUND, questions::host_questions(named));
        let facts = match hosts.run_repeatable(&command).await {
            Ok(output) => parse::parse_host(&output.stdout)
                .map_err(|errors| errors.iter().map(|e| format!("{name}: {e}")).collect::<Vec<_>>()),
            Err(error) => Err(vec![error.to_string()]),
        };
        if facts.is_ok() {
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            events(Event::HostAnswered { host: name.clone(), milliseconds });
        }
        (name, facts)
    });
    join_all(asked).await
}

/// All of them, or everything that went wrong.
fn all_or_errors(
    each: Vec<(NodeName, Result<HostFacts, Vec<String>>)>,
) -> Result<BTreeMap<NodeName, HostFacts>, GatherError> {
    let mut all = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, facts) in each {
        match facts {
            Ok(facts) => {
                all.insert(name, facts);
            }
            Err(problems) => errors.extend(problems),
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(GatherError(errors)) }
}

/// Makes those of the nodes that a hub has not heard of lately send it something, and asks that hub again: a tunnel that
/// is not used has no handshakes, and one that is down gets none.
pub async fn wake(hosts: &Hosts, fleet: &Fleet, nodes: &BTreeSet<NodeName>, facts: &mut BTreeMap<NodeName, HostFacts>) {
    for hub in fleet.hubs() {
        wake_for(hosts, hub, nodes, facts).await;
    }
}

async fn wake_for(
    hosts: &Hosts,
    hub: &NodeName,
    nodes: &BTreeSet<NodeName>,
    facts: &mut BTreeMap<NodeName, HostFacts>,
) {
    let mut silent = preflight::silent(hub, facts);
    silent.retain(|one| nodes.contains(&one.node));
    if silent.is_empty() {
        return;
    }
    let sent = silent.iter().map(|one| async move {
        let command = Command::script(&one.node, ROUND, questions::knock(one.hub, one.fib));
        // Whether it arrives is for the hub to say.
        let _ = hosts.run(&command).await;
    });
    join_all(sent).await;
    let Ok(output) = hosts.run(&Command::script(hub, ROUND, questions::handshakes())).await else { return };
    if let Some(of_hub) = facts.get_mut(hub) {
        parse::parse_handshakes(&output.stdout, of_hub);
    }
}

/// Both rounds for one move. `None` as situation: too little is known, and the findings say why.
///
/// # Errors
/// [`GatherError`] when a host does not answer.
pub async fn evidence(
    hosts: &Hosts,
    fleet: &Fleet,
    jail: &JailName,
    target: &NodeName,
    transfer: Transfer,
    events: &(dyn Fn(Event) + Send + Sync),
) -> Result<(Evidence, Option<Situation>, Findings), GatherError> {
    // Some are asked again as soon as all have answered: the target and whoever has the jail, who may have to wake their
    // tunnels at the same time, and hubs.
    hosts.names().for_each(|name| hosts.keep_ready(name, 2));
    let gathered = match all_or_errors(facts_of_each(hosts, fleet, events).await) {
        Ok(all) => second_round(hosts, fleet, (jail, target), transfer, all).await,
        Err(error) => Err(error),
    };
    hosts.names().for_each(|name| hosts.keep_ready(name, 0));
    gathered
}

/// What is asked with the answers of the first round at hand.
async fn second_round(
    hosts: &Hosts,
    fleet: &Fleet,
    (jail, target): (&JailName, &NodeName),
    transfer: Transfer,
    facts: BTreeMap<NodeName, HostFacts>,
) -> Result<(Evidence, Option<Situation>, Findings), GatherError> {
    let mut findings = Findings::default();
    let mut evidence = Evidence {
        fleet: fleet.clone(),
        hosts: facts,
        jail: None,
        target: None,
        link: None,
        bases: None,
        past: known::past(),
    };
    preflight::hosts(&evidence.hosts, &mut findings);
    if findings.has_errors() {
        return Ok((evidence, None, findings));
    }
    let Some(situation) = situation::resolve(&evidence, jail, target, &mut findings) else {
        return Ok((evidence, None, findings));
    };
    let ends = BTreeSet::from([situation.source.node.clone(), situation.target.node.clone()]);
    // Of what a hub has heard neither the jail nor its place depends.
    let mut woken = evidence.hosts.clone();
    let both = async {
        let jail = about_jail(hosts, &evidence, &situation).await?;
        let place = about_target(hosts, &evidence, &situation, &jail, &mut findings).await?;
        Ok::<_, GatherError>((jail, place))
    };
    let ((), both) = futures_util::future::join(wake(hosts, fleet, &ends, &mut woken), both).await;
    let (jail_facts, place) = both?;
    evidence.hosts = woken;
    (evidence.jail, evidence.target) = (Some(jail_facts), Some(place));
    if transfer == Transfer::Direct {
        evidence.link = link::ask(hosts, &evidence, &situation, &mut findings).await;
    }
    Ok((evidence, Some(situation), findings))
}

/// What the source says of the jail.
///
/// # Errors
/// [`GatherError`] when it does not answer.
pub async fn about_jail(hosts: &Hosts, evidence: &Evidence, situation: &Situation) -> Result<JailFacts, GatherError> {
    let facts = evidence.hosts.get(&situation.source.node);
    let configuration = facts.and_then(|facts| facts.jail_configuration(&situation.jail));
    let asked = questions::JailQuestions {
        configuration_file: situation.configuration_file.clone(),
        fstab: situation.fstab.clone(),
        root: situation.path.clone(),
        dataset: situation.source.dataset.clone(),
        jail: situation.jail.clone(),
        landmarks: evidence.fleet.egress_check.clone(),
        ruleset: configuration.and_then(questions::ruleset),
        programs: configuration.map(programs::of).unwrap_or_default().into_iter().map(|p| p.name).collect(),
    };
    let source = &situation.source.node;
    let command = Command::script(source, ROUND, questions::jail_questions(&asked));
    let output = hosts.run_repeatable(&command).await.map_err(|e| GatherError(vec![e.to_string()]))?;
    parse::parse_jail(&situation.jail, &asked, &output.stdout).map_err(|e| told(source, &e))
}

/// What the target says of the jail's place there.
///
/// # Errors
/// [`GatherError`] when it does not answer.
pub async fn about_target(
    hosts: &Hosts,
    evidence: &Evidence,
    situation: &Situation,
    jail: &JailFacts,
    findings: &mut Findings,
) -> Result<TargetFacts, GatherError> {
    let (source, target) = (&situation.source.node, &situation.target.node);
    let configuration = evidence.hosts.get(source).and_then(|f| f.jail_configuration(&situation.jail)).cloned();
    let mut paths: Vec<RemotePath> = Vec::new();
    let mounts = mounts::of(jail, configuration.as_ref()).unwrap_or_else(|error| {
        findings.error("fstab", source, error.to_string(), "correct it; jail(8) would refuse it");
        Vec::new()
    });
    // Those with other characters are told of (see `preflight`).
    let shown = mounts::directories(&mounts, situation).into_iter().flat_map(|path| situation.manager.needs(path));
    paths.extend(shown.filter_map(|path| RemotePath::new(path).ok()));
    if let Some(facts) = evidence.hosts.get(source) {
        paths.extend(keys::files(jail, &facts.datasets));
        paths.extend(preflight::needed_places(situation, facts));
    }
    paths.extend(configuration.as_ref().and_then(preflight::log_folder));
    paths.push(situation.path.clone());
    let mut files = vec![situation.target_file.clone()];
    files.extend(situation.fstab.clone());
    let there = questions::TargetQuestions {
        paths,
        files,
        jail: situation.jail.clone(),
        ruleset: configuration.as_ref().and_then(questions::ruleset),
        programs: jail.of_the_host.programs.iter().cloned().collect(),
        parameters: configuration.as_ref().map(questions::kernel_parameters).unwrap_or_default(),
        dataset: situation.target.dataset.clone(),
        origins: jail.origins.values().copied().collect::<BTreeSet<_>>().into_iter().collect(),
    };
    let command = Command::script(target, ROUND, questions::target_questions(&there));
    let output = hosts.run_repeatable(&command).await.map_err(|e| GatherError(vec![e.to_string()]))?;
    parse::parse_target(&there, &output.stdout).map_err(|e| told(target, &e))
}

fn told(node: &NodeName, errors: &[parse::FactsError]) -> GatherError {
    GatherError(errors.iter().map(|e| format!("{node}: {e}")).collect())
}
