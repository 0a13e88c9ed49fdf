//! Routes inside jails that last: after any moves each jail's configuration has those to the jails of its subnet that
//! are elsewhere, and no others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;

use crate::configuration::jail_conf::ways;
use crate::effect::simulate::World;
use crate::effect::simulate::fleets::a_fleet;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::tests::plan;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

/// The addresses to which each jail's configuration has a way, where it runs.
fn kept(world: &World, shape: &Shape) -> BTreeMap<&'static str, BTreeSet<IpAddr>> {
    let of = |name: &'static str| {
        let (jail, place) = (jail(name), place(world, name));
        let facts = world.hosts[&place].first_round();
        let text = &facts.jail_files[&facts.jail_configuration(&jail).unwrap().file];
        (name, ways::ways(text, &jail).into_iter().map(|w| w.to).collect())
    };
    shape.jails.iter().map(|j| of(j.name)).collect()
}

/// The same, from the layout alone.
fn needed(world: &World, shape: &Shape) -> BTreeMap<&'static str, BTreeSet<IpAddr>> {
    let shared = |j: &&crate::plan::fixture::JailShape| j.whole.is_none() && j.inet6;
    let of = |name: &'static str, home: usize| {
        let others = shape.jails.iter().filter(shared).filter(|o| o.home == home && o.name != name);
        let away = others.filter(|o| place(world, o.name) != place(world, name));
        away.flat_map(|o| o.addresses()).filter(IpAddr::is_ipv6).collect()
    };
    let jails = shape.jails.iter();
    jails.map(|j| (j.name, if shared(&j) { of(j.name, j.home) } else { BTreeSet::new() })).collect()
}

fn place(world: &World, name: &str) -> NodeName {
    running_copies(world, &jail(name)).pop().unwrap()
}

fn moved(world: &mut World, shape: &Shape, jail: &JailName, target: &NodeName, salt: u32) {
    for step in plan(world, shape, jail, target, salt).steps {
        world.apply(&step.effect).unwrap_or_else(|e| panic!("{}: {e}", step.title));
    }
}

/// The hosts that answer for IPv4 addresses of others now, and after a boot; and those that must.
fn proxies(world: &World, shape: &Shape) -> [BTreeSet<NodeName>; 3] {
    let hosts = |is: &dyn Fn(&crate::effect::simulate::Host) -> bool| {
        world.hosts.iter().filter(|(_, host)| is(host)).map(|(name, _)| name.clone()).collect()
    };
    let variable = |host: &crate::effect::simulate::Host, name: &str| host.facts.rc.variables.contains_key(name);
    let marks = |h: &_| variable(h, "jailferry_arpproxy");
    assert_eq!(hosts(&marks), hosts(&|h| variable(h, "arpproxy_all")));
    let shared = || shape.jails.iter().filter(|j| j.whole.is_none() && j.inet);
    let apart = |a: &&crate::plan::fixture::JailShape| {
        shared().any(|b| a.home == b.home && place(world, a.name) != place(world, b.name))
    };
    let needed = shared().filter(apart).map(|j| place(world, j.name)).collect();
    [hosts(&|h| h.facts.sysctl("net.link.ether.inet.proxyall") == Some(1)), hosts(&marks), needed]
}

/// The text of every file that configures a jail, where the jail runs.
fn texts(world: &World, shape: &Shape) -> Vec<String> {
    let of = |name: &'static str| {
        let facts = world.hosts[&place(world, name)].first_round();
        facts.jail_files[&facts.jail_configuration(&jail(name)).unwrap().file].clone()
    };
    shape.jails.iter().map(|j| of(j.name)).collect()
}

#[test]
fn two_of_one_subnet_go_their_ways_and_meet_again() {
    let shape = Shape::testbed();
    let mut world = shape.world();
    let before = texts(&world, &shape);
    for (salt, (name, target)) in
        [("web", "big"), ("sib", "small"), ("sib", "big"), ("web", "spare"), ("sib", "spare")].into_iter().enumerate()
    {
        moved(&mut world, &shape, &jail(name), &node(target), u32::try_from(salt).unwrap());
        assert_eq!(kept(&world, &shape), needed(&world, &shape), "{name} is on {target}");
        let [now, booted, wanted] = proxies(&world, &shape);
        assert_eq!((&now, &booted), (&wanted, &wanted), "{name} is on {target}");
    }
    assert_eq!(texts(&world, &shape), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn after_any_moves_every_jail_has_the_ways_that_it_needs(
        (mut shape, _, _) in a_fleet(),
        moves in proptest::collection::vec((0..4usize, 0..4usize), 1..6),
    ) {
        // What the canary tries is another test's.
        shape.canary.clear();
        let mut world = shape.world();
        for (salt, (who, target)) in moves.into_iter().enumerate() {
            let (who, target) = (shape.jails[who % shape.jails.len()].name, shape.nodes[target % shape.nodes.len()].name);
            if place(&world, who) != node(target) {
                moved(&mut world, &shape, &jail(who), &node(target), u32::try_from(salt).unwrap());
            }
            prop_assert_eq!(kept(&world, &shape), needed(&world, &shape));
            let [now, booted, wanted] = proxies(&world, &shape);
            prop_assert_eq!((&now, &booted), (&wanted, &wanted));
        }
    }
}
