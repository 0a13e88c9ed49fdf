//! What speaks against a move, all of it at once, before anything is touched.
//!
//! One function a subject; each says what is wrong, what it would mean for the jail, and what to do.

use std::collections::BTreeMap;

use crate::configuration::jail_conf::matching;
use crate::effect::Base;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::JailFacts;
use crate::facts::PathKind;
use crate::facts::TargetFacts;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::RemotePath;
use crate::model::longest_match;
use crate::plan::checks;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::keys;
use crate::plan::manager;
use crate::plan::network;
use crate::plan::notices;
use crate::plan::siblings;
use crate::plan::situation::Situation;
use crate::playbook;

/// Seconds after which a handshake is too old: WireGuard renews it every two minutes of traffic (contract 3.4).
const HANDSHAKE_FRESH: i64 = 180;

/// Stream-relevant pool features (contract 5.6).
const STREAM_FEATURES: [&str; 8] = [
    "lz4_compress",
    "zstd_compress",
    "large_blocks",
    "embedded_data",
    "large_dnode",
    "encryption",
    "large_microzap",
    "longname",
];

/// What the preflight looks at.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Where things are.
    pub situation: &'a Situation,
    /// Every host of the fleet.
    pub hosts: &'a BTreeMap<NodeName, HostFacts>,
    /// The source.
    pub source: &'a HostFacts,
    /// The target.
    pub target: &'a HostFacts,
    /// The hub.
    pub hub: &'a HostFacts,
    /// The jail, as the source tells.
    pub jail: &'a JailFacts,
    /// Its place, as the target tells.
    pub there: &'a TargetFacts,
    /// Its datasets.
    pub datasets: &'a [DatasetMove],
    /// What fleet.yml asks of it.
    pub checks: &'a [playbook::Check],
}

/// All findings.
pub fn examine(subject: &Subject<'_>, findings: &mut Findings) {
    versions(subject, findings);
    tools(subject, findings);
    forwarding(subject, findings);
    fibs(subject, findings);
    tunnel(subject, findings);
    ownership(subject, findings);
    free_place(subject, findings);
    storage(subject, findings);
    keys::examine(subject, findings);
    notices::examine(subject.situation, subject.source, subject.target, findings);
    surroundings(subject, findings);
    boot(subject, findings);
    tls(subject, findings);
    siblings::examine(subject, findings);
}

/// fetch(1) tells success or failure, no status.
fn tls(s: &Subject<'_>, findings: &mut Findings) {
    for check in s.checks {
        if let playbook::Probe::Http { target: playbook::HttpTarget::Url(url), status, .. } = &check.probe
            && url.starts_with("https://")
            && *status != 200
        {
            findings.error(
                "https-status",
                &s.situation.hub,
                format!(
                    "{url} shall answer with status {status}, but over TLS only 200 can be told with the base system"
                ),
                "check another URL, or plain HTTP",
            );
        }
    }
}

/// Root, and hosts that are really different hosts. Without that, what else the hosts say means little.
pub fn hosts(hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, (&NodeName, Vec<&PublicKey>)> = BTreeMap::new();
    for (node, facts) in hosts {
        if facts.identity.uid != 0 {
            findings.error(
                "not-root",
                node,
                format!("commands on {node} run as uid {}, not as root", facts.identity.uid),
                format!("connect as root, or set `become: sudo` (doas, mdo) for {node} in fleet.yml"),
            );
        }
        let keys: Vec<&PublicKey> = facts.wireguard.iter().map(|w| &w.public_key).collect();
        let uuid = &facts.identity.hostuuid;
        match seen.insert(uuid, (node, keys.clone())) {
            // Machines cloned after their first boot share /etc/hostid, but a tunnel works for one holder of a key only.
            Some((other, others)) if others != keys => findings.warning(
                "same-hostid",
                node,
                format!("{node} and {other} have the same kern.hostuuid {uuid}, as clones of one machine do"),
                "make sure that the ssh destinations in fleet.yml lead to two machines",
            ),
            Some((other, _)) => findings.error(
                "same-host",
                node,
                format!("{node} and {other} are the same host (kern.hostuuid {uuid})"),
                "correct the ssh destinations in fleet.yml; cloned machines need a new /etc/hostid",
            ),
            None => {}
        }
    }
}

