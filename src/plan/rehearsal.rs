//! The rehearsal: a canary takes the new way while the jail still runs on the old one, and is gone before the cut-over.
//!
//! The canary is a VNET jail without processes on the target's bridge, in the jails' FIB, with the jail's MTU and an
//! address of fleet.yml's `canary`, handed over and routed as the jail's own will be. It finds what no fact tells: a
//! rule of pf, a NAT rule that does not cover, an MTU on the way, AllowedIPs that are too narrow, packets that leave past the hub.

mod trials;

use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::canary::Canary;
use crate::effect::canary::CanaryEnd;
use crate::effect::canary::Goal;
use crate::effect::canary::Seen;
use crate::effect::canary::Trial;
use crate::effect::hand_over::HandOver;
use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::facts::Outside;
use crate::model::Family;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::assemble::node_of;
use crate::plan::cast::Cast;
use crate::plan::checks;
use crate::plan::dress;
use crate::plan::finding::Findings;
use crate::plan::mesh;
use crate::plan::migrate::link_local_step;
use crate::plan::migrate::route_step;
use crate::plan::nat;
use crate::plan::nat::Nat;
use crate::plan::network;
use crate::plan::preflight;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
pub use trials::afterwards;
use trials::from_the_host;
use trials::own_way;
use trials::road;
use trials::trial;
use trials::trials;

/// The canary's name, the same for every run, so that whatever a killed one leaves is recognised.
const NAME: &str = "jailferry_canary";

/// Is that jail a canary, or a clone of the dress rehearsal? None of those moves.
#[must_use]
pub fn is_ours(jail: &JailName) -> bool {
    jail.as_str() == NAME || dress::is_ours(jail)
}

/// Units of epairs that no `ifconfig epair create` comes to by itself.
const FIRST_UNIT: u32 = 900;

/// What can be tried beforehand, as far as fleet.yml and the facts allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rehearsal {
    /// The canary's addresses; none without `canary` in fleet.yml.
    pub ends: Vec<CanaryEnd>,
    /// Its owner at the hub, meanwhile.
    pub hand_over: Option<HandOver>,
    /// The same at the other hubs.
    pub elsewhere: Vec<HandOver>,
    /// What is asked outside, and how the jail is seen there now.
    pub landmarks: Vec<(Landmark, Option<Seen>)>,
    /// Families in which the canary's way out tells nothing about the jail's, since NAT treats them differently.
    pub unlike: Vec<Family>,
}

impl Rehearsal {
    fn addresses(&self) -> Vec<Prefix> {
        self.ends.iter().map(|e| Prefix::host(e.address)).collect()
    }
}

/// The second and third address of a network: gateway and canary.
fn end_of(network: Prefix) -> CanaryEnd {
    let (gateway, address) = match network.network() {
        IpAddr::V4(first) => {
            let first = u32::from(first);
            (IpAddr::V4((first.saturating_add(1)).into()), IpAddr::V4((first.saturating_add(2)).into()))
        }
        IpAddr::V6(first) => {
            let first = u128::from(first);
            (IpAddr::V6((first.saturating_add(1)).into()), IpAddr::V6((first.saturating_add(2)).into()))
        }
    };
    CanaryEnd { address, gateway, length: network.length() }
}

/// The canary's end: with a gateway of its own, or, on a segment, with the jail's, on the jail's own link.
fn end(situation: &Situation, evidence: &Evidence, network: Prefix, findings: &mut Findings) -> Option<CanaryEnd> {
    let end = end_of(network);
    if !situation.is_bridged() {
        return Some(end);
    }
    let running = evidence.hosts.get(&situation.source.node).and_then(|facts| facts.jail(&situation.jail));
    let link = running.and_then(|j| j.addresses.iter().find(|net| Prefix::truncate(**net).covers(network)));
    let gateway = situation.gateways.iter().find(|g| g.is_ipv4() == end.address.is_ipv4());
    let Some((link, gateway)) = link.zip(gateway) else {
        findings.note(
            "no-canary",
            &situation.target.node,
            format!(
                "{network} of `canary:` in fleet.yml lies in no network that jail {} is on with a gateway, so nothing on the segment would answer it: whether the bridge of {} is a part of the segment is tried only once the jail has moved",
                situation.jail, situation.target.node
            ),
        );
        return None;
    };
    Some(CanaryEnd { gateway: *gateway, length: link.prefix_len(), ..end })
}

