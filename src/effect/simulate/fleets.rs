//! Fleets at random, for properties that hold in any of them.

use proptest::prelude::*;

use crate::plan::fixture::JailShape;
use crate::plan::fixture::MoreHub;
use crate::plan::fixture::NodeShape;
use crate::plan::fixture::Shape;

const NODES: [&str; 4] = ["small", "spare", "big", "tiny"];
const JAILS: [&str; 4] = ["web", "sib", "db", "mail"];

fn a_node(name: &'static str) -> impl Strategy<Value = NodeShape> {
    let places = [("jfpool/jails", "/jf/jails"), ("tank/j", "/jf/jails"), ("tank/j", "/tank/j")];
    let (fib, bridge) = (0..=1u16, proptest::sample::select(vec!["bridge0", "bridge1"]));
    (fib, bridge, proptest::sample::select(places.to_vec()), any::<bool>()).prop_map(
        move |(fib, bridge, place, quick)| {
            let fib = if name == NODES[0] { 0 } else { fib };
            NodeShape { name, fib, bridge, parent: place.0, mount: place.1, quick }
        },
    )
}

fn a_jail(index: usize, nodes: usize) -> impl Strategy<Value = JailShape> {
    let number = u16::try_from(20 + index).unwrap();
    (0..nodes, any::<bool>(), 1..=3u8, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        move |(home, whole, families, autostart, data, delegated)| {
            JailShape {
                name: JAILS[index],
                home,
                whole: whole.then_some(number),
                inet: families & 1 != 0,
                inet6: families & 2 != 0,
                // Unique in the fleet, or not: epairs need new units on the way then.
                unit: u32::try_from(if autostart { index } else { index + home * 4 }).unwrap(),
                autostart,
                data,
                delegated,
            }
        },
    )
}

/// Now and then the last node is a hub as well, for any of the others.
fn another_hub(nodes: usize) -> impl Strategy<Value = Vec<MoreHub>> {
    let behind = proptest::sample::subsequence((1..nodes - 1).collect::<Vec<_>>(), 0..=nodes - 2);
    (any::<bool>(), behind, any::<bool>()).prop_map(move |(there, behind, only)| {
        let hub = MoreHub { index: nodes - 1, behind, only };
        if there && nodes > 2 { vec![hub] } else { Vec::new() }
    })
}

pub(super) fn a_fleet() -> impl Strategy<Value = (Shape, usize, Vec<usize>)> {
    (2..=4usize, 1..=4usize).prop_flat_map(|(nodes, jails)| {
        let all: Vec<_> = (0..nodes).map(|i| a_node(NODES[i])).collect();
        let inhabitants: Vec<_> = (0..jails).map(|i| a_jail(i, nodes)).collect();
        let stops = proptest::collection::vec(0..nodes, 1..=3);
        let mesh = proptest::collection::vec((1..nodes, 1..nodes), 0..=3);
        (all, inhabitants, 0..jails, stops, any::<bool>(), mesh, any::<bool>(), another_hub(nodes)).prop_map(
            |(mut nodes, jails, moved, stops, tried, mesh, all_fibs, more_hubs)| {
                let canary = if tried { Shape::testbed().canary } else { Vec::new() };
                let is_hub = |node: usize| more_hubs.iter().any(|hub: &MoreHub| hub.index == node);
                more_hubs.iter().for_each(|hub| nodes[hub.index].fib = 0);
                let mut pairs: Vec<_> =
                    mesh.into_iter().filter(|(a, b)| a != b && !is_hub(*a) && !is_hub(*b)).collect();
                pairs.iter_mut().for_each(|(a, b)| (*a, *b) = ((*a).min(*b), (*a).max(*b)));
                pairs.sort_unstable();
                pairs.dedup();
                (Shape { nodes, jails, canary, mesh: pairs, all_fibs, bridged: Vec::new(), more_hubs }, moved, stops)
            },
        )
    })
}
