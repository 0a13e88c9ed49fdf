//! Which bridges get a link-local address, and where it stays.

use crate::effect::Effect;
use crate::plan::Phase;
use crate::plan::Plan;
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
    facts.interfaces.iter_mut().filter(|i| i.name.as_str() == "bridge0").for_each(|i| i.link_local = there);
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
