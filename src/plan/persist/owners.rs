//! Do the WireGuard files that a move edits say afterwards what their hosts do? Other peers' sections stay as they are.

use std::collections::BTreeSet;

use crate::effect::hand_over::HandOver;
use crate::facts::WireGuardFile;
use crate::model::Prefix;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::mesh;

/// A peer that the file lacks would have the prefix until the next boot only; one to which the file gives it, or a part of it,
/// and the interface does not, would take it then.
pub fn files_agree(cast: &Cast<'_>, findings: &mut Findings) {
    for hand_over in std::iter::once(cast.hand_over).chain(cast.mesh) {
        let kept = cast.wireguard_files.get(&hand_over.host).filter(|f| f.interface == hand_over.interface);
        let Some(facts) = cast.hosts.get(&hand_over.host) else { continue };
        if let Some(file) = kept.or_else(|| mesh::file(facts, &hand_over.interface)) {
            gaining(hand_over, file, findings);
            claiming(cast, hand_over, file, findings);
        }
    }
}

fn gained(hand_over: &HandOver) -> BTreeSet<Prefix> {
    hand_over.peers.iter().flat_map(|change| change.after.difference(&change.before)).copied().collect()
}

fn gaining(hand_over: &HandOver, file: &WireGuardFile, findings: &mut Findings) {
    let (host, path) = (&hand_over.host, &file.path);
    for change in hand_over.peers.iter().filter(|c| c.after.difference(&c.before).next().is_some()) {
        if !file.peers.iter().any(|(key, _)| *key == change.public_key) {
            let key = &change.public_key;
            findings.error(
                "peer-not-kept",
                host,
                format!("{path} does not list peer {}, which gets the jail's prefixes: after the next boot of {host} nobody would have them", key.short()),
                Fix::new("add it to the file, with its AllowedIPs, and its Endpoint and PresharedKey if it has any")
                    .write(path, "at its end", "[Peer]")
                    .write(path, "then", format!("PublicKey = {key}")),
            );
        }
    }
}

fn claiming(cast: &Cast<'_>, hand_over: &HandOver, file: &WireGuardFile, findings: &mut Findings) {
    let (host, path) = (&hand_over.host, &file.path);
    let running = cast.hosts.get(host).and_then(|facts| facts.wireguard(&hand_over.interface));
    let gained = gained(hand_over);
    for (key, listed) in file.peers.iter().filter(|(key, _)| !hand_over.peers.iter().any(|c| c.public_key == *key)) {
        let now = running.and_then(|w| w.peers.iter().find(|p| p.public_key == *key)).map(|p| &p.allowed);
        let astray = |p: &&Prefix| gained.iter().any(|g| g.covers(**p)) && now.is_none_or(|now| !now.contains(*p));
        for prefix in listed.iter().filter(astray) {
            findings.error(
                "claimed-twice",
                host,
                format!("{path} gives {prefix} to peer {}, to which {} does not give it: after the next boot of {host} that peer would have it, and not the jail", key.short(), hand_over.interface),
                Fix::new(format!("take {prefix} out of the AllowedIPs of that peer in {path}")),
            );
        }
    }
}
