//! The tunnel and who owns which prefix at the hub.

use crate::model::Prefix;
use crate::plan::finding::Findings;
use crate::plan::network;
use crate::plan::preflight::Subject;
use crate::plan::preflight::network::families;

/// Seconds after which a handshake is too old: WireGuard renews it every two minutes of traffic (contract 3.4).
const HANDSHAKE_FRESH: i64 = 180;

/// The hub knows the target and has heard of it lately; so does the source, or it is the hub.
pub(super) fn tunnel(s: &Subject<'_>, findings: &mut Findings) {
    let hub = &s.situation.hub;
    let Some(interface) = s.hub.wireguard(&s.situation.hub_wireguard) else { return };
    for (place, facts) in [(&s.situation.source, s.source), (&s.situation.target, s.target)] {
        if place.node == *hub {
            continue;
        }
        let Some(own) = facts.wireguard(&place.wireguard) else { continue };
        let Some(peer) = interface.peers.iter().find(|p| p.public_key == own.public_key) else {
            findings.error(
                "unknown-peer",
                hub,
                format!(
                    "{} of {hub} has no peer with the public key of {} ({})",
                    s.situation.hub_wireguard, place.node, own.public_key
                ),
                format!("add a [Peer] section for {} to the hub's WireGuard configuration", place.node),
            );
            continue;
        };
        let age = s.hub.identity.clock.saturating_sub(peer.latest_handshake);
        if peer.latest_handshake == 0 || age > HANDSHAKE_FRESH {
            let when = if peer.latest_handshake == 0 { "never".to_owned() } else { format!("{age} s ago") };
            findings.error(
                "no-handshake",
                hub,
                format!("the last handshake of {} with {hub} was {when}: the tunnel is down", place.node),
                format!(
                    "on {}: look at `wg show {}`; a node behind NAT needs PersistentKeepalive = 25",
                    place.node, place.wireguard
                ),
            );
        }
        let there = own.peers.iter().find(|p| p.public_key == interface.public_key);
        for family in families(s.situation) {
            let everything = Prefix::default_route(family);
            let covers = there.is_some_and(|p| {
                p.allowed.contains(&everything)
                    || everything.halves().is_some_and(|(a, b)| p.allowed.contains(&a) && p.allowed.contains(&b))
            });
            if !covers {
                findings.warning(
                    "narrow-tunnel",
                    &place.node,
                    format!("{} of {} does not accept every {family} address from the hub: clients outside its AllowedIPs cannot reach the jail there", place.wireguard, place.node),
                    format!("AllowedIPs = 0.0.0.0/0, ::/0 for the peer {hub} (with Table = off)"),
                );
            }
        }
    }
}

/// The source owns the prefixes now, and nobody else's lie inside them.
pub(super) fn ownership(s: &Subject<'_>, findings: &mut Findings) {
    let hub = &s.situation.hub;
    let Some(interface) = s.hub.wireguard(&s.situation.hub_wireguard) else { return };
    let source_key = s.source.wireguard(&s.situation.source.wireguard).map(|w| &w.public_key);
    let networks: Vec<Prefix> = s
        .hosts
        .values()
        .flat_map(|facts| facts.wireguard.iter().filter_map(|w| facts.interface(&w.interface)))
        .flat_map(|i| i.addresses.iter().map(|a| Prefix::truncate(*a)))
        .collect();
    for prefix in &s.situation.prefixes {
        if let Some(network) = networks.iter().find(|n| n.overlaps(*prefix)) {
            findings.error(
                "tunnel-prefix",
                hub,
                format!("{prefix} overlaps the tunnel's own network {network}"),
                "give the jail addresses outside the tunnel's network",
            );
        }
        if s.situation.source.node == *hub {
            continue;
        }
        match network::owner(&interface.peers, *prefix) {
            Some((key, _)) if Some(key) == source_key => {}
            Some((key, found)) => findings.error(
                "owner",
                hub,
                format!(
                    "{hub} gives {prefix} (by {found}) to peer {}, which is not {}, where the jail runs",
                    key.short(),
                    s.situation.source.node
                ),
                "correct AllowedIPs on the hub, or `prefixes:` of the jail in fleet.yml",
            ),
            None => findings.error(
                "no-owner",
                hub,
                format!("no peer of {hub} has {prefix} in its AllowedIPs, so nobody outside reaches the jail now"),
                format!(
                    "add it to the AllowedIPs of {}, or correct `prefixes:` of the jail in fleet.yml",
                    s.situation.source.node
                ),
            ),
        }
    }
    let missing: Vec<String> = s
        .situation
        .addresses
        .iter()
        .filter(|a| !s.situation.prefixes.iter().any(|p| p.contains(**a)))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        findings.warning(
            "address-stays",
            &s.situation.source.node,
            format!(
                "the jail has {} inside, which none of its prefixes covers and which will not be routed to the target",
                missing.join(", ")
            ),
            "add them to `prefixes:` of the jail in fleet.yml",
        );
    }
}
