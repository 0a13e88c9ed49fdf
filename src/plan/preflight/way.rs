//! What on the way would swallow the jail's packets, or what its start would miss.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::facts::HostFacts;
use crate::facts::Route;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::network;
use crate::plan::preflight::Subject;

/// Parameters whose commands run on the host's side before the jail answers (jail(8)).
const BEFORE: [&str; 3] = ["exec.prestart", "exec.created", "exec.poststart"];

/// Routes inside the jail's prefixes that win over those of the plan, on the hubs and on the target.
pub(super) fn routes(s: &Subject<'_>, findings: &mut Findings) {
    let target = &s.situation.target;
    let mut ways = vec![(&target.node, s.target, &target.bridge, 0)];
    for (hub, facts) in s.hubs().into_iter().filter(|(hub, _)| target.node != **hub) {
        ways.extend(s.situation.tunnel_of_hub(hub).map(|tunnel| (hub, facts, tunnel, 0)));
    }
    for (node, facts, wanted, fib) in ways {
        let inside = |r: &&Route| {
            // The halves of a prefix are what a plan lays over a connected route, and takes away (see `network`).
            let is_half = |p: &Prefix| p.halves().is_some_and(|(a, b)| [a, b].contains(&r.destination));
            let within =
                |p: &&Prefix| p.covers(r.destination) && **p != r.destination && !(r.gateway.is_none() && is_half(p));
            s.situation.prefixes.iter().any(|p| within(&p))
                && s.situation.addresses.iter().any(|a| r.destination.contains(*a))
        };
        let table = facts.routes.get(&fib).into_iter().flatten();
        for route in
            table.filter(inside).filter(|r| r.flags.contains('S') && r.interface != *wanted && !is_own(facts, r))
        {
            let (destination, interface) = (route.destination, &route.interface);
            let by = route.gateway.map(|g| format!(" {g}")).unwrap_or_default();
            findings.error(
                "route-astray",
                node,
                format!(
                    "FIB {fib} of {node} sends {destination}, where jail {} is, to {interface} and not to {wanted}",
                    s.situation.jail
                ),
                Fix::new("delete the route, here and in rc.conf(5) or wherever it is made")
                    .run(format!("route -n delete -{} -net {destination}{by} -fib {fib}", destination.family())),
            );
        }
    }
}

/// The kernel's own route to an address of the host.
fn is_own(facts: &HostFacts, route: &Route) -> bool {
    facts.interfaces.iter().flat_map(|i| &i.addresses).any(|a| Prefix::host(a.addr()) == route.destination)
}

/// ARP entries that never end: a jail that moves has another hardware address afterwards.
pub(super) fn neighbours(s: &Subject<'_>, findings: &mut Findings) {
    for (node, facts) in s.hosts {
        for entry in facts.permanent_arp.iter().filter(|e| s.situation.addresses.contains(&e.address)) {
            let own = facts.interfaces.iter().flat_map(|i| &i.addresses).any(|a| a.addr() == entry.address);
            // Our own proxy entries need none of this: proxy ARP is done by the sysctl.
            if own {
                continue;
            }
            findings.warning(
                "arp-fixed",
                node,
                format!("arp(8) of {node} holds a fixed entry for {} on {}, an address of jail {}: after the move packets may go to where the jail is not", entry.address, entry.interface, s.situation.jail),
                Fix::new("delete it, here and where it is made (static_arp_pairs of rc.conf(5))")
                    .run(format!("arp -d {}", entry.address)),
            );
        }
    }
}

/// The same address in another jail somewhere: AllowedIPs decide who is reached, but its neighbours see the wrong one.
pub(super) fn twice(s: &Subject<'_>, findings: &mut Findings) {
    let target = &s.situation.target.node;
    for (node, facts) in s.hosts.iter().filter(|(node, _)| *node != target) {
        for jail in facts.jails.iter().filter(|j| j.name != s.situation.jail.as_str() && j.vnet && !j.dying) {
            for address in jail.addresses.iter().map(ipnet::IpNet::addr) {
                if s.situation.addresses.contains(&address) {
                    findings.warning(
                        "address-twice",
                        node,
                        format!(
                            "jail {} on {node} has {address} as well, which is jail {}'s",
                            jail.name, s.situation.jail
                        ),
                        format!("stop {} if it is a leftover, or give one of the two another address", jail.name),
                    );
                }
            }
        }
    }
}

