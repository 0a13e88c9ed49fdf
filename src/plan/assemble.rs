//! From evidence to a plan, in one pure function.

use std::collections::BTreeMap;

use sha2::Digest;
use sha2::Sha256;

use crate::effect::hand_over::HandOver;
use crate::facts::HostFacts;
use crate::facts::fingerprint;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::PublicKey;
use crate::model::RunId;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::assigned;
use crate::plan::cast::Cast;
use crate::plan::datasets;
use crate::plan::datasets::DatasetMove;
use crate::plan::direct;
use crate::plan::dress;
use crate::plan::finding::Findings;
use crate::plan::forecast::Forecast;
use crate::plan::forecast::forecast;
use crate::plan::immutable;
use crate::plan::mesh;
use crate::plan::migrate;
use crate::plan::nat;
use crate::plan::network;
use crate::plan::next_hops;
use crate::plan::persist;
use crate::plan::preflight;
use crate::plan::preflight::bytes;
use crate::plan::rehearsal;
use crate::plan::routable;
use crate::plan::segment;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::plan::snapshots;
use crate::plan::staging;
use crate::plan::tunnels::with_peer;
use crate::plan::verify;
use crate::playbook::Settings;

/// Version of the plan's format.
pub const FORMAT: u32 = 2;

/// Makes the plan. The same evidence, `owner` and `salt` give the same plan, run id and commands included.
///
/// # Errors
/// The findings, when too little is known to plan at all.
pub fn plan(
    evidence: &Evidence,
    situation: &Situation,
    settings: &Settings,
    owner: &Owner,
    salt: &str,
    findings: Findings,
) -> Result<Plan, Vec<Finding>> {
    let prints = evidence_of(&evidence.hosts);
    let run = run_id(&situation.jail, &situation.target.node, &prints, settings, &format!("{owner} {salt}"));
    plan_as(evidence, situation, settings, owner, &run, findings)
}

