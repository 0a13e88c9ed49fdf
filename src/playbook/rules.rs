//! What must hold between values: nobody owns another's addresses, no two nodes are one host.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::model::Family;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::SshDestination;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::fabric::Fabric;
use crate::playbook::fleet::JailSpec;
use crate::playbook::read::fleet::At;

/// A jail's prefix that takes addresses of the tunnel itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelConflict {
    /// The jail.
    pub jail: JailName,
    /// What it claims.
    pub prefix: Prefix,
    /// The tunnel's network or a peer's own address.
    pub tunnel: Prefix,
}

/// Prefixes of jails that overlap the tunnel's own networks or addresses. Whoever hands such a prefix to another peer
/// cuts the tunnel. Used offline with fleet.yml's `tunnel`, and by the preflight with the addresses of wg interfaces.
#[must_use]
pub fn tunnel_conflicts<'j>(
    jails: impl IntoIterator<Item = (&'j JailName, Prefix)>,
    tunnel: &[Prefix],
) -> Vec<TunnelConflict> {
    let mut conflicts = Vec::new();
    for (jail, prefix) in jails {
        if let Some(tunnel) = tunnel.iter().copied().find(|t| t.overlaps(prefix)) {
            conflicts.push(TunnelConflict { jail: jail.clone(), prefix, tunnel });
        }
    }
    conflicts
}

/// Why no jail can own `prefix`, wherever it lives: such addresses never leave a host, or are everybody's.
#[must_use]
pub fn unfit(prefix: Prefix) -> Option<&'static str> {
    const UNFIT: [(&str, &str); 8] = [
        ("127.0.0.0/8", "loopback addresses never leave a host"),
        ("::1/128", "the loopback address never leaves a host"),
        ("169.254.0.0/16", "link-local addresses are not routed"),
        ("fe80::/10", "link-local addresses are not routed"),
        ("224.0.0.0/4", "multicast addresses belong to nobody"),
        ("ff00::/8", "multicast addresses belong to nobody"),
        ("240.0.0.0/4", "reserved addresses are not routed"),
        ("0.0.0.0/8", "addresses of \"this network\" are not routed"),
    ];
    if prefix.length() == 0 {
        return Some("a default route takes everybody's traffic");
    }
    UNFIT.iter().find(|(range, _)| range.parse::<Prefix>().is_ok_and(|r| r.covers(prefix))).map(|(_, why)| *why)
}

/// Notes prefixes that belong to the tunnel, and those that no jail can own.
pub(crate) fn not_a_jails(owned: &[(JailName, At<Prefix>)], tunnel: &[At<Prefix>], findings: &mut Findings) {
    let networks: Vec<Prefix> = tunnel.iter().map(|(prefix, _)| *prefix).collect();
    for (jail, (prefix, at)) in owned {
        if let Some(why) = unfit(*prefix) {
            let finding = Diagnostic::error(format!("jail `{jail}` cannot own {prefix}"), at.clone());
            findings.push(finding.label(why));
            continue;
        }
        for conflict in tunnel_conflicts([(jail, *prefix)], &networks) {
            let mut finding = Diagnostic::error(format!("jail `{jail}` takes addresses of the tunnel"), at.clone())
                .label(format!("overlaps {}", conflict.tunnel))
                .hint("moving this prefix would cut the tunnel between hub and nodes");
            if let Some((_, there)) = tunnel.iter().find(|(t, _)| *t == conflict.tunnel) {
                finding = finding.also(there.clone(), "the tunnel's own network");
            }
            findings.push(finding);
        }
    }
}

