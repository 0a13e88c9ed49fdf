//! Routes that a host shall have after its next boot, and those that it shall not.

use crate::configuration::rc_conf::StaticRoute;
use crate::configuration::rc_conf::default_file;
use crate::configuration::rc_conf::or_refuse;
use crate::configuration::wireguard_conf::HookLine;
use crate::configuration::wireguard_conf::Target;
use crate::configuration::wireguard_conf::edit_hooks;
use crate::effect::Effect;
use crate::effect::RouteSpec;
use crate::effect::meaning::Meaning;
use crate::facts::HostFacts;
use crate::facts::RcConf;
use crate::facts::WireGuardFile;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::network;
use crate::plan::network::RouteChange;
use crate::plan::persist::wireguard::allowed_after;
use crate::plan::siblings;

/// Routes as the host keeps its own: PostUp lines of wg-quick(8) for the tunnel where the host uses them, static
/// routes of rc.conf(5) otherwise.
pub(super) fn routes(cast: &Cast<'_>, node: &NodeName, facts: &HostFacts) -> Vec<Step> {
    let situation = cast.situation;
    let mut changes = if *node == situation.target.node {
        let made_by_alias: Vec<_> =
            cast.missing_gateways().iter().filter_map(|(a, l)| network::connected(*a, *l)).collect();
        cast.routes_on(node, &situation.target.bridge)
            .into_iter()
            .filter(|c| !matches!(c, RouteChange::Add { route, .. } if made_by_alias.contains(&route.prefix)))
            .collect()
    } else {
        cast.way_from(node, facts)
    };
    changes.extend(siblings::routes(cast, node, facts));
    let mut gone: Vec<RouteSpec> = Vec::new();
    let mut fresh: Vec<RouteSpec> = Vec::new();
    for change in changes {
        match change {
            RouteChange::Delete(route) => gone.push(route),
            RouteChange::Add { route, instead_of } => {
                gone.extend(instead_of.map(|interface| RouteSpec { interface, ..route.clone() }));
                fresh.push(route);
            }
        }
    }
    if *node == situation.target.node {
        // What the owner's own route would lead away at the next boot.
        let bridge = &situation.target.bridge;
        let own = |r: &&RouteSpec| r.interface != *bridge && situation.prefixes.iter().any(|p| p.covers(r.prefix));
        let here = gone.iter().filter(own).filter(|r| rival(&facts.rc, r, bridge));
        let here: Vec<_> = here.map(|r| RouteSpec { interface: bridge.clone(), ..r.clone() }).collect();
        fresh.extend(here.into_iter().filter(|r| !fresh.contains(r)).collect::<Vec<_>>());
    } else if *node == situation.source.node {
        // Perhaps only rc.conf has it: while the jail was here, the bridge's network led to it.
        let here = facts.routes.keys().flat_map(|fib| situation.prefixes.iter().map(|prefix| (*fib, *prefix)));
        let here = here.map(|(fib, prefix)| RouteSpec {
            host: node.clone(),
            prefix,
            interface: situation.source.bridge.clone(),
            fib,
        });
        gone.extend(here.filter(|r| !gone.contains(r)).collect::<Vec<_>>());
    }
    fresh.retain(|route| !is_kept(&facts.rc, route));
    let quick = cast.wireguard_files.get(node).filter(|f| f.wg_quick);
    let by_hook = |r: &RouteSpec| quick.is_some_and(|f| f.interface == r.interface);
    fresh.retain(|route| !quick.is_some_and(|file| by_wg_quick(cast, node, file, route)));
    let mut steps = Vec::new();
    if let Some(file) = quick {
        let line = |r: &RouteSpec| HookLine::route(r.prefix.family(), &arguments(r), &situation.jail);
        let remove: Vec<_> = gone.iter().filter(|r| by_hook(r)).map(line).collect();
        let add: Vec<_> = fresh.iter().filter(|r| by_hook(r)).map(line).collect();
        if !remove.is_empty() || !add.is_empty() {
            let target = Target { path: file.path.clone(), sha256: file.sha256.clone(), run: cast.run.clone() };
            let what = format!("{node} keeps its routes through {} in {}", file.interface, file.path);
            let script = edit_hooks(&target, &remove, &add);
            let texts = |lines: &[HookLine]| lines.iter().map(|l| l.as_str().to_owned()).collect();
            let (remove, add) = (texts(&remove), texts(&add));
            let meaning = Meaning::Hooks { path: target.path, sha256: target.sha256, run: target.run, remove, add };
            steps.push(Step::new(
                Phase::Persist,
                what.clone(),
                Effect::Edit { host: node.clone(), what, script, meaning },
            ));
        }
    }
    let rc_conf = default_file();
    // Where hooks make them now, an earlier run may have written them into rc.conf.
    for route in &gone {
        for (name, old) in named_routes(&facts.rc, route) {
            let script =
                or_refuse(StaticRoute::new(&rc_conf, route.prefix.family(), &name, &old).and_then(|s| s.remove()));
            let what = format!("{node} forgets the static route {name} to {}", route.prefix);
            let meaning = Meaning::StaticRouteRemove {
                family: route.prefix.family(),
                name: name.clone(),
                arguments: old.clone(),
            };
            steps.push(Step::new(
                Phase::Persist,
                what.clone(),
                Effect::Edit { host: node.clone(), what, script, meaning },
            ));
        }
    }
    let mut taken: Vec<String> = facts.rc.variables.keys().cloned().collect();
    for route in fresh.iter().filter(|r| !by_hook(r)) {
        let name = free_name(&situation.jail, &mut taken);
        let first = rival(&facts.rc, route, &route.interface);
        let made = StaticRoute::new(&rc_conf, route.prefix.family(), &name, &arguments(route));
        let script = or_refuse(made.and_then(|s| if first { s.add_first() } else { s.add() }));
        let what =
            format!("{node} keeps the route {} to {} (FIB {}) as {name}", route.prefix, route.interface, route.fib);
        let meaning =
            Meaning::StaticRouteAdd { family: route.prefix.family(), name, arguments: arguments(route), first };
        steps.push(Step::new(Phase::Persist, what.clone(), Effect::Edit { host: node.clone(), what, script, meaning }));
    }
    steps
}

