//! What is tried on the new way: by the canary, by the target itself where there is none, and by the jail afterwards.

use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::Probe;
use crate::effect::canary::Canary;
use crate::effect::canary::Goal;
use crate::effect::canary::Road;
use crate::effect::canary::Seen;
use crate::effect::canary::Trial;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::Landmark;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::checks;
use crate::plan::nat;
use crate::plan::network;
use crate::plan::situation::Situation;

/// Seconds that packets get to find a way which has just been made.
const PATIENCE: u32 = 15;

/// Does the target itself translate what the jail sends outside? The hub has no part in that way, and the canary's
/// addresses are the hub's to translate.
pub(super) fn own_way(situation: &Situation, family: Family) -> bool {
    family == Family::Inet && !situation.is_hub(&situation.target.egress)
}

/// The way between the target's jails and the hub.
pub(super) fn road(cast: &Cast<'_>, end: Option<InterfaceName>, landmark: Option<&Landmark>) -> Road {
    let situation = cast.situation;
    let target = &situation.target;
    let mut suspicions = Vec::new();
    let own = landmark.is_some_and(|l| own_way(situation, Family::of(l.address())));
    let to_hub = !situation.is_hub(&target.node) && !own && !situation.is_bridged();
    if let (Some(landmark), true) = (landmark, to_hub) {
        suspicions.extend(no_nat(cast, landmark));
        let own = cast.target_facts().wireguard(&target.wireguard);
        let hub_key = cast.near_hub().wireguard(situation.near_tunnel()).map(|w| &w.public_key);
        let peer = own.and_then(|w| w.peers.iter().find(|p| Some(&p.public_key) == hub_key));
        if peer.is_some_and(|p| !p.allowed.iter().any(|a| a.contains(landmark.address()))) {
            suspicions.push(format!(
                "{}: AllowedIPs of the hub on {} do not cover {}, so its packets are not let in",
                target.node,
                target.wireguard,
                landmark.address()
            ));
        }
    }
    Road {
        host: target.node.clone(),
        end,
        bridge: target.bridge.clone(),
        fib: target.fib,
        tunnel: to_hub.then(|| target.wireguard.clone()),
        hub: situation.near_hub.clone(),
        hub_tunnel: situation.near_tunnel().clone(),
        mtu: situation.mtu,
        suspicions,
    }
}

/// No NAT rule of the hub is known to cover what asks that landmark.
fn no_nat(cast: &Cast<'_>, landmark: &Landmark) -> Option<String> {
    let canary = cast.rehearsal.addresses().into_iter().find(|p| p.family() == Family::Inet)?;
    let (name, hub) = cast.translating_hub();
    let covered = hub.pf.nat.iter().any(|rule| nat::covers(hub, 0, rule, canary));
    (landmark.address().is_ipv4() && !covered)
        .then(|| format!("{name}: no nat rule covers {} (pfctl -sn)", canary.network()))
}

pub(super) fn trial(cast: &Cast<'_>, host: &NodeName, title: String, trial: Trial) -> Step {
    debug_assert!(*host == trial.road.host || cast.situation.is_hub(host), "a trial runs at one of its ends");
    Step::new(Phase::Rehearse, title, Effect::Probe { host: host.clone(), probe: Probe::Trial(Box::new(trial)) })
}

/// What the canary tries: it speaks first, so that the bridge has learnt where it is when the hub asks.
pub(super) fn trials(cast: &Cast<'_>, canary: &Canary) -> Vec<Step> {
    let situation = cast.situation;
    let (target, mtu) = (&situation.target.node, situation.mtu);
    let end = InterfaceName::new(format!("epair{}a", canary.unit)).ok();
    let one = |address: IpAddr, goal: Goal, landmark: Option<&Landmark>| Trial {
        jail: Some(canary.jail.clone()),
        address,
        goal,
        road: road(cast, end.clone(), landmark),
        seconds: PATIENCE,
    };
    let mut steps = Vec::new();
    for own in canary.ends.iter().map(|e| e.address) {
        if !situation.is_hub(target)
            && let Some(there) = address_of_the_hub(cast, Family::of(own))
        {
            let title = format!("the hub ({there}) answers the canary on {target} with packets of {mtu} bytes");
            steps.push(trial(cast, target, title, one(own, Goal::Hub { hub: there }, None)));
        }
        for hub in situation.hubs() {
            let title = format!("the canary on {target} ({own}) answers {hub} with packets of {mtu} bytes");
            let source = checks::from_hub(situation, hub, own);
            let mut what = one(own, Goal::FromHub { source }, None);
            if let Some(tunnel) = situation.tunnel_of_hub(hub) {
                (what.road.hub, what.road.hub_tunnel) = (hub.clone(), tunnel.clone());
            }
            steps.push(trial(cast, hub, title, what));
        }
        let family = Family::of(own);
        for (landmark, seen) in cast.rehearsal.landmarks.iter().filter(|(l, _)| Family::of(l.address()) == family) {
            if cast.rehearsal.unlike.contains(&family) || own_way(situation, family) {
                continue;
            }
            let title = format!("{landmark} answers the canary on {target}{}", as_seen(*seen, situation));
            steps.push(trial(
                cast,
                target,
                title,
                one(own, Goal::Outside { landmark: landmark.clone(), seen: *seen }, Some(landmark)),
            ));
        }
    }
    steps
}

