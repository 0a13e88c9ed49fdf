//! Plans over facts with every arrangement of FIBs: which routes they add where, and what the egress check says.

use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::facts::Route;
use crate::model::InterfaceName;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

fn shape(spare: u16, big: u16) -> Shape {
    let mut shape = Shape::testbed();
    shape.nodes[1].fib = spare;
    shape.nodes[2].fib = big;
    shape
}

fn plan(world: &World, shape: &Shape) -> Plan {
    let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node("big"));
    let settings = Options::default().settle();
    assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
}

fn errors(plan: &Plan) -> Vec<String> {
    let errors = plan.findings.iter().filter(|f| f.severity == crate::plan::Severity::Error);
    errors.map(|f| format!("{}: {} ({:?})", f.code, f.what, f.commands)).collect()
}

/// FIBs of the routes to the jail itself, by host.
fn fibs(plan: &Plan, host: &str) -> BTreeSet<u16> {
    let own = plan.steps.iter().filter_map(|s| match &s.effect {
        Effect::AddRoute(r) if r.host == node(host) && r.prefix.is_host() => Some(r.fib),
        _ => None,
    });
    own.collect()
}

fn jail_fib(plan: &Plan) -> Option<u16> {
    plan.steps.iter().find_map(|s| match &s.effect {
        Effect::StartJail(place) if place.host == node("big") => Some(place.fib),
        _ => None,
    })
}

/// In FIB 1 of big.
fn with_routes(routes: &[(&str, &str)], without: &[&str]) -> Vec<String> {
    in_fib(1, routes, without)
}

fn in_fib(fib: u16, routes: &[(&str, &str)], without: &[&str]) -> Vec<String> {
    let shape = shape(1, fib);
    let mut world = shape.world();
    let table = world.hosts.get_mut(&node("big")).unwrap().facts.routes.get_mut(&fib).unwrap();
    table.retain(|r| !without.contains(&r.destination.to_string().as_str()));
    table.extend(routes.iter().map(|(destination, interface)| Route {
        destination: destination.parse().unwrap(),
        interface: InterfaceName::new(*interface).unwrap(),
        gateway: None,
        flags: "US".into(),
    }));
    errors(&plan(&world, &shape))
}

#[test]
fn hosts_with_fib_0_only_and_hosts_that_differ() {
    for (spare, big) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let shape = shape(spare, big);
        let plan = plan(&shape.world(), &shape);
        assert_eq!(errors(&plan), Vec::<String>::new(), "{spare} {big}");
        assert_eq!(jail_fib(&plan), Some(big), "{spare} {big}");
        assert_eq!(fibs(&plan, "spare"), [0].into(), "{spare} {big}");
        assert_eq!(fibs(&plan, "big"), [0].into(), "{spare} {big}");
    }
}

#[test]
fn every_fib_that_has_the_network_of_the_bridge_needs_the_route() {
    for big in [0, 1] {
        let shape = Shape { all_fibs: true, ..shape(1, big) };
        let plan = plan(&shape.world(), &shape);
        assert_eq!(errors(&plan), Vec::<String>::new());
        assert_eq!(fibs(&plan, "spare"), [0, 1].into());
    }
}

#[test]
fn real_defaults_and_halves_lead_into_the_tunnel() {
    assert_eq!(with_routes(&[], &[]), Vec::<String>::new());
    assert_eq!(with_routes(&[("::/0", "wg0")], &["::/1", "8000::/1"]), Vec::<String>::new());
    let halves = [("0.0.0.0/1", "wg0"), ("128.0.0.0/1", "wg0")];
    assert_eq!(with_routes(&halves, &["0.0.0.0/0"]), Vec::<String>::new());
}

#[test]
fn a_fib_that_leaves_past_the_hub_is_caught() {
    let found = with_routes(&[("128.0.0.0/1", "vtnet0")], &[]);
    assert!(found[0].starts_with("egress: FIB 1 of big sends 128.0.0.0/1 out of vtnet0"), "{found:?}");
    let found = with_routes(&[], &["8000::/1"]);
    assert!(found[0].starts_with("egress: FIB 1 of big has no inet6 default route"), "{found:?}");
    let found = with_routes(&[], &["0.0.0.0/0"]);
    assert!(found[0].starts_with("egress: FIB 1 of big has no inet default route"), "{found:?}");
    assert!(found[0].contains("-net 0.0.0.0/0 -interface wg0 -fib 1"), "{found:?}");
    // The host's own way out is left alone.
    let found = in_fib(0, &[("0.0.0.0/0", "vtnet0")], &["0.0.0.0/0"]);
    assert!(found[0].starts_with("egress: FIB 0 of big sends 0.0.0.0/0 out of vtnet0"), "{found:?}");
    assert!(found[0].contains("net.fibs=2") && !found[0].contains("-fib 0"), "{found:?}");
}
