//! How the networks of jails reach from node to node, in the words of fleet.yml.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::model::NodeName;
use crate::model::SegmentName;
use crate::playbook::fleet::Fleet;

/// How the jails of a node are connected to those of other nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fabric {
    /// Each node has a bridge of its own; packets are routed through tunnels, by AllowedIPs.
    #[default]
    Routed,
    /// Their bridges are one layer-2 segment (ZeroTier, VXLAN, EtherIP, a VLAN): a jail that moves stays on it.
    Bridged(SegmentName),
}

impl Fabric {
    /// What `fabric: bridged` names the segment of a fleet that has but one.
    pub const ONLY: &'static str = "bridged";

    /// Is it the one that need not be written down?
    #[must_use]
    pub fn is_routed(&self) -> bool {
        *self == Fabric::Routed
    }
}

impl std::fmt::Display for Fabric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fabric::Routed => f.write_str("routed"),
            Fabric::Bridged(name) if name.as_str() == Fabric::ONLY => f.write_str("bridged"),
            Fabric::Bridged(name) => write!(f, "bridged: {name}"),
        }
    }
}

impl Fleet {
    /// How a node's jails are connected; routed, when it is not of this fleet.
    #[must_use]
    pub fn fabric(&self, node: &NodeName) -> Fabric {
        self.nodes.get(node).map(|n| n.fabric.clone()).unwrap_or_default()
    }

    /// The nodes whose bridges are one segment with that of `node`, itself among them; none where it is routed.
    #[must_use]
    pub fn segment(&self, node: &NodeName) -> BTreeSet<NodeName> {
        let fabric = self.fabric(node);
        if fabric.is_routed() {
            return BTreeSet::new();
        }
        self.nodes.iter().filter(|(_, other)| other.fabric == fabric).map(|(name, _)| name.clone()).collect()
    }
}

/// The written form of a fabric, for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(inline, untagged)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) enum FabricText {
    /// Routed, or the only segment of the fleet.
    Word(FabricWord),
    /// One of several segments.
    Named(NamedSegment),
}

/// One word.
#[derive(schemars::JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) enum FabricWord {
    /// Packets are routed through tunnels.
    Routed,
    /// The bridges of all nodes that say so are one segment.
    Bridged,
}

/// A segment with a name.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct NamedSegment {
    /// The segment's name: the bridges of all nodes that say the same are one segment.
    bridged: SegmentName,
}
