//! Who is a WireGuard peer of whom, and the next hop on the shortest way to a host: found from facts.
//!
//! A way leads through hubs: those that fleet.yml names, and whoever is the peer that somebody gives everything to. A node
//! that merely is a peer of another passes nothing on.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::facts::HostFacts;
use crate::facts::Peer;
use crate::facts::WireGuard;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::plan::assemble::node_of;

/// A step on the way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The host that it leads to.
    pub node: NodeName,
    /// The peer that this host is.
    pub key: PublicKey,
    /// The interface that has the peer.
    pub interface: InterfaceName,
}

/// The tunnels of a fleet.
#[derive(Debug)]
pub struct Tunnels<'a> {
    hosts: &'a BTreeMap<NodeName, HostFacts>,
    /// The hubs of fleet.yml, in its order.
    hubs: Vec<&'a NodeName>,
    /// What a way may lead through.
    passing: BTreeSet<NodeName>,
}

/// What decides between peers: distance, then who gets everything else, then the order of the hubs in fleet.yml.
type Rank = (usize, bool, usize, NodeName);

impl<'a> Tunnels<'a> {
    /// Those of the hosts.
    pub fn new(hosts: &'a BTreeMap<NodeName, HostFacts>, hubs: impl IntoIterator<Item = &'a NodeName>) -> Tunnels<'a> {
        let hubs: Vec<&NodeName> = hubs.into_iter().collect();
        let mut passing: BTreeSet<NodeName> = hubs.iter().map(|hub| (*hub).clone()).collect();
        for (node, facts) in hosts {
            let peers = facts.wireguard.iter().flat_map(|w| &w.peers).filter(|p| gets_everything(p));
            passing.extend(peers.filter_map(|p| node_of(hosts, &p.public_key)).filter(|other| other != node));
        }
        Tunnels { hosts, hubs, passing }
    }

    /// The peer on that interface of `from` by which `to` is reached soonest.
    #[must_use]
    pub fn by(&self, from: &NodeName, interface: &WireGuard, to: &NodeName) -> Option<Hop> {
        self.ranked(from, interface, to).min_by(|a, b| a.0.cmp(&b.0)).map(|(_, hop)| hop)
    }

    /// The next hop from `from` to `to`, whichever interface leads to it.
    #[must_use]
    pub fn next(&self, from: &NodeName, to: &NodeName) -> Option<Hop> {
        let all = self.hosts.get(from)?.wireguard.iter().flat_map(|w| self.ranked(from, w, to));
        let all = all.filter(|(_, hop)| self.linked(from, &hop.node));
        all.min_by(|a, b| (&a.0, &a.1.interface).cmp(&(&b.0, &b.1.interface))).map(|(_, hop)| hop)
    }

    /// Is that host one that passes on what is not its own?
    #[must_use]
    pub fn passes(&self, node: &NodeName) -> bool {
        self.passing.contains(node)
    }

    /// The hub by which a node's packets leave: itself; the peer of its tunnel that gets everything; any hub that it is a
    /// peer of; the first one.
    #[must_use]
    pub fn hub_of(&self, node: &NodeName, tunnel: Option<&InterfaceName>) -> Option<NodeName> {
        if self.hubs.contains(&node) {
            return Some(node.clone());
        }
        let interfaces = self.hosts.get(node).map(|facts| facts.wireguard.as_slice()).unwrap_or_default();
        let peers = interfaces.iter().flat_map(|w| w.peers.iter().map(move |p| (w, p)));
        let ranked = peers.filter_map(|(w, peer)| {
            let other = node_of(self.hosts, &peer.public_key)?;
            let place = self.hubs.iter().position(|hub| **hub == other)?;
            Some(((Some(&w.interface) != tunnel, !gets_everything(peer), place), other))
        });
        ranked.min().map(|(_, hub)| hub).or_else(|| self.hubs.first().map(|hub| (*hub).clone()))
    }

    fn ranked<'s>(
        &'s self,
        from: &'s NodeName,
        interface: &'s WireGuard,
        to: &'s NodeName,
    ) -> impl Iterator<Item = (Rank, Hop)> + 's {
        let away = self.away(from, to);
        interface.peers.iter().filter_map(move |peer| {
            let node = node_of(self.hosts, &peer.public_key).filter(|n| n != from)?;
            let far = *away.get(&node).filter(|_| node == *to || self.passes(&node))?;
            let place = self.hubs.iter().position(|hub| **hub == node).unwrap_or(usize::MAX);
            let rank = (far, !gets_everything(peer), place, node.clone());
            Some((rank, Hop { node, key: peer.public_key.clone(), interface: interface.interface.clone() }))
        })
    }

    /// How many tunnels each host is away from `to`, not through `without`.
    fn away(&self, without: &NodeName, to: &NodeName) -> BTreeMap<NodeName, usize> {
        let mut away = BTreeMap::from([(to.clone(), 0)]);
        let mut ends = vec![to.clone()];
        let mut far = 0_usize;
        while !ends.is_empty() {
            far = far.saturating_add(1);
            let found: BTreeSet<NodeName> = ends
                .iter()
                .filter(|end| *end == to || self.passes(end))
                .flat_map(|end| self.hosts.keys().filter(move |node| self.linked(node, end)))
                .filter(|node| *node != without && !away.contains_key(*node))
                .cloned()
                .collect();
            away.extend(found.iter().map(|node| (node.clone(), far)));
            ends = found.into_iter().collect();
        }
        away
    }

    /// Has each of the two the other as a peer, by the same pair of interfaces?
    fn linked(&self, one: &NodeName, other: &NodeName) -> bool {
        let of = |node| self.hosts.get(node).map(|facts| facts.wireguard.as_slice()).unwrap_or_default();
        let mut pairs = of(one).iter().flat_map(|a| of(other).iter().map(move |b| (a, b)));
        one != other && pairs.any(|(a, b)| are_peers(a, b))
    }
}

