//! A host of the simulator reboots: what runs is lost, what its files say comes up.

use std::collections::BTreeMap;

use crate::effect::JailPlace;
use crate::effect::RouteSpec;
use crate::effect::simulate::Host;
use crate::effect::simulate::World;
use crate::effect::simulate::tests;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Plan;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

type Checked<T> = Result<T, String>;

/// A host comes up again with what its files say: routes, aliases, AllowedIPs, mounts, and the jails of jail_list.
pub(super) fn reboot(world: &mut World, pristine: &World, plan: &Plan, name: &NodeName) -> Checked<()> {
    let as_built = &pristine.hosts[name].facts;
    let host = world.hosts.get_mut(name).unwrap();
    host.facts.jails.clear();
    host.watches.clear();
    host.facts.routes = as_built.routes.clone();
    let is_epair = |i: &crate::facts::Interface| i.groups.iter().any(|g| g == "epair");
    host.facts.interfaces = as_built.interfaces.iter().filter(|i| !is_epair(i)).cloned().collect();
    host.facts.interfaces.iter_mut().for_each(|i| i.members.clear());
    for file in host.facts.wireguard_files.clone() {
        for wireguard in host.facts.wireguard.iter_mut().filter(|w| w.interface == file.interface) {
            for peer in &mut wireguard.peers {
                let listed = file.peers.iter().find(|(key, _)| *key == peer.public_key);
                peer.allowed = listed.map(|(_, prefixes)| prefixes.clone()).unwrap_or_default();
            }
        }
    }
    aliases_of_rc(host)?;
    routes_of_wg_quick(name, host)?;
    for route in kept_routes(name, host)? {
        host.add_route(&route).map_err(|e| format!("{name} boots: {e}"))?;
    }
    let own = |d: &crate::effect::simulate::Dataset| d.own("canmount").is_none_or(|v| v == "on");
    host.storage.values_mut().for_each(|d| d.mounted = own(d));
    host.settle();
    boot_jails(world, plan, name)
}

