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
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::situation::Situation;

/// Members of a bridge that can carry frames to another host: everything but the jails' own ends. Whether they do, only
/// packets tell.
pub fn carriers<'a>(facts: &'a HostFacts, bridge: &InterfaceName) -> impl Iterator<Item = &'a Interface> {
    let members = facts.interface(bridge).map(|i| i.members.as_slice()).unwrap_or_default();
    members.iter().filter_map(|name| facts.interface(name)).filter(|i| !i.groups.iter().any(|g| g == "epair"))
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
    known.chain(situation.gateways.iter().copied().filter(|g| !g.is_unspecified())).collect()
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