/// Does wg-quick(8) make the route by itself, of the AllowedIPs that the file will have?
fn by_wg_quick(cast: &Cast<'_>, node: &NodeName, file: &WireGuardFile, route: &RouteSpec) -> bool {
    file.interface == route.interface
        && file.routed_fib() == Some(route.fib)
        && allowed_after(cast, node, file).contains(&route.prefix)
}

/// The arguments of route(8) behind `add`, without family: rc.d/routing puts `-inet6` before those of IPv6 itself.
pub(super) fn arguments(route: &RouteSpec) -> String {
    let destination = if route.prefix.is_host() {
        format!("-host {}", route.prefix.network())
    } else {
        format!("-net {}", route.prefix)
    };
    format!("{destination} -interface {} -fib {}", route.interface, route.fib)
}

/// Static routes of ours with exactly these arguments.
fn named_routes(rc: &RcConf, route: &RouteSpec) -> Vec<(String, String)> {
    let prefix = match route.prefix.family() {
        Family::Inet => "route_jailferry_",
        Family::Inet6 => "ipv6_route_jailferry_",
    };
    let wanted = arguments(route);
    rc.variables
        .iter()
        .filter(|(name, value)| name.starts_with(prefix) && value.trim() == wanted)
        .filter_map(|(name, value)| Some((name.split_once("route_")?.1.to_owned(), value.clone())))
        .collect()
}

/// The routes that rc.conf makes in that family, in their order, with their names.
fn listed(rc: &RcConf, family: Family) -> impl Iterator<Item = (&str, &str)> {
    let (list, start) = match family {
        Family::Inet => ("static_routes", "route_"),
        Family::Inet6 => ("ipv6_static_routes", "ipv6_route_"),
    };
    let names = rc.variables.get(list).map(String::as_str).unwrap_or_default().split_whitespace();
    // `NAME:INTERFACE` is added when that interface comes up (rc.conf(5)).
    let names = names.map(|name| name.split(':').next().unwrap_or_default());
    names.filter_map(move |name| Some((name, rc.variables.get(&format!("{start}{name}"))?.as_str())))
}

/// Does rc.conf have the route already, under whatever name its owner gave it?
pub(in crate::plan) fn is_kept(rc: &RcConf, route: &RouteSpec) -> bool {
    let wanted = arguments(route);
    listed(rc, route.prefix.family()).any(|(_, value)| {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        value == wanted || route.fib == 0 && format!("{value} -fib 0") == wanted
    })
}

/// Does rc.conf make it, in whatever words?
pub(super) fn is_made(rc: &RcConf, route: &RouteSpec) -> bool {
    let through = |value: &str| value.split_whitespace().any(|word| word == route.interface.as_str());
    listed(rc, route.prefix.family()).any(|(_, value)| through(value) && is_for(value, route.prefix, route.fib))
}

/// Does the owner's own rc.conf lead that very prefix elsewhere than to `interface`?
fn rival(rc: &RcConf, route: &RouteSpec, interface: &InterfaceName) -> bool {
    listed(rc, route.prefix.family()).any(|(name, value)| {
        let elsewhere = !value.split_whitespace().any(|word| word == interface.as_str());
        elsewhere && !name.starts_with("jailferry_") && is_for(value, route.prefix, route.fib)
    })
}

/// Do these arguments of route(8) make a route to that very prefix in that FIB?
pub(in crate::plan) fn is_for(arguments: &str, destination: Prefix, fib: u16) -> bool {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let is_it = |word: &&str| {
        let prefix = word.parse::<ipnet::IpNet>().map(Prefix::truncate);
        let single = word.parse::<std::net::IpAddr>().map(Prefix::host);
        prefix.or(single).is_ok_and(|p| p == destination) || *word == "default" && destination.length() == 0
    };
    let there = words.windows(2).find_map(|w| match w {
        ["-fib", n] => Some(n.split(',').any(|n| n.parse() == Ok(fib)) || *n == "all"),
        _ => None,
    });
    words.iter().any(is_it) && there.unwrap_or(fib == 0)
}

/// How the names of a jail's routes in rc.conf begin: variables know no hyphen.
#[must_use]
pub(in crate::plan) fn names_of(jail: &JailName) -> String {
    format!("jailferry_{}_", jail.as_str().replace('-', "_"))
}

/// `jailferry_web_0`, the first that rc.conf does not use in either family.
fn free_name(jail: &JailName, taken: &mut Vec<String>) -> String {
    let names = names_of(jail);
    let mut number = 0_u32;
    loop {
        let name = format!("{names}{number}");
        if !taken.iter().any(|t| t.ends_with(&format!("route_{name}")) || *t == name) {
            taken.push(name.clone());
            return name;
        }
        number += 1;
    }
}
