//! What is so now and would not be after a reboot: an administrator who set it by hand and forgot rc.conf(5).
//!
//! Where a script of the host's own runs the tool that could make a thing (see [`Boot`](crate::facts::Boot)), nothing is
//! said of it.

use crate::facts::Route;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::Prefix;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::persist::is_for;
use crate::plan::upkeep::Host;

impl Host<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        self.facts.rc.variables.get(name).map(String::as_str)
    }

    fn says_yes(&self, name: &str) -> bool {
        self.facts.rc.says_yes(name)
    }

    fn lists(&self, name: &str, word: &str) -> bool {
        self.variable(name).is_some_and(|v| v.split_whitespace().any(|w| w == word))
    }

    fn runs(&self, tool: &str) -> bool {
        self.facts.boot.tools.contains(tool)
    }

    fn sets(&self, setting: &str) -> Option<i64> {
        self.facts.boot.settings.get(setting).copied()
    }
}

/// Forwarding, FIBs, pf.
pub(super) fn settings(host: &Host<'_>, findings: &mut Findings) {
    let (node, facts) = (host.node, host.facts);
    for (setting, variable) in
        [("net.inet.ip.forwarding", "gateway_enable"), ("net.inet6.ip6.forwarding", "ipv6_gateway_enable")]
    {
        let kept = host.says_yes(variable) || host.sets(setting) == Some(1) || host.runs("sysctl");
        if facts.sysctl(setting) == Some(1) && !kept {
            findings.warning(
                "forwarding-forgotten",
                node,
                format!(
                    "{setting} is 1 on {node}, but nothing sets it at boot: after a reboot no jail's packet passes"
                ),
                Fix::new("let rc.conf(5) set it").run(format!("sysrc {variable}=YES")),
            );
        }
    }
    let fibs = facts.sysctl("net.fibs").unwrap_or(1);
    if fibs > 1 && host.sets("net.fibs").is_none() && !host.runs("sysctl") {
        findings.warning(
            "fibs-forgotten",
            node,
            format!("net.fibs is {fibs} on {node}, but loader.conf(5) does not set it: unless the kernel was built so, jails come up in FIB 0 after a reboot, past the tunnel"),
            Fix::new("let the loader set it").run(format!("echo 'net.fibs=\"{fibs}\"' >> /boot/loader.conf")),
        );
    }
    if facts.pf.enabled == Some(true) && !host.says_yes("pf_enable") && !host.runs("pfctl") {
        findings.warning(
            "pf-forgotten",
            node,
            format!("pf runs on {node}, but pf_enable is not YES: after a reboot nothing is translated or filtered"),
            Fix::new("let it start at boot").run("sysrc pf_enable=YES"),
        );
    }
}

/// The tunnel and the bridge, with its addresses.
pub(super) fn interfaces(host: &Host<'_>, findings: &mut Findings) {
    let node = host.node;
    if let Some(tunnel) = host.tunnel.filter(|t| host.facts.wireguard(t).is_some()) {
        let by_rc = host.says_yes("wireguard_enable") && host.lists("wireguard_interfaces", tunnel.as_str());
        let by_hand = host.lists("cloned_interfaces", tunnel.as_str()) && host.runs("wg");
        if !by_rc && !by_hand && !host.runs("wg") {
            findings.warning(
                "tunnel-forgotten",
                node,
                format!("{tunnel} of {node} is up, but nothing brings it up at boot: after a reboot no jail there is reached"),
                Fix::new(format!("with wireguard-tools (wg-quick(8)) and a file {tunnel}.conf for it, let rc.conf(5) start it"))
                    .run("sysrc wireguard_enable=YES")
                    .run(format!("sysrc wireguard_interfaces+={tunnel}")),
            );
        }
    }
    let Some(bridge) = host.bridge.and_then(|b| host.facts.interface(b)) else { return };
    if host.runs("ifconfig") {
        return;
    }
    let name = &bridge.name;
    // Made under another name, perhaps (rc.conf(5), ifconfig_<interface>_name).
    let renamed = |(n, v): (&String, &String)| n.starts_with("ifconfig_") && n.ends_with("_name") && v == name.as_str();
    if !host.lists("cloned_interfaces", name.as_str()) && !host.facts.rc.variables.iter().any(renamed) {
        findings.warning(
            "bridge-forgotten",
            node,
            format!(
                "{name} of {node} is there, but cloned_interfaces does not name it: after a reboot no jail there starts"
            ),
            Fix::new("let rc.conf(5) make it").run(format!("sysrc cloned_interfaces+={name}")),
        );
    }
    let (start, list) = (format!("ifconfig_{name}"), format!("ipv4_addrs_{name}"));
    let variables = || {
        let of_it = |n: &str| n.starts_with(&start) || n == list;
        host.facts.rc.variables.iter().filter(move |(n, _)| of_it(n)).map(|(_, v)| v.as_str())
    };
    // A single address is no network of the bridge's own: a gateway that a run made, and keeps, or somebody's experiment.
    for net in bridge.addresses.iter().filter(|n| n.prefix_len() < Prefix::host(n.addr()).length()) {
        let address = net.addr();
        let spells = |text: &str| {
            text.split([' ', ',', '"'])
                .filter_map(|w| w.split('/').next()?.parse().ok())
                .any(|a: std::net::IpAddr| a == address)
        };
        if variables().any(spells) || host.variable(&format!("jailferry_{name}_aliases")).is_some_and(spells) {
            continue;
        }
        // As the first address of IPv4, or as an alias; those are numbered from 0 without a gap.
        let number = (0..).find(|n| host.variable(&format!("{start}_alias{n}")).is_none()).unwrap_or(0);
        let family = Family::of(address);
        findings.warning(
            "address-forgotten",
            node,
            format!("{name} of {node} has {net}, but rc.conf(5) does not give it that: after a reboot jails there lack what may be their gateway"),
            Fix::new("let rc.conf(5) give it").run(if family == Family::Inet && host.variable(&start).is_none() {
                format!("sysrc {start}=\"{family} {net} up\"")
            } else {
                format!("sysrc {start}_alias{number}=\"{family} {net}\"")
            }),
        );
    }
}

