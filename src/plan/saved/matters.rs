//! What of the evidence a plan rests on, by name, with values that people can compare.
//!
//! What is not here may change freely between plan and apply: clocks, handshakes and endpoints, bytes used and free (as
//! long as there is room), snapshots that are no base, jails elsewhere in the address space and their interfaces.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use crate::facts::HostFacts;
use crate::facts::JailDataset;
use crate::facts::JailFacts;
use crate::facts::Peer;
use crate::facts::TargetFacts;
use crate::facts::WireGuard;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::common_base;
use crate::plan::assemble;
use crate::plan::persist;
use crate::plan::segment;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::plan::snapshots;
use crate::playbook::Settings;

/// sysctl values that say what other fields say, or that no plan looks at.
const NOT_ASKED: [&str; 5] = ["kern.hostuuid", "kern.osreldate", "hw.physmem", "hw.ncpu", "kern.racct.enable"];

/// Field to value.
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn set(&mut self, field: impl Display, value: impl Display) {
        self.0.insert(field.to_string(), value.to_string());
    }

    /// In an order of their own, since hosts list things in any.
    fn list<T: Display>(&mut self, field: impl Display, items: impl IntoIterator<Item = T>, separator: &str) {
        let mut items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
        items.sort();
        let text = if items.is_empty() { "none".to_owned() } else { items.join(separator) };
        self.set(field, text);
    }
}

/// Everything that the plan of this move rests on.
#[must_use]
pub fn matters(evidence: &Evidence, situation: &Situation, settings: &Settings) -> BTreeMap<String, String> {
    let mut fields = Fields(BTreeMap::new());
    written(evidence, situation, settings, &mut fields);
    for (node, facts) in &evidence.hosts {
        machine(node, facts, &mut fields);
        network(node, facts, evidence, situation, &mut fields);
        packet_filter(node, facts, evidence, situation, &mut fields);
        jails(node, facts, situation, &mut fields);
    }
    if let (Some(source), Some(target)) =
        (evidence.hosts.get(&situation.source.node), evidence.hosts.get(&situation.target.node))
    {
        boot(&situation.source.node, source, situation, &mut fields);
        boot(&situation.target.node, target, situation, &mut fields);
        pools(source, target, situation, &mut fields);
    }
    if let (Some(jail), Some(there)) = (&evidence.jail, &evidence.target) {
        at_source(evidence, situation, jail, &mut fields);
        at_target(evidence, situation, there, &mut fields);
        bases(situation, jail, there, &mut fields);
    }
    if let Some(link) = &evidence.link {
        fields.set(
            format!("{}/direct way from {}", situation.target.node, situation.source.node),
            format!(
                "{} to {}@{} port {}, host key {}",
                link.source_address,
                link.user.as_str(),
                link.target_address,
                link.port,
                serde_json::to_string(&link.host_key).unwrap_or_default()
            ),
        );
    }
    fields.0
}

/// fleet.yml and the options.
fn written(evidence: &Evidence, situation: &Situation, settings: &Settings, fields: &mut Fields) {
    let fleet = &evidence.fleet;
    fields.set("fleet.yml/hub", &fleet.hub);
    if !fleet.more_hubs.is_empty() {
        fields.set("fleet.yml/hubs", fleet.hubs().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    for (name, node) in &fleet.nodes {
        spread(&format!("fleet.yml/node {name}"), &serde_json::json!(node), fields);
    }
    spread(&format!("fleet.yml/jail {}", situation.jail), &serde_json::json!(fleet.jail(&situation.jail)), fields);
    fields.list("fleet.yml/canary", &fleet.canary, " ");
    fields.list("fleet.yml/tunnel", &fleet.tunnel, " ");
    spread("fleet.yml", &serde_json::json!({ "egress_check": fleet.egress_check }), fields);
    spread("options", &serde_json::json!(settings), fields);
}

/// Each key of a value of ours as a field; what is not written there is none.
fn spread(name: &str, value: &Value, fields: &mut Fields) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if !value.is_null() {
            fields.set(format!("{name}/{key}"), value);
        }
    }
}