fn as_seen(seen: Option<Seen>, situation: &Situation) -> String {
    match seen {
        None => String::new(),
        Some(Seen::Own) => " and sees its own address".into(),
        Some(Seen::Address(address)) => format!(" and sees {address}, as it sees jail {} now", situation.jail),
    }
}

/// An address at which the hub answers: in the tunnel, or any other that is not a gateway of the jail.
fn address_of_the_hub(cast: &Cast<'_>, family: Family) -> Option<IpAddr> {
    let others = cast.near_hub().interfaces.iter().flat_map(|i| &i.addresses).map(ipnet::IpNet::addr);
    let gateways = &cast.situation.gateways;
    let others = others.filter(|a| !a.is_loopback() && !gateways.contains(a));
    // Not a gateway that the target answers for itself, as it does once a jail of the hub lives there.
    let own = |address: &IpAddr| {
        let target = &cast.target_facts().interfaces;
        target.iter().flat_map(|i| &i.addresses).any(|a| a.addr() == *address)
    };
    cast.hub_addresses().into_iter().chain(others).find(|a| Family::of(*a) == family && !own(a))
}

/// Families without a canary: the target itself asks outside, in the jails' FIB, from an address of its bridge that the
/// hub gives to it and, for IPv4, translates; otherwise no answer would mean nothing.
pub(super) fn from_the_host(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let target = &situation.target;
    if situation.is_hub(&target.node) || situation.is_bridged() {
        return Vec::new();
    }
    let peers = cast.near_hub().wireguard(situation.near_tunnel()).map(|w| w.peers.as_slice()).unwrap_or_default();
    let hub = cast.translating_hub().1;
    let key = cast.target_facts().wireguard(&target.wireguard).map(|w| &w.public_key);
    let bridge = cast.target_facts().interface(&target.bridge);
    let mut steps = Vec::new();
    for (landmark, seen) in &cast.rehearsal.landmarks {
        let family = Family::of(landmark.address());
        if own_way(situation, family) || cast.rehearsal.ends.iter().any(|e| Family::of(e.address) == family) {
            continue;
        }
        let fit = |address: &IpAddr| {
            let prefix = Prefix::host(*address);
            let owned = network::owner(peers, prefix).is_some_and(|(owner, _)| Some(owner) == key);
            let translated = || hub.pf.nat.iter().any(|rule| nat::covers(hub, 0, rule, prefix));
            Family::of(*address) == family && owned && (family == Family::Inet6 || translated())
        };
        let addresses = bridge.iter().flat_map(|i| &i.addresses).map(ipnet::IpNet::addr);
        let Some(own) = addresses.filter(|a| fit(a)).min() else { continue };
        let title =
            format!("{landmark} answers {} ({own}) from FIB {}{}", target.node, target.fib, as_seen(*seen, situation));
        let what = Trial {
            jail: None,
            address: own,
            goal: Goal::Outside { landmark: landmark.clone(), seen: *seen },
            road: road(cast, None, Some(landmark)),
            seconds: PATIENCE,
        };
        steps.push(trial(cast, &target.node, title, what));
    }
    steps
}

/// After the start: what answered the jail outside before answers it again, and sees it as it did.
#[must_use]
pub fn afterwards(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let target = &situation.target.node;
    let mut steps = Vec::new();
    for (landmark, seen) in &cast.rehearsal.landmarks {
        let family = Family::of(landmark.address());
        if seen.is_none() && !own_way(situation, family) {
            continue;
        }
        let Some(own) = checks::answering(situation).into_iter().find(|a| Family::of(*a) == family) else { continue };
        let what = Trial {
            jail: Some(situation.jail.clone()),
            address: own,
            goal: Goal::Outside { landmark: landmark.clone(), seen: *seen },
            road: road(cast, situation.target.interfaces.first().cloned(), Some(landmark)),
            seconds: PATIENCE,
        };
        let as_before = if seen.is_some() { " and sees it as before" } else { "" };
        let title = format!("{landmark} answers jail {} on {target}{as_before}", situation.jail);
        let mut step = trial(cast, target, title, what);
        step.phase = Phase::Prove;
        steps.push(step);
    }
    steps
}
