//! Who has which prefixes of a WireGuard interface, before and after.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::PublicKey;

/// AllowedIPs of some peers, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The host whose WireGuard interface decides.
    pub host: NodeName,
    /// The interface.
    pub interface: InterfaceName,
    /// The peers that change.
    pub peers: Vec<PeerChange>,
}

/// One peer's AllowedIPs, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerChange {
    /// The node behind the peer, for people.
    pub node: Option<NodeName>,
    /// The peer.
    pub public_key: PublicKey,
    /// What the plan saw.
    pub before: BTreeSet<Prefix>,
    /// What it shall be.
    pub after: BTreeSet<Prefix>,
}

/// A prefix that a hand-over moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved<'a> {
    /// The prefix.
    pub prefix: Prefix,
    /// The peer that has it before.
    pub before: Option<&'a PublicKey>,
    /// The peer that has it afterwards.
    pub after: Option<&'a PublicKey>,
}

impl PeerChange {
    /// What the peer gives away.
    pub fn given(&self) -> impl Iterator<Item = &Prefix> {
        self.before.difference(&self.after)
    }

    /// What the peer gets.
    pub fn got(&self) -> impl Iterator<Item = &Prefix> {
        self.after.difference(&self.before)
    }
}

impl HandOver {
    /// Every prefix that gets another owner, once. Of the peers' other prefixes a hand-over says nothing.
    #[must_use]
    pub fn moved(&self) -> Vec<Moved<'_>> {
        let all: BTreeSet<Prefix> = self.peers.iter().flat_map(|p| p.given().chain(p.got())).copied().collect();
        let owner = |prefix: &Prefix, list: fn(&PeerChange) -> &BTreeSet<Prefix>| {
            self.peers.iter().find(|peer| list(peer).contains(prefix)).map(|peer| &peer.public_key)
        };
        let moved = |prefix: Prefix| Moved {
            prefix,
            before: owner(&prefix, |peer| &peer.before),
            after: owner(&prefix, |peer| &peer.after),
        };
        all.into_iter().map(moved).collect()
    }

    /// The same change the other way round.
    #[must_use]
    pub fn inverse(&self) -> HandOver {
        HandOver {
            peers: self
                .peers
                .iter()
                .rev()
                .map(|p| PeerChange { before: p.after.clone(), after: p.before.clone(), ..p.clone() })
                .collect(),
            ..self.clone()
        }
    }
}