/// A jail whose default gateway nobody answers for cannot send anything beyond its own network.
pub(super) fn gateway(s: &Subject<'_>, findings: &mut Findings) {
    let has = |facts: &HostFacts, address: IpAddr| {
        facts.interfaces.iter().flat_map(|i| &i.addresses).any(|a| a.addr() == address)
    };
    let source = &s.situation.source;
    let running = s.source.jail(&s.situation.jail);
    // A link-local one counts on the jail's own link only; lo0 has one as well.
    let on_the_link = |address: IpAddr| {
        let bridged = s.situation.segment.iter().filter_map(|node| s.hosts.get(node)).flat_map(|f| &f.interfaces);
        let all = bridged.filter(|i| !i.groups.iter().any(|g| g == "lo")).chain(s.source.interface(&source.bridge));
        all.flat_map(|i| &i.link_locals).any(|a| a.addr() == address)
    };
    for gateway in &s.situation.gateways {
        let there = match network::is_link_local(*gateway) {
            true => on_the_link(*gateway),
            false => s.hosts.values().any(|facts| has(facts, *gateway)),
        };
        if !gateway.is_unspecified() && !s.situation.is_bridged() {
            gateway_elsewhere(s, *gateway, findings);
        }
        if gateway.is_unspecified() || there {
            continue;
        }
        // A jail of the fleet may itself be the gateway of others.
        if s.hosts.values().flat_map(|f| &f.jails).flat_map(|j| &j.addresses).any(|a| a.addr() == *gateway) {
            continue;
        }
        let net = running.and_then(|j| j.addresses.iter().find(|n| n.contains(gateway)));
        let alone = if network::is_link_local(*gateway) { 64 } else { Prefix::host(*gateway).length() };
        let length = net.map_or(alone, ipnet::IpNet::prefix_len);
        let family = Family::of(*gateway);
        findings.warning(
            "no-gateway",
            &source.node,
            format!("no host of the fleet has {gateway}, the default gateway of jail {}: unless something else answers for it, the jail reaches nothing outside", s.situation.jail),
            Fix::new(format!("give it to {} of {}; at boot the same by ifconfig_{}_aliasN of rc.conf(5)", source.bridge, source.node, source.bridge))
                .run(format!("ifconfig {} {family} {gateway}/{length} alias", source.bridge)),
        );
    }
}

/// The target's bridge gets the gateway's address, which another interface of it has: an address is on one of them.
fn gateway_elsewhere(s: &Subject<'_>, gateway: IpAddr, findings: &mut Findings) {
    let (node, bridge) = (&s.situation.target.node, &s.situation.target.bridge);
    let here = network::on_the_link(s.target, bridge).any(|i| i.addresses.iter().any(|a| a.addr() == gateway));
    let other = s.target.interfaces.iter().find(|i| i.addresses.iter().any(|a| a.addr() == gateway));
    if let Some(other) = other.filter(|_| !here) {
        let (name, family) = (&other.name, Family::of(gateway));
        findings.error(
            "gateway-elsewhere",
            node,
            format!("{gateway}, the gateway of jail {}, is on {name} of {node}, which does not answer for it on {bridge}", s.situation.jail),
            Fix::new(format!("if {name} is the bridge of {node}'s jails, say so (`bridge: {name}` in fleet.yml); else take it off, now and in rc.conf(5)"))
                .run(format!("ifconfig {name} {family} {gateway} -alias")),
        );
    }
}

/// Packets that fit inside the jail, but not into the tunnel.
pub(super) fn mtu(s: &Subject<'_>, findings: &mut Findings) {
    let Some(inside) = s.source.jail(&s.situation.jail).and_then(|j| j.mtu) else { return };
    let mut tunnels: Vec<(&NodeName, u32)> = Vec::new();
    let of_hub = |(hub, facts)| Some((hub, facts, s.situation.tunnel_of_hub(hub)?));
    let of_target = (&s.situation.target.node, s.target, &s.situation.target.wireguard);
    for (node, facts, interface) in std::iter::once(of_target).chain(s.hubs().into_iter().filter_map(of_hub)) {
        tunnels.extend(facts.interface(interface).map(|i| (node, i.mtu)));
    }
    if s.situation.is_hub(&s.situation.target.node) {
        return;
    }
    let narrow = tunnels.into_iter().filter(|(_, mtu)| *mtu < inside).min_by_key(|(_, mtu)| *mtu);
    if let Some((node, mtu)) = narrow {
        findings.warning(
            "mtu-large",
            &s.situation.source.node,
            format!("jail {} sends packets of up to {inside} bytes, but the tunnel of {node} takes {mtu}: large answers would be lost where path MTU discovery does not work", s.situation.jail),
            format!("set the MTU inside to {mtu} or less: `ifconfig epairNb mtu {mtu}` in the jail's start, or in its rc.conf"),
        );
    }
}

