//! Everything the story of a migration is about, and what can be asked of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::Delegation;
use crate::effect::JailPlace;
use crate::effect::Parked;
use crate::effect::RouteSpec;
use crate::effect::hand_over::HandOver;
use crate::facts::HostFacts;
use crate::facts::Route;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::Prefix;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::plan::checks;
use crate::plan::datasets::DatasetMove;
use crate::plan::direct::Link;
use crate::plan::dress::Dress;
use crate::plan::nat::Nat;
use crate::plan::network;
use crate::plan::network::RouteChange;
use crate::plan::persist;
use crate::plan::rehearsal::Rehearsal;
use crate::plan::situation::Situation;
use crate::plan::staging::Staged;
use crate::plan::tunnels;
use crate::plan::tunnels::Tunnels;
use crate::plan::verify::Both;
use crate::playbook::Check;
use crate::playbook::Settings;

/// Everything the story is about.
#[derive(Debug)]
pub struct Cast<'a> {
    /// Where things are and where they go.
    pub situation: &'a Situation,
    /// Facts of every host.
    pub hosts: &'a BTreeMap<NodeName, HostFacts>,
    /// The hub's facts.
    pub hub: &'a HostFacts,
    /// The source's facts.
    pub source: &'a HostFacts,
    /// The target's facts.
    pub target: &'a HostFacts,
    /// The jail's datasets.
    pub datasets: &'a [DatasetMove],
    /// Snapshots of ours at which copies on other nodes stand.
    pub bases: &'a BTreeSet<SnapshotLabel>,
    /// An older copy at the target that cannot be brought up to date, and its name aside.
    pub stale_copy: Option<&'a (DatasetName, DatasetName)>,
    /// The jail's files for the target.
    pub staged: &'a Staged,
    /// The new owners of the prefixes.
    pub hand_over: &'a HandOver,
    /// The same on hosts besides the hub that route to other nodes by AllowedIPs of their own.
    pub mesh: &'a [HandOver],
    /// Where its addresses are translated.
    pub nat: &'a Nat,
    /// What is asked of the jail afterwards.
    pub checks: &'a [Check],
    /// What is tried beforehand.
    pub rehearsal: &'a Rehearsal,
    /// The clone that is tried beforehand, when it is asked for and can be.
    pub dress: Option<&'a Dress>,
    /// What is compared by content beforehand, when that is asked for.
    pub verify: Option<&'a Both>,
    /// How it is moved.
    pub settings: &'a Settings,
    /// The way from source to target, when the data goes straight.
    pub link: Option<&'a Link>,
    /// The run.
    pub run: &'a RunId,
    /// Who executes it.
    pub owner: &'a Owner,
    /// WireGuard configuration file of each host that has one.
    pub wireguard_files: &'a persist::WireGuardFiles,
}

