//! A host of the simulator reboots: what runs is lost, what its files say comes up.

use std::collections::BTreeMap;

use crate::effect::JailPlace;
use crate::effect::RouteSpec;
use crate::effect::simulate::Host;
use crate::effect::simulate::World;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Plan;

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
    for route in kept_routes(name, host) {
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

/// The routes of ours in rc.conf and in the hooks of wg-quick(8) files.
fn kept_routes(name: &NodeName, host: &Host) -> Vec<RouteSpec> {
    let variables = &host.facts.rc.variables;
    let mut all: Vec<String> = Vec::new();
    for (list, start) in [("static_routes", "route_"), ("ipv6_static_routes", "ipv6_route_")] {
        let names = variables.get(list).map(|l| l.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
        let ours = names.into_iter().filter(|n| n.starts_with("jailferry_"));
        all.extend(ours.filter_map(|n| variables.get(&format!("{start}{n}"))).cloned());
    }
    for line in host.hooks.values().flatten() {
        let command = line.split(" add ").nth(1).and_then(|l| l.split(" #").next());
        all.extend(command.map(str::to_owned));
    }
    all.iter().filter_map(|arguments| route(name, arguments)).collect()
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
            host: name.clone(),
            jail: jail.clone(),
            file: found.file.clone(),
            path: crate::plan::fixture::path(&there),
            interfaces: vec![],
            bridge: None,
            fib: 0,
            delegated: vec![],
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
