//! The tunnel and who owns which prefix at the hub.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;

use crate::facts::HostFacts;
use crate::facts::Peer;
use crate::facts::WireGuard;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::network;
use crate::plan::preflight::Subject;
use crate::plan::preflight::hubs;
use crate::plan::preflight::network::families;
use crate::plan::situation::Place;
use crate::plan::tunnels::Tunnels;
use crate::plan::tunnels::with_peer;

/// Seconds after which a handshake is too old: WireGuard renews it every two minutes of traffic (contract 3.4).
const HANDSHAKE_FRESH: i64 = 180;

/// A tunnel between a hub and a place of the jail.
struct Link<'a> {
    hub: &'a NodeName,
    of_hub: &'a HostFacts,
    /// The hub's end.
    far: &'a WireGuard,
    /// The place's end.
    own: &'a WireGuard,
}

/// The tunnels of a place to hubs: with one hub, by the interfaces that are known to be meant; with several, all that there
/// are, and the first hub's when there are none.
fn links<'a>(s: &Subject<'a>, place: &Place, facts: &'a HostFacts) -> Vec<Link<'a>> {
    let (first, of_first) = (&s.situation.hub, s.hub);
    let meant = || {
        let own = facts.wireguard(&place.wireguard)?;
        let far = with_peer(of_first, Some(&own.public_key), &s.situation.hub_wireguard)?;
        Some(Link { hub: first, of_hub: of_first, far, own }).filter(|_| place.node != *first)
    };
    if s.situation.more_hubs.is_empty() {
        return meant().into_iter().collect();
    }
    let other = |(hub, of_hub): (&'a NodeName, &'a HostFacts)| {
        let mut pairs = of_hub.wireguard.iter().flat_map(|far| facts.wireguard.iter().map(move |own| (far, own)));
        let known = |(far, own): &(&WireGuard, &WireGuard)| far.peers.iter().any(|p| p.public_key == own.public_key);
        pairs.find(known).map(|(far, own)| Link { hub, of_hub, far, own })
    };
    let all: Vec<Link<'a>> = s.hubs().into_iter().filter(|(hub, _)| **hub != place.node).filter_map(other).collect();
    let is_hub = s.situation.is_hub(&place.node);
    if all.is_empty() && !is_hub { meant().into_iter().collect() } else { all }
}

/// The hubs know the target and have heard of it lately; so does the source, or it is a hub.
pub(super) fn tunnel(s: &Subject<'_>, findings: &mut Findings) {
    for (place, facts) in [(&s.situation.source, s.source), (&s.situation.target, s.target)] {
        for link in links(s, place, facts) {
            examine_link(s, place, facts, &link, findings);
        }
    }
}

fn examine_link(s: &Subject<'_>, place: &Place, facts: &HostFacts, link: &Link<'_>, findings: &mut Findings) {
    let Link { hub, far: interface, own, .. } = *link;
    let Some(peer) = interface.peers.iter().find(|p| p.public_key == own.public_key) else {
        findings.error(
            "unknown-peer",
            hub,
            format!(
                "{} of {hub} has no peer with the public key of {} ({})",
                interface.interface, place.node, own.public_key
            ),
            introduce(s, place, facts, &own.public_key),
        );
        return;
    };
    handshake(s, place, peer, link, findings);
    let there = own.peers.iter().find(|p| p.public_key == interface.public_key);
    if there.is_none() {
        findings.error(
            "unknown-hub",
            &place.node,
            format!(
                "{} of {} has no peer with the public key of {hub} ({}): nothing of the hub's is let in",
                own.interface, place.node, interface.public_key
            ),
            Fix::new(format!(
                "correct the hub's PublicKey in the file; with wg-quick(8) it is loaded by: wg-quick strip {tunnel} | wg syncconf {tunnel} /dev/stdin",
                tunnel = own.interface
            ))
            .write(file_of(facts, &own.interface), "below [Peer]", format!("PublicKey = {}", interface.public_key)),
        );
        return;
    }
    if s.situation.is_hub(&place.node) {
        return;
    }
    // What everybody sends comes by the hub that the node's packets leave by.
    let main = Tunnels::new(s.hosts, s.situation.hubs()).hub_of(&place.node, Some(&place.wireguard));
    if s.situation.more_hubs.is_empty() || main.as_ref() == Some(hub) {
        narrow(s, place, own, &interface.public_key, findings);
    }
    keepalive(s, place, peer, own, &interface.public_key, findings);
}