/// Makes the plan of a run that has its id already: to see whether it would come out the same now, or to go on with
/// fresher facts.
///
/// # Errors
/// As [`plan`].
pub fn plan_as(
    evidence: &Evidence,
    situation: &Situation,
    settings: &Settings,
    owner: &Owner,
    run: &RunId,
    mut findings: Findings,
) -> Result<Plan, Vec<Finding>> {
    let host = |node: &NodeName| evidence.hosts.get(node);
    let (Some(source), Some(target), Some(hub), Some(jail), Some(there)) = (
        host(&situation.source.node),
        host(&situation.target.node),
        host(&situation.hub),
        evidence.jail.as_ref(),
        evidence.target.as_ref(),
    ) else {
        return Err(findings.into_sorted());
    };
    let told = || snapshots::bases_elsewhere(situation, &evidence.hosts);
    let bases = evidence.bases.clone().unwrap_or_else(told);
    let moving = datasets::moves(situation, source, target, jail, there, &bases, &mut findings);
    let stale = datasets::stale_copy(situation, jail, there, target);
    let staged = staging::stage(situation, &evidence.hosts, jail, there, &mut findings);
    let wireguard_files = persist::wireguard_files(situation, &evidence.fleet, &evidence.hosts, &mut findings);
    let hand_over = owners(situation, evidence, hub, target, &mut findings);
    let mesh = mesh::hand_overs(situation, &evidence.hosts, &mut findings);
    mesh::claimed_twice(situation, &evidence.hosts, &mut findings);
    mesh::no_way(situation, &evidence.hosts, &mut findings);
    preflight::examine(
        &preflight::Subject {
            situation,
            hosts: &evidence.hosts,
            source,
            target,
            hub,
            jail,
            there,
            datasets: &moving,
            checks: &evidence.fleet.jail(&situation.jail).checks,
        },
        &mut findings,
    );
    snapshots::examine(situation, jail, &moving, &mut findings);
    let nat = nat::decide(situation, &evidence.fleet, &evidence.hosts, &mut findings);
    let rehearsal = rehearsal::prepare(situation, evidence, jail, &nat, &mut findings);
    let checks = &evidence.fleet.jail(&situation.jail).checks;
    let subject = dress::Subject { situation, source, jail, datasets: &moving, checks, run };
    let dress = settings.dress_rehearsal.then(|| dress::prepare(&subject, &mut findings)).flatten();
    let verify = verify::prepare(settings.verify, situation, &moving, run, &mut findings);
    let prints = evidence_of(&evidence.hosts);
    let cast = Cast {
        situation,
        hosts: &evidence.hosts,
        hub,
        source,
        target,
        datasets: &moving,
        bases: &bases,
        stale_copy: stale.as_ref(),
        staged: &staged,
        hand_over: &hand_over,
        mesh: &mesh,
        nat: &nat,
        checks,
        rehearsal: &rehearsal,
        dress: dress.as_ref(),
        verify: verify.as_ref(),
        settings,
        link: evidence.link.as_ref(),
        run,
        owner,
        wireguard_files: &wireguard_files,
    };
    let steps = migrate::story(&cast);
    persist::made_in_vain(&cast, &mut findings);
    persist::files_agree(&cast, &mut findings);
    persist::unknown_hooks(&cast, &mut findings);
    assigned::examine(&steps, &evidence.hosts, &mut findings);
    immutable::examine(&steps, &evidence.hosts, &mut findings);
    routable::examine(&steps, &evidence.hosts, &mut findings);
    next_hops::examine(&steps, &evidence.hosts, &mut findings);
    let total: u64 = moving.iter().map(|m| m.estimate).sum();
    let count = u64::try_from(moving.len()).unwrap_or(u64::MAX);
    let (source, target) = (&situation.source.node, &situation.target.node);
    let forecast = forecast(&evidence.past, &situation.jail, (source, target), count);
    if settings.rate_limit.is_some() && evidence.link.is_some() {
        let text = "nothing of this goes through this machine, so `rate_limit` does not hold it";
        findings.note("rate-limit", &situation.source.node, text);
    }
    within_budget(situation, settings, &forecast, &mut findings);
    Ok(Plan {
        format: FORMAT,
        run: run.clone(),
        jail: situation.jail.clone(),
        source: situation.source.node.clone(),
        target: situation.target.node.clone(),
        hub: situation.hub.clone(),
        owner: owner.clone(),
        lease: settings.lease,
        summary: summary(situation, &evidence.hosts, hub, total, &moving)
            .into_iter()
            .chain(snapshots::summary(situation, &moving))
            .chain(evidence.link.as_ref().map(|link| direct::summary(situation, link)))
            .collect(),
        findings: findings.into_sorted(),
        steps,
        bytes: total,
        predicted_blackout: forecast.blackout,
        forecast,
        accept_blackout: settings.accept_blackout.and_then(|length| u64::try_from(length.as_millis()).ok()),
        precopy_until: settings.until,
        evidence: prints,
        snapshots: snapshots::at_the_target(&moving),
        hooks: Vec::new(),
    })
}

/// The budget of the jail.
fn within_budget(situation: &Situation, settings: &Settings, forecast: &Forecast, findings: &mut Findings) {
    let Some(accepted) = settings.accept_blackout else { return };
    let predicted = forecast.blackout;
    if i128::from(predicted) > accepted.as_millis() {
        findings.fleet_error(
            "blackout-budget",
            format!(
                "nobody would answer for jail {} for about {}.{} s ({}), and `accept_blackout` allows {accepted:#}",
                situation.jail,
                predicted / 1000,
                predicted % 1000 / 100,
                forecast.why(&situation.jail)
            ),
            "move it when that matters less, or raise `accept_blackout`",
        );
    }
}

fn owners(
    situation: &Situation,
    evidence: &Evidence,
    hub: &HostFacts,
    target: &HostFacts,
    findings: &mut Findings,
) -> HandOver {
    let mut hand_over =
        HandOver { host: situation.hub.clone(), interface: situation.hub_wireguard.clone(), peers: Vec::new() };
    let Some(interface) = hub.wireguard(&situation.hub_wireguard).filter(|_| !situation.is_bridged()) else {
        return hand_over;
    };
    let key = target.wireguard(&situation.target.wireguard).map(|w| &w.public_key);
    let is_peer = key.is_some_and(|key| interface.peers.iter().any(|p| p.public_key == *key));
    let behind = mesh::owner(&situation.hub, interface, situation, &evidence.hosts).filter(|_| !is_peer);
    let owner = if situation.target.node == situation.hub { None } else { behind.as_ref().or(key) };
    match network::hand_over(&interface.peers, owner, &situation.prefixes) {
        Ok(changes) => hand_over.peers = changes,
        Err(error) => findings.error(
            "hand-over",
            &situation.hub,
            format!("the prefixes cannot be handed over: {error}"),
            "correct the AllowedIPs on the hub, or `prefixes:` of the jail in fleet.yml",
        ),
    }
    for peer in &mut hand_over.peers {
        peer.node = node_of(&evidence.hosts, &peer.public_key);
    }
    hand_over
}

