//! What a move leaves in rc.conf(5), and takes out of it again.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::effect::meaning::Meaning;
use crate::effect::simulate::World;
use crate::facts::Route;
use crate::model::InterfaceName;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::JailShape;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

/// Moves a jail, and says how.
fn moved(world: &mut World, name: &str, to: &str, salt: &str) -> Plan {
    moved_in(world, &Shape::testbed(), name, to, salt)
}

fn moved_in(world: &mut World, shape: &Shape, name: &str, to: &str, salt: &str) -> Plan {
    let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail(name), &node(to));
    let settings = Options::default().settle();
    let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), salt, findings).unwrap();
    assert!(!plan.refused(), "{:#?}", plan.findings);
    plan.steps.iter().for_each(|s| world.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
    plan
}

fn rc<'a>(world: &'a World, host: &str) -> &'a BTreeMap<String, String> {
    &world.hosts[&node(host)].facts.rc.variables
}

/// The owner of a host leads an address into the tunnel, now and at each boot.
fn own_route(world: &mut World, host: &str, address: &str) {
    let facts = &mut world.hosts.get_mut(&node(host)).unwrap().facts;
    let wg0 = InterfaceName::new("wg0").unwrap();
    let (destination, flags) = (format!("{address}/32").parse().unwrap(), "UHS".to_owned());
    let table = facts.routes.get_mut(&0).unwrap();
    table.retain(|r| r.destination != destination);
    table.push(Route { destination, interface: wg0, gateway: None, flags });
    facts.rc.variables.retain(|_, value| !value.contains(&format!("{address} ")));
    facts.rc.variables.insert("static_routes".into(), "own".into());
    facts.rc.variables.insert("route_own".into(), format!("-host {address} -interface wg0"));
}

/// Names and arguments of routes that go in front of the list of a host.
fn in_front(plan: &Plan, host: &str) -> Vec<String> {
    let front = plan.steps.iter().filter_map(|s| match &s.effect {
        Effect::Edit { host: there, meaning: Meaning::StaticRouteAdd { arguments, first: true, .. }, .. } => {
            (*there == node(host)).then(|| arguments.clone())
        }
        _ => None,
    });
    front.collect()
}

#[test]
fn a_route_of_the_owner_that_would_lead_the_jail_away_at_the_next_boot_comes_second() {
    let mut world = Shape::testbed().world();
    own_route(&mut world, "big", "192.168.123.50");
    let (before, table) = (rc(&world, "big").clone(), world.hosts[&node("big")].facts.routes[&0].clone());
    let there = moved(&mut world, "web", "big", "1");
    assert_eq!(in_front(&there, "big"), ["-host 192.168.123.50 -interface bridge0 -fib 0"]);
    assert!(rc(&world, "big")["static_routes"].starts_with("jailferry_web_0 own"), "{:?}", rc(&world, "big"));
    moved(&mut world, "web", "spare", "2");
    assert_eq!(rc(&world, "big"), &before);
    assert_eq!(world.hosts[&node("big")].facts.routes[&0].len(), table.len());
    // At home, where the bridge's network leads to the jail, rc.conf needs a route all the same.
    let mut world = Shape::testbed().world();
    moved(&mut world, "web", "big", "1");
    own_route(&mut world, "spare", "192.168.123.50");
    let before = rc(&world, "spare").clone();
    let home = moved(&mut world, "web", "spare", "2");
    assert_eq!(in_front(&home, "spare"), ["-host 192.168.123.50 -interface bridge0 -fib 0"]);
    let ours = |world: &World| rc(world, "spare").values().filter(|v| v.contains("50 -interface bridge0")).count();
    assert_eq!(ours(&world), 1);
    moved(&mut world, "web", "big", "3");
    assert_eq!((ours(&world), &rc(&world, "spare")["static_routes"]), (0, &before["static_routes"]));
}

#[test]
fn a_guest_that_is_stopped_keeps_its_gateway_and_the_way_to_its_siblings() {
    let of_big = |stopped: bool| {
        let mut shape = Shape::testbed();
        let third = JailShape { name: "third", unit: 7, ..shape.jails[1].clone() };
        shape.jails.push(third);
        let mut world = shape.world();
        for (name, salt) in [("web", "1"), ("sib", "2")] {
            moved_in(&mut world, &shape, name, "big", salt);
        }
        if stopped {
            world.hosts.get_mut(&node("big")).unwrap().facts.jails.retain(|j| j.name != "sib");
        }
        moved_in(&mut world, &shape, "web", "spare", "3");
        let facts = &world.hosts[&node("big")].facts;
        let bridge = facts.interface(&InterfaceName::new("bridge0").unwrap()).unwrap();
        let gateways = bridge.addresses.iter().filter(|a| a.prefix_len() == a.max_prefix_len()).count();
        let subnets = facts.routes[&0].iter().filter(|r| r.destination.to_string() == "192.168.123.0/24").count();
        (gateways, !bridge.link_locals.is_empty(), subnets, rc(&world, "big").contains_key("jailferry_subnets"))
    };
    assert_eq!(of_big(false), (2, true, 1, true));
    assert_eq!(of_big(true), of_big(false));
}

#[test]
fn a_line_of_the_owners_that_would_take_the_tunnel_down_is_told() {
    let told = |made_by: &str| {
        let mut shape = Shape::testbed();
        shape.nodes[2].quick = true;
        let mut world = shape.world();
        own_route(&mut world, "big", "192.168.123.50");
        let facts = &mut world.hosts.get_mut(&node("big")).unwrap().facts;
        if made_by != "rc.conf" {
            facts.rc.variables.remove("static_routes");
        }
        match made_by {
            "jailferry" => {
                facts.wireguard_files[0].hooks =
                    vec!["PostUp = route -q -n add -host 192.168.123.50 -interface wg0 -fib 0 # jailferry sib".into()]
            }
            "nobody" => _ = facts.boot.tools.remove("route"),
            _ => {}
        }
        let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node("big"));
        let settings = Options::default().settle();
        let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap();
        plan.findings.iter().filter(|f| f.code == "route-unknown").count()
    };
    for (made_by, warnings) in [("somebody", 1), ("rc.conf", 0), ("jailferry", 0), ("nobody", 0)] {
        assert_eq!(told(made_by), warnings, "{made_by}");
    }
}