/// Static routes into the tunnel.
pub(super) fn routes(host: &Host<'_>, findings: &mut Findings) {
    let Some(tunnel) = host.tunnel.filter(|_| !host.runs("route")) else { return };
    let (node, file) = (host.node, host.facts.wireguard_files.iter().find(|f| Some(&f.interface) == host.tunnel));
    let mut number = 0_u32;
    for (fib, table) in &host.facts.routes {
        let by_hand = |r: &&Route| r.interface == *tunnel && r.gateway.is_none() && r.flags.contains('S');
        for route in table.iter().filter(by_hand) {
            let destination = route.destination;
            // wg-quick(8) makes a route of each AllowedIP in FIB 0, and two halves of a default route.
            let by_quick = file.is_some_and(|f| {
                f.routed_fib() == Some(*fib)
                    && f.peers.iter().any(|(_, allowed)| allowed.iter().any(|p| p.covers(destination)))
            });
            if by_quick || is_kept(host, *fib, destination, tunnel) {
                continue;
            }
            // Interfaces of wg-quick(8) come up after rc.conf's routes are made.
            let fix = match file.filter(|f| f.wg_quick) {
                Some(file) => Fix::new("let wg-quick(8) make it").write(
                    &file.path,
                    "below [Interface]",
                    format!(
                        "PostUp = /sbin/route -q -n add -{} -net {destination} -interface {tunnel} -fib {fib}",
                        destination.family()
                    ),
                ),
                None => by_rc(host, *fib, destination, tunnel, &mut number),
            };
            findings.warning(
                "route-forgotten",
                node,
                format!(
                    "FIB {fib} of {node} has a route {destination} through {tunnel} that nothing makes at boot: after a reboot jails are not reached as now"
                ),
                fix,
            );
        }
    }
}

/// The lines for rc.conf(5), under a name that is free.
fn by_rc(host: &Host<'_>, fib: u16, destination: Prefix, tunnel: &InterfaceName, number: &mut u32) -> Fix {
    let (list, start) = match destination.family() {
        Family::Inet => ("static_routes", "route_"),
        Family::Inet6 => ("ipv6_static_routes", "ipv6_route_"),
    };
    while host.variable(&format!("{start}tunnel{number}")).is_some() {
        *number += 1;
    }
    let name = format!("tunnel{number}");
    *number += 1;
    Fix::new("let rc.conf(5) make it")
        .run(format!("sysrc {start}{name}=\"-net {destination} -interface {tunnel} -fib {fib}\""))
        .run(format!("sysrc {list}+={name}"))
}

/// Does rc.conf(5) make it? Its list names variables, as NAME or NAME:INTERFACE (rc.d/routing).
fn is_kept(host: &Host<'_>, fib: u16, destination: Prefix, tunnel: &InterfaceName) -> bool {
    let (list, start) = match destination.family() {
        Family::Inet => ("static_routes", "route_"),
        Family::Inet6 => ("ipv6_static_routes", "ipv6_route_"),
    };
    let names = host.variable(list).unwrap_or_default().split_whitespace();
    let values = names.filter_map(|name| host.variable(&format!("{start}{}", name.split(':').next()?)));
    values
        .into_iter()
        .any(|value| value.split_whitespace().any(|word| word == tunnel.as_str()) && is_for(value, destination, fib))
}

/// Jails that run and are listed, while rc(8) starts none.
pub(super) fn jails(host: &Host<'_>, findings: &mut Findings) {
    let rc = &host.facts.rc;
    let listed: Vec<&str> = rc.jail_list.iter().map(String::as_str).collect();
    let running: Vec<&str> =
        listed.iter().filter(|name| host.facts.jails.iter().any(|j| j.name == **name)).copied().collect();
    if !rc.jail_enable && !running.is_empty() {
        findings.warning(
            "jails-off",
            host.node,
            format!(
                "jail_list of {} names {}, but jail_enable is not YES: no jail there starts at boot",
                host.node,
                running.join(", ")
            ),
            Fix::new("let rc(8) start jails").run(format!("sysrc -f {} jail_enable=YES", rc.jail_enable_file)),
        );
    }
}

/// rc.d/zfs mounts datasets. A pool is imported without it (rc.d/zpool), so that all looks well at first.
pub(super) fn datasets(host: &Host<'_>, findings: &mut Findings) {
    if host.bridge.is_some() && !host.facts.pools.is_empty() && !host.says_yes("zfs_enable") && !host.runs("zfs") {
        findings.warning(
            "zfs-forgotten",
            host.node,
            format!(
                "zfs_enable of {} is not YES: after a reboot its datasets are not mounted, and no jail finds its files",
                host.node
            ),
            Fix::new("let rc(8) mount them").run("sysrc zfs_enable=YES"),
        );
    }
}
