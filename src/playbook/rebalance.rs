//! The `rebalance:` part of a playbook: what is wanted of the fleet, and what must hold.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::amounts::Thousandths;
use crate::playbook::options::DurationText;
use crate::rebalance::Goal;

/// How jails are distributed over nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Rebalance {
    /// What is wanted. Without it, spread.
    #[serde(default)]
    #[schemars(with = "Option<Goal>")]
    pub goal: Goal,
    /// The nodes that it is about; jails elsewhere are left alone. Without it, all but the hub.
    #[serde(default)]
    #[schemars(with = "Option<Vec<NodeName>>")]
    pub nodes: BTreeSet<NodeName>,
    /// A node so far above the average is relieved, down to half as far. Without it, 20%.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub band: Option<Thousandths>,
    /// No node is filled above this; one that is above it is relieved. Without it, 90%.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub limit: Option<Thousandths>,
    /// What a move must gain at least, in hundredths of a node. Without it, 1%.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub min_gain: Option<Thousandths>,
    /// At most this many moves in one run. Without it, 10.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub most_moves: Option<u32>,
    /// How often loads are looked at; only what is so every time is a reason to move. Without it, 3 times.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub samples: Option<u32>,
    /// The time between. Without it, 10s.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<SignedDuration>,
    /// A jail that has moved stays where it is for so long. Without it, 1 day.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub cooldown: Option<SignedDuration>,
    /// A jail whose move to a node has failed is not moved there for so long. Without it, 7 days.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub remember_failures: Option<SignedDuration>,
    /// Decides between equals. Without it, 1.
    #[serde(default)]
    pub seed: Option<u64>,
    /// What must hold, or is better.
    #[serde(default)]
    #[schemars(with = "Option<Vec<RuleText>>")]
    pub rules: Vec<Rule>,
}

/// Something that must hold for jails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The jails that it is about.
    pub jails: Vec<JailName>,
    /// What holds.
    pub what: What,
}

/// What holds for the jails of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// They never move.
    Stay,
    /// They may be on these nodes only.
    On(BTreeSet<NodeName>),
    /// They must not be on these.
    Not(BTreeSet<NodeName>),
    /// They are better on these.
    Prefer(BTreeSet<NodeName>),
    /// All on one node.
    Together {
        /// Must it be so, or is it only better?
        hard: bool,
    },
    /// Each on another node.
    Apart {
        /// Must it be so, or is it only better?
        hard: bool,
    },
}

/// A rule: jails, and one of stay, on, not, prefer, together, apart.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct RuleText {
    /// The jails that it is about.
    #[schemars(length(min = 1))]
    jails: Vec<JailName>,
    /// They never move.
    stay: Option<bool>,
    /// They may be on these nodes only.
    on: Option<Vec<NodeName>>,
    /// They must not be on these nodes.
    not: Option<Vec<NodeName>>,
    /// They are better on these nodes.
    prefer: Option<Vec<NodeName>>,
    /// All on one node: must it be so, or is it better?
    together: Option<Force>,
    /// Each on another node: must it be so, or is it better?
    apart: Option<Force>,
}

/// How much a rule between jails weighs.
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(dead_code, reason = "read by schemars only")]
enum Force {
    Must,
    Better,
}

/// How a share is written, for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(inline, transparent, description = "A share: 20%, 2.5%")]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct PercentText(#[schemars(regex(pattern = r"^[0-9]+([.][0-9])?%$"))] String);
