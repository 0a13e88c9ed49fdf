//! Plans carried out in the simulator: there, back, and back from the middle.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::effect::simulate::Host;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants::owners;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::invariants::way;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::playbook::Options;

/// The plan that jailferry would make in that world.
pub(super) fn plan(world: &World, shape: &Shape, jail: &JailName, target: &NodeName, salt: u32) -> Plan {
    let fleet = shape.fleet();
    let (evidence, situation, findings) = world.evidence(&fleet, jail, target);
    let Some(situation) = situation else { panic!("{:#?}", findings.into_sorted()) };
    let settings = Options::default().settle();
    let made = assemble::plan(&evidence, &situation, &settings, &salt.to_string(), findings);
    let plan = made.unwrap_or_else(|findings| panic!("{findings:#?}"));
    let errors: Vec<_> = plan.findings.iter().filter(|f| f.severity == crate::plan::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    plan
}

/// Applies an effect, and once more: found done already, except a stream, which can only be received once.
fn apply_twice(world: &mut World, effect: &Effect) -> Result<(), String> {
    world.apply(effect).map_err(|e| format!("{effect:?}: {e}"))?;
    let once = world.hosts.clone();
    let again = world.apply(effect);
    match effect {
        Effect::Transfer(_) => assert!(again.is_err(), "a stream was received twice: {effect:?}"),
        Effect::BringBack(_) => {}
        _ => assert_eq!(again, Ok(()), "not repeatable: {effect:?}"),
    }
    assert!(once == world.hosts, "another world the second time: {effect:?}\n{}", difference(&once, &world.hosts));
    Ok(())
}

/// What differs, in a few lines.
pub(super) fn difference(before: &BTreeMap<NodeName, Host>, after: &BTreeMap<NodeName, Host>) -> String {
    let mut lines = Vec::new();
    for (node, host) in before {
        let (a, b) = (format!("{host:#?}"), format!("{:#?}", after[node]));
        let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
        lines.extend(a.iter().filter(|l| !b.contains(l)).map(|l| format!("{node} - {}", l.trim())));
        lines.extend(b.iter().filter(|l| !a.contains(l)).map(|l| format!("{node} + {}", l.trim())));
        if a.len() != b.len() {
            lines.push(format!("{node}: {} lines, {} lines", a.len(), b.len()));
        }
    }
    lines.join("\n")
}

/// What must hold at every instant.
fn check_always(world: &World, plan: &Plan, prefixes: &[crate::model::Prefix]) -> Result<(), String> {
    let running = running_copies(world, &plan.jail);
    if running.len() > 1 {
        return Err(format!("two copies run: {running:?}"));
    }
    for prefix in prefixes {
        let owners = owners(world, &plan.hub, &InterfaceName::new("wg0").unwrap(), *prefix);
        if owners.len() != 1 {
            return Err(format!("{prefix} is owned by {owners:?}"));
        }
    }
    if running.contains(&plan.target) {
        let source = &world.hosts[&plan.source];
        let path = &world.inside[plan.jail.as_str()].path;
        if source.is_startable(&plan.jail, path)
            || source.starts_at_boot(&plan.jail) && !source.facts.rc.jail_list.is_empty()
        {
            return Err("the source could start its copy".into());
        }
    }
    Ok(())
}

fn shape_of<'a>(shape: &'a Shape, jail: &JailName) -> &'a crate::plan::fixture::JailShape {
    shape.jails.iter().find(|j| j.name == jail.as_str()).unwrap()
}

/// The jail is at that node: runs there and only there, owned there, reached from everywhere.
fn check_at(world: &World, shape: &Shape, jail: &JailName, there: &NodeName) -> Result<(), String> {
    let running = running_copies(world, jail);
    if running != [there.clone()] {
        return Err(format!("{jail} runs on {running:?}"));
    }
    for prefix in shape_of(shape, jail).prefixes() {
        let owners = owners(world, &node(shape.nodes[0].name), &InterfaceName::new("wg0").unwrap(), prefix);
        if owners != [there.clone()] {
            return Err(format!("{prefix} is owned by {owners:?}"));
        }
    }
    everyone_reaches_everyone(world, shape)
}

/// Every running jail's address is reached from every host, in the FIB of its jails.
fn everyone_reaches_everyone(world: &World, shape: &Shape) -> Result<(), String> {
    for to in &shape.jails {
        let name = jail(to.name);
        let Some(place) = running_copies(world, &name).pop() else { continue };
        for from in &shape.nodes {
            // A node's own FIB 0 leads out by its provider, but what the tunnel brings is looked up there.
            let arriving = (node(from.name) == place).then_some(0);
            for fib in std::iter::once(from.fib).chain(arriving) {
                for address in to.addresses() {
                    let hops = way(world, &node(from.name), fib, address)
                        .map_err(|lost| format!("{address} of {name} from {} FIB {fib}: {lost}", from.name))?;
                    if hops.last() != Some(&place) {
                        return Err(format!("{address} of {name} from {}: {hops:?}", from.name));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Moves the jail and checks every step; the world afterwards.
fn travel(mut world: World, shape: &Shape, jail: &JailName, target: &NodeName, salt: u32) -> Result<World, String> {
    let plan = plan(&world, shape, jail, target, salt);
    let prefixes = shape_of(shape, jail).prefixes();
    for (index, step) in plan.steps.iter().enumerate() {
        apply_twice(&mut world, &step.effect).map_err(|e| format!("step {} ({}): {e}", index + 1, step.title))?;
        check_always(&world, &plan, &prefixes)
            .map_err(|e| format!("after step {} ({}): {e}", index + 1, step.title))?;
    }
    check_at(&world, shape, jail, target)?;
    Ok(world)
}

#[test]
fn the_testbed_is_sound() {
    let shape = Shape::testbed();
    everyone_reaches_everyone(&shape.world(), &shape).unwrap();
}

#[test]
fn web_moves_and_comes_home() {
    let shape = Shape::testbed();
    let (web, spare, big) = (jail("web"), node("spare"), node("big"));
    let start = shape.world();
    let away = travel(start.clone(), &shape, &web, &big, 0).unwrap();
    let home = travel(away, &shape, &web, &spare, 1).unwrap();
    println!("{}", difference(&start.hosts, &home.hosts));
}
