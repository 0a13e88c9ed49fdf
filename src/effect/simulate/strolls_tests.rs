//! Several jails move about: the network remembers only where they are.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::effect::simulate::Host;
use crate::effect::simulate::World;
use crate::effect::simulate::fleets::a_fleet;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::tests::check_at;
use crate::effect::simulate::tests::plan;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Several jails move about and come home in any order. At every stop the network is as if each jail had gone there
    /// straight from home, and at the end as it was.
    #[test]
    fn the_network_only_remembers_where_jails_are((shape, _, _) in a_fleet(), moves in moves()) {
        let strolled = stroll(&shape, &moves);
        prop_assert!(strolled.is_ok(), "{}", strolled.unwrap_err());
    }
}

/// Which jail goes to which node, both as numbers of which the fleet's size is the modulus.
fn moves() -> impl Strategy<Value = Vec<(usize, usize)>> {
    proptest::collection::vec((0..4usize, 0..4usize), 1..=5)
}

/// Carries a plan out, without looking at every step.
fn go(world: &mut World, shape: &Shape, name: &JailName, there: &NodeName, salt: u32) -> Result<(), String> {
    if running_copies(world, name) == [there.clone()] {
        return Ok(());
    }
    for step in plan(world, shape, name, there, salt).steps {
        world.apply(&step.effect).map_err(|e| format!("{name} to {there}: {}: {e}", step.title))?;
    }
    check_at(world, shape, name, there)
}

/// AllowedIPs, routes and addresses: what says where a packet goes, now and after a reboot.
fn layout(world: &World) -> BTreeMap<NodeName, Vec<String>> {
    let of = |host: &Host| {
        let mut lines = Vec::new();
        for wireguard in &host.facts.wireguard {
            lines.extend(wireguard.peers.iter().map(|p| format!("peer {} {:?}", p.public_key, p.allowed)));
        }
        for file in &host.facts.wireguard_files {
            lines.extend(file.peers.iter().map(|p| format!("file {} {p:?}", file.path)));
        }
        for (fib, table) in &host.facts.routes {
            lines.extend(table.iter().map(|r| format!("FIB {fib} {} {} {}", r.destination, r.interface, r.flags)));
        }
        for interface in &host.facts.interfaces {
            lines.extend(interface.addresses.iter().map(|a| format!("address {a} {}", interface.name)));
        }
        lines.sort();
        lines
    };
    world.hosts.iter().map(|(node, host)| (node.clone(), of(host))).collect()
}

fn same_layout(what: &str, expected: &World, found: &World) -> Result<(), String> {
    let (expected, found) = (layout(expected), layout(found));
    for (node, lines) in &expected {
        let missing: Vec<_> = lines.iter().filter(|l| !found[node].contains(l)).collect();
        let debris: Vec<_> = found[node].iter().filter(|l| !lines.contains(l)).collect();
        if !missing.is_empty() || !debris.is_empty() {
            return Err(format!("{what}: {node} lacks {missing:#?}, has {debris:#?}"));
        }
    }
    Ok(())
}

fn stroll(shape: &Shape, moves: &[(usize, usize)]) -> Result<(), String> {
    let start = shape.world();
    let mut world = start.clone();
    let mut places: BTreeMap<usize, usize> = shape.jails.iter().enumerate().map(|(i, j)| (i, j.home)).collect();
    let mut salt = 0;
    for (moved, to) in moves {
        let (moved, to) = (moved % shape.jails.len(), to % shape.nodes.len());
        salt += 1;
        go(&mut world, shape, &jail(shape.jails[moved].name), &node(shape.nodes[to].name), salt)?;
        places.insert(moved, to);
        let mut straight = start.clone();
        for (index, place) in &places {
            salt += 1;
            go(&mut straight, shape, &jail(shape.jails[*index].name), &node(shape.nodes[*place].name), salt)?;
        }
        same_layout(&format!("after {moves:?} up to {moved} to {to}"), &straight, &world)?;
    }
    // Home in the order in which they went last.
    for (moved, _) in moves.iter().rev() {
        let shape_of_it = &shape.jails[moved % shape.jails.len()];
        salt += 1;
        go(&mut world, shape, &jail(shape_of_it.name), &node(shape.nodes[shape_of_it.home].name), salt)?;
    }
    same_layout(&format!("home after {moves:?}"), &start, &world)
}
