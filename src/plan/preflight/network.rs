//! What carries packets on the hubs and the target: forwarding, FIBs.

use crate::facts::HostFacts;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::longest_match;
use crate::plan::checks;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;
use crate::plan::situation::Place;
use crate::plan::situation::Situation;

/// Packets must be forwarded on the hubs and on the target; on a segment not by the target, but by the gateway (see
/// `segment`).
pub(super) fn forwarding(s: &Subject<'_>, findings: &mut Findings) {
    let target = (&s.situation.target.node, s.target);
    for (node, facts) in s.hubs().into_iter().chain((!s.situation.is_bridged()).then_some(target)) {
        for family in families(s.situation) {
            let (name, variable) = match family {
                Family::Inet => ("net.inet.ip.forwarding", "gateway_enable"),
                Family::Inet6 => ("net.inet6.ip6.forwarding", "ipv6_gateway_enable"),
            };
            if facts.sysctl(name) != Some(1) {
                findings.error(
                    "forwarding-off",
                    node,
                    format!("{name} is not 1 on {node}, so the jail's packets would stop there"),
                    Fix::new("let it forward, now and after each boot")
                        .run(format!("sysctl {name}=1"))
                        .run(format!("sysrc {variable}=YES")),
                );
            }
        }
    }
}

pub(in crate::plan) fn families(situation: &Situation) -> Vec<Family> {
    let mut families: Vec<Family> = situation.prefixes.iter().map(|p| p.family()).collect();
    families.sort();
    families.dedup();
    families
}

/// The jail's FIB must exist on the target and lead back through the tunnel (contract 0.6, 1.7). What is only bridged
/// there is looked up in no FIB.
pub(super) fn fibs(s: &Subject<'_>, findings: &mut Findings) {
    let target = &s.situation.target;
    let node = &target.node;
    let fibs = s.target.sysctl("net.fibs").unwrap_or(1);
    if i64::from(target.fib) >= fibs {
        findings.error(
            "no-fib",
            node,
            format!("the jail shall use FIB {} on {node}, but net.fibs is {fibs}: ifconfig would only warn and the traffic would leave past the tunnel", target.fib),
            Fix::new("make more FIBs, now and at each boot (loader.conf(5))")
                .run(format!("sysctl net.fibs={}", target.fib + 1))
                .run(format!("echo 'net.fibs=\"{}\"' >> /boot/loader.conf", target.fib + 1)),
        );
        return;
    }
    if s.situation.is_hub(node) || s.situation.is_bridged() {
        return;
    }
    for family in families(s.situation) {
        let default = Prefix::default_route(family);
        // Translated by the node's own pf, IPv4 must not go into the tunnel; IPv6 keeps its address, which is the hub's.
        if family == Family::Inet && target.egress == *node {
            let own = |r: &crate::facts::Route| r.destination == default && r.interface != target.wireguard;
            if !s.target.routes(target.fib, family).any(own) {
                findings.error(
                    "egress",
                    node,
                    format!("fleet.yml says `egress: node`, but FIB {} of {node} has no IPv4 default route past {}, so the jail's packets would not leave by {node} itself", target.fib, target.wireguard),
                    format!("route -n add -inet default GATEWAY -fib {f}, and the same in static_routes of rc.conf(5); or take `egress` out of fleet.yml", f = target.fib),
                );
            }
            let near = |address: &std::net::IpAddr| {
                let table = s.target.routes(target.fib, family).filter(|r| r.destination.contains(*address));
                table.max_by_key(|r| r.destination.length()).is_some_and(|r| r.interface == target.wireguard)
            };
            let network_of = |address: std::net::IpAddr| {
                let tunnel = s.near_hub().interface(s.situation.near_tunnel());
                let own = tunnel.map(|i| i.addresses.as_slice()).unwrap_or_default();
                own.iter().find(|n| n.addr() == address).map_or_else(|| Prefix::host(address), |n| Prefix::truncate(*n))
            };
            let hub = checks::tunnel_addresses(s.near_hub(), s.situation.near_tunnel());
            if let Some(far) = hub.iter().find(|a| a.is_ipv4() && !near(a)) {
                findings.error(
                    "egress",
                    node,
                    format!("FIB {} of {node} does not lead to the hub ({far}) through {}, so the jail could not answer what comes by the tunnel", target.fib, target.wireguard),
                    route(network_of(*far), target, "lead the tunnel's network into the tunnel"),
                );
            }
            continue;
        }
        let by = past_the_tunnel(s.target, target.fib, default, &target.wireguard);
        if let Some(Some((halved, other))) = by.iter().find(|out| out.is_some()) {
            findings.error(
                "egress",
                node,
                format!("FIB {} of {node} sends {halved} out of {other}, not of {}, so the jail's answers would leave past the hub", target.fib, target.wireguard),
match target.fib {
                    0 => apart(node, other, target),
                    _ => replaced(*halved, s.target, target),
                },
            );
        } else if !by.is_empty() {
            findings.error(
                "egress",
                node,
                format!("FIB {} of {node} has no {family} default route through {}, so the jail's answers would leave past the hub", target.fib, target.wireguard),
                route(default, target, "lead it into the tunnel"),
            );
        }
    }
}

