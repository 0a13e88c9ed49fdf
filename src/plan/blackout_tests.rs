//! What a plan does while nobody answers, and what it has done before.

use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

fn plan(world: &World, shape: &Shape, target: &str) -> Plan {
    let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node(target));
    let settings = Options::default().settle();
    assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
}

fn first(plan: &Plan, what: impl Fn(&Effect) -> bool) -> usize {
    plan.steps.iter().position(|step| what(&step.effect)).unwrap()
}

/// Where the jail stops, and where the target's first and last route and gateway for it are set.
fn places(target: &str) -> (usize, usize, usize) {
    let shape = Shape::testbed();
    let plan = plan(&shape.world(), &shape, target);
    let host = node(target);
    let stop = first(&plan, |e| matches!(e, Effect::StopJail(_)));
    let start = first(&plan, |e| matches!(e, Effect::StartJail(_)));
    let address = "192.168.123.50/32".parse().unwrap();
    let network = |e: &Effect| match e {
        Effect::AddRoute(route) => route.host == host && route.prefix == address,
        Effect::AddAlias { host: at, address, .. } => {
            *at == host && *address == "192.168.123.1".parse::<std::net::IpAddr>().unwrap()
        }
        _ => false,
    };
    let all: Vec<usize> = (0..start).filter(|i| network(&plan.steps[*i].effect)).collect();
    (stop, *all.first().unwrap(), *all.last().unwrap())
}

#[test]
fn the_network_of_a_target_is_ready_before_the_jail_stops() {
    let (stop, _, last) = places("big");
    assert!(last < stop);
}

/// There the routes are those by which everybody reaches the jail.
#[test]
fn that_of_a_hub_waits_until_it_has_stopped() {
    let (stop, first, _) = places("small");
    assert!(stop < first);
}

#[test]
fn what_runs_beside_the_last_streams_is_not_waited_for_at_the_start() {
    let shape = Shape::testbed();
    let plan = plan(&shape.world(), &shape, "big");
    let forgets = first(&plan, |e| matches!(e, Effect::ForgetNeighbours { host, .. } if *host == node("big")));
    let compare = first(&plan, |e| matches!(e, Effect::CompareGuids { .. }));
    assert!(forgets < compare);
}

/// A door that has closed during the copy is found while nothing is armed and the jail runs.
#[test]
fn every_host_is_knocked_at_before_anything_is_armed_and_again_in_the_proof() {
    for target in ["big", "small"] {
        let shape = Shape::testbed();
        let plan = plan(&shape.world(), &shape, target);
        let arm = first(&plan, |e| matches!(e, Effect::Arm(_)));
        let copied = plan.steps.iter().rposition(|s| s.round.is_some()).unwrap();
        let knocked = |range: std::ops::Range<usize>| {
            let confirms = plan.steps[range].iter().filter(|s| matches!(s.effect, Effect::Confirm { .. }));
            confirms.map(|s| s.host().to_string()).collect::<std::collections::BTreeSet<_>>()
        };
        let (before, after) = (knocked(copied..arm), knocked(arm..plan.steps.len()));
        assert!(before.contains("spare") && before.contains(target) && before.contains("small"), "{before:?}");
        assert_eq!(before, after, "{target}");
    }
}