fn machine(node: &NodeName, facts: &HostFacts, fields: &mut Fields) {
    let id = &facts.identity;
    fields.set(format!("{node}/identity"), format!("{} {} {} uid {}", id.hostname, id.hostuuid, id.machine, id.uid));
    let zfs = facts.zfs.as_ref().map_or_else(|| "none".to_owned(), |z| format!("{}, {}", z.userland, z.kernel));
    fields.set(
        format!("{node}/versions"),
        format!(
            "kernel {} ({} installed, {}), userland {}, zfs {zfs}",
            id.running, id.installed, id.kernel_version, id.userland
        ),
    );
    for (name, value) in facts.sysctls.iter().filter(|(name, _)| !NOT_ASKED.contains(&name.as_str())) {
        fields.set(format!("{node}/sysctl {name}"), value);
    }
    fields.list(format!("{node}/modules"), &facts.modules, " ");
    fields.list(format!("{node}/commands"), &facts.commands, " ");
}

/// Does a network meet anything of the jail's, or of the tunnels that lead to it?
fn concerns(evidence: &Evidence, situation: &Situation, network: Prefix) -> bool {
    let own = situation.prefixes.iter().copied();
    let inside = situation.addresses.iter().chain(&situation.gateways).map(|a| Prefix::host(*a));
    own.chain(inside).chain(evidence.fleet.canary.iter().copied()).any(|p| p.overlaps(network))
}

fn network(node: &NodeName, facts: &HostFacts, evidence: &Evidence, situation: &Situation, fields: &mut Fields) {
    let of = |place: &crate::plan::situation::Place, name: &crate::model::InterfaceName| {
        place.node == *node && (*name == place.bridge || *name == place.wireguard)
    };
    for interface in &facts.interfaces {
        let name = &interface.name;
        let tunnel = facts.wireguard.iter().any(|w| w.interface == *name);
        let bridge = interface.groups.iter().any(|g| g == "bridge");
        if !tunnel && !bridge && !of(&situation.source, name) && !of(&situation.target, name) {
            continue;
        }
        let what = format!("{node}/interface {name}");
        let up = if interface.up { "up" } else { "down" };
        fields.set(&what, format!("{up}, mtu {}, FIB {}", interface.mtu, interface.fib));
        // A bridge has addresses of every network whose jails it carries; only the jail's own matter.
        let addresses = interface
            .addresses
            .iter()
            .chain(&interface.link_locals)
            .filter(|a| tunnel || concerns(evidence, situation, Prefix::truncate(**a)));
        fields.list(format!("{what}/addresses"), addresses, " ");
    }
    for place in
        [&situation.source, &situation.target].into_iter().filter(|p| situation.is_bridged() && p.node == *node)
    {
        let all = segment::carriers(facts, &place.bridge);
        let all = all.map(|i| format!("{} {}, mtu {}", i.name, if i.up { "up" } else { "down" }, i.mtu));
        fields.list(format!("{node}/interface {}/members to other hosts", place.bridge), all, "; ");
    }
    for (fib, table) in &facts.routes {
        let routes = table.iter().filter(|r| concerns(evidence, situation, r.destination)).map(|r| {
            let by = r.gateway.map(|g| format!(" by {g}")).unwrap_or_default();
            format!("{} {}{by}", r.destination, r.interface)
        });
        fields.list(format!("{node}/routes in FIB {fib}"), routes, ", ");
    }
    for wireguard in &facts.wireguard {
        let what = format!("{node}/{}", wireguard.interface);
        fields.set(format!("{what}/own key"), &wireguard.public_key);
        for peer in wireguard.peers.iter().filter(|p| is_asked(node, wireguard, p, evidence, situation)) {
            let name = assemble::node_of(&evidence.hosts, &peer.public_key)
                .map_or_else(|| peer.public_key.to_string(), |n| n.to_string());
            fields.list(format!("{what}/prefixes of {name}"), &peer.allowed, " ");
        }
    }
    let named = evidence.fleet.nodes.get(node).and_then(|n| n.wireguard_config.as_ref());
    let places = [&situation.source, &situation.target].into_iter().filter(|place| place.node == *node);
    let tunnels: Vec<_> = situation.tunnel_of_hub(node).into_iter().chain(places.map(|p| &p.wireguard)).collect();
    let asked = |f: &&crate::facts::WireGuardFile| {
        tunnels.is_empty() || tunnels.contains(&&f.interface) || named == Some(&f.path)
    };
    for file in facts.wireguard_files.iter().filter(asked) {
        fields.set(format!("{node}/{}", file.path), format!("sha256 {}", file.sha256));
    }
}