/// A jail's userland must not be newer than the kernel it runs on (contract 7).
fn versions(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source.node, &s.situation.target.node);
    let (a, b) = (&s.source.identity, &s.target.identity);
    if a.machine != b.machine {
        findings.error(
            "machine",
            target,
            format!("{target} is {}, {source} is {}: the jail's programs cannot run there", b.machine, a.machine),
            "choose a target of the same architecture",
        );
    }
    if b.installed != b.running {
        findings.error(
            "reboot-pending",
            target,
            format!(
                "{target} runs kernel {} but {} is installed: modules on disk do not match",
                b.running, b.installed
            ),
            format!("reboot {target} first"),
        );
    }
    if let Some(userland) = &s.jail.userland
        && let (Some(jail), Some(kernel)) = (release(userland), release(&b.running))
        && jail > kernel
    {
        findings.error(
            "userland-newer",
            target,
            format!("the jail's userland is {userland}, newer than {target}'s kernel {}", b.running),
            format!("upgrade {target} first"),
        );
    }
    if s.target.sysctls.get("kern.features.vimage").is_none_or(|v| v.trim() != "1") {
        findings.error(
            "no-vimage",
            target,
            format!("the kernel of {target} has no VIMAGE, so no jail can have its own network stack"),
            "use a GENERIC kernel (12.0 or newer)",
        );
    }
}

/// `13.2-RELEASE-p4` → (13, 2).
fn release(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.trim().parse().ok()?, minor.parse().ok()?))
}

/// Commands and modules that steps need.
fn tools(s: &Subject<'_>, findings: &mut Findings) {
    let needs: [(&NodeName, &HostFacts, &[&str]); 3] = [
        (&s.situation.hub, s.hub, &["wg", "lockf", "timeout"]),
        (&s.situation.source.node, s.source, &["timeout"]),
        (&s.situation.target.node, s.target, &["timeout", "fetch"]),
    ];
    for (node, facts, commands) in needs {
        for command in commands {
            if !facts.commands.contains(*command) {
                findings.error(
                    "no-command",
                    node,
                    format!("{node} has no {command}"),
                    "the base system of FreeBSD 13.2 or newer has it; is this host one?",
                );
            }
        }
    }
    // ifconfig(8) loads what it needs (ifmaybeload), unless the securelevel forbids it.
    let may_load = s.target.sysctl("kern.securelevel").is_none_or(|level| level <= 0);
    for module in ["if_bridge", "if_epair"] {
        if !may_load && !s.target.modules.contains(module) {
            findings.error(
                "no-module",
                &s.situation.target.node,
                format!(
                    "module {module} is not loaded on {}, and its securelevel forbids loading it",
                    s.situation.target.node
                ),
                format!("sysrc kld_list+={module}, then reboot"),
            );
        }
    }
}

/// Packets must be forwarded on the hub and on the target.
fn forwarding(s: &Subject<'_>, findings: &mut Findings) {
    for (node, facts) in [(&s.situation.hub, s.hub), (&s.situation.target.node, s.target)] {
        for family in families(s.situation) {
            let (name, variable) = match family {
                Family::Inet => ("net.inet.ip.forwarding", "gateway_enable"),
                Family::Inet6 => ("net.inet6.ip6.forwarding", "ipv6_gateway_enable"),
            };
            if facts.sysctl(name) != Some(1) {
                findings.error(
                    "forwarding-off",
                    node,
                    format!("{name} is not 1 on {node}, so the jail's packets would stop there"),
                    format!("sysctl {name}=1; sysrc {variable}=YES"),
                );
            }
        }
    }
}

pub(super) fn families(situation: &Situation) -> Vec<Family> {
    let mut families: Vec<Family> = situation.prefixes.iter().map(|p| p.family()).collect();
    families.sort();
    families.dedup();
    families
}

