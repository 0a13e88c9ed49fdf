//! Which of a host's interfaces the jail has or gets: epairs, bridge, tunnel, and the FIB they are in.

use crate::configuration::jail_conf::matching;
use crate::facts::HostFacts;
use crate::facts::Interface;
use crate::facts::WireGuard;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::ends::End;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::playbook::Node;

/// The epair unit, when all the jail's interfaces are of one pair.
pub(super) fn epair_unit(ends: &[End]) -> Option<u32> {
    match ends {
        [one] => one.unit,
        _ => None,
    }
}

/// The same unit when the host does not have it and no jail configured there names it, else the lowest free one.
pub(super) fn free_unit(facts: &HostFacts, jail: &JailName, wanted: u32) -> u32 {
    let taken = |unit: u32| {
        let stem = format!("epair{unit}");
        facts.interfaces.iter().any(|i| i.name.as_str() == format!("{stem}a") || i.name.as_str() == format!("{stem}b"))
            || facts.jail_configurations.iter().filter(|c| c.name != jail.as_str()).any(|c| {
                c.parameters.iter().any(|(_, value)| value.as_ref().is_some_and(|v| matching::units(v).contains(&unit)))
            })
    };
    std::iter::once(wanted).chain(0..).find(|unit| !taken(*unit)).unwrap_or(wanted)
}

/// An end that was given a name keeps it.
pub(super) fn renumber(ends: &[End], to: u32) -> Vec<InterfaceName> {
    let name = |end: &End| {
        let new = end.is_bare().then(|| InterfaceName::new(format!("epair{to}a")).ok());
        new.flatten().unwrap_or_else(|| end.name.clone())
    };
    ends.iter().map(name).collect()
}

pub(super) fn bridge_of(facts: &HostFacts, members: &[InterfaceName]) -> Option<InterfaceName> {
    facts.interfaces.iter().find(|i| members.iter().any(|m| i.members.contains(m))).map(|i| i.name.clone())
}

/// The bridge that fleet.yml names; one that is not there is used all the same, so that the other findings are told too.
pub(super) fn named_bridge(
    node: &Node,
    facts: &HostFacts,
    name: &NodeName,
    findings: &mut Findings,
) -> Option<InterfaceName> {
    let interface = node.bridge.as_ref()?;
    if facts.interface(interface).is_none() {
        findings.error(
            "no-such-bridge",
            name,
            format!("fleet.yml names {interface} as the bridge of {name}, but there is no such interface"),
            "correct `bridge:` in fleet.yml, or create the bridge",
        );
    }
    Some(interface.clone())
}

pub(super) fn only_bridge(facts: &HostFacts, node: &NodeName, findings: &mut Findings) -> Option<InterfaceName> {
    let bridges: Vec<&InterfaceName> =
        facts.interfaces.iter().filter(|i| i.groups.iter().any(|g| g == "bridge")).map(|i| &i.name).collect();
    match bridges.as_slice() {
        [only] => Some((*only).clone()),
        [] => {
            findings.error(
                "no-bridge",
                node,
                format!("{node} has no bridge for its jails"),
                Fix::new("create one, with the gateway addresses of its jails as ifconfig_bridge0 and aliases")
                    .run("sysrc cloned_interfaces+=bridge0")
                    .run("sysrc ifconfig_bridge0=up")
                    .run("service netif cloneup bridge0")
                    .run("service netif start bridge0"),
            );
            None
        }
        several => {
            let names = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            findings.error(
                "which-bridge",
                node,
                format!("{node} has several bridges ({names}) and fleet.yml does not say which one carries jails"),
                format!(
                    "add `bridge: {}` to node {node} in fleet.yml",
                    several.first().map_or("bridge0", |b| b.as_str())
                ),
            );
            None
        }
    }
}

