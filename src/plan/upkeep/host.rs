//! Room to write, securelevel, links that are down.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::facts::HostFacts;
use crate::model::NodeName;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::upkeep::Host;

/// Bytes that a host must be able to write into a folder: what a run writes there takes a few kilobytes.
const ENOUGH: u64 = 256 << 10;

/// Seconds between the clocks of two hosts that nobody needs to know: they are asked at the same time, but some answer
/// later than others.
const APART: i64 = 60;

/// A run writes its lock and leases below /var/db, configuration into /etc and beside the WireGuard files.
pub(super) fn folders(host: &Host<'_>, findings: &mut Findings) {
    let mut needed = BTreeSet::from(["/etc", "/var/db"]);
    let files = &host.facts.wireguard_files;
    if files.iter().any(|f| f.path.as_str().starts_with("/usr/local/etc/") && Some(&f.interface) == host.tunnel) {
        needed.insert("/usr/local/etc");
    }
    let node = host.node;
    for (folder, room) in host.facts.room.iter().filter(|(folder, _)| needed.contains(folder.as_str())) {
        if !room.writable {
            let fix = match read_only_dataset(host.facts, folder.as_str()) {
                Some(dataset) => {
                    Fix::new("let its dataset be written to").run(format!("zfs set readonly=off {dataset}"))
                }
                None => Fix::new("mount its filesystem read-write (mount -u -o rw MOUNTPOINT, and in /etc/fstab)"),
            };
            findings.error(
                "read-only",
                node,
                format!(
                    "{folder} on {node} cannot be written to: a run keeps its lock, leases and configuration there"
                ),
                fix,
            );
        } else if room.free < ENOUGH {
            findings.error(
                "full",
                node,
                format!("the filesystem of {folder} on {node} is full: a run could not write its lock, leases and configuration"),
                Fix::new("make room; `du -xhd 1 /` and `zfs list -t snapshot -s used` say what takes it"),
            );
        }
    }
}

/// The dataset that a folder lies in, when it is read-only by its property.
fn read_only_dataset(facts: &HostFacts, folder: &str) -> Option<String> {
    let below = |mountpoint: &str| {
        mountpoint == "/"
            || folder.strip_prefix(mountpoint).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mounted = facts.datasets.iter().filter(|d| d.on_the_host().is_some_and(below));
    mounted.max_by_key(|d| d.mountpoint.len()).filter(|d| d.readonly).map(|d| d.name.to_string())
}

/// What the kernel would forbid.
pub(super) fn limits(host: &Host<'_>, findings: &mut Findings) {
    let (node, facts) = (host.node, host.facts);
    // security(7): at 3, rules of pf cannot be changed, nor its states killed.
    if facts.sysctl("kern.securelevel").is_some_and(|level| level >= 3) && facts.pf.enabled == Some(true) {
        findings.warning(
            "securelevel",
            node,
            format!("kern.securelevel is 3 on {node}: rules and states of pf cannot be changed, as a move may have to"),
            Fix::new("a securelevel is lowered only by a reboot without it: then reboot")
                .run("sysrc kern_securelevel=2"),
        );
    }
    if facts.sysctl("security.jail.jailed") == Some(1) {
        findings.warning(
            "in-a-jail",
            node,
            format!("{node} is itself a jail: its pf, routes and datasets may not be its own to change"),
            "name the host that carries it in fleet.yml instead",
        );
    }
}

/// The bridge and the tunnel must be up to carry anything.
pub(super) fn links(host: &Host<'_>, findings: &mut Findings) {
    let node = host.node;
    for (name, what, code) in [(host.bridge, "bridge", "bridge-down"), (host.tunnel, "tunnel", "tunnel-down")] {
        let Some(interface) = name.and_then(|n| host.facts.interface(n)).filter(|i| !i.up) else { continue };
        let name = &interface.name;
        let what =
            format!("{name}, the {what} of {node}, is down (ifconfig does not show UP): no packet of a jail passes it");
        let fix = Fix::new("set it up; rc.conf(5) does so at boot for an interface with an ifconfig_ variable")
            .run(format!("ifconfig {name} up"));
        // A jail that leaves needs neither.
        if host.leaves {
            findings.warning(code, node, what, fix);
        } else {
            findings.error(code, node, what, fix);
        }
    }
}

/// A bridge of several IPv6 networks needs a link-local address to find the jails of all of them: without one the host asks
/// for neighbours from the address that comes first, and a jail in another network does not answer that (see
/// [`network::missing_link_local`](crate::plan::network::missing_link_local), which moves add by themselves).
pub(super) fn neighbours(host: &Host<'_>, findings: &mut Findings) {
    let bridge = host.bridge.and_then(|name| host.facts.interface(name)).filter(|bridge| bridge.link_locals.is_empty());
    let Some(bridge) = bridge else { return };
    let mut networks = bridge.addresses.iter().filter(|address| address.addr().is_ipv6());
    let Some(first) = networks.next() else { return };
    let others: Vec<String> =
        networks.filter(|other| !first.contains(&other.addr())).map(|other| other.trunc().to_string()).collect();
    if others.is_empty() {
        return;
    }
    let (node, name) = (host.node, &bridge.name);
    findings.warning(
        "no-link-local",
        node,
        format!(
            "{name} of {node} has several IPv6 networks and no link-local address: {node} asks for neighbours from {}, and jails in {} do not answer that",
            first.addr(),
            others.join(" and ")
        ),
        Fix::new(format!("give it one; at boot the same by ifconfig_{name}_aliasN of rc.conf(5)"))
            .run(format!("ifconfig {name} inet6 fe80::1/64 alias")),
    );
}

/// Questions that a host could not answer; the rest of its facts stands.
pub(super) fn unreadable(host: &Host<'_>, findings: &mut Findings) {
    for (question, answer) in &host.facts.unreadable {
        findings.warning(
            "unreadable",
            host.node,
            format!("{} cannot tell all: {question}: {answer}", host.node),
            "correct what the answer names; a jail that cannot be read cannot be moved",
        );
    }
}

/// Clocks that differ: leases do not depend on it, but logs, journals and certificates do.
pub fn apart(hosts: &BTreeMap<NodeName, HostFacts>, hub: &NodeName, findings: &mut Findings) {
    let Some(of_hub) = hosts.get(hub).map(|facts| facts.identity.clock) else { return };
    for (node, facts) in hosts.iter().filter(|(node, _)| *node != hub) {
        let ahead = facts.identity.clock.saturating_sub(of_hub);
        if ahead.saturating_abs() > APART {
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            findings.warning(
                "clocks-apart",
                node,
                format!(
                    "the clock of {node} is {} s {way} that of {hub}: logs and dates of files will mislead",
                    ahead.saturating_abs()
                ),
                Fix::new(format!("let ntpd(8) set it; if {hub} is the wrong one, do so there"))
                    .run("sysrc ntpd_enable=YES")
                    .run("sysrc ntpd_sync_on_start=YES")
                    .run("service ntpd restart"),
            );
        }
    }
}
