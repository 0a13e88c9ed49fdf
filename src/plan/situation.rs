//! What fleet.yml leaves out and the hosts told: which node runs the jail, its dataset, bridges, FIBs, interfaces.

mod interfaces;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::facts::TargetFacts;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::SnapshotLabel;
use crate::plan::direct::Link;
use crate::plan::ends::ends;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::forecast::PastMove;
use crate::plan::manager::Manager;
use crate::plan::segment;
use crate::plan::tunnels::Tunnels;
use crate::playbook::Egress;
use crate::playbook::Fleet;
use crate::playbook::Node;
use interfaces::bridge_of;
use interfaces::epair_unit;
use interfaces::fib_by_default_route;
use interfaces::fib_of_members;
use interfaces::free_unit;
use interfaces::hub_interface;
use interfaces::named_bridge;
use interfaces::only_bridge;
use interfaces::renumber;
use interfaces::wireguard;

/// A host's side of the move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which node.
    pub node: NodeName,
    /// The bridge of its jails.
    pub bridge: InterfaceName,
    /// Its tunnel; on a bridged fabric a node without one has its bridge in this place.
    pub wireguard: InterfaceName,
    /// FIB of its jails' interfaces.
    pub fib: u16,
    /// The jail's root dataset there.
    pub dataset: DatasetName,
    /// The jail's interfaces on the host's side there, such as epair7a.
    pub interfaces: Vec<InterfaceName>,
    /// The host whose pf translates the jail's IPv4 addresses: the hub, or the node itself.
    pub egress: NodeName,
}

/// A hub besides the one that keeps locks and plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherHub {
    /// Which node.
    pub node: NodeName,
    /// Its interface that leads to the target; on the target, to the source. None where no way is known.
    pub wireguard: Option<InterfaceName>,
    /// Addresses it must ask the jail from, one a family; empty where its usual ones will do.
    pub sources: Vec<IpAddr>,
}

/// Where a jail is and where it shall be, before the second round of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The jail.
    pub jail: JailName,
    /// The host that hands over prefixes.
    pub hub: NodeName,
    /// The hub's interface with the peers: with several, the one that leads to the target.
    pub hub_wireguard: InterfaceName,
    /// The hubs besides that one.
    pub more_hubs: Vec<OtherHub>,
    /// The hub by which what the target's jails send leaves: the one it is a peer of, or itself.
    pub near_hub: NodeName,
    /// Where it runs.
    pub source: Place,
    /// Where it goes.
    pub target: Place,
    /// The nodes of the layer-2 segment that the jail is on and stays on; none where it is routed.
    pub segment: BTreeSet<NodeName>,
    /// The jail's root directory (the same on both).
    pub path: RemotePath,
    /// The file that configures it at the source.
    pub configuration_file: RemotePath,
    /// The file that will configure it at the target.
    pub target_file: RemotePath,
    /// `mount.fstab`.
    pub fstab: Option<RemotePath>,
    /// The prefixes that move.
    pub prefixes: Vec<Prefix>,
    /// The jail's own addresses.
    pub addresses: Vec<IpAddr>,
    /// The jail's default gateways.
    pub gateways: Vec<IpAddr>,
    /// MTU inside the jail in bytes, as far as packets of that size are asked for.
    pub mtu: u32,
    /// Addresses the hub must ask the jail from, one a family; empty where its usual ones will do.
    pub hub_sources: Vec<IpAddr>,
    /// epair unit at the source and at the target.
    pub epair: Option<(u32, u32)>,
    /// Is the jail started at boot at the source?
    pub autostart: bool,
    /// Who manages it.
    pub manager: Manager,
}

impl Situation {
    /// Does the jail stay on one layer-2 segment, so that nothing is re-routed?
    #[must_use]
    pub fn is_bridged(&self) -> bool {
        !self.segment.is_empty()
    }

    /// All hubs, the one that keeps locks and plans first.
    pub fn hubs(&self) -> impl Iterator<Item = &NodeName> {
        std::iter::once(&self.hub).chain(self.more_hubs.iter().map(|hub| &hub.node))
    }