/// Peers that have a part of what moves, and the two that it goes from and to. `wg set` replaces a peer's whole list
/// (contract 3), so all of theirs counts.
fn is_asked(node: &NodeName, wireguard: &WireGuard, peer: &Peer, evidence: &Evidence, situation: &Situation) -> bool {
    if peer.allowed.iter().any(|p| concerns(evidence, situation, *p)) {
        return true;
    }
    let ends = [&situation.source.node, &situation.target.node];
    let counts = |n: &NodeName| ends.contains(&n) || !situation.more_hubs.is_empty() && situation.is_hub(n);
    situation.tunnel_of_hub(node) == Some(&wireguard.interface)
        && assemble::node_of(&evidence.hosts, &peer.public_key).is_some_and(|n| counts(&n))
}

fn packet_filter(node: &NodeName, facts: &HostFacts, evidence: &Evidence, situation: &Situation, fields: &mut Fields) {
    let ways_out = [&situation.source.egress, &situation.target.egress];
    if !ways_out.contains(&node) && !situation.is_hub(node) {
        return;
    }
    let pf = &facts.pf;
    let enabled = match pf.enabled {
        Some(true) => "on",
        Some(false) => "off",
        None => "absent",
    };
    fields.set(format!("{node}/pf"), enabled);
    // In order: the first rule that matches wins.
    fields.set(format!("{node}/pf translation"), pf.nat.join("; "));
    fields.set(format!("{node}/pf anchor rules"), pf.anchors.join("; "));
    let rules = pf.of_jails.get(&situation.jail).map(|r| r.join("; ")).unwrap_or_default();
    fields.set(format!("{node}/pf anchor of {}", situation.jail), if rules.is_empty() { "empty" } else { &rules });
    let named = evidence.fleet.nodes.get(node).and_then(|n| n.pf_table.as_ref());
    for (table, entries) in &pf.tables {
        let near = |p: &&Prefix| situation.prefixes.iter().any(|own| own.overlaps(**p));
        let mut ours: Vec<String> = entries.iter().filter(near).map(ToString::to_string).collect();
        let negated = pf.negated.get(table).into_iter().flatten().filter(near);
        ours.extend(negated.map(|p| format!("!{p}")));
        // Tables come and go by themselves (overload, blocklists).
        if !ours.is_empty() || named == Some(table) {
            fields.list(format!("{node}/pf table <{table}>"), ours, " ");
        }
    }
    if let Some(file) = &pf.file {
        fields.set(format!("{node}/pf rules file"), &file.path);
        if let Some(filled) = named.and_then(|table| file.table_files.get(table)) {
            fields.set(format!("{node}/{}", filled.path), format!("sha256 {}", filled.sha256));
        }
    }
}