/// A route into the tunnel, and what makes it again at boot.
fn route(prefix: Prefix, target: &Place, words: &str) -> Fix {
    let (tunnel, fib, family) = (&target.wireguard, target.fib, prefix.family());
    let variable = match family {
        Family::Inet => "static_routes",
        Family::Inet6 => "ipv6_static_routes",
    };
    Fix::new(format!(
        "{words}; at boot the same by {variable} of rc.conf(5), or as PostUp where wg-quick(8) makes {tunnel}"
    ))
    .run(format!("route -n add -{family} -net {prefix} -interface {tunnel} -fib {fib}"))
}

/// The same where another route of that very prefix has to go first; where a wider one lies there, it may stay.
fn replaced(prefix: Prefix, facts: &HostFacts, target: &Place) -> Fix {
    let (fib, family) = (target.fib, prefix.family());
    let exact = facts.routes(fib, family).find(|r| r.destination == prefix);
    let fix = route(prefix, target, "lead it into the tunnel");
    let Some(old) = exact else { return fix };
    let by = old.gateway.map(|g| format!(" {g}")).unwrap_or_default();
    fix.before(format!("route -n delete -{family} -net {prefix}{by} -fib {fib}"))
}

/// FIB 0 is also what the host itself goes by, its sshd and the tunnel's own packets among others: its way out stays.
fn apart(node: &NodeName, other: &InterfaceName, target: &Place) -> Fix {
    let tunnel = &target.wireguard;
    Fix::new(format!(
        "{node} itself needs that way. Give its jails a FIB of their own: `fib: 1` at {node} in fleet.yml, and the way into the tunnel there; at boot the same by loader.conf(5) (net.fibs), static_routes and ipv6_static_routes of rc.conf(5), or PostUp where wg-quick(8) makes {tunnel}. Or let its own pf translate IPv4 out of {other} (`egress: node`, docs/nat.md)"
    ))
    .run("sysctl net.fibs=2")
    .run(format!("route -n add -inet -net 0.0.0.0/0 -interface {tunnel} -fib 1"))
    .run(format!("route -n add -inet6 -net ::/0 -interface {tunnel} -fib 1"))
}

/// Where a FIB sends the halves of everything that do not leave by `tunnel`, by longest match: a default route does not
/// count where two halves lie over it (contract 1.7). `None`: there is no route at all.
fn past_the_tunnel(
    facts: &HostFacts,
    fib: u16,
    everything: Prefix,
    tunnel: &InterfaceName,
) -> Vec<Option<(Prefix, InterfaceName)>> {
    let halves = everything.halves().map_or_else(|| vec![everything], |(a, b)| vec![a, b]);
    let table = || facts.routes(fib, everything.family()).map(|r| (r.destination, &r.interface));
    let found = halves.into_iter().map(|half| longest_match(table(), half));
    found
        .filter(|out| out.is_none_or(|(_, interface)| interface != tunnel))
        .map(|out| out.map(|(by, interface)| (by, interface.clone())))
        .collect()
}