    /// Is that host a hub?
    #[must_use]
    pub fn is_hub(&self, node: &NodeName) -> bool {
        self.hubs().any(|hub| hub == node)
    }

    /// The interface of a hub that leads to the target.
    #[must_use]
    pub fn tunnel_of_hub(&self, node: &NodeName) -> Option<&InterfaceName> {
        if *node == self.hub {
            return Some(&self.hub_wireguard);
        }
        self.more_hubs.iter().find(|hub| hub.node == *node)?.wireguard.as_ref()
    }

    /// Addresses a hub must ask the jail from.
    #[must_use]
    pub fn sources_of_hub(&self, node: &NodeName) -> &[IpAddr] {
        if *node == self.hub {
            return &self.hub_sources;
        }
        self.more_hubs.iter().find(|hub| hub.node == *node).map(|hub| hub.sources.as_slice()).unwrap_or_default()
    }

    /// The end of the target's tunnel at its hub.
    #[must_use]
    pub fn near_tunnel(&self) -> &InterfaceName {
        self.tunnel_of_hub(&self.near_hub).unwrap_or(&self.hub_wireguard)
    }
}

/// Everything known: the fleet file and what the hosts said.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// fleet.yml.
    pub fleet: Fleet,
    /// First round, of every node.
    pub hosts: BTreeMap<NodeName, HostFacts>,
    /// Second round, of the source.
    pub jail: Option<JailFacts>,
    /// Second round, of the target.
    pub target: Option<TargetFacts>,
    /// The way between the two, when the data shall go straight.
    pub link: Option<Link>,
    /// The snapshots of ours that go along, where a plan has said so already; else what the hosts tell
    /// ([`bases_elsewhere`](crate::plan::snapshots::bases_elsewhere)).
    pub bases: Option<BTreeSet<SnapshotLabel>>,
    /// Moves that ended well, the oldest first, as the journals of this machine know them.
    pub past: Vec<PastMove>,
}

