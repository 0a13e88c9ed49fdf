//! Which bridges get a link-local address, and where it stays.

use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::facts::Interface;
use crate::model::InterfaceName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::Step;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

/// Web to big, whose bridge has a link-local address beforehand or not.
fn plan(there: bool) -> Plan {
    let shape = Shape::testbed();
    let (mut evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
    let facts = evidence.hosts.get_mut(&node("big")).unwrap();
    facts.interfaces.iter_mut().filter(|i| i.name.as_str() == "bridge0").for_each(|i| {
        i.link_locals = there.then(|| "fe80::1/64".parse().unwrap()).into_iter().collect();
    });
    assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), "", findings).unwrap()
}

/// The addresses that bridges get in a phase, in their order.
fn added(plan: &Plan, phase: Phase) -> Vec<String> {
    let steps = plan.steps.iter().filter(|s| s.phase == phase);
    let alias = |effect: &Effect| match effect {
        Effect::AddAlias { host, interface, address, length } => Some(format!("{host} {interface} {address}/{length}")),
        _ => None,
    };
    steps.filter_map(|s| alias(&s.effect)).collect()
}

#[test]
fn a_bridge_without_one_gets_one_before_the_gateways_and_keeps_it_over_a_boot() {
    let plan = plan(false);
    let cut_over = added(&plan, Phase::CutOver);
    let [link_local, gateways @ ..] = &cut_over[..] else { panic!("{cut_over:?}") };
    assert!(link_local.starts_with("big bridge0 fe80::6a66:0:") && link_local.ends_with("/64"), "{link_local}");
    assert_eq!(gateways, ["big bridge0 192.168.123.1/32", "big bridge0 2001:db8:1:1::1/128"]);
    let address = link_local.trim_start_matches("big bridge0 ");
    let kept = plan.steps.iter().filter(|s| s.phase == Phase::Persist).flat_map(|s| &s.changes);
    let values: Vec<_> =
        kept.filter(|c| c.what == "ifconfig_bridge0_aliases on big").map(|c| c.after.as_str()).collect();
    assert!(values.iter().any(|v| v.contains(&format!("inet6 {address}"))), "{values:?}");
}

#[test]
fn a_bridge_that_has_one_is_left_alone() {
    let gateways = ["big bridge0 192.168.123.1/32", "big bridge0 2001:db8:1:1::1/128"];
    assert_eq!(added(&plan(true), Phase::CutOver), gateways);
}

/// The testbed with a link-local gateway in each jail of spare's, which has it on its bridge; big has these.
fn linked(on_big: &[&str]) -> World {
    let mut world = Shape::testbed().world();
    let gateway: IpAddr = "fe80::1".parse().unwrap();
    let bridge = |world: &mut World, name: &str, locals: &[&str]| {
        let facts = &mut world.hosts.get_mut(&node(name)).unwrap().facts;
        for bridge in facts.interfaces.iter_mut().filter(|i| i.name.as_str() == "bridge0") {
            bridge.link_locals = locals.iter().map(|a| a.parse().unwrap()).collect();
        }
    };
    bridge(&mut world, "spare", &["fe80::1/64"]);
    bridge(&mut world, "big", on_big);
    let jails = world.hosts.get_mut(&node("spare")).unwrap().facts.jails.iter_mut();
    for jail in jails.chain(world.inside.values_mut()).filter(|j| ["web", "sib"].contains(&j.name.as_str())) {
        jail.gateways.iter_mut().filter(|g| g.is_ipv6()).for_each(|g| *g = gateway);
    }
    world
}

fn plan_of(world: &World, target: &str) -> Plan {
    let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node(target));
    let settings = Options::default().settle();
    assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), target, findings).unwrap()
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.findings.iter().filter(|f| f.severity != Severity::Note).map(|f| f.code.as_str()).collect()
}

#[test]
fn a_link_local_gateway_counts_on_the_bridge_itself() {
    let there = plan_of(&linked(&["fe80::1/64"]), "big");
    assert_eq!(added(&there, Phase::CutOver), ["big bridge0 192.168.123.1/32"]);
    let missing = plan_of(&linked(&["fe80::7/64"]), "big");
    let both = ["big bridge0 192.168.123.1/32", "big bridge0 fe80::1/64"];
    assert_eq!(added(&missing, Phase::CutOver), both);
    assert_eq!(added(&plan_of(&linked(&[]), "big"), Phase::CutOver), both, "which serves as the bridge's own, too");
    assert!(!codes(&missing).contains(&"no-gateway"), "{:?}", missing.findings);
    let mut world = linked(&[]);
    let spare = &mut world.hosts.get_mut(&node("spare")).unwrap().facts.interfaces;
    spare.iter_mut().filter(|i| i.name.as_str() == "bridge0").for_each(|i| i.link_locals.clear());
    // lo0 of every host has it.
    let lo0 = Interface {
        name: InterfaceName::new("lo0").unwrap(),
        groups: vec!["lo".into()],
        link_locals: vec!["fe80::1/64".parse().unwrap()],
        ..spare[0].clone()
    };
    spare.push(lo0);
    assert!(codes(&plan_of(&world, "big")).contains(&"no-gateway"));
}

#[test]
fn a_link_local_gateway_leaves_with_its_guest() {
    let mut world = linked(&[]);
    let on_bridge = |world: &World| {
        let facts = &world.hosts[&node("big")].facts;
        let bridge = facts.interfaces.iter().find(|i| i.name.as_str() == "bridge0").unwrap();
        (bridge.link_locals.len(), facts.rc.variables.get("jailferry_bridge0_aliases").cloned())
    };
    let start = on_bridge(&world);
    for target in ["big", "spare"] {
        for step in &plan_of(&world, target).steps {
            world.apply(&step.effect).unwrap_or_else(|e| panic!("{}: {e}", step.title));
        }
        if target == "big" {
            assert_eq!(on_bridge(&world), (1, Some("192.168.123.1/32 fe80::1/64".into())));
        }
    }
    assert_eq!(on_bridge(&world), start);
}

#[test]
fn ways_by_a_link_local_gateway_are_told_not_to_last() {
    let plan = plan_of(&linked(&["fe80::1/64"]), "big");
    let jails: Vec<String> = plan.steps.iter().filter(|s| s.phase == Phase::Prove).filter_map(route_of).collect();
    assert_eq!(jails, ["sib 2001:db8:1:1::50 fe80::1", "web 2001:db8:1:1::51 fe80::1"]);
    let lost = plan.findings.iter().filter(|f| f.code == "siblings-inet6" && f.what.contains("link-local"));
    assert_eq!(lost.map(|f| f.host.clone().unwrap()).collect::<Vec<_>>(), [node("spare"), node("big")]);
    let written = plan.steps.iter().map(|s| format!("{:?}", s.effect)).collect::<String>();
    assert!(!written.contains("route -q -n add -inet6 -host 2001:db8:1:1::50 fe80::1 ||"));
}

fn route_of(step: &Step) -> Option<String> {
    match &step.effect {
        Effect::JailRoute { jail, to, gateway, there: true, .. } => Some(format!("{jail} {to} {gateway}")),
        _ => None,
    }
}