fn jails(node: &NodeName, facts: &HostFacts, situation: &Situation, fields: &mut Fields) {
    let name = &situation.jail;
    let runs = match facts.jail(name) {
        None => "does not run".to_owned(),
        Some(jail) => {
            let join = |items: Vec<String>| items.join(" ");
            format!(
                "runs in {}{}, addresses {}, gateways {}{}",
                jail.path,
                if jail.vnet { " with its own network" } else { "" },
                join(jail.addresses.iter().map(ToString::to_string).collect()),
                join(jail.gateways.iter().map(ToString::to_string).collect()),
                jail.smallest_mtu.map(|mtu| format!(", MTU {mtu}")).unwrap_or_default(),
            )
        }
    };
    fields.set(format!("{node}/jail {name}"), runs);
    let configured = facts.jail_configuration(name).map_or_else(
        || "none".to_owned(),
        |c| {
            let parameters = c.parameters.iter().map(|(n, v)| match v {
                Some(v) => format!("{n}={v}"),
                None => n.clone(),
            });
            format!("{}: {}", c.file, parameters.collect::<Vec<_>>().join("; "))
        },
    );
    fields.set(format!("{node}/jail configuration of {name}"), configured);
    // Jails of the same subnet look for each other (plan::siblings).
    let near = facts.jails.iter().filter(|j| j.vnet && !j.dying && j.name != name.as_str()).flat_map(|j| {
        let meets = |net: &&ipnet::IpNet| situation.addresses.iter().any(|a| net.contains(a));
        j.addresses.iter().filter(meets).map(|net| format!("{} {net}", j.name)).collect::<Vec<_>>()
    });
    fields.list(format!("{node}/neighbours in its subnets"), near, ", ");
    let ours = facts.boot_off.iter().filter(|folder| folder.file_name() == name.as_str());
    if let Some(folder) = ours.map(ToString::to_string).next() {
        fields.set(format!("{node}/{folder}"), "not started at boot");
    }
    if let Some(lock) = facts.moving.get(name.as_str()) {
        fields.set(format!("{node}/lock of {name}"), lock);
    }
    if !facts.unreadable.is_empty() {
        fields.list(format!("{node}/unreadable"), facts.unreadable.keys(), ", ");
    }
}

fn boot(node: &NodeName, facts: &HostFacts, situation: &Situation, fields: &mut Fields) {
    let rc = &facts.rc;
    let text = |value: &Option<String>| value.as_ref().map_or_else(|| "not set".to_owned(), |v| format!("{v:?}"));
    fields.set(format!("{node}/rc.conf jail_list"), format!("{} in {}", text(&rc.jail_list_text), rc.jail_list_file));
    fields.set(
        format!("{node}/rc.conf jail_enable"),
        format!("{} in {}", text(&rc.jail_enable_text), rc.jail_enable_file),
    );
    let ours = persist::names_of(&situation.jail);
    for (name, value) in rc.variables.iter().filter(|(name, _)| name.contains(&ours)) {
        fields.set(format!("{node}/rc.conf {name}"), value);
    }
}

fn pools(source: &HostFacts, target: &HostFacts, situation: &Situation, fields: &mut Fields) {
    for (place, facts) in [(&situation.source, source), (&situation.target, target)] {
        let Some(pool) = facts.pools.iter().find(|p| p.name == place.dataset.pool()) else { continue };
        let what = format!("{}/pool {}", place.node, pool.name);
        fields.set(&what, &pool.health);
        // `enabled` becomes `active` by itself; whether the stream fits, the preflight says.
        let disabled = pool.features.iter().filter(|(_, state)| *state == "disabled").map(|(name, _)| name);
        fields.list(format!("{what}/features disabled"), disabled, " ");
    }
}

fn at_source(evidence: &Evidence, situation: &Situation, jail: &JailFacts, fields: &mut Fields) {
    let node = &situation.source.node;
    fields.set(format!("{node}/{}", jail.configuration_file), file(&jail.configuration));
    if let Some((path, text)) = &jail.fstab {
        fields.set(format!("{node}/{path}"), file(text));
    }
    let mounts = jail.mounts.iter().map(|m| format!("{} on {} ({})", m.source, m.path, m.kind));
    fields.list(format!("{node}/mounts below {}", situation.path), mounts, ", ");
    fields.list(format!("{node}/files beside the configuration"), &jail.beside, " ");
    fields.set(format!("{node}/userland of {}", jail.name), jail.userland.as_deref().unwrap_or("unknown"));
    let facts = evidence.hosts.get(node);
    for dataset in &jail.datasets {
        storage(node, facts, dataset, fields);
    }
}

