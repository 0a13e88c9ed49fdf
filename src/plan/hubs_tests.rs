//! Plans of fleets with two hubs: redundant ones, and one for each region.

use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::effect::Probe;
use crate::effect::hand_over::HandOver;
use crate::effect::simulate::World;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::fixture::MoreHub;
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

fn redundant() -> Shape {
    Shape::with_second_hub(MoreHub { index: 3, behind: vec![1, 2], only: false })
}

/// big is behind the second hub only.
fn regional() -> Shape {
    Shape::with_second_hub(MoreHub { index: 3, behind: vec![2], only: true })
}

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Host, and to whose peer it gives the jail's prefixes.
fn switched(plan: &Plan) -> Vec<(String, String)> {
    let of = plan.steps.iter().filter(|s| s.phase == Phase::CutOver);
    let gains = |h: &HandOver| {
        let web = p("192.168.123.50/32");
        h.peers.iter().find(|peer| peer.after.contains(&web)).and_then(|peer| peer.node.clone())
    };
    of.filter_map(|s| match &s.effect {
        Effect::HandOver(h) => Some((h.host.to_string(), gains(h).map_or_else(String::new, |n| n.to_string()))),
        _ => None,
    })
    .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// The errors: code and host.
fn errors(plan: &Plan) -> BTreeSet<(String, Option<NodeName>)> {
    let all = plan.findings.iter().filter(|f| f.severity == Severity::Error);
    all.map(|f| (f.code.clone(), f.host.clone())).collect()
}

fn at(code: &str, host: &str) -> (String, Option<NodeName>) {
    (code.to_owned(), Some(node(host)))
}

#[test]
fn redundant_hubs_hand_over_at_the_same_time_and_are_armed_and_asked() {
    let shape = redundant();
    let plan = plan(&shape.world(), &shape, "big");
    assert_eq!(errors(&plan), BTreeSet::new());
    assert_eq!(switched(&plan), pairs(&[("small", "big"), ("far", "big")]));
    let far = node("far");
    let of_far: Vec<_> = plan.steps.iter().filter(|s| *s.effect.host() == far).collect();
    let revert = |e: &Effect| matches!(e, Effect::HandOver(h) if h.host == far);
    assert!(of_far.iter().any(|s| matches!(&s.effect, Effect::Arm(lease) if lease.reverts.iter().any(revert))));
    assert!(of_far.iter().any(|s| matches!(&s.effect, Effect::KillStates { .. })));
    assert!(
        of_far
            .iter()
            .any(|s| matches!(&s.effect, Effect::Edit { what, .. } if what.contains("keeps the new AllowedIPs")))
    );
    let asked = of_far.iter().filter(|s| matches!(&s.effect, Effect::Probe { probe: Probe::Ping { .. }, .. }));
    assert_eq!(asked.count(), 2, "each address");
    let tried = of_far.iter().filter(|s| matches!(&s.effect, Effect::Probe { probe: Probe::Trial(_), .. }));
    assert_eq!(tried.count(), 2, "the canary, in both families");
    let lent = of_far.iter().filter(|s| matches!(&s.effect, Effect::HandOver(_)) && s.phase == Phase::Rehearse);
    assert_eq!(lent.count(), 2, "lent and taken back");
}

#[test]
fn what_goes_to_another_region_goes_to_the_peer_of_its_hub() {
    let shape = regional();
    let there = plan(&shape.world(), &shape, "big");
    assert_eq!(errors(&there), BTreeSet::new());
    assert_eq!(switched(&there), pairs(&[("small", "far"), ("far", "big")]));
    let mut world = shape.world();
    for step in &there.steps {
        world.apply(&step.effect).unwrap();
    }
    let back = plan(&world, &shape, "spare");
    assert_eq!(errors(&back), BTreeSet::new());
    assert_eq!(switched(&back), pairs(&[("small", ""), ("far", "")]), "the wider network of spare's counts again");
}

#[test]
fn a_jail_leaves_by_the_hub_of_its_region() {
    let shape = regional();
    let leaves = |target: &str| {
        let (_, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node(target));
        let situation = situation.unwrap();
        [situation.source.egress, situation.target.egress].map(|n| n.to_string())
    };
    assert_eq!(leaves("big"), ["small", "far"]);
    assert_eq!(leaves("small"), ["small", "small"]);
    let shape = redundant();
    let (_, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
    assert_eq!(situation.unwrap().target.egress, node("small"), "by the tunnel that everything goes into");
}

#[test]
fn hubs_that_contradict_each_other_are_named() {
    for (shape, wrong) in [(redundant(), "big"), (regional(), "big")] {
        let mut world = shape.world();
        let key = world.hosts[&node(wrong)].facts.wireguard.iter().map(|w| w.public_key.clone()).collect::<Vec<_>>();
        let far = &mut world.hosts.get_mut(&node("far")).unwrap().facts.wireguard[0];
        let peer = far.peers.iter_mut().find(|p| key.contains(&p.public_key)).unwrap();
        peer.allowed.insert(p("192.168.123.50/32"));
        assert_eq!(errors(&plan(&world, &shape, "small")), [at("owner", "far")].into());
    }
}

#[test]
fn a_hub_where_nobody_has_the_prefix_is_named() {
    let shape = redundant();
    let mut world = shape.world();
    let far = &mut world.hosts.get_mut(&node("far")).unwrap().facts.wireguard[0];
    far.peers.iter_mut().for_each(|p| p.allowed.retain(|a| !a.covers("192.168.123.50/32".parse().unwrap())));
    assert_eq!(errors(&plan(&world, &shape, "big")), [at("no-owner", "far")].into());
}

#[test]
fn a_file_of_the_second_hub_that_would_forget_is_named() {
    let shape = redundant();
    let mut world = shape.world();
    world.hosts.get_mut(&node("far")).unwrap().facts.wireguard_files[0].save_config = true;
    assert_eq!(errors(&plan(&world, &shape, "big")), [at("save-config", "far")].into());
    world.hosts.get_mut(&node("far")).unwrap().facts.wireguard_files.clear();
    assert_eq!(errors(&plan(&world, &shape, "big")), [at("no-wireguard-file", "far")].into());
}

#[test]
fn a_hub_that_nothing_leads_from_is_named() {
    let shape = redundant();
    let mut world = shape.world();
    for (name, tunnel) in [("small", 0), ("big", 1)] {
        let far = world.hosts[&node("far")].facts.wireguard[0].public_key.clone();
        let facts = &mut world.hosts.get_mut(&node(name)).unwrap().facts;
        facts.wireguard[tunnel].peers.retain(|p| p.public_key != far);
    }
    let found = errors(&plan(&world, &shape, "big"));
    assert!(found.contains(&at("no-way", "far")) && found.contains(&at("unknown-hub", "big")), "{found:?}");
}
