//! What speaks against a move within one layer-2 segment: a bridge that is no part of it, a gateway that is not on it, and
//! routes or proxies that lead past it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::facts::HostFacts;
use crate::facts::Route;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::assemble::node_of;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::network;
use crate::plan::preflight::Subject;
use crate::plan::segment::carriers;

/// Interfaces that carry Ethernet frames to other hosts: their groups (ifconfig(8)), and how those of ZeroTier begin.
const LIKELY: [&str; 3] = ["vxlan", "gif", "tap"];
const ZEROTIER: &str = "zt";

/// Everything of a segment.
pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    for (place, facts) in [(&s.situation.source, s.source), (&s.situation.target, s.target)] {
        carrier(&place.node, facts, &place.bridge, findings);
    }
    gateways(s, findings);
    way(s, findings);
    proxies(s, findings);
    mtu(s, findings);
}

/// A bridge whose only members are jails' ends is a part of no segment.
pub(in crate::plan) fn carrier(node: &NodeName, facts: &HostFacts, bridge: &InterfaceName, findings: &mut Findings) {
    if facts.interface(bridge).is_none() {
        return;
    }
    let all: Vec<_> = carriers(facts, bridge).collect();
    if let ([first, ..], false) = (all.as_slice(), all.iter().any(|i| i.up)) {
        let name = &first.name;
        findings.error(
            "carrier-down",
            node,
            format!("{name}, by which {bridge} of {node} should be a part of its segment, is down (ifconfig does not show UP): no frame passes it"),
            Fix::new("set it up; rc.conf(5) does so at boot for an interface with an ifconfig_ variable")
                .run(format!("ifconfig {name} up")),
        );
    }
    if !all.is_empty() {
        return;
    }
    let members: BTreeSet<&InterfaceName> = facts.interfaces.iter().flat_map(|i| &i.members).collect();
    let likely = |i: &&crate::facts::Interface| {
        let kind = i.groups.iter().any(|g| LIKELY.contains(&g.as_str())) || i.name.as_str().starts_with(ZEROTIER);
        kind && !members.contains(&i.name)
    };
    let found = facts.interfaces.iter().find(likely).map(|i| &i.name);
    let words = "make the interface that carries the segment (vxlan, ZeroTier's zt…, gif, tap, a network card) a member of the bridge, now and in ifconfig_ of rc.conf(5); or take `fabric: bridged` out of fleet.yml";
    let fix = match found {
        Some(name) => Fix::new(words).run(format!("ifconfig {bridge} addm {name}")),
        None => Fix::new(words),
    };
    findings.error(
        "no-carrier",
        node,
        format!("fleet.yml says that {bridge} of {node} is a part of a layer-2 segment, but it has no member that could carry frames to another host, only ends of jails: a jail there would reach nobody elsewhere"),
        fix,
    );
}

/// A member that rc.conf(5) does not give to the bridge again. Where scripts of the host's own run ifconfig(8) at boot,
/// they may.
pub(in crate::plan) fn lasts(node: &NodeName, facts: &HostFacts, bridge: &InterfaceName, findings: &mut Findings) {
    if facts.boot.tools.contains("ifconfig") {
        return;
    }
    let words =
        || facts.rc.variables.iter().filter(|(n, _)| n.starts_with("ifconfig_") || n.starts_with("autobridge_"));
    let named = |member: &InterfaceName| {
        words().any(|(_, value)| {
            value.split(|c: char| c.is_whitespace() || "\",".contains(c)).any(|w| w == member.as_str())
        })
    };
    for member in carriers(facts, bridge).map(|i| &i.name).filter(|m| !named(m)) {
        let variable = format!("ifconfig_{bridge}");
        let old = facts.rc.variables.get(&variable).map_or("up", String::as_str);
        findings.warning(
            "carrier-forgotten",
            node,
            format!("{member} makes {bridge} of {node} a part of its segment, but rc.conf(5) does not add it: after a reboot jails there reach nobody elsewhere"),
            Fix::new("let rc.conf(5) add it (or, where another program makes the interface, that program)")
                .run(format!("sysrc {variable}=\"{old} addm {member}\"")),
        );
    }
}

