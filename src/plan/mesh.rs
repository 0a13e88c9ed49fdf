//! Whoever routes by AllowedIPs: every hub, and hosts with a peer of their own for another node of the fleet.
//!
//! Found from facts: a peer belongs to the host whose WireGuard interface has its public key. A host with no peer but the
//! hub needs nothing of this, so a fleet with one hub in its middle gets the same plan as ever.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::hand_over::HandOver;
use crate::facts::HostFacts;
use crate::facts::WireGuard;
use crate::facts::WireGuardFile;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::plan::assemble::node_of;
use crate::plan::finding::Findings;
use crate::plan::network;
use crate::plan::persist;
use crate::plan::situation::Situation;
use crate::plan::tunnels::Tunnels;

/// Is there something to choose on this interface: does it lead straight to other nodes of the fleet, or to several hubs?
/// On a hub itself, to any host of the fleet.
fn chooses(
    node: &NodeName,
    interface: &WireGuard,
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
) -> bool {
    let nodes = interface.peers.iter().filter_map(|p| node_of(hosts, &p.public_key)).filter(|n| n != node);
    let nodes: BTreeSet<NodeName> = nodes.collect();
    if situation.is_hub(node) {
        return !nodes.is_empty();
    }
    nodes.len() > 1 || nodes.iter().any(|n| !situation.is_hub(n))
}

/// Who shall have the prefixes on that interface: the next hop on the shortest way to the target, which is the target
/// itself where it is a peer; otherwise whoever gets everything else there; nobody on the target itself, nor on an
/// interface of a hub that is not the one which leads to the target.
///
/// A target that is a peer answers straight (its own AllowedIPs say so), and what it sends is only taken from the peer that
/// has its addresses: leaving them with the hub would lose the answers.
pub(super) fn owner(
    node: &NodeName,
    interface: &WireGuard,
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
) -> Option<PublicKey> {
    let target = &situation.target.node;
    if node == target {
        return None;
    }
    let tunnels = Tunnels::new(hosts, situation.hubs());
    if situation.is_hub(node) {
        return tunnels.next(node, target).filter(|hop| hop.interface == interface.interface).map(|hop| hop.key);
    }
    let hop = tunnels.by(node, interface, target);
    match hop {
        Some(hop) if hop.node == *target => Some(hop.key),
        // Somebody whom fleet.yml does not know passes on what the hub would.
        hop => stranger(interface, situation, hosts).cloned().or(hop.map(|hop| hop.key)),
    }
}

/// The peer that gets everything else and is none of the fleet.
fn stranger<'a>(
    interface: &'a WireGuard,
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
) -> Option<&'a PublicKey> {
    let has_all = |allowed: &BTreeSet<Prefix>| {
        situation.prefixes.iter().all(|p| allowed.iter().any(|a| a.length() <= 1 && a.covers(*p)))
    };
    let keys = interface.peers.iter().filter(|p| has_all(&p.allowed)).map(|p| &p.public_key);
    keys.into_iter().find(|key| node_of(hosts, key).is_none())
}

/// What changes on those hosts, one entry an interface that changes. What the first hub's own tunnel gives over is told
/// apart (see `assemble`).
#[must_use]
pub fn hand_overs(
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
    findings: &mut Findings,
) -> Vec<HandOver> {
    let mut all = Vec::new();
    if situation.is_bridged() {
        return all;
    }
    for (node, facts) in hosts {
        let of_hub = |w: &WireGuard| *node == situation.hub && w.interface == situation.hub_wireguard;
        let routes = |w: &&WireGuard| !of_hub(w) && chooses(node, w, situation, hosts);
        for interface in facts.wireguard.iter().filter(routes) {
            let key = owner(node, interface, situation, hosts);
            let mut peers = match network::hand_over(&interface.peers, key.as_ref(), &situation.prefixes) {
                Ok(peers) => peers,
                Err(error) => {
                    findings.error(
                        "hand-over",
                        node,
                        format!(
                            "{node} has peers of its own on {}, and the prefixes cannot be handed over there: {error}",
                            interface.interface
                        ),
                        format!("correct the AllowedIPs of {} on {node} (wg set, and its file)", interface.interface),
                    );
                    continue;
                }
            };
            if peers.is_empty() {
                continue;
            }
            peers.iter_mut().for_each(|p| p.node = node_of(hosts, &p.public_key));
            examine_file(node, interface, facts, findings);
            all.push(HandOver { host: node.clone(), interface: interface.interface.clone(), peers });
        }
    }
    all
}