pub(super) fn wireguard(
    node: &Node,
    facts: &HostFacts,
    name: &NodeName,
    findings: &mut Findings,
) -> Option<InterfaceName> {
    if let Some(interface) = &node.wireguard {
        if facts.wireguard(interface).is_none() {
            findings.error(
                "no-such-tunnel",
                name,
                format!(
                    "fleet.yml names {interface} as the tunnel of {name}, but there is no such WireGuard interface"
                ),
                "correct `wireguard:` in fleet.yml, or bring the tunnel up",
            );
        }
        return Some(interface.clone());
    }
    match facts.wireguard.as_slice() {
        [only] => Some(only.interface.clone()),
        [] => {
            findings.error(
                "no-tunnel",
                name,
                format!("{name} has no WireGuard interface"),
                "bring its tunnel to the hub up before moving jails there",
            );
            None
        }
        several => {
            if let Some(out) = way_out(facts, several) {
                return Some(out);
            }
            let names = several.iter().map(|w| w.interface.to_string()).collect::<Vec<_>>().join(", ");
            findings.error(
                "which-tunnel",
                name,
                format!("{name} has several WireGuard interfaces ({names}) and fleet.yml does not say which one leads to the hub"),
                format!("add `wireguard: wg0` to node {name} in fleet.yml"),
            );
            None
        }
    }
}

/// The only one of several tunnels that a FIB leads everything into.
fn way_out(facts: &HostFacts, tunnels: &[WireGuard]) -> Option<InterfaceName> {
    let leads = |tunnel: &&WireGuard| {
        let mut routes = facts.routes.values().flatten();
        routes.any(|r| r.destination.length() <= 1 && r.interface == tunnel.interface)
    };
    let mut leading = tunnels.iter().filter(leads);
    let first = leading.next()?;
    leading.next().is_none().then(|| first.interface.clone())
}

/// The hub's interface that has the target as a peer.
pub(super) fn hub_interface(
    node: &Node,
    hub_facts: &HostFacts,
    hub: &NodeName,
    target: &NodeName,
    target_facts: &HostFacts,
    findings: &mut Findings,
) -> Option<InterfaceName> {
    if node.wireguard.is_some() || hub == target {
        return wireguard(node, hub_facts, hub, findings);
    }
    let knows =
        |w: &&WireGuard| w.peers.iter().any(|p| target_facts.wireguard.iter().any(|t| t.public_key == p.public_key));
    match hub_facts.wireguard.iter().find(knows) {
        Some(found) => Some(found.interface.clone()),
        None => wireguard(node, hub_facts, hub, findings),
    }
}

/// FIB of the jails' interfaces that are on the bridge already, if they agree. Whatever else is on it (a card, a tap of a
/// virtual machine) tells nothing of jails.
pub(super) fn fib_of_members(facts: &HostFacts, bridge: &InterfaceName) -> Option<u16> {
    let members = facts.interface(bridge)?.members.iter().filter_map(|m| facts.interface(m));
    let is_epair = |i: &&Interface| i.name.as_str().starts_with("epair") || i.groups.iter().any(|g| g == "epair");
    let mut fibs = members.filter(is_epair).map(|i| i.fib);
    let first = fibs.next()?;
    fibs.all(|f| f == first).then_some(first)
}

/// The FIB whose default route leads into the tunnel, so that the jail's answers go back the way they came.
pub(super) fn fib_by_default_route(facts: &HostFacts, wireguard: &InterfaceName) -> Option<u16> {
    facts
        .routes
        .iter()
        .find(|(_, table)| {
            table.iter().any(|r| r.destination == Prefix::default_route(Family::Inet) && r.interface == *wireguard)
        })
        .map(|(fib, _)| *fib)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;

    #[test]
    fn a_card_on_the_bridge_tells_no_fib_of_jails() {
        let shape = Shape::testbed();
        let (evidence, _, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let mut facts = evidence.hosts[&node("spare")].clone();
        let bridge = InterfaceName::new("bridge0").unwrap();
        let of_jails = fib_of_members(&facts, &bridge);
        assert!(of_jails.is_some_and(|fib| fib != 0));
        facts.interfaces.iter_mut().filter(|i| i.name == bridge).for_each(|b| b.members = vec![]);
        let card = InterfaceName::new("vtnet0").unwrap();
        facts.interfaces.iter_mut().filter(|i| i.name == bridge).for_each(|b| b.members.push(card.clone()));
        assert_eq!(fib_of_members(&facts, &bridge), None);
    }
}
