//! Plans carried out in the simulator: there, back, and back from the middle.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use crate::effect::Effect;
use crate::effect::commands::sha256;
use crate::effect::simulate::Host;
use crate::effect::simulate::LeaseState;
use crate::effect::simulate::World;
use crate::effect::simulate::fleets::a_fleet;
use crate::effect::simulate::interrupted_tests::streams_break;
use crate::effect::simulate::interrupted_tests::vanished;
use crate::effect::simulate::invariants::owners;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::invariants::way;
use crate::effect::simulate::somebody::SOMEBODYS;
use crate::effect::simulate::somebody::SOMEBODYS_SNAPSHOT;
use crate::effect::simulate::somebody::change_properties;
use crate::effect::simulate::somebody::own_values;
use crate::effect::simulate::somebody::snapshots;
use crate::effect::simulate::somebody::take_snapshots;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::JailShape;
use crate::plan::fixture::MoreHub;
use crate::plan::fixture::NodeShape;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;
use crate::playbook::Verify;

/// The plan that jailferry would make in that world, and carry out.
pub(super) fn plan(world: &World, shape: &Shape, jail: &JailName, target: &NodeName, salt: u32) -> Plan {
    let plan = try_plan(world, shape, jail, target, salt);
    let errors: Vec<_> = plan.findings.iter().filter(|f| f.severity == crate::plan::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    plan
}

/// The plan with whatever speaks against it.
pub(super) fn try_plan(world: &World, shape: &Shape, jail: &JailName, target: &NodeName, salt: u32) -> Plan {
    let fleet = shape.fleet();
    let (evidence, situation, findings) = world.evidence(&fleet, jail, target);
    let Some(situation) = situation else { panic!("{:#?}", findings.into_sorted()) };
    let settings = Options { dress_rehearsal: Some(true), verify: Some(Verify::Deep), ..Options::default() }.settle();
    let made = assemble::plan(&evidence, &situation, &settings, &tester(), &salt.to_string(), findings);
    made.unwrap_or_else(|findings| panic!("{findings:#?}"))
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
pub(super) fn check_always(world: &World, plan: &Plan, addresses: &[IpAddr]) -> Result<(), String> {
    let running = running_copies(world, &plan.jail);
    if running.len() > 1 {
        return Err(format!("two copies run: {running:?}"));
    }
    for address in addresses {
        let owners = owners(world, &plan.hub, &InterfaceName::new("wg0").unwrap(), Prefix::host(*address));
        if owners.len() != 1 {
            return Err(format!("{address} is owned by {owners:?}"));
        }
    }
    // A target whose jail_list is empty starts what a boot mounts.
    let mounted_at_boot = |host: &Host, name: &DatasetName| {
        host.storage.get(name).is_some_and(|d| d.own("canmount").is_none_or(|value| value == "on"))
    };
    for step in &plan.steps {
        if let Effect::Unpark { host, datasets } = &step.effect
            && *host == plan.target
            && running.contains(&plan.source)
            && let Some(copy) = datasets.iter().find(|d| !d.volume && mounted_at_boot(&world.hosts[host], &d.dataset))
        {
            return Err(format!("a boot of {host} would mount {}", copy.dataset));
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
        if source.leases.get(&plan.run).is_some_and(|(_, state)| *state == LeaseState::Armed) {
            return Err("the source would start its copy when nobody is heard".into());
        }
    }
    Ok(())
}

pub(super) fn shape_of<'a>(shape: &'a Shape, jail: &JailName) -> &'a JailShape {
    shape.jails.iter().find(|j| j.name == jail.as_str()).unwrap()
}

/// The jail is at that node: runs there and only there, owned there, reached from everywhere.
pub(super) fn check_at(world: &World, shape: &Shape, jail: &JailName, there: &NodeName) -> Result<(), String> {
    let running = running_copies(world, jail);
    if running != [there.clone()] {
        return Err(format!("{jail} runs on {running:?}"));
    }
    // On a segment the owner at the hub is whoever leads there, wherever on it the jail is.
    for prefix in shape_of(shape, jail).prefixes().into_iter().filter(|_| shape.bridged.is_empty()) {
        for hub in shape.fleet().hubs() {
            let owners = owners(world, hub, &InterfaceName::new("wg0").unwrap(), prefix);
            if owners != [there.clone()] {
                return Err(format!("{prefix} is owned by {owners:?} for {hub}"));
            }
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
            // Nothing arrives by the tunnel for a jail that the host only bridges.
            let arriving = (node(from.name) == place && shape.bridged.is_empty()).then_some(0);
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

/// A client's write, acknowledged: the counter of every dataset of the running jail goes up.
pub(super) fn write(world: &mut World, jail: &JailName) {
    let Some(place) = running_copies(world, jail).pop() else { return };
    let root = format!("/{jail}");
    let host = world.hosts.get_mut(&place).unwrap();
    let of_jail = |name: &DatasetName| name.as_str().ends_with(&root) || name.as_str().contains(&format!("{root}/"));
    let names: Vec<DatasetName> = host.storage.keys().filter(|name| of_jail(name)).cloned().collect();
    for name in names {
        let mounted = host.storage[&name].mounted || host.is_jailed(&name);
        host.storage.get_mut(&name).unwrap().content += u64::from(mounted);
    }
}

/// What the running copy of the jail has written.
pub(super) fn written(world: &World, jail: &JailName) -> Vec<u64> {
    let place = running_copies(world, jail).pop().unwrap();
    let of_jail = |name: &str| name.ends_with(&format!("/{jail}")) || name.contains(&format!("/{jail}/"));
    world.hosts[&place].storage.iter().filter(|(n, _)| of_jail(n.as_str())).map(|(_, d)| d.content).collect()
}

/// Moves the jail and checks every step; the world afterwards.
pub(super) fn travel(
    mut world: World,
    shape: &Shape,
    jail: &JailName,
    target: &NodeName,
    salt: u32,
) -> Result<World, String> {
    let plan = plan(&world, shape, jail, target, salt);
    let addresses = shape_of(shape, jail).addresses();
    let mut last = written(&world, jail);
    for (index, step) in plan.steps.iter().enumerate() {
        let told = |e: String| format!("after step {} ({}): {e}", index + 1, step.title);
        apply_twice(&mut world, &step.effect).map_err(told)?;
        check_always(&world, &plan, &addresses).map_err(told)?;
        if step.phase >= Phase::CutOver {
            siblings_are_reached(&world, shape, jail).map_err(told)?;
        }
        if !running_copies(&world, jail).is_empty() {
            write(&mut world, jail);
            let now = written(&world, jail);
            let expected: Vec<u64> = last.iter().map(|v| v + 1).collect();
            if now != expected {
                return Err(told(format!("written {expected:?}, there is {now:?}")));
            }
            last = now;
        }
    }
    check_at(&world, shape, jail, target)?;
    Ok(world)
}

fn siblings_are_reached(world: &World, shape: &Shape, jail: &JailName) -> Result<(), String> {
    let jails = shape.jails.iter().filter(|j| j.name != jail.as_str()).cloned().collect();
    everyone_reaches_everyone(world, &Shape { jails, ..shape.clone() })
}

/// From every step before the point of no return, with the step's effect and without it, back to the start: every host
/// is as it was, and nothing that was acknowledged is lost.
pub(super) fn back_from_everywhere(
    start: &World,
    shape: &Shape,
    jail: &JailName,
    target: &NodeName,
) -> Result<(), String> {
    let plan = plan(start, shape, jail, target, 0);
    let mut world = start.clone();
    let addresses = shape_of(shape, jail).addresses();
    for (index, step) in plan.steps.iter().enumerate().take(plan.point_of_no_return()) {
        let before = world.clone();
        world.apply(&step.effect).map_err(|e| format!("step {} ({}): {e}", index + 1, step.title))?;
        write(&mut world, jail);
        for (failed, from) in [("before", &before), ("after", &world)] {
            let told = |e: String| format!("step {} ({}) failed {failed} its effect: {e}", index + 1, step.title);
            let mut back = from.clone();
            // What the last copy that ran has acknowledged; a stopped jail's datasets are whole at the source.
            let acknowledged = match running_copies(from, jail).pop() {
                Some(_) => written(from, jail),
                None => contents(from, &plan.source, jail),
            };
            for undone in plan.steps.iter().take(index + 1).rev() {
                for effect in &undone.undo {
                    let title = &undone.title;
                    back.apply(effect).map_err(|e| told(format!("undo of {title}: {e}")))?;
                    check_always(&back, &plan, &addresses).map_err(|e| told(format!("undo of {title}: {e}")))?;
                }
            }
            let kept = contents(&back, &plan.source, jail);
            if kept != acknowledged {
                return Err(told(format!("acknowledged {acknowledged:?}, kept {kept:?}")));
            }
            set_contents(&mut back, &plan.source, jail, &contents(start, &plan.source, jail));
            if back.hosts != start.hosts {
                return Err(told(format!("not as at the start:\n{}", difference(&start.hosts, &back.hosts))));
            }
            vanished(from, start, &plan, jail, &addresses, acknowledged).map_err(told)?;
        }
    }
    Ok(())
}

pub(super) fn is_of(jail: &JailName, dataset: &DatasetName) -> bool {
    dataset.as_str().ends_with(&format!("/{jail}")) || dataset.as_str().contains(&format!("/{jail}/"))
}

/// An outdated copy that was put aside.
fn is_aside(jail: &JailName, dataset: &DatasetName) -> bool {
    dataset.as_str().contains(&format!("/{jail}.jailferry-"))
}

pub(super) fn contents(world: &World, node: &NodeName, jail: &JailName) -> Vec<u64> {
    world.hosts[node].storage.iter().filter(|(n, _)| is_of(jail, n)).map(|(_, d)| d.content).collect()
}

pub(super) fn set_contents(world: &mut World, node: &NodeName, jail: &JailName, contents: &[u64]) {
    let storage = &mut world.hosts.get_mut(node).unwrap().storage;
    storage.iter_mut().filter(|(n, _)| is_of(jail, n)).zip(contents).for_each(|((_, d), c)| d.content = *c);
}

/// What a round of moves may leave once the jail is home: the parked copies elsewhere with the files put aside for
/// them, the held snapshot that is the base of the next move, what was written, the jail's place in jail_list (it
/// goes back on at the end), backups of WireGuard files, and a `fib 0` or a mount point of its own that mean what
/// their absence means. Everything else must be as it was.
fn without_what_may_stay(world: &World, jail: &JailName, home: &NodeName) -> BTreeMap<NodeName, Host> {
    let mut hosts = world.hosts.clone();
    for (node, host) in &mut hosts {
        host.files.retain(|path, _| !path.as_str().ends_with(".jailferry"));
        host.backups.clear();
        host.storage.retain(|name, _| !is_aside(jail, name));
        for file in host.files.values_mut() {
            let lines = file.text.lines().filter(|l| !l.contains("ifconfig") || !l.contains("fib 0"));
            file.text = lines.map(|l| format!("{l}\n")).collect();
            file.sha256 = sha256(&file.text);
        }
        if node == home {
            for dataset in host.storage.iter_mut().filter(|(n, _)| is_of(jail, n)).map(|(_, d)| d) {
                dataset.snapshots.retain(|s| !s.label.is_ours() && !s.label.as_str().starts_with(SOMEBODYS_SNAPSHOT));
                dataset.content = 0;
                dataset.like.guid = Guid(0);
                // A copy that was sent in full again says itself what it would inherit.
                dataset.local.remove("mountpoint");
                // It came with that, and has it as its own again.
                dataset.received.remove("jailed");
                // What somebody set on the way, and a limit that he took back.
                dataset.local.retain(|name, _| name != SOMEBODYS && name != "quota");
                dataset.received.retain(|name, _| name != SOMEBODYS && name != "quota");
            }
        } else {
            host.storage.retain(|name, _| !is_of(jail, name));
        }
        host.facts.rc.jail_list.sort();
        host.facts.rc.jail_list_text = Some(host.facts.rc.jail_list.join(" "));
    }
    hosts
}

/// Moves one jail from node to node and home again.
fn walk(shape: &Shape, jail: &JailName, stops: &[usize]) -> Result<(), String> {
    let start = shape.world();
    let home = node(shape.nodes[shape_of(shape, jail).home].name);
    let mut world = start.clone();
    for (salt, stop) in stops.iter().map(|s| node(shape.nodes[*s].name)).chain([home.clone()]).enumerate() {
        if running_copies(&world, jail) == [stop.clone()] {
            continue;
        }
        let told = |e: String| format!("move {} of {jail} to {stop}: {e}", salt + 1);
        change_properties(&mut world, jail, salt);
        take_snapshots(&mut world, jail, salt);
        let (values, taken) = (own_values(&world, jail), snapshots(&world, jail));
        back_from_everywhere(&world, shape, jail, &stop).map_err(told)?;
        streams_break(&world, shape, jail, &stop).map_err(told)?;
        world = travel(world, shape, jail, &stop, u32::try_from(salt).unwrap()).map_err(told)?;
        let arrived = own_values(&world, jail);
        if values != arrived {
            return Err(told(format!("properties before: {values:?}, and there: {arrived:?}")));
        }
        let travelled = snapshots(&world, jail);
        if taken != travelled {
            return Err(told(format!("snapshots before: {taken:?}, and there: {travelled:?}")));
        }
    }
    let (before, after) = (without_what_may_stay(&start, jail, &home), without_what_may_stay(&world, jail, &home));
    if before != after {
        return Err(format!("debris once {jail} is home:\n{}", difference(&before, &after)));
    }
    Ok(())
}

#[test]
fn the_testbed_is_sound() {
    let shape = Shape::testbed();
    everyone_reaches_everyone(&shape.world(), &shape).unwrap();
}

#[test]
fn web_and_db_go_out_and_come_home_in_the_testbed() {
    let shape = Shape::testbed();
    walk(&shape, &jail("web"), &[2]).unwrap_or_else(|e| panic!("{e}"));
    walk(&shape, &jail("db"), &[2]).unwrap_or_else(|e| panic!("{e}"));
    walk(&shape, &jail("web"), &[2, 0]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_jail_with_a_dataset_of_its_own_goes_out_and_comes_home() {
    let mut shape = Shape::testbed();
    shape.jails.iter_mut().for_each(|jail| jail.delegated = true);
    walk(&shape, &jail("web"), &[2, 1, 0, 2]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_whole_network_moves_to_the_hub_and_back() {
    walk(&Shape::testbed(), &jail("db"), &[0]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_jail_of_the_hub_moves_out_and_back() {
    walk(&Shape::testbed(), &jail("mail"), &[1, 2]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn hosts_whose_files_belong_to_wg_quick() {
    let mut shape = Shape::testbed();
    shape.nodes.iter_mut().for_each(|n| n.quick = true);
    walk(&shape, &jail("web"), &[2]).unwrap_or_else(|e| panic!("{e}"));
    walk(&shape, &jail("db"), &[0, 2]).unwrap_or_else(|e| panic!("{e}"));
}

/// Hosts with peers of their own and every arrangement of jails' FIBs: nobody keeps an old way, and nothing is left.
#[test]
fn nodes_with_tunnels_to_each_other() {
    let mut shape = Shape::testbed();
    shape.nodes.push(NodeShape { name: "tiny", ..shape.nodes[2].clone() });
    // Not tiny's own network.
    shape.jails[2].whole = Some(30);
    for mesh in [vec![(1, 2)], vec![(1, 3)], vec![(1, 3), (2, 3)], vec![(1, 2), (1, 3), (2, 3)]] {
        shape.mesh = mesh;
        walk(&shape, &jail("web"), &[2]).unwrap_or_else(|e| panic!("{:?}: {e}", shape.mesh));
        walk(&shape, &jail("db"), &[2, 3, 0]).unwrap_or_else(|e| panic!("{:?}: {e}", shape.mesh));
        walk(&shape, &jail("mail"), &[1, 2]).unwrap_or_else(|e| panic!("{:?}: {e}", shape.mesh));
    }
}

/// Every node has two hubs: a move switches both, and a jail that is home again leaves nothing at either.
#[test]
fn two_hubs_for_the_same_nodes() {
    for behind in [vec![1, 2], vec![2]] {
        let shape = Shape::with_second_hub(MoreHub { index: 3, behind, only: false });
        everyone_reaches_everyone(&shape.world(), &shape).unwrap_or_else(|e| panic!("{e}"));
        walk(&shape, &jail("web"), &[2, 0]).unwrap_or_else(|e| panic!("{e}"));
        walk(&shape, &jail("db"), &[2, 3, 0]).unwrap_or_else(|e| panic!("{e}"));
        walk(&shape, &jail("mail"), &[3, 1]).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// A hub a region: the hubs give what moves from one region to the other to each other's peer.
#[test]
fn a_hub_for_each_region() {
    for behind in [vec![2], vec![1], vec![1, 2]] {
        let shape = Shape::with_second_hub(MoreHub { index: 3, behind, only: true });
        everyone_reaches_everyone(&shape.world(), &shape).unwrap_or_else(|e| panic!("{e}"));
        walk(&shape, &jail("web"), &[2, 3]).unwrap_or_else(|e| panic!("{e}"));
        walk(&shape, &jail("db"), &[2, 0, 3]).unwrap_or_else(|e| panic!("{e}"));
        walk(&shape, &jail("mail"), &[3, 2, 1]).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn fibs_that_all_have_the_networks_of_the_bridges() {
    let mut shape = Shape::testbed();
    shape.all_fibs = true;
    walk(&shape, &jail("web"), &[2, 0]).unwrap_or_else(|e| panic!("{e}"));
    walk(&shape, &jail("db"), &[2, 0]).unwrap_or_else(|e| panic!("{e}"));
    let plan = plan(&shape.world(), &shape, &jail("web"), &node("big"), 0);
    let fibs = plan.steps.iter().filter_map(|s| match &s.effect {
        Effect::AddRoute(route) if route.host == node("spare") && s.phase == Phase::CutOver => Some(route.fib),
        _ => None,
    });
    assert_eq!(fibs.collect::<std::collections::BTreeSet<_>>(), [0, 1].into());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random walks over random fleets: every step twice, back from every step, home without debris.
    #[test]
    fn any_jail_walks_through_any_fleet_and_comes_home((shape, moved, stops) in a_fleet()) {
        let walked = walk(&shape, &jail(shape.jails[moved].name), &stops);
        prop_assert!(walked.is_ok(), "{}", walked.unwrap_err());
    }
}