/// What the hubs besides the first one lend to a canary's addresses, one entry a hub.
#[must_use]
pub fn lend(situation: &Situation, hosts: &BTreeMap<NodeName, HostFacts>, canary: &[Prefix]) -> Vec<HandOver> {
    let one = |hub: &NodeName| {
        let interface = hosts.get(hub)?.wireguard(situation.tunnel_of_hub(hub)?)?;
        let key = owner(hub, interface, situation, hosts)?;
        let mut peers = network::hand_over(&interface.peers, Some(&key), canary).ok()?;
        peers.iter_mut().for_each(|p| p.node = node_of(hosts, &p.public_key));
        Some(HandOver { host: hub.clone(), interface: interface.interface.clone(), peers })
    };
    situation.more_hubs.iter().filter_map(|hub| one(&hub.node)).collect()
}

/// Hubs from which nothing leads to the target.
pub fn no_way(situation: &Situation, hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    if situation.more_hubs.is_empty() {
        return;
    }
    let (tunnels, target) = (Tunnels::new(hosts, situation.hubs()), &situation.target.node);
    for hub in situation.hubs().filter(|hub| *hub != target && tunnels.next(hub, target).is_none()) {
        findings.error(
            "no-way",
            hub,
            format!(
                "nothing leads from {hub} to {target}: neither is a peer of the other, nor is there a hub between them"
            ),
            format!("make {target}, or the hub that it is behind, a peer of {hub} and {hub} one of its (wg set, and the files)"),
        );
    }
}

/// The file that has the interface's AllowedIPs.
#[must_use]
pub fn file<'a>(facts: &'a HostFacts, interface: &crate::model::InterfaceName) -> Option<&'a WireGuardFile> {
    facts.wireguard_files.iter().find(|f| f.interface == *interface)
}

fn examine_file(node: &NodeName, interface: &WireGuard, facts: &HostFacts, findings: &mut Findings) {
    match file(facts, &interface.interface) {
        Some(file) => persist::refuse_save_config(node, file, findings),
        None => findings.error(
            "no-wireguard-file",
            node,
            format!(
                "{node} routes to other nodes by AllowedIPs of its own, but no configuration file of {} was found there: the new ones would be forgotten at the next reboot",
                interface.interface
            ),
            format!("keep them in /usr/local/etc/wireguard/{}.conf", interface.interface),
        ),
    }
}

/// WireGuard files in which two peers list a prefix of the jail's, or a network around it: the interface has it only
/// once, and which peer gets it when the file is read again is decided by the order in it (wg(8), allowed-ips).
pub fn claimed_twice(situation: &Situation, hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    for (node, facts) in hosts {
        for file in &facts.wireguard_files {
            let mut seen: BTreeMap<Prefix, &PublicKey> = BTreeMap::new();
            for (key, prefix) in file.peers.iter().flat_map(|(key, all)| all.iter().map(move |p| (key, *p))) {
                if !situation.prefixes.iter().any(|p| p.overlaps(prefix)) {
                    continue;
                }
                if let Some(other) = seen.insert(prefix, key).filter(|other| *other != key) {
                    findings.error(
                        "claimed-twice",
                        node,
                        format!(
                            "{} gives {prefix} to two peers, {} and {}: which one gets it is left to their order in the file",
                            file.path,
                            named(hosts, other),
                            named(hosts, key)
                        ),
                        format!("take {prefix} out of the AllowedIPs of one of them in {}", file.path),
                    );
                }
            }
        }
    }
}