fn aliases_of_rc(host: &mut Host) -> Checked<()> {
    for (variable, value) in host.facts.rc.variables.clone() {
        let Some(bridge) = variable.strip_prefix("ifconfig_").and_then(|v| v.strip_suffix("_aliases")) else {
            continue;
        };
        let interface = InterfaceName::new(bridge).map_err(|e| e.to_string())?;
        for word in value.split_whitespace().filter(|w| w.contains('/')) {
            let net: ipnet::IpNet = word.parse().map_err(|_| format!("{variable}: {word}"))?;
            host.add_alias(&interface, net.addr(), net.prefix_len()).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// wg-quick(8) makes a route of each of the AllowedIPs, and takes the interface away when it cannot.
fn routes_of_wg_quick(name: &NodeName, host: &mut Host) -> Checked<()> {
    for file in host.facts.wireguard_files.clone() {
        let Some(fib) = file.routed_fib() else { continue };
        for prefix in file.peers.iter().flat_map(|(_, listed)| listed).filter(|p| p.length() > 0) {
            let there = host.facts.routes(fib, prefix.family()).find(|r| r.destination == *prefix);
            if let Some(there) = there.filter(|r| r.interface != file.interface) {
                return Err(format!("{name} boots without {}: {prefix} is on {}", file.interface, there.interface));
            }
            let route = RouteSpec { host: name.clone(), prefix: *prefix, interface: file.interface.clone(), fib };
            host.add_route(&route).map_err(|e| format!("{name} boots: {e}"))?;
        }
    }
    Ok(())
}

/// The routes of ours in rc.conf and in the hooks of wg-quick(8) files. Those of a hook have their family with them, which
/// rc.d/routing tells route(8) by itself, and never fail.
fn kept_routes(name: &NodeName, host: &Host) -> Checked<Vec<RouteSpec>> {
    let variables = &host.facts.rc.variables;
    let mut all: Vec<String> = Vec::new();
    for (list, start) in [("static_routes", "route_"), ("ipv6_static_routes", "ipv6_route_")] {
        let names = variables.get(list).map(|l| l.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
        let ours = names.into_iter().filter(|n| n.starts_with("jailferry_"));
        all.extend(ours.filter_map(|n| variables.get(&format!("{start}{n}"))).cloned());
    }
    let mut found: Vec<RouteSpec> = all.iter().filter_map(|arguments| route(name, arguments)).collect();
    for line in host.hooks.values().flatten() {
        let command = line.strip_prefix("PostUp = route -q -n add ").and_then(|l| l.split(" || : # jailferry ").next());
        let spec = command.and_then(|c| Some((c, route(name, c)?)));
        match spec {
            Some((command, spec)) if command.starts_with(&format!("-{} ", spec.prefix.family())) => found.push(spec),
            _ => return Err(format!("{name} boots without its tunnel: {line}")),
        }
    }
    Ok(found)
}

fn route(host: &NodeName, arguments: &str) -> Option<RouteSpec> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
    let prefix: Prefix = match (after("-net"), after("-host")) {
        (Some(net), _) => net.parse().ok()?,
        (None, Some(address)) => Prefix::host(address.parse().ok()?),
        _ => return None,
    };
    let interface = InterfaceName::new(after("-interface")?).ok()?;
    Some(RouteSpec { host: host.clone(), prefix, interface, fib: after("-fib")?.parse().ok()? })
}

/// rc.d/jail starts what is in jail_list; with an empty list all of /etc/jail.conf, which these fleets have not.
fn boot_jails(world: &mut World, plan: &Plan, name: &NodeName) -> Checked<()> {
    let host = &world.hosts[name];
    if !host.facts.rc.jail_enable {
        return Ok(());
    }
    let listed: Vec<JailName> = host.facts.rc.jail_list.iter().filter_map(|j| JailName::new(j.as_str()).ok()).collect();
    for jail in listed {
        let host = &world.hosts[name];
        let path = world.inside[jail.as_str()].path.clone();
        let Some(found) = host.all_configurations().into_iter().find(|c| c.name == jail.as_str()) else { continue };
        // Nobody checks beforehand: what is configured and mounted starts.
        let there = found.value("path").unwrap_or(path);
        if !host.is_startable(&jail, &there) {
            continue;
        }
        let place = JailPlace {
            elsewhere: vec![],
            host: name.clone(),
            jail: jail.clone(),
            file: found.file.clone(),
            path: crate::plan::fixture::path(&there),
            interfaces: vec![],
            bridge: None,
            fib: 0,
            delegated: vec![],
            legacy: vec![],
        };
        if world.start(&place).is_err() && jail != plan.jail {
            return Err(format!("jail {jail} does not come up again on {name}"));
        }
    }
    Ok(())
}

/// What a reboot keeps.
pub(super) fn persistent(world: &World) -> BTreeMap<NodeName, Host> {
    let mut hosts = world.hosts.clone();
    for host in hosts.values_mut() {
        host.facts.jails.clear();
        host.facts.interfaces.clear();
        host.facts.routes.clear();
        host.watches.clear();
        for wireguard in &mut host.facts.wireguard {
            wireguard.peers.iter_mut().for_each(|p| p.allowed.clear());
        }
        host.storage.values_mut().for_each(|d| d.mounted = false);
    }
    hosts
}

fn moved(shape: &Shape, world: &mut World, jail: &JailName, to: &NodeName) -> Plan {
    let plan = tests::plan(world, shape, jail, to, 1);
    plan.steps.iter().for_each(|s| world.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
    plan
}

#[test]
fn tunnels_of_wg_quick_come_up_again_with_the_routes_of_a_move() {
    for table in [Some("off"), Some("auto"), None] {
        let mut shape = Shape::testbed();
        shape.nodes.iter_mut().for_each(|n| n.quick = true);
        let mut pristine = shape.world();
        let hub = pristine.hosts.get_mut(&node("small")).unwrap();
        hub.facts.wireguard_files.iter_mut().for_each(|f| f.table = table.map(str::to_owned));
        for (name, from) in [("web", "spare"), ("mail", "small")] {
            let mut world = pristine.clone();
            let plan = moved(&shape, &mut world, &jail(name), &node("big"));
            let hooks =
                world.hosts[&node(from)].hooks.values().flatten().filter(|l| l.contains("-inet6 -host")).count();
            // What wg-quick(8) makes of the AllowedIPs needs no hook.
            assert_eq!(hooks, usize::from(from == "spare" || table == Some("off")), "{name} {table:?}");
            for host in ["small", "spare", "big"] {
                reboot(&mut world, &pristine, &plan, &node(host)).unwrap_or_else(|e| panic!("{name} {table:?}: {e}"));
            }
            let routes = world.hosts[&node(from)].facts.routes[&0].iter();
            let tunnel: Prefix = "10.77.0.0/24".parse().unwrap();
            let own = |r: &&crate::facts::Route| r.destination.is_host() && !tunnel.covers(r.destination);
            let away = routes.filter(own).filter(|r| r.interface.as_str() == "wg0").count();
            assert_eq!(away, 2, "{name} {table:?}");
        }
    }
}

#[test]
fn a_hub_whose_own_network_leaves_makes_no_route_of_it_by_wg_quick() {
    for (table, refused) in [(Some("off"), false), (None, true)] {
        let mut shape = Shape::testbed();
        shape.nodes[0].quick = true;
        shape.jails[2].home = 0;
        let mut world = shape.world();
        let hub = world.hosts.get_mut(&node("small")).unwrap();
        hub.facts.wireguard_files.iter_mut().for_each(|f| f.table = table.map(str::to_owned));
        let plan = tests::try_plan(&world, &shape, &jail("db"), &node("big"), 1);
        let told: Vec<_> = plan.findings.iter().filter(|f| f.code == "table-not-off").collect();
        assert_eq!((plan.refused(), !told.is_empty()), (refused, refused), "{:#?}", plan.findings);
        assert!(told.iter().all(|f| f.what.contains("stays on bridge0") && f.lines.len() > 2), "{told:#?}");
    }
}