/// Commands of the jail's start that name an interface which only the source has.
pub(super) fn interfaces(s: &Subject<'_>, findings: &mut Findings) {
    let source = &s.situation.source;
    let Some(configuration) = s.source.jail_configuration(&s.situation.jail) else { return };
    // What the plan rewrites, or what comes with the jail.
    let follows = |name: &InterfaceName| {
        *name == source.bridge || source.interfaces.contains(name) || name.as_str().starts_with("epair")
    };
    let foreign: BTreeSet<&InterfaceName> = s
        .source
        .interfaces
        .iter()
        .map(|i| &i.name)
        .filter(|name| !follows(name) && s.target.interface(name).is_none())
        .collect();
    let commands: Vec<(&str, String)> = BEFORE
        .iter()
        .flat_map(|parameter| configuration.values(parameter).unwrap_or_default().into_iter().map(|c| (*parameter, c)))
        .collect();
    let made = |name: &InterfaceName| commands.iter().any(|(_, command)| makes(command, name));
    for (parameter, command) in &commands {
        let named = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        for name in named.filter_map(|w| foreign.iter().find(|f| f.as_str() == w)).filter(|name| !made(name)) {
            let node = &s.situation.target.node;
            let what = format!(
                "{parameter} of jail {} names {name}, which {node} does not have: `{command}`",
                s.situation.jail
            );
            let fix = format!("make an interface {name} on {node}, or let the command stand without it (`… || true`)");
            if works_on(command, name) {
                let what = format!("{what} would fail, and the jail not start");
                findings.error("foreign-interface", node, what, fix);
            } else {
                findings.warning("foreign-interface", node, what, fix);
            }
        }
    }
}

/// Does the command make that interface, or give its name to another?
fn makes(command: &str, name: &InterfaceName) -> bool {
    let words: Vec<&str> = command.split(|c: char| c.is_whitespace() || ";&|".contains(c)).collect();
    let pair = |first: &str, second: &str| words.windows(2).any(|w| w[0] == first && w[1] == second);
    pair(name.as_str(), "create") || pair("create", name.as_str()) || pair("name", name.as_str())
}

/// Does nothing but `ifconfig NAME …`, which fails where there is no such interface? What a shell makes of other commands
/// is not known.
fn works_on(command: &str, name: &InterfaceName) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let plain = !command.contains(|c: char| "|&;<>(){}$`\\\"'*?[]#~=%".contains(c));
    plain && matches!(words.as_slice(), ["ifconfig" | "/sbin/ifconfig", first, _, ..] if *first == name.as_str())
}

/// pf on a bridge's members sees the jail's packets twice, and blocks what only the host's own rules let pass.
pub(super) fn bridge_filter(s: &Subject<'_>, findings: &mut Findings) {
    let on = |facts: &HostFacts| {
        let names = ["net.link.bridge.pfil_member", "net.link.bridge.pfil_bridge"];
        facts.pf.enabled == Some(true) && facts.pf.blocks && names.iter().any(|n| facts.sysctl(n) == Some(1))
    };
    if on(s.target) && !on(s.source) {
        let node = &s.situation.target.node;
        findings.warning(
            "bridge-filtered",
            node,
            format!("pf of {node} has rules that block, and looks at packets on bridges too (net.link.bridge.pfil_member or pfil_bridge is 1), unlike the source: it may block the jail"),
            Fix::new("if its rules do not mean the jails, keep pf from the bridges, now and in /etc/sysctl.conf")
                .run("sysctl net.link.bridge.pfil_member=0 net.link.bridge.pfil_bridge=0")
                .run("echo net.link.bridge.pfil_member=0 >> /etc/sysctl.conf")
                .run("echo net.link.bridge.pfil_bridge=0 >> /etc/sysctl.conf"),
        );
    }
}
