//! Several hubs: each must lead to the host that runs the jail now, by its own AllowedIPs and those of the hubs behind it.

use std::collections::BTreeSet;

use crate::facts::HostFacts;
use crate::facts::WireGuard;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::longest_match;
use crate::plan::assemble::node_of;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::network;
use crate::plan::preflight::Subject;
use crate::plan::preflight::tunnel::give;
use crate::plan::tunnels::Tunnels;

/// Where the AllowedIPs lead past the source.
struct Astray {
    /// Whose AllowedIPs.
    host: NodeName,
    interface: InterfaceName,
    /// The peer that has the prefix, and by which entry; none where nobody has it.
    owner: Option<(PublicKey, Prefix)>,
}

/// Findings for every hub that does not lead to the source.
pub(super) fn agree(s: &Subject<'_>, prefix: Prefix, findings: &mut Findings) {
    let source = &s.situation.source.node;
    let mut told = BTreeSet::new();
    for (hub, _) in s.hubs().into_iter().filter(|(hub, _)| *hub != source) {
        let Some(astray) = follow(s, hub, prefix) else { continue };
        let Astray { host, interface, owner } = &astray;
        // What one hub does wrong is said once, and not again for those that it is behind.
        if !told.insert(host.clone()) {
            continue;
        }
        match owner {
            Some((key, by)) => {
                let to = node_of(s.hosts, key).map_or_else(|| key.short().to_owned(), |n| n.to_string());
                findings.error(
                    "owner",
                    host,
                    format!(
                        "{host} gives {prefix} (by {by} on {interface}) to {to}, which does not lead to {source}, where the jail runs: the hubs contradict each other"
                    ),
                    mend(s, &astray, prefix),
                );
            }
            None => findings.error(
                "no-owner",
                host,
                format!("no peer of {host} has {prefix} in its AllowedIPs, so nobody reaches the jail by {host} now"),
                mend(s, &astray, prefix),
            ),
        }
    }
}

/// Where the way of a prefix from a hub ends, when not at the source.
fn follow(s: &Subject<'_>, hub: &NodeName, prefix: Prefix) -> Option<Astray> {
    let source = &s.situation.source.node;
    let tunnels = Tunnels::new(s.hosts, s.situation.hubs());
    let (mut here, mut seen) = (hub.clone(), BTreeSet::new());
    while here != *source {
        let tunnel = way_out(s, &tunnels, &here, prefix)?;
        let owner = network::owner(&tunnel.peers, prefix).map(|(key, by)| (key.clone(), by));
        let next = owner.as_ref().and_then(|(key, _)| node_of(s.hosts, key));
        let goes_on = |node: &NodeName| node == source || tunnels.passes(node) && !seen.contains(node);
        let astray = Astray { host: here.clone(), interface: tunnel.interface.clone(), owner };
        let Some(next) = next.filter(goes_on) else { return Some(astray) };
        seen.insert(std::mem::replace(&mut here, next));
    }
    None
}

/// The tunnel into which a host sends the prefix; where no route tells, the one that leads to the source.
fn way_out<'a>(s: &Subject<'a>, tunnels: &Tunnels<'_>, host: &NodeName, prefix: Prefix) -> Option<&'a WireGuard> {
    let facts: &HostFacts = s.hosts.get(host)?;
    // Halves are what a plan lays over a network that is connected.
    let part = prefix.halves().map_or(prefix, |(first, _)| first);
    let table = facts.routes(0, prefix.family()).map(|r| (r.destination, &r.interface));
    let routed = longest_match(table, part).and_then(|(_, interface)| facts.wireguard(interface));
    let leading = || facts.wireguard(&tunnels.next(host, &s.situation.source.node)?.interface);
    routed.or_else(leading).or_else(|| facts.wireguard.first())
}

/// The peer that leads to the source gets it.
fn mend(s: &Subject<'_>, astray: &Astray, prefix: Prefix) -> Fix {
    let source = &s.situation.source.node;
    let hop = Tunnels::new(s.hosts, s.situation.hubs()).next(&astray.host, source);
    match (hop, s.hosts.get(&astray.host)) {
        (Some(hop), Some(facts)) => give(facts, &hop.interface, Some(&hop.key), &hop.node, prefix),
        _ => Fix::new(format!("make {source}, or the hub that it is behind, a peer of {}", astray.host)),
    }
}
