//! Moves that are interrupted in the simulator: streams that break, and operators who are gone for good.

use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::simulate::LeaseState;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::tests::check_always;
use crate::effect::simulate::tests::contents;
use crate::effect::simulate::tests::difference;
use crate::effect::simulate::tests::plan;
use crate::effect::simulate::tests::set_contents;
use crate::model::Guid;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::fixture::Shape;
use crate::saga::direction::Direction;
use crate::saga::direction::direction;
use crate::saga::direction::from_hosts;

/// Every stream breaks in its middle: what goes on ends as if nothing had been, and the way back leaves nothing of it.
pub(super) fn streams_break(start: &World, shape: &Shape, jail: &JailName, target: &NodeName) -> Result<(), String> {
    let plan = plan(start, shape, jail, target, 0);
    let mut world = start.clone();
    let mut broken = 0;
    for (index, step) in plan.steps.iter().enumerate().take(plan.point_of_no_return()) {
        let told = |e: String| format!("step {} ({}): {e}", index + 1, step.title);
        if let Effect::Transfer(transfer) = &step.effect {
            for arrived in 0..=transfer.through.len() {
                broken += 1;
                let mut half = world.clone();
                half.break_off(transfer, arrived).map_err(|e| told(e.to_string()))?;
                let mut whole = half.clone();
                whole.apply(&step.effect).map_err(|e| told(format!("going on: {e}")))?;
                let mut smooth = world.clone();
                smooth.apply(&step.effect).map_err(|e| told(e.to_string()))?;
                if whole.hosts != smooth.hosts {
                    return Err(told(format!("not as without a break:\n{}", difference(&smooth.hosts, &whole.hosts))));
                }
                // Somebody else's part is in the way: ours is aborted only where the copy is ours.
                let mut other = half.clone();
                let copy = other.hosts.get_mut(&transfer.to).unwrap().storage.get_mut(&transfer.into).unwrap();
                copy.partial = Some(Guid(7));
                other.apply(&step.effect).map_err(|e| told(format!("behind another part: {e}")))?;
                let mut back = half;
                for effect in plan.steps.iter().take(index + 1).rev().flat_map(|s| &s.undo) {
                    back.apply(effect).map_err(|e| told(format!("undo: {e}")))?;
                }
                if back.hosts != start.hosts {
                    return Err(told(format!("not as at the start:\n{}", difference(&start.hosts, &back.hosts))));
                }
            }
        }
        world.apply(&step.effect).map_err(|e| told(e.to_string()))?;
    }
    if broken < 2 { Err(format!("{broken} streams broke")) } else { Ok(()) }
}

/// The operator's machine is gone for good: the hosts go back by themselves, then another machine recovers with what the
/// hub and the source know.
pub(super) fn vanished(
    from: &World,
    start: &World,
    plan: &Plan,
    jail: &JailName,
    addresses: &[IpAddr],
    acknowledged: Vec<u64>,
) -> Result<(), String> {
    let mut world = from.clone();
    // The source waits twice as long as the others.
    let others = world.hosts.keys().filter(|h| **h != plan.source && **h != plan.target && **h != plan.hub);
    let others: Vec<NodeName> = others.cloned().collect();
    for host in [&plan.target, &plan.hub].into_iter().chain(&others).chain([&plan.source]) {
        world.lapse(host, &plan.run);
        check_always(&world, plan, addresses).map_err(|e| format!("{host} went back: {e}"))?;
    }
    if world.hosts[&plan.source].leases.get(&plan.run).is_some_and(|(_, s)| *s == LeaseState::Lapsed) {
        check_runs(&world, jail, &plan.source)?;
    }
    if world.hosts[&plan.hub].locks.get(jail) != Some(&plan.run) {
        return Ok(());
    }
    let stage = world.hosts[&plan.hub].stages.get(&plan.run).copied();
    let lease = world.hosts[&plan.source].leases.get(&plan.run);
    let let_go = lease.is_some_and(|(_, state)| *state == LeaseState::Released);
    let states = from_hosts(plan, stage, let_go);
    match direction(plan, &states, None) {
        Direction::Nothing => {}
        Direction::Back(steps) => {
            for undone in steps.iter().map(|i| &plan.steps[*i]) {
                for effect in &undone.undo {
                    let told = |e: String| format!("taken over, undo of {}: {e}", undone.title);
                    world.apply(effect).map_err(|e| told(e.to_string()))?;
                    check_always(&world, plan, addresses).map_err(told)?;
                }
            }
            let kept = contents(&world, &plan.source, jail);
            if kept != acknowledged {
                return Err(format!("taken over: acknowledged {acknowledged:?}, kept {kept:?}"));
            }
            set_contents(&mut world, &plan.source, jail, &contents(start, &plan.source, jail));
            if world.hosts != start.hosts {
                let lines = difference(&start.hosts, &world.hosts);
                return Err(format!("taken over, not as at the start:\n{lines}"));
            }
        }
        Direction::Forward(steps) => {
            for step in steps.iter().map(|i| &plan.steps[*i]) {
                let told = |e: String| format!("taken over, {}: {e}", step.title);
                world.apply(&step.effect).map_err(|e| told(e.to_string()))?;
                check_always(&world, plan, addresses).map_err(told)?;
            }
            check_runs(&world, jail, &plan.target)?;
        }
    }
    Ok(())
}

fn check_runs(world: &World, jail: &JailName, there: &NodeName) -> Result<(), String> {
    let running = running_copies(world, jail);
    if running == [there.clone()] { Ok(()) } else { Err(format!("{jail} runs on {running:?}, not on {there}")) }
}
