//! WireGuard files that say what the interfaces do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::configuration::wireguard_conf::HookLine;
use crate::configuration::wireguard_conf::PeerPrefixes;
use crate::configuration::wireguard_conf::Target;
use crate::configuration::wireguard_conf::hooks::same;
use crate::configuration::wireguard_conf::set_allowed_ips;
use crate::effect::Effect;
use crate::effect::RouteSpec;
use crate::effect::hand_over::HandOver;
use crate::effect::meaning::Meaning;
use crate::facts::HostFacts;
use crate::facts::WireGuardFile;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::mesh;
use crate::plan::network::RouteChange;
use crate::plan::persist::routes;
use crate::plan::situation::Situation;
use crate::plan::upkeep;
use crate::playbook::Fleet;

/// The WireGuard configuration file of each host's tunnel.
pub type WireGuardFiles = BTreeMap<NodeName, WireGuardFile>;

/// Finds them. The hub must have one, since its AllowedIPs would otherwise be forgotten at the next reboot; a move on one
/// segment changes none of them.
#[must_use]
pub fn wireguard_files(
    situation: &Situation,
    fleet: &Fleet,
    hosts: &BTreeMap<NodeName, HostFacts>,
    findings: &mut Findings,
) -> WireGuardFiles {
    let mut files = WireGuardFiles::new();
    if situation.is_bridged() {
        return files;
    }
    for (node, facts) in hosts {
        let named = fleet.nodes.get(node).and_then(|n| n.wireguard_config.as_ref());
        let tunnel = if let Some(tunnel) = situation.tunnel_of_hub(node) {
            Some(tunnel)
        } else if *node == situation.target.node {
            Some(&situation.target.wireguard)
        } else if *node == situation.source.node {
            Some(&situation.source.wireguard)
        } else {
            facts.wireguard.first().map(|w| &w.interface)
        };
        let of_the_tunnel = || facts.wireguard_files.iter().find(|f| Some(&f.interface) == tunnel);
        // A host with a tunnel for each of its peers names the file of one of them.
        let of_another = |f: &&WireGuardFile| {
            Some(&f.interface) != tunnel && facts.wireguard.iter().any(|w| w.interface == f.interface)
        };
        let found = match named {
            Some(path) => match facts.wireguard_files.iter().find(|f| f.path == *path) {
                Some(file) if of_another(&file) => of_the_tunnel(),
                found => found,
            },
            None => of_the_tunnel(),
        };
        if let Some(file) = found {
            if *node == situation.hub {
                refuse_save_config(node, file, findings);
            }
            files.insert(node.clone(), file.clone());
        } else if *node == situation.hub {
            let what = match named.filter(|path| facts.wireguard_files.iter().all(|f| f.path != **path)) {
                Some(path) => {
                    format!("{path}, which fleet.yml names, is not there on {node}, or is none of WireGuard's")
                }
                None => format!("no configuration file of {} was found on {node}", situation.hub_wireguard),
            };
            findings.error(
                "no-wireguard-file",
                node,
                format!("{what}: the new AllowedIPs would be forgotten at the next reboot"),
                format!("say where it is: `wireguard_config: /path/wg0.conf` for {node} in fleet.yml"),
            );
        }
    }
    files
}

/// A file that the interface itself rewrites is none to keep anything in (wg-quick(8), SaveConfig).
pub(in crate::plan) fn refuse_save_config(node: &NodeName, file: &WireGuardFile, findings: &mut Findings) {
    if file.save_config {
        findings.error(
            "save-config",
            node,
            format!(
                "{} has SaveConfig = true: wg-quick rewrites it at down, and runtime and file would fight",
                file.path
            ),
            upkeep::without_save_config(&file.path),
        );
    }
}

/// The files of the hub, and of hosts with peers of their own, say what the hosts do.
pub(super) fn allowed_ips(cast: &Cast<'_>) -> Vec<Step> {
    let hub = cast.wireguard_files.get(&cast.situation.hub).and_then(|file| allowed_ips_of(cast, cast.hand_over, file));
    let mesh = cast.mesh.iter().filter_map(|hand_over| {
        let kept = cast.wireguard_files.get(&hand_over.host).filter(|f| f.interface == hand_over.interface);
        let file = kept.or_else(|| mesh::file(cast.hosts.get(&hand_over.host)?, &hand_over.interface))?;
        allowed_ips_of(cast, hand_over, file)
    });
    hub.into_iter().chain(mesh).collect()
}

/// The peers' lists in the file may hold more than the interface; only what changed is changed.
fn peers_after(hand_over: &HandOver, file: &WireGuardFile) -> Vec<PeerPrefixes> {
    let changed = hand_over.peers.iter().filter_map(|change| {
        let (_, listed) = file.peers.iter().find(|(key, _)| *key == change.public_key)?;
        let mut prefixes = listed.clone();
        prefixes.retain(|p| !change.before.contains(p) || change.after.contains(p));
        prefixes.extend(change.after.difference(&change.before));
        Some(PeerPrefixes { peer: change.public_key.clone(), prefixes })
    });
    changed.collect()
}