/// The jail's FIB must exist on the target and lead back through the tunnel (contract 0.6, 1.7).
fn fibs(s: &Subject<'_>, findings: &mut Findings) {
    let target = &s.situation.target;
    let node = &target.node;
    let fibs = s.target.sysctl("net.fibs").unwrap_or(1);
    if i64::from(target.fib) >= fibs {
        findings.error(
            "no-fib",
            node,
            format!("the jail shall use FIB {} on {node}, but net.fibs is {fibs}: ifconfig would only warn and the traffic would leave past the tunnel", target.fib),
            format!("sysctl net.fibs={}; echo 'net.fibs={}' >> /boot/loader.conf", target.fib + 1, target.fib + 1),
        );
        return;
    }
    if *node == s.situation.hub {
        return;
    }
    for family in families(s.situation) {
        let default = Prefix::default_route(family);
        // Translated by the node's own pf, IPv4 must not go into the tunnel; IPv6 keeps its address, which is the hub's.
        if family == Family::Inet && target.egress == *node {
            let own = |r: &crate::facts::Route| r.destination == default && r.interface != target.wireguard;
            if !s.target.routes(target.fib, family).any(own) {
                findings.error(
                    "egress",
                    node,
                    format!("fleet.yml says `egress: node`, but FIB {} of {node} has no IPv4 default route past {}, so the jail's packets would not leave by {node} itself", target.fib, target.wireguard),
                    format!("route -n add -inet default GATEWAY -fib {}, and make it last; or take `egress` out of fleet.yml", target.fib),
                );
            }
            let near = |address: &std::net::IpAddr| {
                let table = s.target.routes(target.fib, family).filter(|r| r.destination.contains(*address));
                table.max_by_key(|r| r.destination.length()).is_some_and(|r| r.interface == target.wireguard)
            };
            let network_of = |address: std::net::IpAddr| {
                let own =
                    s.hub.interface(&s.situation.hub_wireguard).map(|i| i.addresses.as_slice()).unwrap_or_default();
                own.iter().find(|n| n.addr() == address).map_or_else(|| Prefix::host(address), |n| Prefix::truncate(*n))
            };
            let hub = checks::tunnel_addresses(s.hub, &s.situation.hub_wireguard);
            if let Some(far) = hub.iter().find(|a| a.is_ipv4() && !near(a)) {
                findings.error(
                    "egress",
                    node,
                    format!("FIB {} of {node} does not lead to the hub ({far}) through {}, so the jail could not answer what comes by the tunnel", target.fib, target.wireguard),
                    format!("route -n add -inet -net {} -interface {} -fib {} (the tunnel's network), and make it last", network_of(*far), target.wireguard, target.fib),
                );
            }
            continue;
        }
        let by = past_the_tunnel(s.target, target.fib, default, &target.wireguard);
        if let Some(Some((halved, other))) = by.iter().find(|out| out.is_some()) {
            findings.error(
                "egress",
                node,
                format!("FIB {} of {node} sends {halved} out of {other}, not of {}, so the jail's answers would leave past the hub", target.fib, target.wireguard),
                format!("route -n delete -{family} -net {halved} -fib {}, and route -n add -{family} -net {halved} -interface {} -fib {}; make it last", target.fib, target.wireguard, target.fib),
            );
        } else if !by.is_empty() {
            findings.error(
                "egress",
                node,
                format!("FIB {} of {node} has no {family} default route through {}, so the jail's answers would leave past the hub", target.fib, target.wireguard),
                format!("route -n add -{family} -net {default} -interface {} -fib {}, and make it last", target.wireguard, target.fib),
            );
        }
    }
}

/// Where a FIB sends the halves of everything that do not leave by `tunnel`, by longest match: a default route does not
/// count where two halves lie over it (contract 1.7). `None`: there is no route at all.
fn past_the_tunnel(
    facts: &HostFacts,
    fib: u16,
    everything: Prefix,
    tunnel: &InterfaceName,
) -> Vec<Option<(Prefix, InterfaceName)>> {
    let halves = everything.halves().map_or_else(|| vec![everything], |(a, b)| vec![a, b]);
    let table = || facts.routes(fib, everything.family()).map(|r| (r.destination, &r.interface));
    let found = halves.into_iter().map(|half| longest_match(table(), half));
    found
        .filter(|out| out.is_none_or(|(_, interface)| interface != tunnel))
        .map(|out| out.map(|(by, interface)| (by, interface.clone())))
        .collect()
}