/// A host's interface that has that key as a peer, the one that is meant before others; where none has, that one.
#[must_use]
pub fn with_peer<'a>(host: &'a HostFacts, key: Option<&PublicKey>, meant: &InterfaceName) -> Option<&'a WireGuard> {
    let knows = |w: &&WireGuard| w.peers.iter().any(|p| Some(&p.public_key) == key);
    let meant = host.wireguard(meant);
    meant.filter(knows).or_else(|| host.wireguard.iter().find(knows)).or(meant)
}

/// Has each of the two interfaces the other as a peer?
#[must_use]
pub fn are_peers(a: &WireGuard, b: &WireGuard) -> bool {
    let knows = |a: &WireGuard, b: &WireGuard| a.peers.iter().any(|p| p.public_key == b.public_key);
    knows(a, b) && knows(b, a)
}

/// Is that the peer for everything that is nobody else's, in one family at least?
#[must_use]
pub fn gets_everything(peer: &Peer) -> bool {
    [Family::Inet, Family::Inet6].into_iter().any(|family| {
        let everything = Prefix::default_route(family);
        let both = |(a, b)| peer.allowed.contains(&a) && peer.allowed.contains(&b);
        peer.allowed.contains(&everything) || everything.halves().is_some_and(both)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::MoreHub;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::node;

    fn next(shape: &Shape, from: &str, to: &str) -> Option<(String, String)> {
        let world = shape.world();
        let hosts: BTreeMap<NodeName, HostFacts> =
            world.hosts.iter().map(|(n, host)| (n.clone(), host.facts.clone())).collect();
        let fleet = shape.fleet();
        let hop = Tunnels::new(&hosts, fleet.hubs()).next(&node(from), &node(to))?;
        Some((hop.node.to_string(), hop.interface.to_string()))
    }

    fn to(node: &str, interface: &str) -> Option<(String, String)> {
        Some((node.to_owned(), interface.to_owned()))
    }

    #[test]
    fn the_next_hop_is_the_target_where_it_is_a_peer_and_a_hub_elsewhere() {
        let mut shape = Shape::testbed();
        assert_eq!(next(&shape, "small", "big"), to("big", "wg0"));
        assert_eq!(next(&shape, "spare", "big"), to("small", "wg0"));
        shape.mesh = vec![(1, 2)];
        assert_eq!(next(&shape, "spare", "big"), to("big", "wg0"));
    }

    #[test]
    fn a_way_to_another_region_leads_from_hub_to_hub_and_never_through_a_node() {
        let mut shape = Shape::with_second_hub(MoreHub { index: 3, behind: vec![2], only: true });
        assert_eq!(next(&shape, "spare", "big"), to("small", "wg0"));
        assert_eq!(next(&shape, "small", "big"), to("far", "wg0"));
        assert_eq!(next(&shape, "far", "spare"), to("small", "wg0"));
        // spare could be asked, but passes nothing on.
        shape.mesh = vec![(1, 2)];
        assert_eq!(next(&shape, "small", "big"), to("far", "wg0"));
    }

    #[test]
    fn a_redundant_hub_has_its_own_way_and_nobody_who_is_cut_off_has_one() {
        let shape = Shape::with_second_hub(MoreHub { index: 3, behind: vec![1, 2], only: false });
        assert_eq!(next(&shape, "far", "big"), to("big", "wg0"));
        assert_eq!(next(&shape, "big", "spare"), to("small", "wg0"), "the one that gets everything, and is first");
        assert_eq!(next(&shape, "big", "far"), to("far", "wg1"));
        let alone = Shape::with_second_hub(MoreHub { index: 3, behind: vec![], only: false });
        assert_eq!(next(&alone, "far", "big"), to("small", "wg0"));
        let mut world = alone.world();
        let far = world.hosts.get_mut(&node("far")).unwrap();
        far.facts.wireguard[0].peers.clear();
        let hosts: BTreeMap<NodeName, HostFacts> =
            world.hosts.iter().map(|(n, host)| (n.clone(), host.facts.clone())).collect();
        let fleet = alone.fleet();
        assert_eq!(Tunnels::new(&hosts, fleet.hubs()).next(&node("far"), &node("big")), None);
    }
}