/// Finds out where the jail is and what its place at the target will be.
///
/// `None` when too little is known to go on; the findings then hold the reason.
#[must_use]
pub fn resolve(evidence: &Evidence, jail: &JailName, target: &NodeName, findings: &mut Findings) -> Option<Situation> {
    let hub = &evidence.fleet.hub;
    let source = find_source(evidence, jail, target, findings)?;
    let (source_facts, target_facts, hub_facts) =
        (evidence.hosts.get(&source)?, evidence.hosts.get(target)?, evidence.hosts.get(hub)?);
    let running = source_facts.jail(jail)?;
    if !running.vnet {
        findings.error(
            "not-vnet",
            &source,
            format!("jail {jail} shares the host's network (no vnet), so its addresses cannot move with it"),
            "give it a network stack of its own: `vnet; vnet.interface = epairNb;` in its jail.conf",
        );
    }
    let Some(configuration) = source_facts.jail_configuration(jail) else {
        findings.error(
            "no-configuration",
            &source,
            format!(
                "jail {jail} runs, but no /etc/jail.conf, /etc/jail.conf.d/*.conf or /etc/jail.{jail}.conf defines it, nor Bastille"
            ),
            "put its configuration into /etc/jail.conf.d, so that it can be started elsewhere",
        );
        return None;
    };
    let Ok(path) = RemotePath::new(running.path.clone()) else {
        findings.error(
            "odd-path",
            &source,
            format!(
                "the root directory {:?} of jail {jail} has characters that jailferry refuses to handle",
                running.path
            ),
            "use a path of letters, digits, '.', '_', '-' and '/'",
        );
        return None;
    };
    let manager = Manager::of(jail, configuration);
    let Some(dataset) = manager.says().dataset(source_facts, jail, &path) else {
        let (what, fix) = manager.says().no_dataset(jail, &path);
        findings.error("no-dataset", &source, what, fix);
        return None;
    };
    let source_dataset = dataset.name.clone();
    if !segment::one_fabric(&evidence.fleet, &source, target, jail, findings) {
        return None;
    }
    let nodes_of_segment = evidence.fleet.segment(&source);
    let node = |name: &NodeName| evidence.fleet.nodes.get(name);
    let (source_node, target_node, hub_node) = (node(&source)?, node(target)?, node(hub)?);

    let source_ends = ends(configuration);
    let source_interfaces: Vec<InterfaceName> = source_ends.iter().map(|end| end.name.clone()).collect();
    let source_bridge = named_bridge(source_node, source_facts, &source, findings)
        .or_else(|| bridge_of(source_facts, &source_interfaces))
        .or_else(|| only_bridge(source_facts, &source, findings));
    let target_bridge = named_bridge(target_node, target_facts, target, findings)
        .or_else(|| only_bridge(target_facts, target, findings));
    let tunnels = Tunnels::new(&evidence.hosts, evidence.fleet.hubs());
    // What leads from a hub to the jail's place; on the target to where the jail is now. A hub may have a tunnel a node.
    let several = hub_node.wireguard.is_none() && hub_facts.wireguard.len() > 1;
    let chosen = several || !evidence.fleet.more_hubs.is_empty();
    let towards = |hub: &NodeName| {
        let hop = tunnels.next(hub, if hub == target { &source } else { target });
        hop.map(|hop| hop.interface).filter(|_| chosen)
    };
    let of_place = |node: &Node, facts: &HostFacts, name: &NodeName, findings: &mut Findings| {
        let led = evidence.fleet.is_hub(name).then(|| towards(name)).flatten();
        led.or_else(|| wireguard(node, facts, name, findings))
    };
    let bridged = !nodes_of_segment.is_empty();
    let (source_wireguard, target_wireguard) = if bridged {
        (
            segment::tunnel_or(source_node, source_facts, &source_bridge),
            segment::tunnel_or(target_node, target_facts, &target_bridge),
        )
    } else {
        (of_place(source_node, source_facts, &source, findings), of_place(target_node, target_facts, target, findings))
    };
    let target_dataset = match manager.says().parent(target, target_facts) {
        Ok(None) => place_for(target_node, target_facts, target, &source_dataset, findings),
        Ok(Some(parent)) => parent.child(source_dataset.as_str().rsplit('/').next().unwrap_or_default()).ok(),
        Err((what, fix)) => {
            findings.error("no-parent", target, what, fix);
            None
        }
    };
    let hub_wireguard = if bridged {
        let near = if *hub == source { &source_bridge } else { &target_bridge };
        let near =
            if *hub == source || hub == target { near.clone() } else { segment::link_of(hub_facts, &running.gateways) };
        segment::tunnel_or(hub_node, hub_facts, &near)
    } else {
        towards(hub).or_else(|| hub_interface(hub_node, hub_facts, hub, target, target_facts, findings))
    };
    let (source_bridge, target_bridge) = (source_bridge?, target_bridge?);
    let (source_wireguard, target_wireguard) = (source_wireguard?, target_wireguard?);

    let source_fib = source_interfaces
        .iter()
        .filter_map(|i| source_facts.interface(i))
        .map(|i| i.fib)
        .next()
        .or(source_node.fib)
        .unwrap_or(0);
    let target_fib = target_node
        .fib
        .or_else(|| fib_of_members(target_facts, &target_bridge))
        .or_else(|| fib_by_default_route(target_facts, &target_wireguard))
        .unwrap_or(if evidence.fleet.is_hub(target) { 0 } else { source_fib });
    let epair = epair_unit(&source_ends).map(|unit| (unit, free_unit(target_facts, jail, unit)));
    let target_interfaces = match epair {
        Some((_, to)) => renumber(&source_ends, to),
        None => source_interfaces.clone(),
    };
    let addresses: Vec<IpAddr> =
        running.addresses.iter().map(ipnet::IpNet::addr).filter(|a| !a.is_loopback()).collect();
    let declared = evidence.fleet.jails.get(jail).map(|j| j.prefixes.clone()).unwrap_or_default();
    let prefixes = if declared.is_empty() { addresses.iter().map(|a| Prefix::host(*a)).collect() } else { declared };
    let fstab = configuration.value("mount.fstab").and_then(|p| RemotePath::new(p).ok());
    let target_file = manager.says().file(jail, target_facts)?;
    let autostart = manager.says().starts_at_boot(source_facts, jail, configuration);
    let near =
        |node: &NodeName, tunnel: &InterfaceName| tunnels.hub_of(node, Some(tunnel)).unwrap_or_else(|| hub.clone());
    let (source_hub, near_hub) = match evidence.fleet.more_hubs.as_slice() {
        [] => (hub.clone(), hub.clone()),
        _ => (near(&source, &source_wireguard), near(target, &target_wireguard)),
    };
    let egress = |settings: &Node, node: &NodeName, of_hub: &NodeName| match settings.egress {
        Egress::Hub => of_hub.clone(),
        Egress::Node => node.clone(),
    };
    let source_egress = egress(source_node, &source, &source_hub);
    // On a segment the gateway stays, and with it who translates.
    let target_egress = if bridged { source_egress.clone() } else { egress(target_node, target, &near_hub) };
    let bridges = [source_facts.interface(&source_bridge), target_facts.interface(&target_bridge)];
    let on_the_segment = || bridges.into_iter().flatten().map(|b| b.mtu).chain(running.mtu).min().filter(|_| bridged);
    let ends = [hub_wireguard.as_ref().map(|w| (hub_facts, w)), Some((target_facts, &target_wireguard))];
    let in_the_tunnel = || {
        let ends = ends.into_iter().flatten().filter_map(|(facts, name)| facts.interface(name)).map(|i| i.mtu);
        ends.filter(|_| !bridged).chain([1380]).min().unwrap_or(1380)
    };
    let meant = target_node.mtu.or(source_node.mtu).or_else(on_the_segment).unwrap_or_else(in_the_tunnel);
    // Nothing answers a packet that its own answer does not fit into (contract 10.10), whatever fleet.yml says.
    let mtu = running.smallest_mtu.map_or(meant, |inside| inside.min(meant));
    let own_gateways: &[IpAddr] = if bridged { &[] } else { &running.gateways };
    let more_hubs = evidence.fleet.more_hubs.iter().map(|other| OtherHub {
        node: other.clone(),
        wireguard: towards(other),
        sources: evidence
            .hosts
            .get(other)
            .map_or_else(Vec::new, |facts| hub_sources(facts, target_facts, own_gateways, other == target)),
    });
    let more_hubs = more_hubs.collect();
    Some(Situation {
        jail: jail.clone(),
        hub: hub.clone(),
        hub_wireguard: hub_wireguard?,
        more_hubs,
        near_hub,
        configuration_file: configuration.file.clone(),
        target_file,
        segment: nodes_of_segment,
        path,
        fstab,
        prefixes,
        addresses,
        hub_sources: hub_sources(hub_facts, target_facts, own_gateways, target == hub),
        gateways: running.gateways.clone(),
        mtu,
        epair,
        autostart,
        manager: manager.clone(),
        source: Place {
            node: source,
            bridge: source_bridge,
            wireguard: source_wireguard,
            fib: source_fib,
            dataset: source_dataset,
            interfaces: source_interfaces,
            egress: source_egress,
        },
        target: Place {
            node: target.clone(),
            bridge: target_bridge,
            wireguard: target_wireguard,
            fib: target_fib,
            dataset: target_dataset?,
            interfaces: target_interfaces,
            egress: target_egress,
        },
    })
}