/// Finds out what can be tried, and says what cannot.
#[must_use]
pub fn prepare(
    situation: &Situation,
    evidence: &Evidence,
    jail: &JailFacts,
    nat: &Nat,
    findings: &mut Findings,
) -> Rehearsal {
    let mut rehearsal = Rehearsal::default();
    let fleet = &evidence.fleet;
    let target = &situation.target.node;
    let families = preflight::families(situation);
    let blocks = |node: &NodeName| evidence.hosts.get(node).is_some_and(|f| f.pf.enabled == Some(true) && f.pf.blocks);
    if fleet.canary.is_empty() && blocks(target) && !blocks(&situation.source.node) {
        findings.warning(
            "pf-blocks",
            target,
            format!("pf of {target} has rules that block, and pf of {} has none: whether they let the jail through is seen only once it has moved", situation.source.node),
            "see that they pass its addresses, or give fleet.yml a `canary:`, which tries that beforehand",
        );
    }
    for family in &families {
        match fleet.canary.iter().find(|n| n.family() == *family) {
            Some(network) => {
                taken(situation, evidence, *network, findings);
                rehearsal.ends.extend(end(situation, evidence, *network, findings));
            }
            None => findings.note(
                "no-canary",
                target,
                format!(
                    "without an {family} network in `canary:` of fleet.yml the way of the jail's own packets (FIB, forwarding, AllowedIPs, rules of pf, NAT of {}) is tried only once it has moved",
                    situation.hub
                ),
            ),
        }
    }
    for landmark in fleet.egress_check.iter().filter(|l| families.contains(&Family::of(l.address()))) {
        let answer = jail.outside.get(landmark);
        let seen = match answer {
            Some(Outside::Sees(address)) if situation.addresses.contains(address) => Some(Seen::Own),
            Some(Outside::Sees(address)) => Some(Seen::Address(*address)),
            Some(Outside::Answers | Outside::Silent) | None => None,
        };
        if answer == Some(&Outside::Silent) {
            findings.warning(
                "no-way-out",
                &situation.source.node,
                format!("{landmark} does not answer jail {} where it runs now, so nothing tells how it should be seen outside", situation.jail),
                format!("look at NAT and pf on {}, or correct `egress_check:` in fleet.yml", near_source(situation)),
            );
        }
        let own = own_way(situation, Family::of(landmark.address()));
        if own && !matches!(answer, Some(Outside::Sees(_) | Outside::Answers)) {
            continue;
        }
        // Another host translates: the jail is seen at another address, and rightly so.
        let translated = seen.filter(|_| situation.source.egress == situation.target.egress);
        rehearsal.landmarks.push((landmark.clone(), if landmark.address().is_ipv4() { translated } else { seen }));
    }
    let Some(hub) = evidence.hosts.get(&situation.hub) else { return Rehearsal::default() };
    rehearsal.unlike = unlike(situation, evidence, hub, &rehearsal, nat, findings);
    rehearsal.hand_over = lend(situation, evidence, hub, &rehearsal.addresses());
    rehearsal.elsewhere = mesh::lend(situation, &evidence.hosts, &rehearsal.addresses());
    if *target != situation.hub && rehearsal.hand_over.is_none() {
        // Without an owner nothing reaches it; why there is none has been found elsewhere.
        rehearsal.ends.clear();
    }
    rehearsal
}

/// The hub that translates what the jail sends now.
fn near_source(situation: &Situation) -> &NodeName {
    Some(&situation.source.egress).filter(|node| situation.is_hub(node)).unwrap_or(&situation.hub)
}

/// Somebody has an address that shall be the canary's.
fn taken(situation: &Situation, evidence: &Evidence, network: Prefix, findings: &mut Findings) {
    let end = end_of(network);
    let fix = "if an interrupted run left it: jailferry recover; otherwise choose addresses for `canary:` in fleet.yml that nobody uses";
    for (node, facts) in &evidence.hosts {
        let on_host =
            facts.interfaces.iter().flat_map(|i| i.addresses.iter().map(move |a| (i.name.as_str(), a.addr())));
        let in_jails = facts.jails.iter().flat_map(|j| j.addresses.iter().map(move |a| (j.name.as_str(), a.addr())));
        for (who, address) in on_host.chain(in_jails).filter(|(_, a)| network.contains(*a)) {
            findings.error(
                "canary-taken",
                node,
                format!("{who} on {node} has {address}, which `canary:` of fleet.yml promises that nobody uses"),
                fix,
            );
        }
    }
    let canary = Prefix::host(end.address);
    for hub in situation.hubs() {
        let tunnel = situation.tunnel_of_hub(hub).and_then(|tunnel| evidence.hosts.get(hub)?.wireguard(tunnel));
        for peer in tunnel.iter().flat_map(|w| &w.peers).filter(|p| p.allowed.contains(&canary)) {
            findings.error(
                "canary-taken",
                hub,
                format!("{hub} gives {canary}, the canary's, to peer {} already", peer.public_key.short()),
                fix,
            );
        }
    }
}