/// The hub knows the target and has heard of it lately; so does the source, or it is the hub.
fn tunnel(s: &Subject<'_>, findings: &mut Findings) {
    let hub = &s.situation.hub;
    let Some(interface) = s.hub.wireguard(&s.situation.hub_wireguard) else { return };
    for (place, facts) in [(&s.situation.source, s.source), (&s.situation.target, s.target)] {
        if place.node == *hub {
            continue;
        }
        let Some(own) = facts.wireguard(&place.wireguard) else { continue };
        let Some(peer) = interface.peers.iter().find(|p| p.public_key == own.public_key) else {
            findings.error(
                "unknown-peer",
                hub,
                format!(
                    "{} of {hub} has no peer with the public key of {} ({})",
                    s.situation.hub_wireguard, place.node, own.public_key
                ),
                format!("add a [Peer] section for {} to the hub's WireGuard configuration", place.node),
            );
            continue;
        };
        let age = s.hub.identity.clock.saturating_sub(peer.latest_handshake);
        if peer.latest_handshake == 0 || age > HANDSHAKE_FRESH {
            let when = if peer.latest_handshake == 0 { "never".to_owned() } else { format!("{age} s ago") };
            findings.error(
                "no-handshake",
                hub,
                format!("the last handshake of {} with {hub} was {when}: the tunnel is down", place.node),
                format!(
                    "on {}: look at `wg show {}`; a node behind NAT needs PersistentKeepalive = 25",
                    place.node, place.wireguard
                ),
            );
        }
        let there = own.peers.iter().find(|p| p.public_key == interface.public_key);
        for family in families(s.situation) {
            let everything = Prefix::default_route(family);
            let covers = there.is_some_and(|p| {
                p.allowed.contains(&everything)
                    || everything.halves().is_some_and(|(a, b)| p.allowed.contains(&a) && p.allowed.contains(&b))
            });
            if !covers {
                findings.warning(
                    "narrow-tunnel",
                    &place.node,
                    format!("{} of {} does not accept every {family} address from the hub: clients outside its AllowedIPs cannot reach the jail there", place.wireguard, place.node),
                    format!("AllowedIPs = 0.0.0.0/0, ::/0 for the peer {hub} (with Table = off)"),
                );
            }
        }
    }
}

/// The source owns the prefixes now, and nobody else's lie inside them.
fn ownership(s: &Subject<'_>, findings: &mut Findings) {
    let hub = &s.situation.hub;
    let Some(interface) = s.hub.wireguard(&s.situation.hub_wireguard) else { return };
    let source_key = s.source.wireguard(&s.situation.source.wireguard).map(|w| &w.public_key);
    let networks: Vec<Prefix> = s
        .hosts
        .values()
        .flat_map(|facts| facts.wireguard.iter().filter_map(|w| facts.interface(&w.interface)))
        .flat_map(|i| i.addresses.iter().map(|a| Prefix::truncate(*a)))
        .collect();
    for prefix in &s.situation.prefixes {
        if let Some(network) = networks.iter().find(|n| n.overlaps(*prefix)) {
            findings.error(
                "tunnel-prefix",
                hub,
                format!("{prefix} overlaps the tunnel's own network {network}"),
                "give the jail addresses outside the tunnel's network",
            );
        }
        if s.situation.source.node == *hub {
            continue;
        }
        match network::owner(&interface.peers, *prefix) {
            Some((key, _)) if Some(key) == source_key => {}
            Some((key, found)) => findings.error(
                "owner",
                hub,
                format!(
                    "{hub} gives {prefix} (by {found}) to peer {}, which is not {}, where the jail runs",
                    key.short(),
                    s.situation.source.node
                ),
                "correct AllowedIPs on the hub, or `prefixes:` of the jail in fleet.yml",
            ),
            None => findings.error(
                "no-owner",
                hub,
                format!("no peer of {hub} has {prefix} in its AllowedIPs, so nobody outside reaches the jail now"),
                format!(
                    "add it to the AllowedIPs of {}, or correct `prefixes:` of the jail in fleet.yml",
                    s.situation.source.node
                ),
            ),
        }
    }
    let missing: Vec<String> = s
        .situation
        .addresses
        .iter()
        .filter(|a| !s.situation.prefixes.iter().any(|p| p.contains(**a)))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        findings.warning(
            "address-stays",
            &s.situation.source.node,
            format!(
                "the jail has {} inside, which none of its prefixes covers and which will not be routed to the target",
                missing.join(", ")
            ),
            "add them to `prefixes:` of the jail in fleet.yml",
        );
    }
}