/// The node that has this public key.
#[must_use]
pub fn node_of(hosts: &BTreeMap<NodeName, HostFacts>, key: &PublicKey) -> Option<NodeName> {
    hosts.iter().find(|(_, f)| f.wireguard.iter().any(|w| w.public_key == *key)).map(|(n, _)| n.clone())
}

fn evidence_of(hosts: &BTreeMap<NodeName, HostFacts>) -> BTreeMap<String, String> {
    hosts
        .iter()
        .flat_map(|(node, facts)| {
            fingerprint::fingerprint(facts).into_iter().map(move |(part, print)| (format!("{node}/{part}"), print))
        })
        .collect()
}

fn run_id(
    jail: &JailName,
    target: &NodeName,
    prints: &BTreeMap<String, String>,
    settings: &Settings,
    salt: &str,
) -> RunId {
    let mut hash = Sha256::new();
    hash.update(format!("{jail}\n{target}\n{salt}\n{settings:?}\n"));
    for (part, print) in prints {
        hash.update(format!("{part}={print}\n"));
    }
    let digits: String = hash.finalize().iter().take(4).map(|b| format!("{b:02x}")).collect();
    RunId::new(format!("{jail}-{digits}"))
        .unwrap_or_else(|_| unreachable!("a jail name and eight hexadecimal digits always make a run id"))
}

fn summary(
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
    hub: &HostFacts,
    total: u64,
    moving: &[DatasetMove],
) -> Vec<String> {
    let (source, target) = (&situation.source, &situation.target);
    let mut lines = vec![format!(
        "jail {} runs on {} ({}, {} in FIB {}) and goes to {} ({}, {} in FIB {})",
        situation.jail,
        source.node,
        source.dataset,
        source.bridge,
        source.fib,
        target.node,
        target.dataset,
        target.bridge,
        target.fib
    )];
    if situation.is_bridged() {
        lines.push(segment::summary(situation));
    }
    // The hub may have a tunnel a node.
    let source_key = hosts.get(&source.node).and_then(|f| f.wireguard(&source.wireguard)).map(|w| &w.public_key);
    let tunnel = with_peer(hub, source_key, &situation.hub_wireguard);
    let peers = tunnel.map(|w| w.peers.as_slice()).unwrap_or_default();
    for prefix in situation.prefixes.iter().filter(|_| !situation.is_bridged()) {
        lines.push(match network::owner(peers, *prefix) {
            Some((key, by)) => {
                let behind = node_of(hosts, key).filter(|_| !situation.more_hubs.is_empty());
                let node = behind.as_ref().unwrap_or(&source.node);
                let part = if by == *prefix { String::new() } else { format!(", as a part of {by}") };
                format!("{} gives {prefix} to {node}{part}", situation.hub)
            }
            None => format!("no peer of {} has {prefix}", situation.hub),
        });
    }
    // Of an increment no more is known than what was written since the newest snapshot.
    let whole = moving.iter().all(|m| m.base.makes_a_dataset());
    let (count, most) = (moving.len(), if whole { "at most" } else { "at least" });
    lines.push(format!("{count} datasets, {most} {} to send before the cut-over", bytes(total)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    #[test]
    fn a_prediction_over_the_budget_refuses_the_move() {
        let made = |seconds: Option<i64>| {
            let shape = Shape::testbed();
            let (evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
            let accept_blackout = seconds.map(jiff::SignedDuration::from_secs);
            let settings = Options { accept_blackout, ..Options::default() }.settle();
            plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
        };
        let codes = |plan: &Plan| plan.findings.iter().map(|f| f.code.clone()).collect::<Vec<_>>();
        assert!(!made(None).refused() && !made(Some(60)).refused());
        let over = made(Some(1));
        assert!(over.refused() && codes(&over).contains(&"blackout-budget".to_owned()), "{:?}", over.findings);
    }
}
