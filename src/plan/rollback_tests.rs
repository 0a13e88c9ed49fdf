//! The way back of an accepted run, in the simulator: increments only, and every reason to refuse.

use crate::effect::Base;
use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::finding::Findings;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::plan::rollback;
use crate::plan::rollback::LaterMove;
use crate::plan::rollback::top_at_the_target;
use crate::playbook::Options;

fn plan(world: &World, to: &str, salt: &str) -> Plan {
    let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node(to));
    assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), salt, findings).unwrap()
}

/// web on big, and the run that moved it.
fn moved() -> (World, Plan) {
    let mut world = Shape::testbed().world();
    let there = plan(&world, "big", "0");
    there.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
    (world, there)
}

fn refused(world: &World, run: &Plan, later: &[LaterMove]) -> Vec<Finding> {
    let (evidence, _, _) = world.evidence(&Shape::testbed().fleet(), &run.jail, &run.source);
    let mut findings = Findings::default();
    rollback::examine(run, later, &evidence.hosts, &mut findings);
    findings.into_sorted()
}

fn later(plan: &Plan) -> LaterMove {
    LaterMove {
        run: plan.run.clone(),
        from: plan.source.clone(),
        to: plan.target.clone(),
        dataset: top_at_the_target(plan),
    }
}

fn code(findings: &[Finding]) -> Option<&str> {
    findings.first().map(|f| f.code.as_str())
}

#[test]
fn the_way_back_sends_increments_only() {
    let (mut world, there) = moved();
    assert_eq!(refused(&world, &there, &[]), []);
    let back = plan(&world, "spare", "1");
    let mut findings = Findings::default();
    rollback::only_increments(&there, &back.steps, &mut findings);
    assert!(!findings.has_errors());
    let bases: Vec<&Base> = back
        .steps
        .iter()
        .filter_map(|s| match &s.effect {
            Effect::Transfer(t) => Some(&t.base),
            _ => None,
        })
        .collect();
    assert!(bases.len() > 2 && bases.iter().all(|b| **b != Base::Nothing), "{bases:?}");
    back.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
    // Once more is refused, and the run that did it is named.
    let again = refused(&world, &there, &[later(&back)]);
    assert_eq!(code(&again), Some("back-already"));
    assert!(again[0].what.contains(back.run.as_str()), "{}", again[0].what);
}

#[test]
fn a_jail_that_has_moved_on_is_not_taken_back() {
    let (mut world, there) = moved();
    let on = plan(&world, "small", "1");
    on.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
    let findings = refused(&world, &there, &[later(&on)]);
    assert_eq!(code(&findings), Some("moved-on"));
    assert!(findings[0].fix.contains(&format!("jailferry rollback {}", on.run)), "{}", findings[0].fix);
}

#[test]
fn a_parked_copy_that_is_gone_or_changed_is_no_way_back() {
    let (world, there) = moved();
    let root = rollback::parked(&there)[0].dataset.clone();
    let changes: [fn(&mut crate::effect::simulate::Dataset); 4] = [
        |d| drop(d.local.remove("org.jailferry:run")),
        |d| drop(d.local.insert("org.jailferry:run".into(), "web-00000000".into())),
        |d| d.mounted = true,
        |d| drop(d.local.insert("readonly".into(), "off".into())),
    ];
    for change in changes {
        let mut changed = world.clone();
        change(changed.hosts.get_mut(&there.source).unwrap().storage.get_mut(&root).unwrap());
        let findings = refused(&changed, &there, &[]);
        assert_eq!(code(&findings), Some("no-way-back"));
        assert!(findings[0].fix.contains("jailferry migrate web spare"), "{}", findings[0].fix);
    }
    let mut gone = world.clone();
    gone.hosts.get_mut(&there.source).unwrap().storage.retain(|name, _| !name.is_within(&root));
    assert_eq!(code(&refused(&gone, &there, &[])), Some("no-way-back"));
    // The snapshot that both have in common is gone: the plan would put the copy aside and send all of it.
    let mut apart = world.clone();
    let storage = &mut apart.hosts.get_mut(&there.source).unwrap().storage;
    storage.values_mut().for_each(|d| d.snapshots.clear());
    let mut findings = Findings::default();
    rollback::only_increments(&there, &plan(&apart, "spare", "1").steps, &mut findings);
    assert_eq!(code(&findings.into_sorted()), Some("no-common-snapshot"));
}
