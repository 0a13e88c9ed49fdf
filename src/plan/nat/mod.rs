//! NAT and port forwards follow the jail: which rules of which host's pf translate its addresses, now and afterwards.
//!
//! IPv4 leaves by the pf of the hub that its node is a peer of, or by the node's own where fleet.yml says `egress: node`. There, in this order, a
//! jail's prefix is covered by a rule that stands in pf.conf (nothing to do), put into the table that fleet.yml names
//! (`pf_table`), or given a rule in the jail's own anchor `jailferry/JAIL`, which also holds the port forwards of
//! `publish`. pf.conf is its administrator's: what is missing there is a finding with the lines to add.

mod forwards;
pub mod rules;
pub mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::commands::pf;
use crate::facts::HostFacts;
use crate::facts::TableFile;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::TableName;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::situation::Place;
use crate::plan::situation::Situation;
use crate::playbook::Fleet;
use crate::playbook::Publish;

/// What changes, host by host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nat {
    /// Anchors of the jail.
    pub anchors: Vec<AnchorChange>,
    /// Tables.
    pub tables: Vec<TableChange>,
    /// Hosts other than the first hub whose pf has states of the jail.
    pub others: Vec<NodeName>,
}

/// A jail's anchor on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorChange {
    /// The host.
    pub host: NodeName,
    /// Rules now.
    pub before: Vec<String>,
    /// Rules afterwards; none where the jail no longer leaves.
    pub after: Vec<String>,
    /// The file of the host's rules.
    pub main: RemotePath,
}

/// A table on one host: the jail's prefixes come where it leaves from now on, and go where it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// The host.
    pub host: NodeName,
    /// The table.
    pub table: TableName,
    /// What comes.
    pub add: Vec<Prefix>,
    /// What goes.
    pub remove: Vec<Prefix>,
    /// The file that it is filled from at boot.
    pub file: Option<TableFile>,
}

/// What a decision rests on.
struct Subject<'a> {
    situation: &'a Situation,
    fleet: &'a Fleet,
    hosts: &'a BTreeMap<NodeName, HostFacts>,
    publish: &'a [Publish],
    anchor: String,
}

impl Subject<'_> {
    fn table_of(&self, host: &NodeName) -> Option<&TableName> {
        self.fleet.nodes.get(host)?.pf_table.as_ref()
    }

    fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.situation.prefixes.iter().copied().filter(|p| p.family() == Family::Inet)
    }
}

/// Decides, and says what speaks against it.
#[must_use]
pub fn decide(
    situation: &Situation,
    fleet: &Fleet,
    hosts: &BTreeMap<NodeName, HostFacts>,
    findings: &mut Findings,
) -> Nat {
    let spec = fleet.jail(&situation.jail);
    let subject = Subject { situation, fleet, hosts, publish: &spec.publish, anchor: pf::anchor(&situation.jail) };
    let mut nat = Nat::default();
    arrive(&subject, &mut nat, findings);
    leave(&subject, &mut nat, findings);
    for host in [&situation.source.egress, &situation.target.egress].into_iter().chain(situation.hubs()) {
        if *host != situation.hub && !nat.others.contains(host) {
            nat.others.push(host.clone());
        }
    }
    nat
}

/// The host by which the jail leaves from now on.
fn arrive(s: &Subject<'_>, nat: &mut Nat, findings: &mut Findings) {
    let host = &s.situation.target.egress;
    let Some(facts) = s.hosts.get(host) else { return };
    let own = !s.situation.is_hub(host);
    if facts.pf.enabled != Some(true) {
        let what = format!("pf is not running on {host}: nothing translates the jail's IPv4 addresses");
        let fix = || Fix::new("start it, now and at each boot").run("sysrc pf_enable=YES").run("service pf start");
        if own || !s.publish.is_empty() || s.table_of(host).is_some() {
            findings.error("pf-off", host, what, fix());
        } else {
            findings.warning("pf-off", host, what, fix());
        }
        return;
    }
    let stays = s.situation.source.egress == *host;
    let before = facts.pf.of_jails.get(&s.situation.jail).cloned().unwrap_or_default();
    // With nothing in fleet.yml, what is in the anchor already counts, and stays.
    let kept: &[String] = if stays && s.publish.is_empty() { &before } else { &[] };
    let mut wanted = kept.to_vec();
    let mut added = Vec::new();
    let fib = fib_of(host, &s.situation.target);
    for prefix in s.prefixes() {
        let covers = |rule: &&String| covers(facts, fib, rule, prefix);
        if let Some(rule) = facts.pf.nat.iter().find(covers) {
            findings.note("nat-covers", host, format!("NAT: nothing to do, `{rule}` covers {prefix}"));
        } else if let Some(rule) = kept.iter().find(covers) {
            let anchor = &s.anchor;
            findings.note(
                "nat-covers",
                host,
                format!("NAT: nothing to do, `{rule}` of anchor {anchor} covers {prefix}"),
            );
        } else if let Some(table) = s.table_of(host) {
            let left_out = rules::left_out(&facts.pf, table, prefix);
            left_out.iter().for_each(|entry| negated(s, host, facts, table, *entry, findings));
            if left_out.is_empty() && table_is_used(facts, host, table, findings) {
                added.push(prefix);
            }
        } else if own || rules::references(&facts.pf.nat, "nat", &s.anchor) {
            if let Some(interface) = way_out(facts, host, &s.situation.target, findings) {
                wanted.push(rules::nat(&interface, prefix));
            }
        } else {
            findings.warning(
                "nat-missing",
                host,
                format!("no NAT rule of {host} covers {prefix}: the jail has no way out to the IPv4 internet, now or after the move"),
                reloaded(Fix::new("translate it"), &main_file(facts), "behind its other translation rules", {
                    let out = outside(facts);
                    vec![format!("nat on {out} inet from {prefix} to any -> ({out}:0)")]
                }),
            );
        }
    }
    wanted.extend(forwards::wanted(s, host, facts, findings));
    if let (false, Some(table)) = (added.is_empty(), s.table_of(host)) {
        nat.tables.push(change_of_table(facts, host, table, added, Vec::new(), findings));
    }
    is_referenced(s, host, facts, &wanted, findings);
    if before != wanted {
        is_kept(s, host, facts, &wanted, findings);
        nat.anchors.push(AnchorChange { host: host.clone(), before, after: wanted, main: main_file(facts) });
    }
}