/// A node that the hub sees at an address which is none of its own is behind NAT: what comes for its jails gets in only as
/// long as the NAT remembers that something went out.
fn keepalive(s: &Subject<'_>, place: &Place, peer: &Peer, own: &WireGuard, hub: &PublicKey, findings: &mut Findings) {
    let (node, tunnel) = (&place.node, &own.interface);
    let silent = own.peers.iter().any(|p| p.public_key == *hub && p.keepalive == Some(false));
    let seen = peer.endpoint.as_deref().and_then(|e| e.parse::<SocketAddr>().ok()).map(|e| e.ip());
    let Some((seen, facts)) = seen.zip(s.hosts.get(node)).filter(|_| silent) else { return };
    if facts.interfaces.iter().flat_map(|i| &i.addresses).any(|a| a.addr() == seen) {
        return;
    }
    findings.warning(
        "no-keepalive",
        node,
        format!("{node} is behind NAT (the hub sees it at {seen}), but {tunnel} sends no keepalives: when its jails have been silent for a while, nobody outside reaches them"),
        Fix::new("let it send one now and then, now and in the file")
            .run(format!("wg set {tunnel} peer {hub} persistent-keepalive 25"))
            .write(
                file_of(facts, tunnel),
                format!("below [Peer] and PublicKey = {hub}"),
                "PersistentKeepalive = 25",
            ),
    );
}

/// A node that does not take everything from the hub. Where the jail is reached from everywhere now and answers by the hub,
/// it would not be any more.
fn narrow(s: &Subject<'_>, place: &Place, own: &WireGuard, hub: &PublicKey, findings: &mut Findings) {
    let whole = |allowed: &BTreeSet<Prefix>, everything: Prefix| {
        let both = |(a, b)| allowed.contains(&a) && allowed.contains(&b);
        allowed.contains(&everything) || everything.halves().is_some_and(both)
    };
    let accepts = |own: &WireGuard, everything: Prefix| {
        own.peers.iter().any(|p| p.public_key == *hub && whole(&p.allowed, everything))
    };
    // The source may be behind another hub.
    let one_hub = s.situation.more_hubs.is_empty();
    let (source, target) = (&s.situation.source, &s.situation.target);
    for family in families(s.situation) {
        let everything = Prefix::default_route(family);
        let takes_all = |w: &WireGuard| match one_hub {
            true => accepts(w, everything),
            false => w.peers.iter().any(|p| whole(&p.allowed, everything)),
        };
        if accepts(own, everything) {
            continue;
        }
        let now = s.situation.is_hub(&source.node) || s.source.wireguard(&source.wireguard).is_some_and(takes_all);
        let by_hub = family == Family::Inet6 || s.situation.is_hub(&target.egress);
        let (tunnel, node) = (&place.wireguard, &place.node);
        let what = format!("{tunnel} of {node} does not accept every {family} address from the hub");
        let fix = accept_all(s.hosts.get(node).unwrap_or(s.target), place, hub);
        if *node == target.node && now && by_hub {
            let what = format!("{what}: clients that reach the jail now would no longer reach it there");
            findings.error("narrow-tunnel", node, what, fix);
        } else {
            let what = format!("{what}: clients outside its AllowedIPs cannot reach the jail there");
            findings.warning("narrow-tunnel", node, what, fix);
        }
    }
}

/// A tunnel that nobody uses has no handshake, and is none the worse for it. So nodes that the hub has not heard of lately
/// are made to send something before this is looked at (see [`silent`]).
fn handshake(s: &Subject<'_>, place: &Place, peer: &Peer, link: &Link<'_>, findings: &mut Findings) {
    let of_hub = link.far;
    if is_fresh(link.of_hub, peer) {
        return;
    }
    let (hub, node, tunnel) = (link.hub, &place.node, &link.own.interface);
    let when = match peer.latest_handshake {
        0 => "has never happened".to_owned(),
        last => format!("was {} s ago", link.of_hub.identity.clock.saturating_sub(last)),
    };
    let what = format!("the last handshake of {node} with {hub} {when}");
    let asked = silent(hub, s.hosts).iter().any(|silent| silent.node == *node);
    if asked {
        let what = format!("{what}, and {node} has just tried to send {hub} something: the tunnel is down");
        let fix = Fix::new(format!(
            "`wg show {tunnel}` on {node} must tell of an endpoint that leads to {hub}, UDP port {port}: else correct Endpoint below [Peer] in {file}; if it does, a firewall on the way keeps UDP port {port} of {hub} out",
            port = of_hub.listen_port,
            file = s.hosts.get(node).map_or_else(String::new, |facts| file_of(facts, tunnel)),
        ));
        // What leaves a node whose tunnel is down loses nothing by it.
        if *node == s.situation.target.node {
            findings.error("no-handshake", hub, what, fix);
        } else {
            findings.warning("no-handshake", hub, what, fix);
        }
        return;
    }
    findings.warning(
        "no-handshake",
        hub,
        format!("{what}, and {node} has no route by which it could be made to send something: the tunnel may be down"),
        Fix::new(format!(
            "look whether `wg show {tunnel}` on {node} tells of a handshake after it has sent something; behind NAT it needs a keepalive (and PersistentKeepalive = 25 below [Peer] in its file)"
        ))
        .run_on(node, format!("wg set {tunnel} peer {} persistent-keepalive 25", of_hub.public_key)),
    );
}

