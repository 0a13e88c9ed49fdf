//! What must hold of every world, whatever a run is in the middle of.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::effect::simulate::World;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::longest_match;
use crate::plan::network;
use crate::plan::segment::carriers;
use crate::plan::tunnels::gets_everything;

/// The hosts on which the jail runs: at most one (design, promise 1).
#[must_use]
pub fn running_copies(world: &World, jail: &JailName) -> Vec<NodeName> {
    world.hosts.iter().filter(|(_, h)| h.facts.jail(jail).is_some()).map(|(n, _)| n.clone()).collect()
}

/// Who owns a prefix at a hub: the hub itself when it does not route it into the tunnel or no peer has it, otherwise
/// the host behind the peer with the longest match; where that is another hub, who owns it there. More than one when the
/// halves of a network go different ways.
#[must_use]
pub fn owners(world: &World, hub: &NodeName, interface: &InterfaceName, prefix: Prefix) -> Vec<NodeName> {
    let parts = prefix.halves().map_or_else(|| vec![prefix], |(a, b)| vec![a, b]);
    let owners: BTreeSet<NodeName> = parts.into_iter().filter_map(|part| owner(world, hub, interface, part)).collect();
    owners.into_iter().collect()
}

fn owner(world: &World, hub: &NodeName, interface: &InterfaceName, prefix: Prefix) -> Option<NodeName> {
    let first = at(world, hub, interface, prefix)?;
    let (mut here, mut seen) = (first.clone(), BTreeSet::from([hub.clone()]));
    // Hubs that send it to each other, as between the one's switch and the other's: nobody gets it.
    while passes(world, &here) {
        if !seen.insert(here.clone()) {
            return Some(first);
        }
        let next = at(world, &here, interface, prefix)?;
        if next == here {
            break;
        }
        here = next;
    }
    Some(here)
}

/// Is it a hub: does anybody give it everything?
fn passes(world: &World, node: &NodeName) -> bool {
    let keys = || world.hosts.get(node).into_iter().flat_map(|host| &host.facts.wireguard).map(|w| &w.public_key);
    let peers = world.hosts.values().flat_map(|host| &host.facts.wireguard).flat_map(|w| &w.peers);
    peers.into_iter().any(|p| keys().any(|key| *key == p.public_key) && gets_everything(p))
}

fn at(world: &World, hub: &NodeName, interface: &InterfaceName, prefix: Prefix) -> Option<NodeName> {
    let facts = &world.hosts.get(hub)?.facts;
    let table = facts.routes(0, prefix.family()).map(|r| (r.destination, &r.interface));
    if longest_match(table, prefix).is_some_and(|(_, out)| out != interface) {
        return Some(hub.clone());
    }
    match network::owner(&facts.wireguard(interface)?.peers, prefix) {
        Some((key, _)) => holder(world, key),
        None => Some(hub.clone()),
    }
}

fn holder(world: &World, key: &PublicKey) -> Option<NodeName> {
    let has = |host: &&crate::effect::simulate::Host| host.facts.wireguard.iter().any(|w| w.public_key == *key);
    world.hosts.iter().find(|(_, h)| has(h)).map(|(n, _)| n.clone())
}

/// Why a packet does not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No route, and not even a default one.
    #[error("{0} has no route")]
    NoRoute(NodeName),
    /// The interface leads to nobody who has it.
    #[error("{host} sends it out of {interface}, where nobody has it")]
    Nobody {
        /// The last host.
        host: NodeName,
        /// Out of which interface.
        interface: InterfaceName,
    },
    /// No peer of the tunnel has the address.
    #[error("no peer of {0} has it")]
    NoPeer(NodeName),
    /// It goes in circles.
    #[error("it goes in circles: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → "))]
    Loop(Vec<NodeName>),
}

/// The hosts a packet to a jail's address passes from `start`, looked up in `fib` there, to the host that has the jail.
///
/// # Errors
/// [`Lost`]: a black hole or a loop.
pub fn way(world: &World, start: &NodeName, fib: u16, address: IpAddr) -> Result<Vec<NodeName>, Lost> {
    let mut hops = vec![start.clone()];
    let mut fib = fib;
    // A host may be passed twice in different FIBs: out of a jail's FIB to the hub and back to the same node.
    let mut seen = BTreeSet::from([(start.clone(), fib)]);
    let wanted = Prefix::host(address);
    loop {
        let Some(here) = hops.last().cloned() else { return Err(Lost::Loop(hops)) };
        let Some(host) = world.hosts.get(&here) else { return Err(Lost::NoRoute(here)) };
        let table = host.facts.routes(fib, wanted.family()).map(|r| (r.destination, r));
        let Some((_, route)) = longest_match(table, wanted) else { return Err(Lost::NoRoute(here)) };
        let interface = route.interface.clone();
        if let Some(wireguard) = host.facts.wireguard(&interface) {
            let next = network::owner(&wireguard.peers, wanted).and_then(|(key, _)| holder(world, key));
            let Some(next) = next else { return Err(Lost::NoPeer(here)) };
            // Decrypted packets are looked up in the FIB of the tunnel's interface (contract 0.5).
            let tunnel = world.hosts.get(&next).and_then(|h| {
                let key = &wireguard.public_key;
                let theirs = h.facts.wireguard.iter().find(|w| w.peers.iter().any(|p| p.public_key == *key))?;
                h.facts.interface(&theirs.interface)
            });
            fib = tunnel.map_or(0, |i| i.fib);
            hops.push(next.clone());
            if !seen.insert((next, fib)) {
                return Err(Lost::Loop(hops));
            }
            continue;
        }
        let has = |jail: &crate::facts::RunningJail| jail.addresses.iter().any(|a| a.addr() == address);
        let on_link = host.facts.interface(&interface).is_some_and(|i| i.groups.iter().any(|g| g == "bridge"));
        if on_link && host.facts.jails.iter().any(has) {
            return Ok(hops);
        }
        // A bridge with a member that carries frames is one segment with every other such bridge.
        let extends =
            |h: &crate::effect::simulate::Host, bridge: &InterfaceName| carriers(&h.facts, bridge).next().is_some();
        let there = world.hosts.iter().find(|(_, other)| {
            let bridges = other.facts.interfaces.iter().filter(|i| i.groups.iter().any(|g| g == "bridge"));
            other.facts.jails.iter().any(has) && bridges.into_iter().any(|b| extends(other, &b.name))
        });
        if let Some((node, _)) = there.filter(|_| on_link && extends(host, &interface)) {
            hops.push(node.clone());
            return Ok(hops);
        }
        return Err(Lost::Nobody { host: here, interface });
    }
}