/// Where the jail's host has one of the hub's own addresses, or gets it as the jail's gateway, another of the hub's addresses
/// of that family: answers to the shared one would stay at that host.
pub(super) fn hub_sources(hub: &HostFacts, host: &HostFacts, gateways: &[IpAddr], hub_is_host: bool) -> Vec<IpAddr> {
    if hub_is_host {
        return Vec::new();
    }
    let of = |facts: &HostFacts| -> Vec<IpAddr> {
        let all = facts.interfaces.iter().flat_map(|i| &i.addresses).map(ipnet::IpNet::addr);
        all.filter(|a| !a.is_loopback()).collect()
    };
    let (own, there) = (of(hub), of(host));
    let shared = |a: &IpAddr| there.contains(a) || gateways.contains(a);
    [true, false]
        .into_iter()
        .filter(|v4| own.iter().any(|a| a.is_ipv4() == *v4 && shared(a)))
        .filter_map(|v4| own.iter().find(|a| a.is_ipv4() == v4 && !shared(a)))
        .copied()
        .collect()
}

/// The one host that runs the jail.
fn find_source(evidence: &Evidence, jail: &JailName, target: &NodeName, findings: &mut Findings) -> Option<NodeName> {
    let running: Vec<&NodeName> =
        evidence.hosts.iter().filter(|(_, facts)| facts.jail(jail).is_some()).map(|(name, _)| name).collect();
    // A jail that is being moved may run nowhere for a moment; and whatever is planned now would be wrong soon.
    for (hub, lock) in evidence.hosts.iter().filter_map(|(name, facts)| Some((name, facts.moving.get(jail.as_str())?)))
    {
        let (run, rest) = lock.split_once(' ').unwrap_or((lock, ""));
        findings.error(
            "moving",
            hub,
            format!("jail {jail} is being moved by run {run} ({rest})"),
            format!(
                "wait until it has ended; if it was interrupted: jailferry recover {run} (with --continue it goes on with what it had copied)"
            ),
        );
        if running.is_empty() {
            return None;
        }
    }
    match running.as_slice() {
        [only] if *only == target => {
            findings.error("already-there", only, format!("jail {jail} already runs on {only}"), "nothing to do");
            None
        }
        [only] => Some((*only).clone()),
        [] => {
            let configured: Vec<String> = evidence
                .hosts
                .iter()
                .filter(|(_, facts)| facts.jail_configuration(jail).is_some())
                .map(|(name, _)| name.to_string())
                .collect();
            findings.fleet_error(
                "not-running",
                format!(
                    "jail {jail} runs on none of {}{}",
                    join(evidence.hosts.keys()),
                    if configured.is_empty() {
                        String::new()
                    } else {
                        format!("; it is configured on {}", configured.join(", "))
                    }
                ),
                "start it where it belongs, then move it: only a running jail proves that its configuration works",
            );
            None
        }
        several => {
            findings.fleet_error(
                "runs-twice",
                format!(
                    "jail {jail} runs on {} at once",
                    several.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
                ),
                "find out which copy is the right one and stop the other before anything else",
            );
            None
        }
    }
}

fn join<'a>(names: impl Iterator<Item = &'a NodeName>) -> String {
    names.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The dataset the jail will live in at the target.
fn place_for(
    node: &Node,
    facts: &HostFacts,
    name: &NodeName,
    source: &DatasetName,
    findings: &mut Findings,
) -> Option<DatasetName> {
    let (source_parent, last) = source.as_str().rsplit_once('/').unwrap_or(("", source.as_str()));
    let parent =
        node.parent.clone().or_else(|| DatasetName::new(source_parent).ok().filter(|p| facts.dataset(p).is_some()));
    let Some(parent) = parent else {
        findings.error(
            "no-parent",
            name,
            format!("{name} has no dataset {source_parent:?} to put the jail's datasets into"),
            format!("create it, or say where jails live on {name}: `parent: zroot/jails` in fleet.yml"),
        );
        return None;
    };
    if facts.dataset(&parent).is_none() {
        findings.error(
            "no-parent",
            name,
            format!("the parent dataset {parent} of fleet.yml does not exist on {name}"),
            Fix::new("create it, or correct `parent:`").run(format!("zfs create -p {parent}")),
        );
        return None;
    }
    parent.child(last).ok()
}
