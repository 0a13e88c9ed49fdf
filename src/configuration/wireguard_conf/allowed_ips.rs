//! The `AllowedIPs` of a peer in the configuration file.

use std::collections::BTreeSet;

use crate::configuration::wireguard_conf::frame;
use crate::configuration::wireguard_conf::frame::Edit;
use crate::configuration::wireguard_conf::frame::Target;
use crate::model::Prefix;
use crate::model::PublicKey;

const PROGRAM: &str = include_str!("allowed_ips.awk");

/// A peer and all that it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPrefixes {
    /// The peer.
    pub peer: PublicKey,
    /// Its whole list.
    pub prefixes: BTreeSet<Prefix>,
}

/// The script that gives each of `peers` exactly its list: entries that stay keep their place and spelling, others go,
/// new ones come at the end of the first line that keeps any. Sections that hold other peers, comments, order, mode
/// and owner stay. Prints the new SHA-256.
#[must_use]
pub fn set_allowed_ips(target: &Target, peers: &[PeerPrefixes]) -> String {
    frame::script(target, &edit(peers))
}

/// The script that takes [`set_allowed_ips`] with `new` back; `old` are the lists from before. Byte for byte when
/// nobody has edited the file since.
#[must_use]
pub fn restore_allowed_ips(target: &Target, new: &[PeerPrefixes], old: &[PeerPrefixes]) -> String {
    frame::restore_script(target, &edit(new), &edit(old))
}

fn edit(peers: &[PeerPrefixes]) -> Edit<'static> {
    let lines: Vec<String> = peers
        .iter()
        .map(|p| format!("{} {}", p.peer, p.prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(",")))
        .collect();
    Edit { environment: vec![("EDITS", lines.join("\n"))], program: PROGRAM, keys: &["allowedips"] }
}