impl Cast<'_> {
    /// The node the jail leaves.
    #[must_use]
    pub fn source(&self) -> NodeName {
        self.situation.source.node.clone()
    }

    /// The node it goes to.
    #[must_use]
    pub fn target(&self) -> NodeName {
        self.situation.target.node.clone()
    }

    pub(super) fn target_facts(&self) -> &HostFacts {
        self.target
    }

    /// Other jails of a host that look for the jail's addresses on their own link.
    pub(super) fn siblings(&self, facts: &HostFacts) -> Vec<JailName> {
        let own = checks::answering(self.situation);
        let near = |net: &ipnet::IpNet| own.iter().any(|a| net.contains(a));
        facts
            .jails
            .iter()
            .filter(|j| j.name != self.situation.jail.as_str())
            .filter(|j| j.vnet && !j.dying && j.addresses.iter().any(near))
            .filter_map(|j| JailName::new(j.name.as_str()).ok())
            .collect()
    }

    pub(super) fn pairs(&self) -> Vec<(DatasetName, DatasetName)> {
        self.datasets.iter().map(|d| (d.source.dataset.clone(), d.target.dataset.clone())).collect()
    }

    pub(super) fn prefixes(&self) -> String {
        self.situation.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// The hub that the target's tunnel leads to.
    pub(super) fn near_hub(&self) -> &HostFacts {
        self.hosts.get(&self.situation.near_hub).unwrap_or(self.hub)
    }

    /// Addresses in the tunnel of the hub that the target's leads to.
    pub(super) fn hub_addresses(&self) -> Vec<std::net::IpAddr> {
        checks::tunnel_addresses(self.near_hub(), self.situation.near_tunnel())
    }

    /// Addresses in the tunnel of the hub that leads to the jail where it is.
    pub(super) fn hub_addresses_here(&self) -> Vec<std::net::IpAddr> {
        let key = self.source.wireguard(&self.situation.source.wireguard).map(|w| &w.public_key);
        let towards = tunnels::with_peer(self.hub, key, &self.situation.hub_wireguard);
        towards.map(|w| checks::tunnel_addresses(self.hub, &w.interface)).unwrap_or_default()
    }

    /// The hub whose pf translates what the target's jails send.
    pub(super) fn translating_hub(&self) -> (&NodeName, &HostFacts) {
        let egress = Some(&self.situation.target.egress).filter(|node| self.situation.is_hub(node));
        let found = egress.and_then(|node| self.hosts.get_key_value(node));
        found.unwrap_or((&self.situation.hub, self.hub))
    }

    pub(super) fn at_source(&self) -> JailPlace {
        let place = &self.situation.source;
        JailPlace {
            host: place.node.clone(),
            jail: self.situation.jail.clone(),
            file: self.situation.configuration_file.clone(),
            path: self.situation.path.clone(),
            interfaces: place.interfaces.clone(),
            bridge: Some(place.bridge.clone()),
            fib: place.fib,
            elsewhere: self.elsewhere(&place.interfaces),
            delegated: self.delegated(|moving| &moving.source),
            legacy: self.legacy(|moving| &moving.source),
        }
    }

    pub(super) fn at_target(&self) -> JailPlace {
        let place = &self.situation.target;
        JailPlace {
            host: place.node.clone(),
            jail: self.situation.jail.clone(),
            file: self.situation.target_file.clone(),
            path: self.situation.path.clone(),
            interfaces: place.interfaces.clone(),
            bridge: Some(place.bridge.clone()),
            fib: place.fib,
            elsewhere: self.elsewhere(&place.interfaces),
            delegated: self.delegated(|moving| &moving.target),
            legacy: self.legacy(|moving| &moving.target),
        }
    }

    /// Of a host's ends of the jail's interfaces, those whose like at the source is not on the jail's bridge, while another is.
    fn elsewhere(&self, ends: &[InterfaceName]) -> Vec<InterfaceName> {
        let source = &self.situation.source;
        let members = self.source.interface(&source.bridge).map(|b| b.members.as_slice()).unwrap_or_default();
        if !source.interfaces.iter().any(|end| members.contains(end)) {
            return Vec::new();
        }
        let pairs = source.interfaces.iter().zip(ends);
        pairs.filter(|(here, _)| !members.contains(here)).map(|(_, end)| end.clone()).collect()
    }

    /// Those that are the jail's own to mount.
    fn delegated(&self, side: impl Fn(&DatasetMove) -> &Parked) -> Vec<DatasetName> {
        self.datasets.iter().map(side).filter(|d| d.delegation == Delegation::Own).map(|d| d.dataset.clone()).collect()
    }

    /// Those that jail(8) mounts.
    fn legacy(&self, side: impl Fn(&DatasetMove) -> &Parked) -> Vec<DatasetName> {
        let facts = |d: &&DatasetMove| self.source.dataset(&d.source.dataset);
        let legacy = |d: &&DatasetMove| facts(d).is_some_and(|f| f.mounted && !f.jailed && f.is_legacy());
        self.datasets.iter().filter(legacy).map(|d| side(d).dataset.clone()).collect()
    }

    /// Gateways of the jail that the target's bridge does not answer for yet, with the length to give them. On a segment
    /// they stay where they are.
    pub(super) fn missing_gateways(&self) -> Vec<(std::net::IpAddr, u8)> {
        if self.situation.is_bridged() {
            return Vec::new();
        }
        let bridge = &self.situation.target.bridge;
        network::missing_gateways(&self.situation.gateways, &self.situation.prefixes, self.target, bridge)
    }

    /// A link-local address for the target's bridge, if it gets a gateway with IPv6 beside what it has. Where the jail's
    /// gateway is at home, the host is left as it is; a gateway that is link-local itself serves as well.
    pub(super) fn missing_link_local(&self) -> Option<(std::net::IpAddr, u8)> {
        let missing = self.missing_gateways();
        let guest = missing.iter().any(|(gateway, _)| gateway.is_ipv6())
            && !missing.iter().any(|(gateway, _)| network::is_link_local(*gateway));
        guest.then(|| network::missing_link_local(self.target, &self.situation.target.bridge)).flatten()
    }

    /// Networks that are no longer connected on a host once its departing gateways are gone.
    pub(super) fn leaving(&self, node: &NodeName) -> Vec<Prefix> {
        if *node != self.situation.source.node {
            return Vec::new();
        }
        persist::departing_gateways(self).iter().filter_map(|(a, l)| network::connected(*a, *l)).collect()
    }

    /// Route changes on the target: the prefixes leave by its bridge, in every FIB where they are looked up.
    pub(crate) fn routes_on(&self, node: &NodeName, interface: &crate::model::InterfaceName) -> Vec<RouteChange> {
        self.routes_of(node, interface, &self.situation.prefixes, &self.leaving(node))
    }

    /// Route changes on a host, so that these prefixes leave by that interface.
    pub(crate) fn routes_of(
        &self,
        node: &NodeName,
        interface: &InterfaceName,
        prefixes: &[Prefix],
        leaving: &[Prefix],
    ) -> Vec<RouteChange> {
        let Some(facts) = self.hosts.get(node).filter(|_| !self.situation.is_bridged()) else { return Vec::new() };
        let tunnel = if let Some(tunnel) = self.situation.tunnel_of_hub(node) {
            tunnel
        } else if *node == self.situation.target.node {
            &self.situation.target.wireguard
        } else {
            &self.situation.source.wireguard
        };
        let mut changes = Vec::new();
        for fib in network::lookup_fibs(facts, Some(tunnel)) {
            for prefix in prefixes {
                let table = without_connected(facts, fib, *prefix, leaving);
                changes.extend(network::route_changes(node, &table, *prefix, interface, fib));
            }
        }
        if *node != self.situation.target.node {
            return changes;
        }
        // Where the host's other FIBs knew another way while the jail was elsewhere (net.add_addr_allfibs=1), that goes.
        for fib in other_fibs(facts, tunnel) {
            for prefix in prefixes {
                let table = without_connected(facts, fib, *prefix, leaving);
                changes.extend(network::way_home(node, &table, *prefix, interface, fib));
            }
        }
        changes
    }

    /// Route changes on a host other than the target: a hub always leads into the tunnel; the source and other
    /// hosts only where they would otherwise look on their own bridge, or remember an older place.
    ///
    /// In every FIB: with net.add_addr_allfibs=1 each of them has the bridge's network (contract 1.8). A static route of
    /// the host's own rc.conf, which the jail's arrival took the place of, is there again.
    pub(crate) fn way_from(&self, node: &NodeName, facts: &HostFacts) -> Vec<RouteChange> {
        let situation = self.situation;
        if situation.is_bridged() {
            return Vec::new();
        }
        let of_hub = situation.tunnel_of_hub(node).cloned();
        let is_hub = of_hub.is_some();
        let mut changes = of_hub.as_ref().map(|tunnel| self.routes_on(node, tunnel)).unwrap_or_default();
        let tunnel = of_hub.or_else(|| self.tunnel_of(node, facts));
        let Some(tunnel) = tunnel else { return changes };
        let leaving = self.leaving(node);
        let bridges: Vec<&InterfaceName> =
            facts.interfaces.iter().filter(|i| i.groups.iter().any(|g| g == "bridge")).map(|i| &i.name).collect();
        let looked_up =
            if is_hub { std::collections::BTreeSet::new() } else { network::lookup_fibs(facts, Some(&tunnel)) };
        for fib in looked_up.into_iter().chain(other_fibs(facts, &tunnel)) {
            for prefix in &situation.prefixes {
                let table = without_connected(facts, fib, *prefix, &leaving);
                changes.extend(network::way_elsewhere(node, &table, *prefix, &bridges, &tunnel, fib));
                let own = RouteSpec { host: node.clone(), prefix: *prefix, interface: tunnel.clone(), fib };
                if *node == situation.source.node && persist::is_kept(&facts.rc, &own) {
                    changes.extend(network::way_back(&table, own, &bridges));
                }
            }
        }
        changes
    }

    /// The interface by which a host reaches the hub's tunnel network; behind another hub, that hub's.
    pub(crate) fn tunnel_of(&self, node: &NodeName, facts: &HostFacts) -> Option<crate::model::InterfaceName> {
        if *node == self.situation.source.node {
            return Some(self.situation.source.wireguard.clone());
        }
        let hub_key = &self.hub.wireguard(&self.situation.hub_wireguard)?.public_key;
        let direct = facts.wireguard.iter().find(|w| w.peers.iter().any(|p| p.public_key == *hub_key));
        direct.map(|w| w.interface.clone()).or_else(|| {
            let tunnels = Tunnels::new(self.hosts, self.situation.hubs());
            tunnels.next(node, &self.situation.target.node).map(|hop| hop.interface)
        })
    }
}

/// FIBs besides those in which the host itself and what comes by the tunnel are looked up.
fn other_fibs(facts: &HostFacts, tunnel: &InterfaceName) -> Vec<u16> {
    let looked_up = network::lookup_fibs(facts, Some(tunnel));
    facts.routes.keys().copied().filter(|fib| !looked_up.contains(fib)).collect()
}

/// One FIB's routes of the prefix's family, but for the connected ones that are about to go.
fn without_connected(facts: &HostFacts, fib: u16, prefix: Prefix, leaving: &[Prefix]) -> Vec<Route> {
    let stays = |r: &&Route| r.flags.contains('S') || !leaving.contains(&r.destination);
    facts.routes(fib, prefix.family()).filter(stays).cloned().collect()
}