/// All AllowedIPs that a host's file will have.
pub(super) fn allowed_after(cast: &Cast<'_>, node: &NodeName, file: &WireGuardFile) -> BTreeSet<Prefix> {
    let hand_overs = std::iter::once(cast.hand_over).chain(cast.mesh);
    let changed: Vec<PeerPrefixes> = hand_overs
        .filter(|h| h.host == *node && h.interface == file.interface)
        .flat_map(|h| peers_after(h, file))
        .collect();
    let kept = file.peers.iter().filter(|(key, _)| !changed.iter().any(|c| c.peer == *key));
    kept.flat_map(|(_, prefixes)| prefixes).chain(changed.iter().flat_map(|c| &c.prefixes)).copied().collect()
}

fn allowed_ips_of(cast: &Cast<'_>, hand_over: &HandOver, file: &WireGuardFile) -> Option<Step> {
    let host = hand_over.host.clone();
    let peers = peers_after(hand_over, file);
    if peers.is_empty() {
        return None;
    }
    let target = Target { path: file.path.clone(), sha256: file.sha256.clone(), run: cast.run.clone() };
    let what = format!("{host} keeps the new AllowedIPs in {}", file.path);
    let script = set_allowed_ips(&target, &peers);
    let peers = peers.into_iter().map(|p| (p.peer, p.prefixes)).collect();
    let meaning = Meaning::AllowedIps { path: target.path, sha256: target.sha256, run: target.run, peers };
    Some(Step::new(Phase::Persist, what.clone(), Effect::Edit { host, what, script, meaning }))
}

/// Routes that wg-quick(8) cannot make at the next boot, since the host has that network connected: it takes the interface
/// away again when one of its commands fails.
pub fn made_in_vain(cast: &Cast<'_>, findings: &mut Findings) {
    for (node, facts) in cast.hosts {
        let leaving = cast.leaving(node);
        for file in &facts.wireguard_files {
            let Some(fib) = file.routed_fib() else { continue };
            let before: BTreeSet<Prefix> = file.peers.iter().flat_map(|(_, listed)| listed).copied().collect();
            for prefix in allowed_after(cast, node, file).difference(&before) {
                let connected = facts.routes(fib, prefix.family()).find(|r| {
                    r.destination == *prefix
                        && r.gateway.is_none()
                        && !r.flags.contains('S')
                        && !leaving.contains(prefix)
                });
                let Some(connected) = connected else { continue };
                let (path, interface, bridge) = (&file.path, &file.interface, &connected.interface);
                let mut fix = Fix::new(format!(
                    "keep wg-quick(8) from making routes in {path}, and let it make those that it makes now"
                ))
                .write(path, "below [Interface], in the place of any other Table", "Table = off");
                for kept in before.iter().filter(|p| p.length() > 0) {
                    let line = format!(
                        "PostUp = route -q -n add -{} -net {kept} -interface {interface} -fib {fib}",
                        kept.family()
                    );
                    fix = fix.write(path, "below [Interface]", line);
                }
                findings.error(
                    "table-not-off",
                    node,
                    format!(
                        "{path} of {node} has no `Table = off`, so wg-quick(8) makes a route of each of the AllowedIPs, but {prefix} stays on {bridge}: it would fail at the next boot and take {interface} down with every jail behind it"
                    ),
                    fix,
                );
            }
        }
    }
}

/// A route of the target into its tunnel that goes, and that nobody knows to make: at the next boot a PostUp line of the
/// owner's would come behind the move's own route, fail, and take the interface with it.
pub fn unknown_hooks(cast: &Cast<'_>, findings: &mut Findings) {
    let (target, jail) = (&cast.situation.target, &cast.situation.jail);
    let Some(file) = cast.wireguard_files.get(&target.node).filter(|f| f.wg_quick) else { return };
    for change in cast.routes_on(&target.node, &target.bridge) {
        let gone = match change {
            RouteChange::Delete(route) => route,
            RouteChange::Add { route, instead_of: Some(interface) } => RouteSpec { interface, ..route },
            RouteChange::Add { .. } => continue,
        };
        let by_allowed =
            file.routed_fib() == Some(gone.fib) && file.peers.iter().any(|(_, allowed)| allowed.contains(&gone.prefix));
        let line = HookLine::route(gone.prefix.family(), &routes::arguments(&gone), jail);
        let known = by_allowed
            || file.hooks.iter().any(|hook| same(hook, line.as_str()))
            || routes::is_made(&cast.target.rc, &gone)
            || !cast.target.boot.tools.contains("route");
        if gone.interface != file.interface || known {
            continue;
        }
        let (node, path, interface, prefix) = (&target.node, &file.path, &file.interface, gone.prefix);
        findings.warning(
            "route-unknown",
            node,
            format!(
                "FIB {} of {node} leads {prefix} into {interface} by a route that is neither jailferry's nor rc.conf(5)'s: where a PostUp line of {path} makes it, that line fails at the next boot while the jail is there, and wg-quick(8) takes {interface} down",
                gone.fib
            ),
            Fix::new("let such a line end in `|| :`; these are the lines").run(format!("grep -n PostUp {path}")),
        );
    }
}
