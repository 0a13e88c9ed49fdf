//! Room for the jail on the target: its name, addresses, files and mount point.

use std::net::IpAddr;

use crate::effect::Delegation;
use crate::facts::Dataset;
use crate::model::Family;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::manager;
use crate::plan::preflight::Subject;

/// Name, addresses, files and mount point are free on the target.
pub(super) fn free_place(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let jail = &s.situation.jail;
    if s.target.jails.iter().any(|j| j.name == jail.as_str()) {
        // Not alive, or the jail would run twice. The name is free all the same (contract 2.4).
        findings.warning(
            "name-taken",
            node,
            format!("a jail {jail} on {node} is still dying: what it holds may be in the way"),
            "look at jls -d: it ends once its sockets have (jail(8))",
        );
    }
    for running in &s.target.jails {
        for address in running.addresses.iter().map(ipnet::IpNet::addr) {
            if s.situation.prefixes.iter().any(|p| p.contains(address)) {
                findings.error(
                    "address-taken",
                    node,
                    format!("jail {} on {node} has {address}, which belongs to jail {jail}", running.name),
                    format!("give one of them another address, or stop {} if it is a leftover", running.name),
                );
            }
        }
    }
    others_inside(s, findings);
    for (node, facts) in s.hubs().into_iter().chain([(node, s.target)]) {
        let own = facts.interfaces.iter().flat_map(|i| i.addresses.iter().map(move |a| (&i.name, a.addr())));
        // An address that no prefix covers stays where it is: one that several machines have on lo0, for example.
        let moves =
            |a: &IpAddr| s.situation.addresses.contains(a) && s.situation.prefixes.iter().any(|p| p.contains(*a));
        for (interface, address) in own.filter(|(_, a)| moves(a)) {
            findings.error(
                "address-of-host",
                node,
                format!("{node} itself has {address}, an address of jail {jail}, on {interface}: what is sent to the jail would end there"),
                Fix::new("take it off that interface, now and in rc.conf(5)").run(format!(
                    "ifconfig {interface} {} {address} -alias",
                    Family::of(address)
                )),
            );
        }
    }
    // A block that jail.conf has of it is compared with what it would be (see `staging`).
    let own = |file: &RemotePath| file.as_str() != manager::SHARED;
    if let Some(existing) = s.target.jail_configuration(jail).filter(|c| own(&c.file)) {
        findings.error(
            "configuration-exists",
            node,
            format!("{} on {node} defines a jail {jail} already", existing.file),
            leftover(s, &existing.file),
        );
    } else if own(&s.situation.target_file) && s.there.files.contains_key(&s.situation.target_file) {
        findings.error(
            "file-exists",
            node,
            format!("{} exists on {node}, though it defines no jail {jail}", s.situation.target_file),
            aside(s.situation.target_file.as_str(), "move it aside"),
        );
    }
    // Bare ones get a free unit instead.
    for interface in s.situation.target.interfaces.iter().filter(|i| s.target.interface(i).is_some()) {
        findings.error(
            "interface-taken",
            node,
            format!(
                "{node} has an interface {interface} already, which is what the jail's configuration calls its own"
            ),
            Fix::new("if nothing uses it, destroy it; otherwise rename one of the two")
                .run(format!("ifconfig {interface} destroy")),
        );
    }
    // The jail's own dataset there is looked at elsewhere.
    let at = s.target.dataset_at(s.situation.path.as_str());
    if let Some(dataset) = at.filter(|d| d.name != s.situation.target.dataset) {
        findings.error(
            "path-taken",
            node,
            format!("{} is mounted at {} on {node}, where the jail's root shall be", dataset.name, s.situation.path),
            Fix::new("give it another mount point, or none").run(format!("zfs set mountpoint=none {}", dataset.name)),
        );
    }
    free_mount_points(s, findings);
}

/// A prefix that moves as a whole takes the ways of all its addresses along.
fn others_inside(s: &Subject<'_>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    for other in s.source.jails.iter().filter(|j| j.name != jail.as_str() && !j.dying) {
        for address in other.addresses.iter().map(ipnet::IpNet::addr) {
            let Some(prefix) = s.situation.prefixes.iter().find(|p| !p.is_host() && p.contains(address)) else {
                continue;
            };
            findings.error(
                "others-inside",
                node,
                format!("jail {} on {node} has {address}, and {prefix} moves with jail {jail}: nobody would reach {} any more", other.name, other.name),
                format!("let jail {jail} have its own addresses only (`prefixes:` in fleet.yml; without them it does)"),
            );
        }
    }
}

/// Where the host mounts datasets of the jail besides its root: they may have mount points of their own, anywhere.
fn free_mount_points(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let mounted = s.datasets.iter().map(|d| &d.target).filter(|d| d.mounted && d.delegation == Delegation::None);
    for (name, path) in mounted.filter_map(|d| Some((&d.dataset, d.at.as_deref()?))) {
        let there = |d: &&Dataset| !d.name.is_within(&s.situation.target.dataset) && !d.jailed && d.mountpoint == path;
        let none = |d: &Dataset| {
            Fix::new("give it another mount point, or none").run(format!("zfs set mountpoint=none {}", d.name))
        };
        for other in s.target.datasets.iter().filter(there) {
            // Of the root that is said already.
            if other.mounted && path != s.situation.path.as_str() {
                let what = format!("{} is mounted at {path} on {node}, where {name} of the jail shall be", other.name);
                findings.error("path-taken", node, what, none(other));
            } else if !other.mounted && other.canmount == "on" {
                let what = format!(
                    "{} on {node} has the mount point {path}, too, where {name} of the jail shall be: at the next boot one of them hides the other",
                    other.name
                );
                findings.warning("path-taken", node, what, none(other));
            }
        }
    }
}

/// A file may have other jails in it.
fn leftover(s: &Subject<'_>, file: &RemotePath) -> Fix {
    let jail = s.situation.jail.as_str();
    let others = s.target.jail_configurations.iter().filter(|c| c.file == *file && c.name != jail);
    match others.map(|c| c.name.as_str()).collect::<Vec<_>>().as_slice() {
        [] => aside(file.as_str(), "if it is a leftover, move it aside"),
        others => {
            Fix::new(format!("if it is a leftover, take its block out of {file}, which {} need", others.join(", ")))
        }
    }
}

/// A file that nothing includes any more (jail.conf.d is read by `*.conf`).
fn aside(file: &str, words: &str) -> Fix {
    Fix::new(words).run(format!("mv {file} {file}.old"))
}