fn is_fresh(hub: &HostFacts, peer: &Peer) -> bool {
    let age = hub.identity.clock.saturating_sub(peer.latest_handshake);
    peer.latest_handshake != 0 && age <= HANDSHAKE_FRESH
}

/// A node that the hub has not heard of lately, and how the node speaks to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// The node.
    pub node: NodeName,
    /// An address of the hub's in the tunnel.
    pub hub: IpAddr,
    /// The FIB of the node that leads there through the tunnel.
    pub fib: u16,
}

/// The nodes that the hub has not heard of lately and that can send it something.
#[must_use]
pub fn silent(hub: &NodeName, hosts: &BTreeMap<NodeName, HostFacts>) -> Vec<Silent> {
    let Some(of_hub) = hosts.get(hub) else { return Vec::new() };
    let mut all = Vec::new();
    for (node, facts) in hosts.iter().filter(|(node, _)| *node != hub) {
        let mut ways = facts.wireguard.iter().flat_map(|own| of_hub.wireguard.iter().map(move |far| (own, far)));
        let way = ways.find_map(|(own, far)| {
            let peer = far.peers.iter().find(|p| p.public_key == own.public_key)?;
            let there = own.peers.iter().find(|p| p.public_key == far.public_key)?;
            if is_fresh(of_hub, peer) {
                return None;
            }
            let addresses = of_hub.interface(&far.interface)?.addresses.iter().map(ipnet::IpNet::addr);
            let reached = addresses.filter(|a| there.allowed.iter().any(|p| p.contains(*a)));
            reached.into_iter().find_map(|address| Some((address, leads(facts, address, &own.interface)?)))
        });
        all.extend(way.map(|(hub, fib)| Silent { node: node.clone(), hub, fib }));
    }
    all
}

/// The FIB in which the longest match of the address leaves by that interface.
fn leads(facts: &HostFacts, address: IpAddr, interface: &InterfaceName) -> Option<u16> {
    let by = |fib: u16| {
        let table = facts.routes(fib, Family::of(address)).filter(|r| r.destination.contains(address));
        table.max_by_key(|r| r.destination.length()).is_some_and(|r| r.interface == *interface)
    };
    facts.routes.keys().copied().find(|fib| by(*fib))
}

