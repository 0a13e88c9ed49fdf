//! Who shall route what where: the differences between the network as it is and as it must be once the jail's prefixes
//! are on another host.
//!
//! The invariants (contract 1.8): the hub's AllowedIPs give the prefix to the host that runs the jail, by longest match;
//! that host routes it to its bridge; the hub and every other host whose own bridge covers it route it into the
//! tunnel. Whatever longest match gives for free gets no entry, so a jail that comes home leaves nothing behind.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv6Addr;

use sha2::Digest;

use crate::effect::RouteSpec;
use crate::effect::hand_over::PeerChange;
use crate::facts::HostFacts;
use crate::facts::Interface;
use crate::facts::Peer;
use crate::facts::Route;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::longest_match;

/// A change of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Add it; `instead_of` is the interface that the same prefix leads to now by a static route.
    Add {
        /// The route.
        route: RouteSpec,
        /// The interface of the static route it replaces.
        instead_of: Option<InterfaceName>,
    },
    /// Delete it.
    Delete(RouteSpec),
}

/// Why the prefixes cannot be handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Part of the prefix belongs to somebody else.
    #[error("{inner}, a part of {prefix}, belongs to another peer ({peer})")]
    PartTaken {
        /// The jail's prefix.
        prefix: Prefix,
        /// The more specific one.
        inner: Prefix,
        /// Who has it, short.
        peer: String,
    },
    /// The target has no peer on the hub.
    #[error("no peer with the target's public key {0} on the hub's interface")]
    UnknownPeer(PublicKey),
}

/// The routes of one FIB that lead `prefix` out of `wanted`, given the table as it is.
///
/// A static route of the prefix itself is ours or made for this very purpose and may be replaced. A connected route of
/// the same prefix cannot be replaced, and deleting somebody's connected route is out of the question: the two halves
/// win over it by longest match.
#[must_use]
pub fn route_changes(
    host: &NodeName,
    table: &[Route],
    prefix: Prefix,
    wanted: &InterfaceName,
    fib: u16,
) -> Vec<RouteChange> {
    let is_static = |r: &&Route| r.gateway.is_none() && r.flags.contains('S');
    let spec = |prefix: Prefix, interface: &InterfaceName| RouteSpec {
        host: host.clone(),
        prefix,
        interface: interface.clone(),
        fib,
    };
    let exact = table.iter().filter(is_static).find(|r| r.destination == prefix);
    let connected = table.iter().any(|r| r.destination == prefix && r.gateway.is_none() && !r.flags.contains('S'));
    let halves: Vec<Prefix> = prefix.halves().map(|(a, b)| vec![a, b]).unwrap_or_default();
    let half_routes: Vec<&Route> = table.iter().filter(is_static).filter(|r| halves.contains(&r.destination)).collect();

    let without_ours = table
        .iter()
        .filter(|r| !half_routes.contains(r))
        .filter(|r| r.destination != prefix || r.gateway.is_some() || !r.flags.contains('S'))
        .map(|r| (r.destination, &r.interface));
    let by_itself = longest_match(without_ours, prefix).is_some_and(|(found, i)| i == wanted && found.length() > 0);

    let mut changes = Vec::new();
    for half in &half_routes {
        if half.interface != *wanted {
            changes.push(RouteChange::Delete(spec(half.destination, &half.interface)));
        }
    }
    if by_itself {
        if let Some(exact) = exact.filter(|r| r.interface != *wanted) {
            changes.push(RouteChange::Delete(spec(prefix, &exact.interface)));
        }
        return changes;
    }
    if connected {
        for half in halves {
            if !half_routes.iter().any(|r| r.destination == half && r.interface == *wanted) {
                changes.push(RouteChange::Add { route: spec(half, wanted), instead_of: None });
            }
        }
        return changes;
    }
    match exact {
        Some(exact) if exact.interface == *wanted => {}
        Some(exact) => {
            changes.push(RouteChange::Add { route: spec(prefix, wanted), instead_of: Some(exact.interface.clone()) })
        }
        None => changes.push(RouteChange::Add { route: spec(prefix, wanted), instead_of: None }),
    }
    changes
}