/// Notes networks that cannot be the canary's: too large or too small, a second one of a family, somebody else's.
pub(crate) fn canary(
    networks: &[At<Prefix>],
    jails: &BTreeMap<JailName, JailSpec>,
    tunnel: &[At<Prefix>],
    findings: &mut Findings,
) {
    for (index, (prefix, at)) in networks.iter().enumerate() {
        let refuse = |title: String, label: String| Diagnostic::error(title, at.clone()).label(label);
        let (least, most, example) = match prefix.family() {
            Family::Inet => (24, 30, "192.168.123.8/30"),
            Family::Inet6 => (64, 126, "2001:db8:1:1::8/126"),
        };
        let before = networks.iter().take(index).find(|(other, _)| other.family() == prefix.family());
        let owner = jails.iter().find(|(_, spec)| spec.prefixes.iter().any(|p| p.overlaps(*prefix)));
        if let Some(why) = unfit(*prefix) {
            findings.push(refuse(format!("the canary cannot use {prefix}"), why.to_owned()));
        } else if prefix.length() < least || prefix.length() > most {
            let title = format!("{prefix} is no network for the canary");
            let label = format!("its length must be {least} to {most}: it holds a gateway and the canary itself");
            findings.push(refuse(title, label).hint(format!("four addresses are enough, such as {example}")));
        } else if let Some((_, there)) = tunnel.iter().find(|(t, _)| t.overlaps(*prefix)) {
            let finding = refuse("the canary takes addresses of the tunnel".into(), "overlaps the tunnel".into());
            findings.push(finding.also(there.clone(), "the tunnel's own network"));
        } else if let Some((jail, _)) = owner {
            let title = format!("the canary takes addresses of jail `{jail}`");
            findings.push(refuse(title, format!("owned by `{jail}`")).hint("choose addresses that nobody uses"));
        } else if let Some((_, there)) = before {
            let title = format!("two {} networks for the canary", prefix.family());
            findings.push(refuse(title, "one a family".into()).also(there.clone(), "the first"));
        }
    }
}

/// Notes prefixes that overlap. Sorted by network, everything that a prefix covers follows it, so a stack of the
/// covering ones is enough.
pub(crate) fn overlaps(owned: &[(JailName, At<Prefix>)], findings: &mut Findings) {
    let mut sorted: Vec<&(JailName, At<Prefix>)> = owned.iter().collect();
    sorted.sort_by_key(|(_, (prefix, at))| (prefix.family(), prefix.network(), prefix.length(), at.start));
    let mut covering: Vec<&(JailName, At<Prefix>)> = Vec::new();
    for item in sorted {
        let (jail, (prefix, at)) = item;
        while covering.last().is_some_and(|(_, (outer, _))| !outer.covers(*prefix)) {
            covering.pop();
        }
        if let Some((other, (outer, there))) = covering.last() {
            // The one that stands later in the file is the mistake.
            let (late, late_jail, early, early_jail) =
                if at.start > there.start { (at, jail, there, other) } else { (there, other, at, jail) };
            let finding = if jail == other {
                Diagnostic::error(format!("jail `{jail}` owns {prefix} twice"), late.clone())
                    .label("already owned")
                    .also(early.clone(), "first here")
                    .hint("keep the shorter one; it holds the other")
            } else {
                let what = if prefix == outer { "own the same addresses" } else { "overlap" };
                Diagnostic::error(format!("prefixes of jails `{early_jail}` and `{late_jail}` {what}"), late.clone())
                    .label(format!("already taken by `{early_jail}`"))
                    .also(early.clone(), "first used here")
                    .hint("an address has one owner; give each jail its own /32, /128 or network")
            };
            findings.push(finding);
        }
        covering.push(item);
    }
}

/// Notes nodes that are reached in the same way: they would be one host.
pub(crate) fn same_destination(nodes: &[(NodeName, At<SshDestination>)], findings: &mut Findings) {
    let mut first: HashMap<&str, (&NodeName, &At<SshDestination>)> = HashMap::new();
    for (name, destination) in nodes {
        match first.get(destination.0.as_str()) {
            None => _ = first.insert(destination.0.as_str(), (name, destination)),
            // The same key twice has been found already.
            Some((other, _)) if *other == name => {}
            Some((other, (ssh, there))) => findings.push(
                Diagnostic::error(format!("nodes `{other}` and `{name}` are the same host"), destination.1.clone())
                    .label(format!("`{ssh}` again"))
                    .also(there.clone(), format!("how `{other}` is reached"))
                    .hint("give each node an ssh destination of its own; without `ssh` it is the node's name"),
            ),
        }
    }
}

/// Notes nodes that are alone on their segment: no jail can leave them, nor come.
pub(crate) fn alone(nodes: &[(NodeName, At<Fabric>)], findings: &mut Findings) {
    for (name, (fabric, at)) in nodes.iter().filter(|(_, (fabric, _))| !fabric.is_routed()) {
        if nodes.iter().any(|(other, (same, _))| other != name && same == fabric) {
            continue;
        }
        let finding = Diagnostic::warning(format!("node `{name}` is alone on its segment"), at.clone());
        let finding = finding.label(format!("no other node says `fabric: {fabric}`"));
        findings.push(finding.hint("say it of every node whose bridge is part of the segment; jails move among those"));
    }
}