fn has(facts: &HostFacts, address: IpAddr) -> bool {
    facts.interfaces.iter().flat_map(|i| &i.addresses).any(|a| a.addr() == address)
}

/// Where the jail's gateways are. One that nobody of the fleet has is looked at elsewhere.
fn gateways(s: &Subject<'_>, findings: &mut Findings) {
    for gateway in s.situation.gateways.iter().filter(|g| !g.is_unspecified()) {
        let (on, off): (Vec<&NodeName>, Vec<&NodeName>) = s
            .hosts
            .iter()
            .filter(|(_, facts)| has(facts, *gateway))
            .map(|(node, _)| node)
            .partition(|node| s.situation.segment.contains(*node));
        match (on.as_slice(), off.as_slice()) {
            ([], [elsewhere, ..]) => findings.error(
                "gateway-elsewhere",
                elsewhere,
                format!("{gateway}, the gateway of jail {}, is on {elsewhere}, which fleet.yml does not count among the nodes of the jail's segment", s.situation.jail),
                format!("say `fabric:` of {elsewhere} in fleet.yml as of {}, if its bridge is a part of that segment; otherwise {} is routed, and `fabric: bridged` is wrong", s.situation.source.node, s.situation.source.node),
            ),
            ([first, second, ..], _) => findings.warning(
                "gateway-twice",
                second,
                format!("{gateway}, the gateway of jail {}, is on {first} and on {second}, whose bridges are one segment: unless carp(4) lets one of them speak, whoever answers first gets the packets", s.situation.jail),
                Fix::new("let one of them have it (one that an earlier, routed move gave to a bridge is listed in jailferry_BRIDGE_aliases of rc.conf(5))"),
            ),
            _ => {}
        }
        for node in on {
            let (name, variable) = match Family::of(*gateway) {
                Family::Inet => ("net.inet.ip.forwarding", "gateway_enable"),
                Family::Inet6 => ("net.inet6.ip6.forwarding", "ipv6_gateway_enable"),
            };
            if s.hosts.get(node).is_some_and(|facts| facts.sysctl(name) != Some(1)) {
                findings.error(
                    "forwarding-off",
                    node,
                    format!("{name} is not 1 on {node}, which is the jail's gateway: its packets would stop there"),
                    Fix::new("let it forward, now and after each boot")
                        .run(format!("sysctl {name}=1"))
                        .run(format!("sysrc {variable}=YES")),
                );
            }
        }
    }
}

/// The route of a FIB that an address takes, by longest match; a default route is none of its own.
fn route_to(facts: &HostFacts, fib: u16, address: IpAddr) -> Option<&Route> {
    let table = facts.routes(fib, Family::of(address));
    table
        .filter(|r| r.destination.contains(address) && r.destination.length() > 0)
        .max_by_key(|r| r.destination.length())
}