/// Families in which a NAT rule covers the jail but not the canary: no answer to the canary would mean nothing.
fn unlike(
    situation: &Situation,
    evidence: &Evidence,
    first: &HostFacts,
    rehearsal: &Rehearsal,
    nat: &Nat,
    findings: &mut Findings,
) -> Vec<Family> {
    let egress = Some(&situation.target.egress).filter(|node| situation.is_hub(node));
    let (name, hub) = egress.and_then(|n| evidence.hosts.get_key_value(n)).unwrap_or((&situation.hub, first));
    let by = |rules: &[String], prefix| rules.iter().any(|rule| nat::covers(hub, 0, rule, prefix));
    let covers = |prefix: Prefix| by(&hub.pf.nat, prefix);
    // Covered now, perhaps by its own anchor, or by a table or an anchor that the move fills.
    let anchor = hub.pf.of_jails.get(&situation.jail).map(Vec::as_slice).unwrap_or_default();
    let covered = |p: Prefix| covers(p) || by(anchor, p) || nat.anchors.iter().any(|a| by(&a.after, p));
    let jail = situation.prefixes.iter().any(|p| p.family() == Family::Inet && covered(*p))
        || nat.tables.iter().any(|t| !t.add.is_empty());
    let canary = rehearsal.addresses().into_iter().find(|p| p.family() == Family::Inet);
    match canary {
        Some(canary) if jail && !covers(canary) => {
            findings.warning(
                "canary-nat",
                name,
                format!("NAT of {name} covers the jail but not the canary ({canary}), so its way out cannot be tried beforehand"),
                "choose an IPv4 network for `canary:` in fleet.yml that the same NAT rule covers",
            );
            vec![Family::Inet]
        }
        _ => Vec::new(),
    }
}

/// The hand-over of the canary's addresses; without peers when the target has them by longest match, is the hub, or is on
/// the jail's own segment.
fn lend(situation: &Situation, evidence: &Evidence, hub: &HostFacts, canary: &[Prefix]) -> Option<HandOver> {
    let (host, interface) = (situation.hub.clone(), situation.hub_wireguard.clone());
    if situation.target.node == situation.hub || situation.is_bridged() {
        return Some(HandOver { host, interface, peers: Vec::new() });
    }
    let key = &evidence.hosts.get(&situation.target.node)?.wireguard(&situation.target.wireguard)?.public_key;
    let tunnel = hub.wireguard(&interface)?;
    let behind = mesh::owner(&situation.hub, tunnel, situation, &evidence.hosts);
    let is_peer = tunnel.peers.iter().any(|p| p.public_key == *key);
    let key = behind.as_ref().filter(|_| !is_peer).unwrap_or(key);
    let mut peers = network::hand_over(&tunnel.peers, Some(key), canary).ok()?;
    let node = node_of(&evidence.hosts, key);
    peers.iter_mut().filter(|p| p.public_key == *key).for_each(|p| p.node.clone_from(&node));
    Some(HandOver { host, interface, peers })
}

/// A unit that the target has not, that no jail configured there names, and that the moved jail will not get.
fn unit(cast: &Cast<'_>) -> u32 {
    let facts = cast.target_facts();
    let ours = &cast.situation.target.interfaces;
    let taken = |unit: u32| {
        let (a, b) = (format!("epair{unit}a"), format!("epair{unit}b"));
        facts.interfaces.iter().map(|i| &i.name).chain(ours).any(|n| n.as_str() == a || n.as_str() == b)
            || facts.jail_configurations.iter().any(|c| c.values("vnet.interface").unwrap_or_default().contains(&b))
    };
    (FIRST_UNIT..).find(|unit| !taken(*unit)).unwrap_or(FIRST_UNIT)
}

fn canary(cast: &Cast<'_>) -> Option<Canary> {
    let place = &cast.situation.target;
    (!cast.rehearsal.ends.is_empty()).then_some(Canary {
        host: place.node.clone(),
        jail: JailName::new(NAME).ok()?,
        run: cast.run.clone(),
        unit: unit(cast),
        bridge: place.bridge.clone(),
        fib: place.fib,
        mtu: cast.situation.mtu,
        ends: cast.rehearsal.ends.clone(),
    })
}

/// A step and its end, both before the cut-over.
struct Passing {
    begin: Step,
    end: Step,
}

