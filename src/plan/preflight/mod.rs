//! What speaks against a move, all of it at once, before anything is touched.
//!
//! One file a subject; each says what is wrong, what it would mean for the jail, and what to do.

#[cfg(test)]
mod configured_tests;
mod delegated;
mod depends;
mod foreign;
mod given;
mod hubs;
mod identity;
mod inner_ends;
mod jail;
#[cfg(test)]
mod left_out_tests;
mod mounts;
mod network;
mod of_the_host;
mod own_files;
mod place;
pub(super) mod segment;
mod software;
mod stays_behind;
mod storage;
#[cfg(test)]
mod sure_tests;
mod tunnel;
mod unheard;
mod way;

use std::collections::BTreeMap;

use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::facts::TargetFacts;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::keys;
use crate::plan::notices;
use crate::plan::properties;
use crate::plan::siblings;
use crate::plan::situation::Situation;
use crate::plan::upkeep;
use crate::plan::upkeep::Host;
use crate::playbook;

pub use identity::hosts;
pub use jail::log_folder;
pub(super) use network::families;
pub use own_files::needed_places;
pub use storage::bytes;
pub use tunnel::Silent;
pub use tunnel::silent;

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

impl<'a> Subject<'a> {
    /// All hubs with what they told, the one that keeps locks and plans first.
    pub(super) fn hubs(&self) -> Vec<(&'a NodeName, &'a HostFacts)> {
        let more = self.situation.more_hubs.iter().filter_map(|hub| self.hosts.get_key_value(&hub.node));
        std::iter::once((&self.situation.hub, self.hub)).chain(more).collect()
    }

    /// Does what is at that path come with the jail's datasets?
    fn arrives(&self, path: &RemotePath) -> bool {
        let mut roots = self.datasets.iter().filter_map(|d| self.source.dataset(&d.source.dataset));
        let linked = own_files::linked_root(self.situation, self.source);
        path.is_within(&self.situation.path)
            || linked.is_some_and(|root| path.is_within(&root))
            || roots
                .any(|d| !d.jailed && RemotePath::new(d.mountpoint.as_str()).is_ok_and(|root| path.is_within(&root)))
    }

    /// The hub that the target's tunnel leads to.
    fn near_hub(&self) -> &'a HostFacts {
        self.hosts.get(&self.situation.near_hub).unwrap_or(self.hub)
    }
}

/// All findings.
pub fn examine(subject: &Subject<'_>, findings: &mut Findings) {
    software::versions(subject, findings);
    software::tools(subject, findings);
    let bridged = subject.situation.is_bridged();
    network::forwarding(subject, findings);
    network::fibs(subject, findings);
    if bridged {
        segment::examine(subject, findings);
    } else {
        tunnel::tunnel(subject, findings);
        tunnel::ownership(subject, findings);
    }
    place::free_place(subject, findings);
    storage::storage(subject, findings);
    given::properties(subject, findings);
    properties::examine(subject, findings);
    delegated::datasets(subject, findings);
    keys::examine(subject, findings);
    software::encryption(subject, findings);
    notices::examine(subject.situation, subject.source, subject.target, findings);
    own_files::examine(subject, findings);
    own_files::places(subject, findings);
    mounts::examine(subject, findings);
    jail::surroundings(subject, findings);
    depends::examine(subject, findings);
    of_the_host::examine(subject, findings);
    stays_behind::examine(subject, findings);
    inner_ends::examine(subject, findings);
    foreign::examine(subject, findings);
    jail::boot(subject, findings);
    jail::tls(subject, findings);
    jail::users(subject, findings);
    siblings::examine(subject, findings);
    unheard::network(subject, findings);
    way::neighbours(subject, findings);
    way::twice(subject, findings);
    way::gateway(subject, findings);
    if !bridged {
        way::routes(subject, findings);
        way::mtu(subject, findings);
    }
    way::interfaces(subject, findings);
    way::bridge_filter(subject, findings);
    upkeep(subject, findings);
}

/// The hosts that take part, as such.
fn upkeep(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source, &s.situation.target);
    let leaves = !s.situation.is_hub(&source.node);
    for (place, facts, leaves) in [(source, s.source, leaves), (target, s.target, false)] {
        let (node, bridge, tunnel) = (&place.node, Some(&place.bridge), Some(&place.wireguard));
        let is_hub = s.situation.is_hub(node);
        let host = Host { node, facts, bridge, tunnel, is_hub, leaves };
        upkeep::needs(&host, findings);
    }
    for (node, facts) in s.hubs().into_iter().filter(|(hub, _)| source.node != **hub && target.node != **hub) {
        let (bridge, tunnel) = (None, s.situation.tunnel_of_hub(node));
        let host = Host { node, facts, bridge, tunnel, is_hub: true, leaves: false };
        upkeep::needs(&host, findings);
    }
}
