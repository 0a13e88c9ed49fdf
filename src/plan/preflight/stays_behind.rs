//! What the source does for the jail and the target would not: its own pf rules that name the jail's addresses, a network
//! that gives the jail its address, a resolver at the gateway, and permissions on its dataset.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Prefix;
use crate::plan::checks;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    rules(s, findings);
    leased(s, findings);
    resolver(s, findings);
    delegations(s, findings);
}

/// No stream carries them (zfs-allow(8)).
fn delegations(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target, dataset) = (&s.situation.source.node, &s.situation.target.node, &s.situation.target.dataset);
    // They are there already on the copy that the jail comes home to.
    if s.jail.allowed.is_empty() || s.target.dataset(dataset).is_some() {
        return;
    }
    let fix = Fix::new(format!("allow it on {target} as well, once the jail has moved"));
    findings.warning(
        "permissions-stay",
        target,
        format!(
            "{} on {source} has permissions that are delegated to others than root ({}), which do not travel: what goes by them (backups, most of all) fails on {target}",
            s.situation.source.dataset,
            s.jail.allowed.join("; ")
        ),
        s.jail.allowed.iter().fold(fix, |fix, what| fix.run(format!("zfs allow {what} {dataset}"))),
    );
}

/// The target answers for the gateway afterwards, and so for whatever the jail asks of it. On a segment it stays where it is.
fn resolver(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target, jail) = (&s.situation.source.node, &s.situation.target.node, &s.situation.jail);
    if s.situation.is_bridged() {
        return;
    }
    let waits = |names: &BTreeSet<String>, at: &IpAddr| names.contains("*") || names.contains(&at.to_string());
    let asked = |at: &&&IpAddr| s.jail.resolvers.contains(**at) && waits(&s.jail.of_the_host.names, at);
    for at in s.situation.gateways.iter().filter(|at| asked(&at)) {
        if !waits(&s.there.of_the_host.names, at) {
            findings.warning(
                "resolver-stays",
                target,
                format!("jail {jail} asks its gateway {at} for names, and nothing waits for that on {target} as it does on {source}: it would find no names there"),
                format!("let a resolver of {target} answer at {at} (bound to all addresses, since {at} comes with the jail), or name another in resolv.conf(5) of jail {jail}"),
            );
        }
    }
}

/// Does a rule name one of the addresses, or a part of the prefixes?
fn names(rule: &str, addresses: &[IpAddr], prefixes: &[Prefix]) -> bool {
    let plain = |word: &str| word.trim_matches(|c| "{}()!,".contains(c)).to_owned();
    rule.split_whitespace().map(plain).any(|word| match (word.parse::<IpAddr>(), word.parse::<Prefix>()) {
        (Ok(address), _) => addresses.contains(&address),
        (_, Ok(prefix)) => prefixes.iter().any(|p| p.covers(prefix)),
        _ => false,
    })
}

/// The hub's go on working, wherever the jail is behind it. The anchors `jailferry/*` are looked at by themselves.
fn rules(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target, jail) = (&s.situation.source.node, &s.situation.target.node, &s.situation.jail);
    if s.situation.is_hub(source) || s.source.pf.enabled != Some(true) {
        return;
    }
    let (addresses, prefixes) = (checks::answering(s.situation), &s.situation.prefixes);
    let there: Vec<&String> = s.target.pf.nat.iter().chain(&s.target.pf.addressed).collect();
    let here = s.source.pf.nat.iter().chain(&s.source.pf.addressed);
    let stay: BTreeSet<String> =
        here.filter(|r| names(r, &addresses, prefixes) && !there.contains(r)).map(|rule| format!("`{rule}`")).collect();
    if !stay.is_empty() {
        findings.warning(
            "rules-stay",
            source,
            format!("pf of {source} has rules for jail {jail}, which stay there and which {target} does not have: {}", stay.into_iter().collect::<Vec<_>>().join(", ")),
            format!("write what the jail needs of them into pf.conf(5) of {target}, and load it there; forwards from outside that follow a jail are `publish:` of fleet.yml"),
        );
    }
}

/// On a segment whoever gives addresses is reached from everywhere.
fn leased(s: &Subject<'_>, findings: &mut Findings) {
    let (target, jail) = (&s.situation.target.node, &s.situation.jail);
    if s.situation.is_bridged() || s.jail.address_by.is_empty() {
        return;
    }
    let by = s.jail.address_by.iter().cloned().collect::<Vec<_>>().join(", ");
    findings.warning(
        "address-leased",
        target,
        format!("the rc.conf(5) of jail {jail} has {by}: unless {target} gives it the same address, it does not answer there, and the move is taken back"),
        "give the jail a fixed address (ifconfig_… in its rc.conf(5), or exec.start)",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_the_jail_by_its_address_or_a_part_of_its_prefix() {
        let (addresses, prefixes): (Vec<IpAddr>, Vec<Prefix>) =
            (vec!["10.0.1.5".parse().unwrap()], vec!["10.0.1.0/24".parse().unwrap()]);
        for rule in [
            "rdr pass on em0 inet proto tcp from any to any port = 8080 -> 10.0.1.5 port 80",
            "pass in quick inet from any to 10.0.1.0/25 flags S/SA keep state",
            "block drop in inet from { 10.0.1.5, 10.0.2.5 } to any",
        ] {
            assert!(names(rule, &addresses, &prefixes), "{rule}");
        }
        for rule in
            ["pass all flags S/SA keep state", "nat on em0 inet from 10.0.0.0/8 to any -> (em0:0)", "pass to 10.0.1.50"]
        {
            assert!(!names(rule, &addresses, &prefixes), "{rule}");
        }
    }
}