fn passing(mut begin: Step, end: String) -> Option<Passing> {
    begin.phase = Phase::Rehearse;
    let end = Step::new(Phase::Rehearse, end, begin.undo.first()?.clone());
    Some(Passing { begin, end })
}

/// Everything that is tried before the cut-over.
#[must_use]
pub fn steps(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps = tunnel(cast);
    if let Some(canary) = canary(cast) {
        steps.extend(flight(cast, &canary));
    }
    steps.extend(from_the_host(cast));
    steps
}

/// The canary's life: made, tried, gone.
fn flight(cast: &Cast<'_>, canary: &Canary) -> Vec<Step> {
    let passing = around(cast, canary);
    let mut ends: Vec<Step> = passing.iter().map(|p| p.end.clone()).collect();
    ends.reverse();
    let mut steps: Vec<Step> = passing.into_iter().map(|p| p.begin).collect();
    steps.extend(trials(cast, canary));
    steps.extend(ends);
    steps
}

/// The hub answers the target itself, in the jails' FIB, with packets of the jail's size.
fn tunnel(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let target = &situation.target;
    if situation.is_hub(&target.node) || situation.is_bridged() {
        return Vec::new();
    }
    let own = checks::tunnel_addresses(cast.target_facts(), &target.wireguard);
    let try_one = |hub: IpAddr| {
        let address = own.iter().copied().find(|a| Family::of(*a) == Family::of(hub))?;
        let title = format!(
            "the hub ({hub}) answers {} from FIB {} with packets of {} bytes",
            target.node, target.fib, situation.mtu
        );
        let what = Trial { jail: None, address, goal: Goal::Hub { hub }, road: road(cast, None, None), seconds: 10 };
        Some(trial(cast, &target.node, title, what))
    };
    cast.hub_addresses().into_iter().filter_map(try_one).collect()
}

/// The canary and what it needs: gateway, routes, its owner at the hub.
fn around(cast: &Cast<'_>, canary: &Canary) -> Vec<Passing> {
    let situation = cast.situation;
    let (target, bridge) = (&situation.target.node, &situation.target.bridge);
    let mut list = Vec::new();
    if let Some(address) = cast.missing_link_local().filter(|_| canary.ends.iter().any(|e| e.address.is_ipv6())) {
        let end = format!("{bridge} of {target} has no link-local address, as before");
        list.extend(passing(link_local_step(cast, address), end));
    }
    for end in canary.ends.iter().filter(|_| !situation.is_bridged()) {
        let (address, length) = (end.gateway, Prefix::host(end.gateway).length());
        let (host, interface) = (target.clone(), bridge.clone());
        let step = Step::new(
            Phase::Rehearse,
            format!("{target} answers for the canary's gateway {address}"),
            Effect::AddAlias { host: host.clone(), interface: interface.clone(), address, length },
        )
        .undo(Effect::RemoveAlias { host, interface, address, length, unless_kept: true });
        list.extend(passing(step, format!("{target} no longer answers for the canary's gateway {address}")));
    }
    let prefixes = cast.rehearsal.addresses();
    let routes = |node, interface| cast.routes_of(node, interface, &prefixes, &[]);
    for change in routes(target, bridge) {
        list.extend(passing(route_step(change), format!("{target} routes the canary's address as before")));
    }
    let step = Step::new(
        Phase::Rehearse,
        format!(
            "make a canary on {target}: a jail without processes, on {bridge} in FIB {}, as jail {} will be",
            canary.fib, situation.jail
        ),
        Effect::MakeCanary(canary.clone()),
    )
    .undo(Effect::RemoveCanary(canary.clone()))
    .change(Change::new(format!("jail {} on {target}", canary.jail), "", "for the rehearsal only"));
    list.extend(passing(step, format!("the canary on {target} is gone")));
    let hand_overs = cast.rehearsal.hand_over.iter().chain(&cast.rehearsal.elsewhere);
    for hand_over in hand_overs.filter(|h| h.host != *target) {
        let hub = &hand_over.host;
        for change in routes(hub, &hand_over.interface) {
            list.extend(passing(route_step(change), format!("{hub} routes the canary's address as before")));
        }
        if hand_over.peers.is_empty() {
            continue;
        }
        let names = prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let step =
            Step::new(Phase::Rehearse, format!("{hub} lends {names} to {target}"), Effect::HandOver(hand_over.clone()))
                .undo(Effect::HandOver(hand_over.inverse()));
        list.extend(passing(step, format!("{hub} takes {names} back")));
    }
    list
}
