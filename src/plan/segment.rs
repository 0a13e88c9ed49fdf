//! A move within one layer-2 segment (`fabric: bridged`): the datasets move, nothing is re-routed. The gateway stays where it
//! is, and so do AllowedIPs, routes, proxy ARP and the configurations of neighbours.
//!
//! What moves at once is who has the jail's addresses. FreeBSD announces an IPv4 address when it is given to an interface
//! (sys/netinet/if_ether.c, arp_ifinit), an IPv6 address not (contract 6.4), and an epair has another hardware address on
//! another host (contract 2.6). So hosts and jails of the segment forget the old one, and the jail itself speaks to each of
//! its neighbours: what it asks them (ARP, a neighbour solicitation) tells them its address, and passes every bridge on the
//! way, which learn by it behind which member the jail is now, also where its address is a fixed one
//! (sys/net/if_bridge.c, bridge_rtupdate; sys/net/if_vxlan.c, vxlan_ftable_learn).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::effect::Effect;
use crate::facts::HostFacts;
use crate::facts::Interface;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::network;
use crate::plan::situation::Situation;
use crate::playbook::Fleet;
use crate::playbook::Node;

/// Members of a bridge that can carry frames to another host: everything but the jails' own ends. Whether they do, only
/// packets tell.
pub fn carriers<'a>(facts: &'a HostFacts, bridge: &InterfaceName) -> impl Iterator<Item = &'a Interface> {
    let members = facts.interface(bridge).map(|i| i.members.as_slice()).unwrap_or_default();
    members.iter().filter_map(|name| facts.interface(name)).filter(|i| !i.groups.iter().any(|g| g == "epair"))
}

/// Both are routed, or parts of one segment. A jail that left its segment would leave its gateway and its neighbours, and one
/// that came to another would not be looked for there.
pub(super) fn one_fabric(
    fleet: &Fleet,
    source: &NodeName,
    target: &NodeName,
    jail: &JailName,
    findings: &mut Findings,
) -> bool {
    let (from, to) = (fleet.fabric(source), fleet.fabric(target));
    if from == to {
        return true;
    }
    let within = fleet.segment(source).into_iter().filter(|node| node != source).collect::<Vec<_>>();
    let there = match (within.as_slice(), from.is_routed()) {
        (_, true) => "move it to a node that is routed too".to_owned(),
        ([], false) => format!("let another node be a part of the segment of {source}"),
        (nodes, false) => format!(
            "move it within its segment ({})",
            nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
    };
    findings.error(
        "fabric-differs",
        target,
        format!(
            "{source}, where jail {jail} runs, is `fabric: {from}` and {target} is `fabric: {to}`: its gateway and its neighbours on the link would not be there, and jailferry does not route a jail out of a layer-2 segment or into one"
        ),
        format!(
            "{there}; or make the bridge of {target} a part of the same network (or that of {source} no part of one) and say so in fleet.yml (`fabric:`)"
        ),
    );
    false
}

/// The tunnel of a node on a segment, which may do without: then what it reaches the segment by.
pub(super) fn tunnel_or(node: &Node, facts: &HostFacts, near: &Option<InterfaceName>) -> Option<InterfaceName> {
    match (&node.wireguard, facts.wireguard.as_slice()) {
        (Some(named), _) => Some(named.clone()),
        (None, [only]) => Some(only.interface.clone()),
        _ => near.clone(),
    }
}

/// The interface of a host that has one of these addresses, else its first that has any.
pub(super) fn link_of(facts: &HostFacts, addresses: &[IpAddr]) -> Option<InterfaceName> {
    let has = |wanted: &dyn Fn(&IpAddr) -> bool| {
        let found = facts.interfaces.iter().find(|i| i.addresses.iter().any(|net| wanted(&net.addr())));
        found.map(|i| i.name.clone())
    };
    has(&|a| addresses.contains(a)).or_else(|| has(&|a| !a.is_loopback()))
}

/// A sentence for the plan's head.
#[must_use]
pub fn summary(situation: &Situation) -> String {
    let nodes = situation.segment.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "the bridges of {nodes} are one layer-2 segment (fleet.yml): the jail stays on it, and nothing is re-routed"
    )
}

/// Everybody on the jail's own link that the facts know, and its gateways.
fn neighbours(cast: &Cast<'_>) -> BTreeSet<IpAddr> {
    let situation = cast.situation;
    let running = cast.source.jail(&situation.jail);
    let links = running.map(|j| j.addresses.as_slice()).unwrap_or_default();
    let near = |address: &IpAddr| {
        let own = situation.addresses.contains(address);
        !own && !address.is_loopback() && links.iter().any(|net| net.contains(address))
    };
    let hosts = || situation.segment.iter().filter_map(|node| cast.hosts.get(node));
    let of_hosts = hosts().flat_map(|f| &f.interfaces).flat_map(|i| &i.addresses);
    let of_jails = hosts().flat_map(|f| &f.jails).filter(|j| j.vnet && !j.dying).flat_map(|j| &j.addresses);
    let known = of_hosts.chain(of_jails).map(ipnet::IpNet::addr).filter(near);
    // The zone of a link-local one is the jail's own to name; it asks that one whenever it sends something.
    let asked = |gateway: &IpAddr| !gateway.is_unspecified() && !network::is_link_local(*gateway);
    known.chain(situation.gateways.iter().copied().filter(asked)).collect()
}

/// The jail tells its neighbours where it is, from `host`; nothing to tell where it is routed. One IPv4 neighbour is
/// enough, since ARP asks everybody.
#[must_use]
pub fn announce(cast: &Cast<'_>, host: &NodeName) -> Option<Effect> {
    let situation = cast.situation;
    let all = neighbours(cast);
    let gateway = situation.gateways.iter().find(|g| g.is_ipv4());
    let inet = gateway.or_else(|| all.iter().find(|a| a.is_ipv4()));
    let neighbours: Vec<IpAddr> = inet.into_iter().chain(all.iter().filter(|a| a.is_ipv6())).copied().collect();
    let (host, jail) = (host.clone(), situation.jail.clone());
    (situation.is_bridged() && !neighbours.is_empty()).then_some(Effect::Announce { host, jail, neighbours })
}

/// The other hosts of the segment and their jails forget the old address; at the target the jail tells the new one. The
/// target itself has forgotten it before the start.
#[must_use]
pub fn told(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let target = &situation.target.node;
    let others = situation.segment.iter().filter(|node| *node != target);
    let mut steps: Vec<Step> = others
        .filter_map(|node| {
            let facts = cast.hosts.get(node)?;
            let jails = cast.siblings(facts);
            let names: Vec<String> =
                std::iter::once("it".to_owned()).chain(jails.iter().map(ToString::to_string)).collect();
            let title = format!("{node} forgets where {} had the jail's addresses", names.join(", "));
            let forget = Effect::ForgetNeighbours { host: node.clone(), addresses: situation.addresses.clone(), jails };
            Some(Step::new(Phase::CutOver, title, forget.clone()).undo(forget))
        })
        .collect();
    steps.extend(announce(cast, target).map(|effect| {
        let title = format!(
            "jail {} on {target} tells its neighbours, and the bridges on the way, where it is",
            situation.jail
        );
        Step::new(Phase::CutOver, title, effect)
    }));
    steps
}