/// From the hub to the segment: what AllowedIPs or routes give to somebody who is no part of it does not get there.
fn way(s: &Subject<'_>, findings: &mut Findings) {
    let (hub, segment) = (&s.situation.hub, &s.situation.segment);
    let whole = |what: String| format!("{what}: the jail would not be reached, on whichever node of its segment it is");
    for address in s.situation.addresses.iter().filter(|a| s.situation.prefixes.iter().any(|p| p.contains(**a))) {
        let Some(route) = route_to(s.hub, 0, *address) else { continue };
        let fix = "lead the jail's network to a node of the segment (AllowedIPs and routes, and in their files), or correct `fabric:` in fleet.yml";
        let Some(tunnel) = s.hub.wireguard(&route.interface) else {
            let own = s.hub.interface(&route.interface).is_some_and(|i| i.groups.iter().any(|g| g == "bridge"));
            if own && !segment.contains(hub) {
                let what = format!(
                    "{hub} looks for {address} on its own {}, which by fleet.yml is no part of the segment",
                    route.interface
                );
                findings.error("segment-astray", hub, whole(what), fix);
            }
            continue;
        };
        let Some((key, by)) = network::owner(&tunnel.peers, Prefix::host(*address)) else {
            let what =
                format!("{hub} routes {address} into {}, but no peer has it in its AllowedIPs", tunnel.interface);
            findings.error("segment-astray", hub, whole(what), fix);
            continue;
        };
        let Some(node) = node_of(s.hosts, key) else { continue };
        if !segment.contains(&node) {
            let what = format!(
                "{hub} gives {address} (by {by}) to {node}, which by fleet.yml is no part of the jail's segment"
            );
            findings.error("segment-astray", hub, whole(what), fix);
            continue;
        }
        let Some(facts) = s.hosts.get(&node) else { continue };
        let out = route_to(facts, 0, *address);
        if let Some(route) = out.filter(|r| facts.wireguard(&r.interface).is_some()) {
            let destination = route.destination;
            let what = format!(
                "FIB 0 of {node}, to which {hub} gives {address}, sends {destination} out of {} again",
                route.interface
            );
            findings.error(
                "segment-astray",
                &node,
                whole(what),
                Fix::new("delete the route, here and in rc.conf(5) or wherever it is made")
                    .run(format!("route -n delete -{} -net {destination} -fib 0", destination.family())),
            );
        }
    }
}

/// A host of the segment that answers ARP for the jail, since it knows another way to it (contract 6.4): then two do.
fn proxies(s: &Subject<'_>, findings: &mut Findings) {
    for (node, facts) in s.hosts.iter().filter(|(node, _)| s.situation.segment.contains(*node)) {
        if facts.sysctl("net.link.ether.inet.proxyall") != Some(1) {
            continue;
        }
        let on_a_bridge =
            |name: &InterfaceName| facts.interface(name).filter(|i| i.groups.iter().any(|g| g == "bridge"));
        for address in s.situation.addresses.iter().filter(|a| a.is_ipv4()) {
            let near = |i: &&crate::facts::Interface| {
                i.groups.iter().any(|g| g == "bridge") && i.addresses.iter().any(|net| net.contains(address))
            };
            let Some(bridge) = facts.interfaces.iter().find(near) else { continue };
            let out = route_to(facts, bridge.fib, *address).filter(|r| on_a_bridge(&r.interface).is_none());
            let Some(route) = out else { continue };
            findings.error(
                "segment-proxied",
                node,
                format!("{node} answers ARP for {address} on {} (net.link.ether.inet.proxyall is 1, and {} leads to {}): on the segment both it and jail {} would", bridge.name, route.destination, route.interface, s.situation.jail),
                Fix::new("delete the route and, if no other jail needs it, switch proxy ARP off, now and in rc.conf(5) (arpproxy_all)")
                    .run(format!("route -n delete -inet -net {} -fib {}", route.destination, bridge.fib))
                    .run("sysctl net.link.ether.inet.proxyall=0"),
            );
        }
    }
}

/// Frames that fit inside the jail, but not on a bridge or on what carries them.
fn mtu(s: &Subject<'_>, findings: &mut Findings) {
    let Some(inside) = s.source.jail(&s.situation.jail).and_then(|j| j.mtu) else { return };
    let mut narrow: Vec<(&NodeName, &InterfaceName, u32)> = Vec::new();
    for (place, facts) in [(&s.situation.source, s.source), (&s.situation.target, s.target)] {
        let bridge = facts.interface(&place.bridge);
        let all = bridge.into_iter().chain(carriers(facts, &place.bridge));
        narrow.extend(all.filter(|i| i.mtu < inside).map(|i| (&place.node, &i.name, i.mtu)));
    }
    if let Some((node, name, mtu)) = narrow.into_iter().min_by_key(|(_, _, mtu)| *mtu) {
        findings.warning(
            "mtu-large",
            &s.situation.source.node,
            format!("jail {} sends packets of up to {inside} bytes, but {name} of {node} takes {mtu}: a bridge drops what is larger, without a word", s.situation.jail),
            format!("set the MTU inside to {mtu} or less: `ifconfig epairNb mtu {mtu}` in the jail's start, or in its rc.conf"),
        );
    }
}