/// The FIBs in which a host must know the way: the host's own, and those in which decrypted packets are looked up
/// (contract 0.5, 1.7).
#[must_use]
pub fn lookup_fibs(facts: &HostFacts, wireguard: Option<&InterfaceName>) -> BTreeSet<u16> {
    let mut fibs = BTreeSet::from([0]);
    fibs.extend(wireguard.and_then(|w| facts.interface(w)).map(|i| i.fib));
    fibs
}

/// The network that an interface address of that length connects; none for a single address.
#[must_use]
pub fn connected(address: IpAddr, length: u8) -> Option<Prefix> {
    let network = Prefix::host(address).widen(length);
    (!network.is_host()).then_some(network)
}

/// The routes of one FIB of a host that does not run the jail: into the tunnel where the host's own bridge covers the
/// prefix, and none of ours where it does not.
#[must_use]
pub fn way_elsewhere(
    host: &NodeName,
    table: &[Route],
    prefix: Prefix,
    bridges: &[&InterfaceName],
    tunnel: &InterfaceName,
    fib: u16,
) -> Vec<RouteChange> {
    let to_a_bridge = |r: &Route| r.destination == prefix && r.flags.contains('S') && bridges.contains(&&r.interface);
    let without: Vec<Route> = table.iter().filter(|r| !to_a_bridge(r)).cloned().collect();
    if bridges.iter().any(|bridge| looks_local(&without, prefix, bridge)) {
        return route_changes(host, table, prefix, tunnel, fib);
    }
    table
        .iter()
        .filter(|r| to_a_bridge(r))
        .map(|r| RouteChange::Delete(RouteSpec { host: host.clone(), prefix, interface: r.interface.clone(), fib }))
        .collect()
}

/// A route into the tunnel that the host has of its own, at each boot, while the jail is elsewhere: added where the jail's
/// stay has taken its place, by the bridge's network or by a route to the bridge that goes with the jail.
#[must_use]
pub fn way_back(table: &[Route], own: RouteSpec, bridges: &[&InterfaceName]) -> Option<RouteChange> {
    let same = |r: &&Route| r.destination == own.prefix;
    let still = |r: Route| !(r.flags.contains('S') && bridges.contains(&&r.interface));
    let there = table.iter().filter(same).cloned().any(still);
    (!there).then_some(RouteChange::Add { route: own, instead_of: None })
}

/// In a FIB of the target where nothing needs a route of its own: what led elsewhere while the jail was away goes.
#[must_use]
pub fn way_home(
    host: &NodeName,
    table: &[Route],
    prefix: Prefix,
    bridge: &InterfaceName,
    fib: u16,
) -> Vec<RouteChange> {
    let changes = route_changes(host, table, prefix, bridge, fib).into_iter();
    changes.filter(|change| matches!(change, RouteChange::Delete(_))).collect()
}

/// Whether the host's own bridge covers the prefix, so that it would look for the jail there (contract 1.8).
#[must_use]
pub fn looks_local(table: &[Route], prefix: Prefix, bridge: &InterfaceName) -> bool {
    longest_match(table.iter().map(|r| (r.destination, &r.interface)), prefix)
        .is_some_and(|(found, interface)| found.length() > 0 && interface == bridge)
}

