//! Static routes by a next hop that a step would take the place of. What jailferry puts back is a route by an interface
//! (contract 0.4), so these would be gone once the move is taken back.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::facts::HostFacts;
use crate::facts::Route;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Step;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::network;

/// Names those that the steps would delete.
pub fn examine(steps: &[Step], hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    for step in steps {
        let (host, places) = match &step.effect {
            Effect::AddRoute(route) => (&route.host, vec![(route.fib, route.prefix)]),
            // A connected route takes the place of a static one of the same network.
            Effect::AddAlias { host, interface, address, length } => {
                let Some(facts) = hosts.get(host) else { continue };
                let own = facts.interface(interface).map_or(0, |i| i.fib);
                let all = facts.sysctl("net.add_addr_allfibs") == Some(1);
                let fibs = facts.routes.keys().copied().filter(|fib| all || *fib == own);
                let network = network::connected(*address, *length);
                (host, fibs.zip(network.into_iter().cycle()).collect())
            }
            _ => continue,
        };
        let Some(facts) = hosts.get(host) else { continue };
        for (fib, prefix) in places {
            let by_next_hop = |r: &&Route| r.destination == prefix && r.gateway.is_some() && r.flags.contains('S');
            for route in facts.routes(fib, prefix.family()).filter(by_next_hop) {
                tell(host, facts, fib, route, findings);
            }
        }
    }
}

fn tell(host: &NodeName, facts: &HostFacts, fib: u16, route: &Route, findings: &mut Findings) {
    let Route { destination, interface, gateway: Some(gateway), .. } = route else { return };
    let to = arguments(*destination);
    let delete = format!("route -n delete {to} {gateway} -fib {fib}");
    // A tunnel sends by its AllowedIPs, whatever the next hop is.
    let fix = if facts.wireguard(interface).is_some() {
        Fix::new("make it a route by the interface, which is put back; the same in static_routes of rc.conf(5) or wherever it is made")
            .run(delete)
            .run(format!("route -n add {to} -interface {interface} -fib {fib}"))
    } else {
        Fix::new("delete it, here and in static_routes of rc.conf(5) or wherever it is made").run(delete)
    };
    findings.error(
        "next-hop",
        host,
        format!("FIB {fib} of {host} leads {destination} to {gateway} by {interface}: the move would take the place of that route, and going back would not bring it again"),
        fix,
    );
}

fn arguments(prefix: Prefix) -> String {
    match prefix.is_host() {
        true => format!("-{} -host {}", prefix.family(), prefix.network()),
        false => format!("-{} -net {prefix}", prefix.family()),
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::Route;
    use crate::model::InterfaceName;
    use crate::plan::Finding;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    /// Of web's move to big, with that route on a host.
    fn found(shape: &Shape, on: &str, destination: &str, interface: &str, gateway: Option<&str>) -> Vec<Finding> {
        let mut world = shape.world();
        let routes = world.hosts.get_mut(&node(on)).unwrap().facts.routes.get_mut(&0).unwrap();
        routes.retain(|r| r.destination != destination.parse().unwrap());
        routes.push(Route {
            destination: destination.parse().unwrap(),
            interface: InterfaceName::new(interface).unwrap(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            flags: if gateway.is_some() { "UGS" } else { "US" }.into(),
        });
        let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node("big"));
        let settings = Options::default().settle();
        let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap();
        plan.findings.into_iter().filter(|f| f.code == "next-hop").collect()
    }

    #[test]
    fn a_route_by_a_next_hop_that_would_be_lost_is_named_with_what_replaces_it() {
        let shape = Shape::testbed();
        let [found] = &found(&shape, "big", "192.168.123.50/32", "wg0", Some("10.77.0.1"))[..] else { panic!() };
        assert_eq!(found.host, Some(node("big")));
        assert_eq!(
            found.commands.iter().map(|c| c.command.as_str()).collect::<Vec<_>>(),
            [
                "route -n delete -inet -host 192.168.123.50 10.77.0.1 -fib 0",
                "route -n add -inet -host 192.168.123.50 -interface wg0 -fib 0"
            ]
        );
    }

    #[test]
    fn a_network_that_a_gateway_brings_along_takes_the_place_of_one_too() {
        let mut shape = Shape::testbed();
        shape.jails[0].whole = Some(9);
        assert_eq!(found(&shape, "big", "192.168.131.0/24", "wg0", Some("10.77.0.1")).len(), 1);
        assert_eq!(found(&shape, "big", "192.168.131.0/24", "wg0", None).len(), 0);
    }

    #[test]
    fn a_route_by_the_interface_or_one_that_stays_is_none() {
        let shape = Shape::testbed();
        assert_eq!(found(&shape, "big", "192.168.123.50/32", "wg0", None).len(), 0);
        assert_eq!(found(&shape, "small", "192.168.123.0/24", "wg0", Some("10.77.0.2")).len(), 0);
    }
}
