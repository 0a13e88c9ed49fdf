//! A hub with a WireGuard interface for each of its nodes.

use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::model::InterfaceName;
use crate::model::PublicKey;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::path;
use crate::plan::fixture::tester;
use crate::playbook::Options;

/// The testbed, with big behind wg1 of small.
fn world(shape: &Shape) -> World {
    let mut world = shape.world();
    let wg1 = InterfaceName::new("wg1").unwrap();
    let key = PublicKey::new(format!("{}=", "W".repeat(43))).unwrap();
    let facts = |world: &World, name: &str| world.hosts[&node(name)].facts.clone();
    let mut big = facts(&world, "big");
    let of_big = big.wireguard[0].public_key.clone();
    big.wireguard[0].peers[0].public_key = key.clone();
    big.wireguard_files[0].peers[0].0 = key.clone();
    let mut small = facts(&world, "small");
    let mut second = small.wireguard[0].clone();
    (second.interface, second.public_key, second.listen_port) = (wg1.clone(), key, 51821);
    second.peers.retain(|p| p.public_key == of_big);
    small.wireguard[0].peers.retain(|p| p.public_key != of_big);
    let mut file = small.wireguard_files[0].clone();
    (file.path, file.interface) = (path("/usr/local/etc/wireguard/wg1.conf"), wg1.clone());
    file.peers.retain(|(key, _)| *key == of_big);
    small.wireguard_files[0].peers.retain(|(key, _)| *key != of_big);
    let mut interface = small.interfaces.iter().find(|i| i.name.as_str() == "wg0").unwrap().clone();
    (interface.name, interface.addresses) = (wg1.clone(), vec!["10.78.0.1/24".parse().unwrap()]);
    let theirs = second.peers[0].allowed.clone();
    for route in small.routes.get_mut(&0).unwrap().iter_mut().filter(|r| theirs.contains(&r.destination)) {
        route.interface = wg1.clone();
    }
    small.wireguard.push(second);
    small.wireguard_files.push(file);
    small.interfaces.push(interface);
    world.hosts.get_mut(&node("big")).unwrap().facts = big;
    world.hosts.get_mut(&node("small")).unwrap().facts = small;
    world.seal();
    world
}

fn plan(world: &World, shape: &Shape, name: &str, target: &str) -> Plan {
    let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail(name), &node(target));
    let settings = Options::default().settle();
    assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), target, findings).unwrap()
}

fn switched(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|s| s.phase == Phase::CutOver);
    steps.filter_map(|s| hand_over(&s.effect)).collect()
}

fn hand_over(effect: &Effect) -> Option<String> {
    match effect {
        Effect::HandOver(h) => Some(format!("{} {}", h.host, h.interface)),
        _ => None,
    }
}

fn errors(plan: &Plan) -> Vec<String> {
    plan.findings.iter().filter(|f| f.severity == Severity::Error).map(|f| format!("{}: {}", f.code, f.what)).collect()
}

#[test]
fn a_jail_goes_from_one_interface_of_the_hub_to_another_and_home() {
    let shape = Shape::testbed();
    for (name, out, home) in [
        ("web", ["small wg1"].as_slice(), ["small wg1"].as_slice()),
        ("db", &["small wg1", "small wg0"], &["small wg0", "small wg1"]),
    ] {
        let start = world(&shape);
        let mut world = start.clone();
        for (target, changed) in [("big", out), ("spare", home)] {
            let plan = plan(&world, &shape, name, target);
            assert_eq!(errors(&plan), Vec::<String>::new(), "{name} to {target}");
            assert_eq!(switched(&plan), changed, "{name} to {target}");
            // Each goes back by itself when nobody is heard any more.
            let armed = plan.steps.iter().find_map(|s| match &s.effect {
                Effect::Arm(lease) if lease.host == node("small") => Some(lease.reverts.iter()),
                _ => None,
            });
            let reverts: BTreeSet<String> = armed.unwrap().filter_map(hand_over).collect();
            assert!(changed.iter().all(|one| reverts.contains(*one)), "{name} to {target}: {reverts:?}");
            for step in &plan.steps {
                world.apply(&step.effect).unwrap_or_else(|e| panic!("{}: {e}", step.title));
            }
        }
        let of = |world: &World| {
            let facts = &world.hosts[&node("small")].facts;
            (facts.wireguard.clone(), facts.routes.clone(), facts.wireguard_files.clone())
        };
        assert_eq!(of(&world), of(&start), "{name}");
    }
}

#[test]
fn the_hub_itself_takes_jails_and_gives_them_away() {
    let shape = Shape::testbed();
    for target in ["small", "big"] {
        let world = world(&shape);
        let name = if target == "small" { "web" } else { "mail" };
        let plan = plan(&world, &shape, name, target);
        assert_eq!(errors(&plan), Vec::<String>::new(), "{name} to {target}");
    }
}

#[test]
fn whoever_is_no_peer_of_any_of_its_interfaces_is_named() {
    let shape = Shape::testbed();
    let mut world = world(&shape);
    let small = &mut world.hosts.get_mut(&node("small")).unwrap().facts;
    small.wireguard[0].peers.clear();
    let found = errors(&plan(&world, &shape, "web", "big"));
    assert!(found.iter().any(|e| e.starts_with("unknown-peer") && e.contains("spare")), "{found:?}");
}

/// fleet.yml has room for one file a host, and the others are found by their interfaces.
#[test]
fn the_file_that_fleet_yml_names_is_that_of_one_interface() {
    let shape = Shape::testbed();
    let (evidence, situation, findings) = {
        let mut fleet = shape.fleet();
        let named = Some(path("/usr/local/etc/wireguard/wg0.conf"));
        fleet.nodes.get_mut(&node("small")).unwrap().wireguard_config = named;
        world(&shape).evidence(&fleet, &jail("web"), &node("big"))
    };
    let settings = Options::default().settle();
    let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap();
    assert_eq!(errors(&plan), Vec::<String>::new());
    let kept = plan
        .steps
        .iter()
        .any(|s| s.title.starts_with("small keeps the new AllowedIPs in") && s.title.contains("wg1.conf"));
    assert!(kept, "{:#?}", plan.steps.iter().map(|s| &s.title).collect::<Vec<_>>());
}

#[test]
fn the_jail_is_asked_for_the_end_of_the_tunnel_that_it_is_behind() {
    let shape = Shape::testbed();
    let plan = plan(&world(&shape), &shape, "web", "big");
    let asked: Vec<&str> =
        plan.steps.iter().map(|s| s.title.as_str()).filter(|t| t.contains("reaches the hub")).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].contains("10.77.0.1") && asked[0].ends_with("with the jail on spare"), "{asked:?}");
    assert!(asked[1].contains("10.78.0.1"), "{asked:?}");
}