fn named(hosts: &BTreeMap<NodeName, HostFacts>, key: &PublicKey) -> String {
    node_of(hosts, key).map_or_else(|| key.short().to_owned(), |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effect;
    use crate::effect::simulate::World;
    use crate::plan::Phase;
    use crate::plan::Plan;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::plan::leases;
    use crate::playbook::Options;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn plan(world: &World, shape: &Shape, target: &str) -> Plan {
        let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node(target));
        let settings = Options::default().settle();
        assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
    }

    fn hand_overs(plan: &Plan) -> Vec<&HandOver> {
        let of = |s: &'_ &crate::plan::Step| s.phase == Phase::CutOver;
        let steps = plan.steps.iter().filter(of);
        steps.filter_map(|s| if let Effect::HandOver(h) = &s.effect { Some(h) } else { None }).collect()
    }

    fn codes(plan: &Plan) -> Vec<(&str, String)> {
        plan.findings.iter().map(|f| (f.code.as_str(), format!("{f:?}"))).collect()
    }

    fn with_mesh(pairs: &[(usize, usize)]) -> Shape {
        Shape { mesh: pairs.to_vec(), ..Shape::testbed() }
    }

    #[test]
    fn a_fleet_with_one_hub_changes_allowed_ips_there_only() {
        let shape = Shape::testbed();
        let plan = plan(&shape.world(), &shape, "big");
        assert_eq!(hand_overs(&plan).iter().map(|h| h.host.as_str()).collect::<Vec<_>>(), ["small"]);
    }

    #[test]
    fn a_source_with_a_tunnel_to_the_target_gives_it_the_prefixes_too() {
        let shape = with_mesh(&[(1, 2)]);
        let plan = plan(&shape.world(), &shape, "big");
        let changed = hand_overs(&plan);
        assert_eq!(changed.iter().map(|h| h.host.as_str()).collect::<Vec<_>>(), ["small", "spare"]);
        assert_eq!(changed[1].peers.len(), 1);
        assert_eq!(changed[1].peers[0].node, Some(node("big")));
        assert!(plan.steps.iter().any(|s| matches!(&s.effect, Effect::Edit { host, what, .. }
            if *host == node("spare") && what.contains("keeps the new AllowedIPs"))));
    }

    #[test]
    fn a_third_host_with_a_tunnel_to_the_source_asks_the_hub_and_is_armed() {
        let shape = with_mesh(&[(1, 2)]);
        let plan = plan(&shape.world(), &shape, "small");
        let big = hand_overs(&plan).into_iter().find(|h| h.host == node("big")).unwrap();
        assert_eq!(big.peers[0].node, Some(node("small")), "a more specific entry than spare's network");
        let armed = plan.steps.iter().find_map(|s| match &s.effect {
            Effect::Arm(lease) if lease.host == node("big") => Some(lease),
            _ => None,
        });
        // Whoever takes the run over is to be its owner there, too.
        assert!(leases::beats(&plan.steps).contains_key(&node("big")));
        assert!(armed.unwrap().reverts.iter().any(|e| matches!(e, Effect::HandOver(h) if h.host == node("big"))));
    }

    #[test]
    fn a_part_that_another_peer_of_a_mesh_host_has_is_named() {
        let mut shape = with_mesh(&[(1, 2)]);
        shape.jails[0].whole = Some(9);
        let mut world = shape.world();
        let spare = world.hosts.get_mut(&node("spare")).unwrap();
        spare.facts.wireguard[0].peers[0].allowed.insert(p("192.168.131.77/32"));
        let plan = plan(&world, &shape, "big");
        let found = codes(&plan);
        let (_, text) = found.iter().find(|(code, _)| *code == "hand-over").unwrap();
        assert!(text.contains("spare") && text.contains("192.168.131.77/32") && text.contains("wg0"), "{text}");
    }

    #[test]
    fn two_peers_that_claim_a_prefix_in_a_file_are_named() {
        let shape = Shape::testbed();
        let mut world = shape.world();
        let hub = world.hosts.get_mut(&node("small")).unwrap();
        hub.facts.wireguard_files[0].peers.iter_mut().for_each(|(_, all)| _ = all.insert(p("192.168.123.0/24")));
        let plan = plan(&world, &shape, "big");
        let found = codes(&plan);
        let (_, text) = found.iter().find(|(code, _)| *code == "claimed-twice").unwrap();
        assert!(text.contains("spare") && text.contains("big") && text.contains("wg0.conf"), "{text}");
    }

    #[test]
    fn a_mesh_host_whose_allowed_ips_would_be_forgotten_is_named() {
        let shape = with_mesh(&[(1, 2)]);
        let mut world = shape.world();
        world.hosts.get_mut(&node("spare")).unwrap().facts.wireguard_files.clear();
        let plan = plan(&world, &shape, "big");
        assert!(codes(&plan).iter().any(|(code, text)| *code == "no-wireguard-file" && text.contains("spare")));
    }
}
