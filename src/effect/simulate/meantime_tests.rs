//! While one jail is copied, another moves to its end: the first goes on with a plan that knows it.

use proptest::prelude::*;

use crate::effect::simulate::World;
use crate::effect::simulate::fleets::a_fleet;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::tests::check_at;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::plan::refresh;
use crate::plan::refresh::Begun;
use crate::plan::situation;
use crate::playbook::Check;
use crate::playbook::Fleet;
use crate::playbook::Options;
use crate::playbook::Probe;
use crate::playbook::Settings;
use crate::playbook::Vantage;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_move_goes_on_whatever_other_jails_have_done_meanwhile(
        (shape, first, to) in a_fleet(),
        others in proptest::collection::vec((1..4usize, 0..4usize), 1..=2),
    ) {
        let gone = meantime(&shape, first, to[0], &others);
        prop_assert!(gone.is_ok(), "{}", gone.unwrap_err());
    }
}

/// The fleet, with every jail asked by the hub.
fn fleet(shape: &Shape) -> Fleet {
    let mut fleet = shape.fleet();
    for spec in fleet.jails.values_mut() {
        let probe = Probe::Icmp { address: None, from: Vantage::Hub };
        spec.checks = vec![Check { probe, timeout: Check::DEFAULT_TIMEOUT }];
    }
    fleet
}

fn settings() -> Settings {
    Options { dress_rehearsal: Some(true), ..Options::default() }.settle()
}

/// The plan that jailferry would make in that world, and what it has to be planned anew with.
fn drawn(world: &World, fleet: &Fleet, name: &JailName, to: &NodeName, salt: &str) -> (Plan, Begun) {
    let (evidence, situation, findings) = world.evidence(fleet, name, to);
    let situation = situation.unwrap();
    let plan = assemble::plan(&evidence, &situation, &settings(), &tester(), salt, findings).unwrap();
    assert!(!plan.refused(), "{:?}", plan.findings);
    (plan, Begun::of(&evidence, &situation, &settings(), false))
}

/// The rest of that run's plan, as `cli::replan` makes it.
fn again(world: &World, fleet: &Fleet, plan: &Plan, begun: &Begun) -> Result<Plan, String> {
    let (now, _, gathered) = world.evidence(fleet, &plan.jail, &plan.target);
    drop(gathered);
    let now = refresh::refreshed(begun, now, plan);
    let mut findings = crate::plan::finding::Findings::default();
    let found = situation::resolve(&now, &plan.jail, &plan.target, &mut findings);
    let situation = found.ok_or("nothing is found")?;
    let fresh = assemble::plan_as(&now, &situation, &begun.settings, &plan.owner, &plan.run, findings);
    let fresh = fresh.map_err(|findings| format!("{findings:?}"))?;
    let errors: Vec<_> = fresh.findings.iter().filter(|f| f.severity == Severity::Error).collect();
    if !errors.is_empty() {
        return Err(format!("{errors:#?}"));
    }
    refresh::goes_on(plan, &fresh, refresh::seed(plan))?;
    Ok(fresh)
}

fn meantime(shape: &Shape, first: usize, to: usize, others: &[(usize, usize)]) -> Result<(), String> {
    let (fleet, mut world) = (fleet(shape), shape.world());
    let nodes = shape.nodes.len();
    let away =
        |home: usize, to: usize| node(shape.nodes[if to % nodes == home { (to + 1) % nodes } else { to % nodes }].name);
    let name = jail(shape.jails[first].name);
    let target = away(shape.jails[first].home, to);
    let (plan, begun) = drawn(&world, &fleet, &name, &target, "0");
    let done = refresh::seed(&plan);
    for step in &plan.steps[..done] {
        world.apply(&step.effect).map_err(|e| format!("{name}: {}: {e}", step.title))?;
    }
    for (salt, (other, there)) in others.iter().enumerate() {
        let other = (first + other) % shape.jails.len();
        let (other, there) = (jail(shape.jails[other].name), node(shape.nodes[there % nodes].name));
        if other == name || running_copies(&world, &other) == [there.clone()] {
            continue;
        }
        let (whole, _) = drawn(&world, &fleet, &other, &there, &format!("{}", salt + 1));
        for step in &whole.steps {
            world.apply(&step.effect).map_err(|e| format!("{other}: {}: {e}", step.title))?;
        }
    }
    let rest =
        again(&world, &fleet, &plan, &begun).map_err(|why| format!("{name} to {target}, then {others:?}: {why}"))?;
    for step in &rest.steps[done..] {
        world.apply(&step.effect).map_err(|e| format!("{name}: {}: {e}", step.title))?;
    }
    check_at(&world, shape, &name, &target)
}