/// Name, addresses, files and mount point are free on the target.
fn free_place(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let jail = &s.situation.jail;
    if s.target.jails.iter().any(|j| j.name == jail.as_str()) {
        findings.error(
            "name-taken",
            node,
            format!("a jail {jail} exists on {node}, possibly dying"),
            format!("look at jls -d on {node}"),
        );
    }
    for running in &s.target.jails {
        for address in running.addresses.iter().map(ipnet::IpNet::addr) {
            if s.situation.prefixes.iter().any(|p| p.contains(address)) {
                findings.error(
                    "address-taken",
                    node,
                    format!("jail {} on {node} has {address}, which belongs to jail {jail}", running.name),
                    "give one of them another address",
                );
            }
        }
    }
    // A block that jail.conf has of it is compared with what it would be (see `staging`).
    let own = |file: &RemotePath| file.as_str() != manager::SHARED;
    if let Some(existing) = s.target.jail_configuration(jail).filter(|c| own(&c.file)) {
        findings.error(
            "configuration-exists",
            node,
            format!("{} on {node} defines a jail {jail} already", existing.file),
            format!("if it is a leftover, move it aside: mv {f} {f}.old", f = existing.file),
        );
    } else if own(&s.situation.target_file) && s.there.files.contains_key(&s.situation.target_file) {
        findings.error(
            "file-exists",
            node,
            format!("{} exists on {node}, though it defines no jail {jail}", s.situation.target_file),
            "move it aside",
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
            format!("if nothing uses it: ifconfig {interface} destroy; otherwise rename one of the two"),
        );
    }
    if let Some(dataset) = s.target.dataset_at(s.situation.path.as_str()) {
        findings.error(
            "path-taken",
            node,
            format!("{} is mounted at {} on {node}, where the jail's root shall be", dataset.name, s.situation.path),
            format!("give it another mount point: zfs set mountpoint=… {}", dataset.name),
        );
    }
}

/// Space for both copies, features of the stream, keys.
fn storage(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let pool = s.situation.target.dataset.pool();
    let source_pool = s.source.pools.iter().find(|p| p.name == s.situation.source.dataset.pool());
    let Some(target_pool) = s.target.pools.iter().find(|p| p.name == pool) else {
        findings.error("no-pool", node, format!("{node} has no pool {pool}"), "correct `parent:` in fleet.yml");
        return;
    };
    if target_pool.health != "ONLINE" {
        findings.error(
            "pool-health",
            node,
            format!("pool {pool} on {node} is {}", target_pool.health),
            format!("repair it first: zpool status {pool}"),
        );
    }
    let needed: u64 = s.datasets.iter().filter(|d| d.base.makes_a_dataset()).map(|d| d.estimate).sum();
    let with_margin = needed.saturating_add(needed / 5).saturating_add(16 << 20);
    let available = s
        .situation
        .target
        .dataset
        .as_str()
        .rsplit_once('/')
        .and_then(|(parent, _)| s.target.datasets.iter().find(|d| d.name.as_str() == parent))
        .map_or(target_pool.free, |parent| parent.available);
    if available < with_margin {
        findings.error(
            "no-space",
            node,
            format!(
                "the jail needs {} (with a fifth to spare) and {pool} on {node} has {} left",
                bytes(with_margin),
                bytes(available)
            ),
            "make room; the source keeps its own copy until `finalize`",
        );
    }
    if let Some(source_pool) = source_pool {
        for feature in STREAM_FEATURES {
            let active = source_pool.features.get(feature).is_some_and(|v| v == "active");
            let known = target_pool.features.get(feature).is_some_and(|v| v == "active" || v == "enabled");
            if active && !known {
                findings.error(
                    "feature",
                    node,
                    format!(
                        "pool {} uses feature {feature}, which pool {pool} on {node} does not have enabled",
                        source_pool.name
                    ),
                    format!("zpool set feature@{feature}=enabled {pool}"),
                );
            }
        }
    }
    for dataset in s.datasets {
        if let Some(facts) = s.source.dataset(&dataset.source.dataset) {
            if let (Some(origin), Base::Nothing) = (&facts.origin, &dataset.base) {
                let own = facts.used.min(facts.referenced);
                findings.warning(
                    "clone",
                    &s.situation.source.node,
                    format!(
                        "{} is a clone of {origin} and holds {} of its own; no snapshot of pool {pool} on {node} has the same GUID, so it is sent in full: {}, which it will also take there",
                        facts.name,
                        bytes(own),
                        bytes(facts.referenced)
                    ),
                    format!("to keep it thin, send the origin there first: zfs send {origin} on {}, zfs receive -u on {node}", s.situation.source.node),
                );
            }
            if facts.jailed {
                findings.error(
                    "jailed-dataset",
                    &s.situation.source.node,
                    format!(
                        "{} is delegated to the jail (jailed=on); jailferry does not move such datasets yet",
                        facts.name
                    ),
                    "move this jail by hand for now",
                );
            }
        }
    }
}