fn at_target(evidence: &Evidence, situation: &Situation, there: &TargetFacts, fields: &mut Fields) {
    let node = &situation.target.node;
    let facts = evidence.hosts.get(node);
    for dataset in &there.datasets {
        storage(node, facts, dataset, fields);
    }
    if let Some(parent) = situation.target.dataset.parent().and_then(|parent| facts?.dataset(&parent)) {
        let mounted = if parent.mounted { "mounted" } else { "not mounted" };
        fields.set(
            format!("{node}/parent dataset {}", parent.name),
            format!("{mounted} at {}, guid {}", parent.mountpoint, parent.guid.0),
        );
    }
    for (property, value) in &there.given {
        fields.set(format!("{node}/{property} above {}", situation.target.dataset), value.clone());
    }
    for (path, kind) in &there.paths {
        fields.set(format!("{node}/{path}"), format!("{kind:?}").to_lowercase());
    }
    for (path, text) in &there.files {
        fields.set(format!("{node}/{path}"), file(text));
    }
    fields.list(format!("{node}/unknown jail parameters"), &there.unknown_parameters, " ");
    fields.list(format!("{node}/undefined devfs rulesets"), &there.undefined_rulesets, " ");
    fields.list(format!("{node}/interfaces for {}", situation.jail), &situation.target.interfaces, " ");
}

fn file(text: &crate::facts::TextFile) -> String {
    format!("sha256 {}, mode {}, owner {}:{}", text.sha256, text.mode, text.owner.0, text.owner.1)
}

/// A dataset without its snapshots and figures.
fn storage(node: &NodeName, facts: Option<&HostFacts>, dataset: &JailDataset, fields: &mut Fields) {
    let what = format!("{node}/dataset {}", dataset.name);
    let Some(d) = facts.and_then(|f| f.dataset(&dataset.name)) else {
        fields.set(what, "not listed");
        return;
    };
    let yes = |is: bool, word: &str| if is { format!(", {word}") } else { String::new() };
    fields.set(
        &what,
        format!(
            "{}, guid {}, at {}, canmount {}{}{}{}{}{}{}",
            format!("{:?}", d.kind).to_lowercase(),
            d.guid.0,
            d.mountpoint,
            d.canmount,
            yes(d.mounted, "mounted"),
            yes(d.readonly, "read-only"),
            yes(d.encrypted, "encrypted"),
            yes(d.encrypted && d.key_available, "key loaded"),
            yes(d.jailed, "jailed"),
            d.origin.as_ref().map(|o| format!(", clone of {o}")).unwrap_or_default(),
        ),
    );
    if let Some(run) = &d.run {
        fields.set(format!("{what}/run"), run);
    }
    let own = dataset.properties.iter().filter(|(_, p)| ["local", "received"].contains(&p.source.as_str()));
    fields.list(format!("{what}/properties"), own.map(|(name, p)| format!("{name}={} ({})", p.value, p.source)), ", ");
}

/// The snapshots that increments begin from, by GUID.
fn bases(situation: &Situation, jail: &JailFacts, there: &TargetFacts, fields: &mut Fields) {
    for dataset in &jail.datasets {
        let into = dataset.name.rebase(&situation.source.dataset, &situation.target.dataset);
        let existing = there.datasets.iter().find(|d| Some(&d.name) == into.as_ref());
        let base = existing.and_then(|e| common_base(&dataset.snapshots, &e.snapshots));
        fields.set(
            format!("{}/base of {}", situation.source.node, dataset.name),
            base.map_or_else(|| "none, sent in full".to_owned(), |s| format!("@{} guid {}", s.label, s.guid.0)),
        );
        // What the target has beyond the base forbids the increment; the newest says so.
        if let (Some(existing), Some(base)) = (existing, base) {
            let raw = existing.properties.get("encryption").is_none_or(|p| p.value != "off");
            let newer = snapshots::in_the_way(&existing.snapshots, base, raw);
            fields.list(
                format!("{}/snapshots of {} behind the base", situation.target.node, existing.name),
                newer.into_iter().map(|s| &s.label),
                " ",
            );
        }
    }
}