/// The host by which it left so far.
fn leave(s: &Subject<'_>, nat: &mut Nat, findings: &mut Findings) {
    let host = &s.situation.source.egress;
    let Some(facts) = s.hosts.get(host).filter(|_| s.situation.target.egress != *host) else { return };
    if let Some(before) = facts.pf.of_jails.get(&s.situation.jail) {
        if let Some(rule) = before.iter().find(|r| r.starts_with("rdr ")).filter(|_| s.publish.is_empty()) {
            findings.warning(
                "forward-ends",
                host,
                format!("`{rule}` of anchor {} on {host} ends with the move, and fleet.yml does not say that it shall go on", s.anchor),
                format!("list the jail's ports below `publish:` of jail {} in fleet.yml", s.situation.jail),
            );
        }
        let before = before.clone();
        nat.anchors.push(AnchorChange { host: host.clone(), before, after: Vec::new(), main: main_file(facts) });
    }
    if let Some(table) = s.table_of(host)
        && let Some(entries) = facts.pf.tables.get(table)
    {
        let gone: Vec<Prefix> = s.prefixes().filter(|p| entries.contains(p)).collect();
        if !gone.is_empty() {
            nat.tables.push(change_of_table(facts, host, table, Vec::new(), gone, findings));
        }
    }
}

fn change_of_table(
    facts: &HostFacts,
    host: &NodeName,
    table: &TableName,
    add: Vec<Prefix>,
    remove: Vec<Prefix>,
    findings: &mut Findings,
) -> TableChange {
    let file = facts.pf.file.as_ref().and_then(|f| f.table_files.get(table)).cloned();
    if file.is_none() {
        findings.warning(
            "table-forgets",
            host,
            format!("{} does not say from which file pf table {table} is filled: a reboot of {host} forgets what changes in it", main_file(facts)),
            format!("declare it as: table <{table}> persist file \"/etc/pf.{table}.table\" (with what it holds now in that file)"),
        );
    }
    TableChange { host: host.clone(), table: table.clone(), add, remove, file }
}

/// An entry that leaves the jail out. In csh(1) no quotes keep `!` from its history, so no line is said that has one.
fn negated(
    s: &Subject<'_>,
    host: &NodeName,
    facts: &HostFacts,
    table: &TableName,
    entry: Prefix,
    findings: &mut Findings,
) {
    let entry = if entry.is_host() { entry.network().to_string() } else { entry.to_string() };
    let fix = match facts.pf.file.as_ref().and_then(|f| f.table_files.get(table)) {
        Some(file) => Fix::new(format!("take it out of {}, and load that", file.path))
            .run(format!("pfctl -t {table} -T replace -f {}", file.path)),
        None => Fix::new(format!("take it out where {table} is filled, and load that")),
    };
    findings.error(
        "table-negates",
        host,
        format!("pf table {table} has !{entry}: what jail {} sends from there is not translated, whatever else the table has", s.situation.jail),
        fix,
    );
}

/// A table that is not there would be made by pfctl(8) without a word, and one that no rule uses changes nothing.
fn table_is_used(facts: &HostFacts, host: &NodeName, table: &TableName, findings: &mut Findings) -> bool {
    let main = main_file(facts);
    if !facts.pf.tables.contains_key(table) {
        findings.error(
            "no-table",
            host,
            format!("fleet.yml names pf table {table} of {host}, but pf has no such table"),
            format!(
                "correct `pf_table:`, or make a file /etc/pf.{table}.table and declare it in {main}: table <{table}> persist file \"/etc/pf.{table}.table\""
            ),
        );
        return false;
    }
    let used = facts.pf.nat.iter().any(|rule| rules::translated_table(rule) == Some(table.as_str()));
    if !used {
        findings.error(
            "table-unused",
            host,
            format!(
                "no NAT rule of {host} translates pf table {table}, so putting the jail into it would change nothing"
            ),
            reloaded(Fix::new("correct `pf_table:`, or translate it"), &main, "behind its other translation rules", {
                let out = outside(facts);
                vec![format!("nat on {out} inet from <{table}> to any -> ({out}:0)")]
            }),
        );
    }
    used
}