/// 1536 → `1.5 KiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}

/// Where the jail's console is logged; jail(8) makes the file, not its folder.
#[must_use]
pub fn log_folder(configuration: &JailConfiguration) -> Option<RemotePath> {
    let file = configuration.value("exec.consolelog")?;
    RemotePath::new(file.rsplit_once('/')?.0).ok()
}

/// What the jail's configuration names on the host: fstab sources, devfs ruleset, parameters.
fn surroundings(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    if s.situation.fstab.is_some() && s.jail.fstab.is_none() {
        findings.error(
            "no-fstab",
            &s.situation.source.node,
            "the jail's configuration names an fstab that does not exist on the source: the jail could not be started again, here or there",
            "restore the file, or correct mount.fstab",
        );
    }
    let of_keys = |path: &RemotePath| s.datasets.iter().any(|d| d.key.as_ref().is_some_and(|(file, _)| file == path));
    let log_folder = s.source.jail_configuration(&s.situation.jail).and_then(log_folder);
    for (path, kind) in s.there.paths.iter().filter(|(path, _)| !of_keys(path)) {
        if Some(path) == log_folder.as_ref() {
            if *kind == PathKind::Absent {
                findings.error(
                    "no-log-folder",
                    node,
                    format!("exec.consolelog of the jail lies in {path}, which does not exist on {node}: jail(8) would not start the jail"),
                    format!("mkdir -p {path}"),
                );
            }
            continue;
        }
        let within = path.is_within(&s.situation.path)
            || *path == s.situation.target_file
            || s.situation.fstab.as_ref() == Some(path);
        if *kind == PathKind::Absent && !within {
            findings.error(
                "missing-source",
                node,
                format!("{path}, which the jail mounts, does not exist on {node}"),
                s.situation.manager.says().provide(path, node),
            );
        }
    }
    for parameter in &s.there.unknown_parameters {
        findings.error(
            "unknown-parameter",
            node,
            format!("the kernel of {node} does not know the jail parameter {parameter}: jail(8) would refuse to start the jail"),
            "remove it from the jail's configuration, or upgrade the target",
        );
    }
    for ruleset in &s.there.undefined_rulesets {
        findings.error(
            "no-ruleset",
            node,
            format!("devfs ruleset {ruleset} is not defined on {node}"),
            "define it in /etc/devfs.rules and run: service devfs restart",
        );
    }
    let follows =
        |name: &&String| s.situation.epair.is_some_and(|(unit, to)| unit != to && matching::units(name) == [unit]);
    let named: Vec<&str> = s.jail.inner_rc_interfaces.iter().filter(follows).map(String::as_str).collect();
    if !named.is_empty() {
        findings.error(
            "inner-interface",
            node,
            format!("the jail's own /etc/rc.conf names {}, but that unit is taken on {node}", named.join(", ")),
            "free the unit on the target, or rename the interface inside the jail to a name of its own",
        );
    }
}

/// Whether it comes up by itself.
fn boot(s: &Subject<'_>, findings: &mut Findings) {
    if !s.situation.autostart {
        findings.note(
            "no-autostart",
            &s.situation.source.node,
            format!(
                "jail {} does not start at boot on {}, and will not on {}",
                s.situation.jail, s.situation.source.node, s.situation.target.node
            ),
        );
    }
    s.situation.manager.says().examine(s, findings);
}