/// AllowedIPs of the hub's peers so that `owner` has `prefixes` by longest match; `None` as owner: the hub itself, no
/// peer has them. Peers that gain come first: `wg set` moves a prefix in place then, without a gap (contract 3.2).
///
/// # Errors
/// [`HandOverError`] when a part of a prefix belongs to another peer, or the owner has no peer.
pub fn hand_over(
    peers: &[Peer],
    owner: Option<&PublicKey>,
    prefixes: &[Prefix],
) -> Result<Vec<PeerChange>, HandOverError> {
    if let Some(key) = owner
        && !peers.iter().any(|p| p.public_key == *key)
    {
        return Err(HandOverError::UnknownPeer(key.clone()));
    }
    let mut after: Vec<(PublicKey, BTreeSet<Prefix>)> =
        peers.iter().map(|p| (p.public_key.clone(), p.allowed.clone())).collect();
    for prefix in prefixes {
        for (key, allowed) in &after {
            let inner = allowed.iter().find(|a| **a != *prefix && prefix.covers(**a));
            if let Some(inner) = inner.filter(|_| Some(key) != owner) {
                return Err(HandOverError::PartTaken { prefix: *prefix, inner: *inner, peer: key.short().to_owned() });
            }
        }
        let held_by_owner = after.iter().any(|(k, a)| Some(k) == owner && a.contains(prefix));
        for (key, allowed) in &mut after {
            if Some(&*key) != owner {
                allowed.remove(prefix);
            }
        }
        let found = longest_match(after.iter().flat_map(|(k, a)| a.iter().map(move |p| (*p, k))), *prefix);
        let covered = found.is_some_and(|(_, key)| Some(key) == owner);
        if !covered && !held_by_owner {
            for (key, allowed) in &mut after {
                if Some(&*key) == owner {
                    allowed.insert(*prefix);
                }
            }
        }
    }
    let mut changes: Vec<PeerChange> = peers
        .iter()
        .zip(after)
        .filter(|(before, (_, after))| before.allowed != *after)
        .map(|(before, (public_key, after))| PeerChange {
            node: None,
            public_key,
            before: before.allowed.clone(),
            after,
        })
        .collect();
    changes.sort_by_key(|c| (Some(&c.public_key) != owner, c.public_key.clone()));
    Ok(changes)
}

/// The peer that owns a prefix by longest match.
#[must_use]
pub fn owner(peers: &[Peer], prefix: Prefix) -> Option<(&PublicKey, Prefix)> {
    longest_match(peers.iter().flat_map(|p| p.allowed.iter().map(move |a| (*a, &p.public_key))), prefix)
        .map(|(found, key)| (key, found))
}

/// The gateway addresses that the target's bridge must answer for and does not yet, with the length to give them.
///
/// Inside a network that moves as a whole the bridge gets that network connected, so that address resolution works for
/// all of it; otherwise /32 or /128, so that the siblings that stay elsewhere keep being reached through the tunnel
/// (contract 10.1). A link-local one is of the bridge alone, and its network is on every link.
#[must_use]
pub fn missing_gateways(
    gateways: &[IpAddr],
    prefixes: &[Prefix],
    target: &HostFacts,
    bridge: &InterfaceName,
) -> Vec<(IpAddr, u8)> {
    let there = |gateway: IpAddr| match is_link_local(gateway) {
        true => target.interface(bridge).is_some_and(|i| i.link_locals.iter().any(|a| a.addr() == gateway)),
        false => on_the_link(target, bridge).flat_map(|i| &i.addresses).any(|a| a.addr() == gateway),
    };
    gateways
        .iter()
        .filter(|g| !there(**g))
        .map(|gateway| {
            let whole = prefixes.iter().filter(|p| !p.is_host() && p.contains(*gateway)).map(|p| p.length()).max();
            let alone = || if is_link_local(*gateway) { 64 } else { Prefix::host(*gateway).length() };
            (*gateway, whole.unwrap_or_else(alone))
        })
        .collect()
}

/// The bridge and what is on it: a host answers for the addresses of these there, and of no other interface
/// (sys/netinet/if_ether.c, in_arpinput).
pub fn on_the_link<'a>(facts: &'a HostFacts, bridge: &InterfaceName) -> impl Iterator<Item = &'a Interface> {
    let own = facts.interface(bridge);
    own.into_iter().chain(own.into_iter().flat_map(|b| &b.members).filter_map(|m| facts.interface(m)))
}