/// The source owns the prefixes now at every hub, and nobody else's lie inside them.
pub(super) fn ownership(s: &Subject<'_>, findings: &mut Findings) {
    let hub = &s.situation.hub;
    let source_key = s.source.wireguard(&s.situation.source.wireguard).map(|w| &w.public_key);
    let Some(interface) = with_peer(s.hub, source_key, &s.situation.hub_wireguard) else { return };
    let several = !s.situation.more_hubs.is_empty();
    let give = |prefix| give(s.hub, &interface.interface, source_key, &s.situation.source.node, prefix);
    let of_tunnels: Vec<ipnet::IpNet> = s
        .hosts
        .values()
        .flat_map(|facts| facts.wireguard.iter().filter_map(|w| facts.interface(&w.interface)))
        .flat_map(|i| i.addresses.iter().copied())
        .collect();
    for prefix in &s.situation.prefixes {
        let fix = "give the jail addresses outside the tunnel's network";
        if let Some(own) = of_tunnels.iter().find(|a| prefix.contains(a.addr())) {
            findings.error(
                "tunnel-prefix",
                hub,
                format!("{prefix} holds {}, an address of the tunnel itself, which would move too", own.addr()),
                fix,
            );
        } else if let Some(own) = of_tunnels.iter().find(|a| Prefix::truncate(**a).overlaps(*prefix)) {
            // By longest match that works, where every host has a route of its own to it.
            findings.warning(
                "tunnel-prefix",
                hub,
                format!("{prefix} lies in the tunnel's own network {}", Prefix::truncate(*own)),
                fix,
            );
        }
        if several {
            hubs::agree(s, *prefix, findings);
            continue;
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
                give(*prefix),
            ),
            None => findings.error(
                "no-owner",
                hub,
                format!("no peer of {hub} has {prefix} in its AllowedIPs, so nobody outside reaches the jail now"),
                give(*prefix),
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

/// The WireGuard file of an interface, for sentences.
fn file_of(facts: &HostFacts, interface: &InterfaceName) -> String {
    let found = facts.wireguard_files.iter().find(|f| f.interface == *interface);
    found.map_or_else(|| format!("the configuration file of {interface}"), |f| f.path.to_string())
}

/// wg(8) replaces the whole list (contract 0.8), so all of it is said.
fn set_allowed(interface: &InterfaceName, key: &PublicKey, allowed: &BTreeSet<Prefix>) -> String {
    let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    format!("wg set {interface} peer {key} allowed-ips {}", list.join(","))
}

/// The same in the file.
fn lasting(fix: Fix, facts: &HostFacts, interface: &InterfaceName, key: &PublicKey, allowed: &BTreeSet<Prefix>) -> Fix {
    let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let place = format!("below [Peer] and PublicKey = {key}");
    fix.write(file_of(facts, interface), place, format!("AllowedIPs = {}", list.join(", ")))
}

/// The hub learns of a node: its address in the tunnel, and the networks of its bridge that nobody else has.
fn introduce(s: &Subject<'_>, place: &Place, facts: &HostFacts, key: &PublicKey) -> Fix {
    let interface = &s.situation.hub_wireguard;
    let known: Vec<&Peer> = s.hub.wireguard(interface).into_iter().flat_map(|w| &w.peers).collect();
    let in_tunnel = facts.interface(&place.wireguard).into_iter().flat_map(|i| &i.addresses);
    let on_bridge = facts.interface(&place.bridge).into_iter().flat_map(|i| &i.addresses);
    let networks = on_bridge.filter(|n| Prefix::truncate(**n).length() < Prefix::host(n.addr()).length());
    let networks = networks.map(|n| Prefix::truncate(*n)).filter(|n| !known.iter().any(|p| p.allowed.contains(n)));
    let allowed: BTreeSet<Prefix> = in_tunnel.map(|n| Prefix::host(n.addr())).chain(networks).collect();
    let fix = Fix::new(format!("make {} a peer of the hub, now and in its file", place.node))
        .run(set_allowed(interface, key, &allowed));
    lasting(fix, s.hub, interface, key, &allowed)
}

/// The node takes whatever comes from the hub.
fn accept_all(facts: &HostFacts, place: &Place, hub: &PublicKey) -> Fix {
    let mut allowed = BTreeSet::from([Family::Inet, Family::Inet6].map(Prefix::default_route));
    let peers = facts.wireguard(&place.wireguard).map(|w| w.peers.as_slice()).unwrap_or_default();
    // What the hub has besides may be there to win over a wider one of another peer.
    if peers.len() > 1 {
        allowed.extend(peers.iter().filter(|p| p.public_key == *hub).flat_map(|p| &p.allowed));
    }
    let fix = Fix::new(
        "let everything in that comes from the hub, now and in the file (where wg-quick(8) also needs Table = off)",
    );
    lasting(fix.run(set_allowed(&place.wireguard, hub, &allowed)), facts, &place.wireguard, hub, &allowed)
}

/// The hub gives the source what its jail owns: what another peer has of it too much is taken away, what the source lacks
/// is added. A list that names a prefix takes it from the peer that had it.
pub(super) fn give(
    hub: &HostFacts,
    interface: &InterfaceName,
    key: Option<&PublicKey>,
    node: &NodeName,
    prefix: Prefix,
) -> Fix {
    let peers = hub.wireguard(interface).map(|w| w.peers.as_slice()).unwrap_or_default();
    let Some(own) = peers.iter().find(|p| Some(&p.public_key) == key) else {
        return Fix::new(format!("make {node} a peer of the hub first"));
    };
    let other =
        network::owner(peers, prefix).and_then(|(key, by)| Some((peers.iter().find(|p| p.public_key == *key)?, by)));
    let (peer, allowed) = match other {
        // The wider one of the source's counts again.
        Some((other, by)) if own.allowed.iter().any(|p| p.covers(by)) => {
            (other, other.allowed.iter().copied().filter(|p| *p != by).collect())
        }
        _ => (own, own.allowed.iter().copied().chain([prefix]).collect::<BTreeSet<Prefix>>()),
    };
    let fix =
        Fix::new(format!("leave it to {node}, now and in the file (or correct `prefixes:` of the jail in fleet.yml)"));
    lasting(fix.run(set_allowed(interface, &peer.public_key, &allowed)), hub, interface, &peer.public_key, &allowed)
}