/// The interface by which the jail leaves the host: the one on which the rules of pf.conf translate, when they name but
/// one; else that of the default route, in the FIB of the jail's interfaces where it runs, in FIB 0 where its packets
/// come out of the tunnel (contract 1.7).
fn way_out(facts: &HostFacts, host: &NodeName, place: &Place, findings: &mut Findings) -> Option<InterfaceName> {
    let fib = fib_of(host, place);
    let found = likely_way_out(facts, fib);
    if found.is_none() {
        findings.error(
            "no-way-out",
            host,
            format!("{host} has no IPv4 default route in FIB {fib} and no single interface in its NAT rules, so it is not known where to translate the jail's addresses"),
            format!("route -n add -inet default GATEWAY -fib {fib}, and make it last; for a port forward, name the interface: `on:`"),
        );
    }
    found
}

/// The FIB in which a host looks up what a jail at that place sends.
fn fib_of(host: &NodeName, place: &Place) -> u16 {
    if place.node == *host { place.fib } else { 0 }
}

/// Does a rule of that host translate all of the prefix on its way out from that FIB?
#[must_use]
pub fn covers(facts: &HostFacts, fib: u16, rule: &str, prefix: Prefix) -> bool {
    let out = likely_way_out(facts, fib);
    rules::covers(rule, prefix, &facts.pf, out.as_ref().and_then(|name| facts.interface(name)))
}

fn likely_way_out(facts: &HostFacts, fib: u16) -> Option<InterfaceName> {
    let named: BTreeSet<&str> = facts.pf.nat.iter().filter_map(|rule| rules::translates_on(rule)).collect();
    if let (1, Some(interface)) = (named.len(), named.first().and_then(|n| InterfaceName::new(*n).ok()))
        && facts.interface(&interface).is_some()
    {
        return Some(interface);
    }
    let default = Prefix::default_route(Family::Inet);
    facts.routes(fib, Family::Inet).find(|r| r.destination == default).map(|r| r.interface.clone())
}

/// For the text of a rule to write into pf.conf(5).
fn outside(facts: &HostFacts) -> String {
    likely_way_out(facts, 0).map_or_else(|| "INTERFACE".to_owned(), |name| name.to_string())
}

/// An anchor is evaluated only where the main ruleset names it (contract 4.1).
fn is_referenced(s: &Subject<'_>, host: &NodeName, facts: &HostFacts, wanted: &[String], findings: &mut Findings) {
    let missing: Vec<String> = ["nat", "rdr"]
        .into_iter()
        .filter(|kind| wanted.iter().any(|rule| rule.split(' ').next() == Some(*kind)))
        .filter(|kind| !rules::references(&facts.pf.nat, kind, &s.anchor))
        .map(|kind| format!("{kind}-anchor \"jailferry/*\""))
        .collect();
    if missing.is_empty() {
        return;
    }
    let main = main_file(facts);
    findings.error(
        "anchor-unreferenced",
        host,
        format!("the rules of pf on {host} do not name the anchor {}, so nothing in it would be looked at", s.anchor),
        reloaded(Fix::new("name it there"), &main, "before its filter rules", missing),
    );
}

/// An anchor's rules come back at boot when pf.conf brings in our file.
fn is_kept(s: &Subject<'_>, host: &NodeName, facts: &HostFacts, wanted: &[String], findings: &mut Findings) {
    let load = (s.anchor.clone(), pf::anchor_file(&s.situation.jail));
    let kept = facts.pf.file.as_ref().is_some_and(|f| f.includes.contains(pf::INDEX) || f.loads.contains(&load));
    if kept || wanted.is_empty() {
        return;
    }
    let (main, index) = (main_file(facts), pf::INDEX);
    findings.warning(
        "anchor-forgotten",
        host,
        format!(
            "{main} of {host} does not include {index}: at its next reboot the rules of anchor {} would be gone",
            s.anchor
        ),
        format!("touch {index} on {host}, and add to {main}: include \"{index}\""),
    );
}

/// Rules to write into pf.conf(5), and what loads it; states stay (contract 4.1).
fn reloaded(fix: Fix, main: &RemotePath, place: &str, rules: Vec<String>) -> Fix {
    let fix = rules.into_iter().fold(fix, |fix, rule| fix.write(main, place, rule));
    fix.run(format!("pfctl -nf {main} && pfctl -f {main}"))
}

fn main_file(facts: &HostFacts) -> RemotePath {
    let named = facts.pf.file.as_ref().map(|f| f.path.clone());
    named.or_else(|| RemotePath::new("/etc/pf.conf").ok()).unwrap_or_else(|| unreachable!("/etc/pf.conf is a path"))
}
