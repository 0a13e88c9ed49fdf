//! What people complain about in other rebalancers, each as a fleet.

use std::collections::BTreeSet;

use super::model::*;
use super::plan;
use super::tests::follow;
use super::tests::jail;
use super::tests::node;

fn fleet(nodes: Vec<Node>, jails: Vec<Jail>) -> Fleet {
    Fleet { nodes, jails, groups: Vec::new() }
}

fn moves(outcome: &Outcome) -> Vec<String> {
    outcome.moves.iter().map(|m| format!("{} {} {}", m.jail, m.from, m.to)).collect()
}

fn skewed() -> Fleet {
    let nodes = vec![node("a", 8, 16, 500), node("b", 8, 16, 500), node("c", 8, 16, 500)];
    fleet(nodes, (0..9).map(|n| jail(&format!("j{n}"), 0, 5, 6, 4)).collect())
}

#[test]
fn a_skewed_fleet_is_brought_into_the_band_and_stays() {
    let mut fleet = skewed();
    let options = Options::default();
    let outcome = plan(&fleet, &options);
    let place = follow(&fleet, &options, &outcome).unwrap();
    assert!((3..=6).contains(&outcome.moves.len()), "{:?}", moves(&outcome));
    for (one, to) in fleet.jails.iter_mut().zip(place) {
        one.at = to;
    }
    // Even without a cooldown: what the middle of the band was aimed for does not move again.
    assert_eq!(moves(&plan(&fleet, &options)), [""; 0]);
}

/// Two nodes that differ a little change places with every run.
#[test]
fn it_stops_moving() {
    let nodes = vec![node("a", 8, 16, 500), node("b", 8, 16, 500)];
    let mut fleet = fleet(nodes, vec![jail("one", 0, 8, 12, 4), jail("two", 0, 8, 12, 4), jail("three", 1, 8, 12, 4)]);
    for _ in 0..20 {
        let outcome = plan(&fleet, &Options { band: 50, ..Options::default() });
        assert_eq!(moves(&outcome), [""; 0], "{}", outcome.summary);
        fleet.nodes.swap(0, 1);
    }
}

/// A peak in one of three samples is no reason.
#[test]
fn a_peak_moves_nothing() {
    let mut fleet = skewed();
    for one in &mut fleet.jails {
        one.samples = vec![one.samples[0], Load::default(), one.samples[0]];
    }
    for (index, one) in fleet.jails.iter_mut().enumerate() {
        one.at = index % 3;
    }
    fleet.jails[0].samples[0].cpu = 8000;
    assert_eq!(moves(&plan(&fleet, &Options::default())), [""; 0]);
}

/// Two disks of 6 GiB cannot change places with 1 GiB free on each side, however good that would be.
#[test]
fn disk_space_is_not_forgotten() {
    let nodes = vec![node("a", 8, 16, 1), node("b", 8, 16, 1)];
    let mut fleet = fleet(nodes, vec![jail("one", 0, 8, 12, 6), jail("two", 1, 8, 12, 6)]);
    fleet.jails[0].only = Some(BTreeSet::from([1]));
    fleet.jails[1].only = Some(BTreeSet::from([0]));
    let outcome = plan(&fleet, &Options::default());
    assert_eq!(moves(&outcome), [""; 0]);
    assert_eq!(outcome.refused.len(), 2);
    assert!(outcome.refused[0].why.contains("has 1.0 GiB of disk for its 6.0 GiB"), "{}", outcome.refused[0].why);
}

/// The source keeps its copy, so a jail that leaves makes no room for the next.
#[test]
fn a_jail_that_leaves_frees_no_disk() {
    let nodes = vec![node("a", 8, 16, 50), node("b", 8, 16, 7), node("c", 8, 16, 3)];
    let mut fleet = fleet(nodes, vec![jail("one", 0, 8, 4, 6), jail("two", 1, 8, 4, 6), jail("three", 0, 8, 4, 6)]);
    fleet.jails[0].only = Some(BTreeSet::from([1]));
    fleet.jails[1].only = Some(BTreeSet::from([0]));
    fleet.jails[2].only = Some(BTreeSet::from([1]));
    let outcome = plan(&fleet, &Options::default());
    follow(&fleet, &Options::default(), &outcome).unwrap();
    assert_eq!(outcome.moves.len(), 2, "{:?}", moves(&outcome));
}