/// Is that an address of one link only, fe80::/10?
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

/// A link-local address for a bridge that has none and shall have jails of several networks.
///
/// A host asks for the neighbour of a packet that it forwards from a link-local address if the interface has one, otherwise
/// from whichever of the interface's addresses comes first (RFC 6724, rule 2; nd6_nbr.c, nd6_ns_output_fib), and a jail
/// in another network than that address does not answer (nd6_ns_input: "NS packet from non-neighbor"; seen on 15.0).
/// Its own, not the EUI-64 one of auto_linklocal, so that it is known when the move is planned and can be taken away.
#[must_use]
pub fn missing_link_local(target: &HostFacts, bridge: &InterfaceName) -> Option<(IpAddr, u8)> {
    let there = target.interface(bridge).is_none_or(|i| !i.link_locals.is_empty());
    (!there).then(|| (IpAddr::V6(link_local(&target.identity.hostname, bridge)), 64))
}

/// fe80::6a66:0:H:H, with what is hashed of host and interface: hosts on one segment differ.
fn link_local(hostname: &str, bridge: &InterfaceName) -> Ipv6Addr {
    let hash = sha2::Sha256::digest(format!("{hostname} {bridge}"));
    let word = |at: usize| u16::from_be_bytes([hash[at], hash[at + 1]]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x6a66, 0, word(0), word(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn interface(name: &str) -> InterfaceName {
        InterfaceName::new(name).unwrap()
    }

    fn route(destination: &str, name: &str, flags: &str) -> Route {
        Route { destination: p(destination), interface: interface(name), gateway: None, flags: flags.into() }
    }

    fn key(letter: char) -> PublicKey {
        PublicKey::new(format!("{}=", letter.to_string().repeat(43))).unwrap()
    }

    fn peer(letter: char, allowed: &[&str]) -> Peer {
        Peer {
            public_key: key(letter),
            allowed: allowed.iter().map(|t| p(t)).collect(),
            latest_handshake: 0,
            endpoint: None,
            keepalive: None,
        }
    }

    fn changes(table: &[Route], prefix: &str, wanted: &str) -> Vec<String> {
        route_changes(&NodeName::new("n").unwrap(), table, p(prefix), &interface(wanted), 0)
            .into_iter()
            .map(|c| match c {
                RouteChange::Add { route, instead_of } => format!(
                    "+{} {}{}",
                    route.prefix,
                    route.interface,
                    instead_of.map(|i| format!(" instead of {i}")).unwrap_or_default()
                ),
                RouteChange::Delete(route) => format!("-{} {}", route.prefix, route.interface),
            })
            .collect()
    }

    #[test]
    fn a_host_that_leaves_its_subnet_and_comes_home_leaves_no_route_behind() {
        let home = vec![route("192.168.123.0/24", "bridge0", "U"), route("0.0.0.0/0", "vtnet0", "UGS")];
        assert_eq!(changes(&home, "192.168.123.50/32", "wg0"), ["+192.168.123.50/32 wg0"]);
        let mut away = home.clone();
        away.push(route("192.168.123.50/32", "wg0", "UHS"));
        assert_eq!(changes(&away, "192.168.123.50/32", "wg0"), Vec::<String>::new());
        assert_eq!(changes(&away, "192.168.123.50/32", "bridge0"), ["-192.168.123.50/32 wg0"]);
        assert_eq!(changes(&home, "192.168.123.50/32", "bridge0"), Vec::<String>::new());
    }

    #[test]
    fn a_default_route_through_the_tunnel_is_not_enough() {
        let node = vec![route("0.0.0.0/0", "wg0", "US")];
        assert_eq!(changes(&node, "192.168.123.50/32", "wg0"), ["+192.168.123.50/32 wg0"]);
    }

    #[test]
    fn a_connected_network_is_overridden_by_halves_and_given_back() {
        let home = vec![route("192.168.125.0/24", "bridge0", "U")];
        assert_eq!(changes(&home, "192.168.125.0/24", "wg0"), ["+192.168.125.0/25 wg0", "+192.168.125.128/25 wg0"]);
        let mut away = home.clone();
        away.push(route("192.168.125.0/25", "wg0", "US"));
        away.push(route("192.168.125.128/25", "wg0", "US"));
        assert_eq!(changes(&away, "192.168.125.0/24", "wg0"), Vec::<String>::new());
        assert_eq!(changes(&away, "192.168.125.0/24", "bridge0"), ["-192.168.125.0/25 wg0", "-192.168.125.128/25 wg0"]);
    }

    #[test]
    fn a_route_of_the_host_s_own_is_there_again_once_the_jail_has_left() {
        let bridge = interface("bridge0");
        let own = RouteSpec {
            host: NodeName::new("n").unwrap(),
            prefix: p("192.168.125.0/24"),
            interface: interface("wg0"),
            fib: 0,
        };
        let back = |table: &[Route]| way_back(table, own.clone(), &[&bridge]).is_some();
        assert!(back(&[route("0.0.0.0/0", "vtnet0", "UGS")]), "the jail's network was connected, and is no more");
        assert!(back(&[route("192.168.125.0/24", "bridge0", "US")]), "a static route of ours goes");
        assert!(!back(&[route("192.168.125.0/24", "wg0", "US")]), "nothing took its place");
        assert!(!back(&[route("192.168.125.0/24", "bridge0", "U")]), "a network of the bridge's own stays");
    }

    #[test]
    fn a_static_route_to_elsewhere_is_replaced() {
        let target = vec![route("192.168.123.0/24", "wg0", "US"), route("192.168.123.50/32", "wg0", "UHS")];
        assert_eq!(changes(&target, "192.168.123.50/32", "bridge0"), ["+192.168.123.50/32 bridge0 instead of wg0"]);
    }

    #[test]
    fn a_host_prefix_goes_out_and_comes_home_without_debris() {
        let start = vec![peer('S', &["10.77.0.2/32", "192.168.123.0/24"]), peer('B', &["10.77.0.3/32"])];
        let out = hand_over(&start, Some(&key('B')), &[p("192.168.123.50/32")]).unwrap();
        assert_eq!(out.len(), 1, "the source's list stays untouched");
        assert_eq!(out[0].public_key, key('B'));
        assert!(out[0].after.contains(&p("192.168.123.50/32")));
        let mut away = start.clone();
        away[1].allowed = out[0].after.clone();
        let home = hand_over(&away, Some(&key('S')), &[p("192.168.123.50/32")]).unwrap();
        assert_eq!(home.len(), 1);
        assert_eq!((&home[0].public_key, &home[0].after), (&key('B'), &start[1].allowed));
    }

    #[test]
    fn a_whole_network_moves_in_place_gaining_peer_first() {
        let start = vec![peer('S', &["10.77.0.2/32", "192.168.125.0/24"]), peer('B', &["10.77.0.3/32"])];
        let out = hand_over(&start, Some(&key('B')), &[p("192.168.125.0/24")]).unwrap();
        assert_eq!(out.iter().map(|c| c.public_key.clone()).collect::<Vec<_>>(), [key('B'), key('S')]);
        assert!(!out[1].after.contains(&p("192.168.125.0/24")));
    }

    #[test]
    fn a_part_that_belongs_to_another_peer_stops_the_hand_over() {
        let start = vec![peer('S', &["192.168.125.0/24"]), peer('B', &[]), peer('C', &["192.168.125.7/32"])];
        let error = hand_over(&start, Some(&key('B')), &[p("192.168.125.0/24")]).unwrap_err();
        assert!(matches!(error, HandOverError::PartTaken { .. }), "{error}");
        let to_the_hub = hand_over(&start[..1], None, &[p("192.168.125.0/24")]).unwrap();
        assert!(to_the_hub[0].after.is_empty());
    }
}