/// The jails are equal: moving one from the only used node to the only free one gains nothing.
#[test]
fn what_gains_nothing_does_not_move() {
    let nodes = vec![node("a", 8, 16, 500), node("b", 8, 16, 500)];
    let fleet = fleet(nodes, vec![jail("only", 0, 60, 40, 4)]);
    let outcome = plan(&fleet, &Options::default());
    assert_eq!(moves(&outcome), [""; 0], "{}", outcome.summary);
}

/// A move depends on those that make room for it, and on no other: there are no batches to wait for.
#[test]
fn there_are_no_barriers() {
    let mut fleet = skewed();
    fleet.nodes.push(node("d", 1, 3, 500));
    fleet.jails.push(jail("full", 3, 5, 9, 4));
    fleet.jails[9].never.insert(3);
    fleet.jails.push(jail("waits", 1, 5, 9, 4));
    fleet.jails[10].only = Some(BTreeSet::from([3]));
    let outcome = plan(&fleet, &Options::default());
    follow(&fleet, &Options::default(), &outcome).unwrap();
    for one in &outcome.moves {
        let expected: &[&str] = if one.jail.as_str() == "waits" { &["full"] } else { &[] };
        let after: Vec<&str> = one.after.iter().map(|j| j.as_str()).collect();
        assert_eq!(after, expected, "{}", one.jail);
    }
    assert!(outcome.moves.iter().any(|m| m.jail.as_str() == "waits"), "{:?}", moves(&outcome));
}

/// What has failed is not tried again, and another node is taken.
#[test]
fn failures_are_remembered() {
    let mut fleet = skewed();
    for one in &mut fleet.jails {
        one.failed.insert(1);
    }
    let outcome = plan(&fleet, &Options::default());
    assert!(!outcome.moves.is_empty());
    assert!(outcome.moves.iter().all(|m| m.to.as_str() == "c"), "{:?}", moves(&outcome));
}

/// Two jails that have to change places and have room for one: one is parked on a third node.
#[test]
fn a_circle_is_broken_by_parking() {
    let nodes = vec![node("a", 8, 4, 500), node("b", 8, 4, 500), node("c", 8, 4, 500)];
    let mut fleet = fleet(nodes, vec![jail("one", 0, 8, 12, 6), jail("two", 1, 8, 12, 6)]);
    fleet.jails[0].never.insert(0);
    fleet.jails[0].prefers.insert(1);
    fleet.jails[1].never.insert(1);
    fleet.jails[1].prefers.insert(0);
    fleet.jails.push(jail("third", 2, 1, 1, 1));
    let outcome = plan(&fleet, &Options::default());
    follow(&fleet, &Options::default(), &outcome).unwrap();
    let now: Vec<usize> = outcome.after.iter().map(|u| u.jails).collect();
    assert!(outcome.moves.len() >= 2 && now.iter().sum::<usize>() == 3, "{:?} {now:?}", moves(&outcome));
}

#[test]
fn a_node_is_emptied_and_what_cannot_leave_is_named() {
    let mut fleet = skewed();
    fleet.nodes[0].emptied = true;
    fleet.jails[4].stays = Some("fleet.yml says that it stays".into());
    let options = Options { goal: Goal::Violations, ..Options::default() };
    let outcome = plan(&fleet, &options);
    let place = follow(&fleet, &options, &outcome).unwrap();
    assert_eq!(place.iter().filter(|n| **n == 0).count(), 1);
    assert_eq!(outcome.refused.len(), 1);
    assert_eq!(outcome.refused[0].why, "should leave a: fleet.yml says that it stays");
}

#[test]
fn consolidation_empties_nodes_and_keeps_the_limit() {
    let nodes = (0..4).map(|n| node(&format!("n{n}"), 8, 16, 500)).collect();
    let fleet = fleet(nodes, (0..8).map(|n| jail(&format!("j{n}"), n % 4, 8, 8, 2)).collect());
    let options = Options { goal: Goal::Consolidate, ..Options::default() };
    let outcome = plan(&fleet, &options);
    follow(&fleet, &options, &outcome).unwrap();
    let used = outcome.after.iter().filter(|u| u.jails > 0).count();
    assert_eq!(used, 2, "{:?}", moves(&outcome));
}

#[test]
fn what_belongs_together_leaves_together() {
    let mut fleet = skewed();
    fleet.nodes[0].emptied = true;
    fleet.groups.push(Group { jails: vec![0, 1, 2], together: true, hard: true });
    let outcome = plan(&fleet, &Options::default());
    let place = follow(&fleet, &Options::default(), &outcome).unwrap();
    assert!(place.iter().all(|n| *n != 0), "{place:?}");
    assert!(place[0] == place[1] && place[1] == place[2]);
}
