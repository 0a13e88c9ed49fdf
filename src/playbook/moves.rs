//! A playbook: which jails go where.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::batch::Batch;
use crate::playbook::options::DurationText;
use crate::playbook::options::Options;
use crate::playbook::rebalance::Rebalance;
use crate::schedule::Schedule;

/// What to do with a fleet: moves, a node to be emptied, or loads to be balanced, with options for all moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "jailferry playbook", deny_unknown_fields)]
pub struct Playbook {
    /// The fleet this playbook is for, as a path relative to the playbook. `--fleet` or `$JAILFERRY_FLEET` take its
    /// place; without any of them, the usual places.
    #[serde(default)]
    pub fleet: Option<PathBuf>,
    /// Options of all moves, unless a move says otherwise.
    #[serde(flatten)]
    pub options: Options,
    /// When `jailferry schedule` runs this playbook. Without it, only when somebody does.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// How the moves go together.
    #[serde(flatten)]
    pub batch: Batch,
    /// The moves: those above begin first.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Move>>", length(min = 1))]
    pub moves: Vec<Move>,
    /// A node that all its running jails leave, instead of `moves`; where each goes is planned when it begins.
    #[serde(default)]
    pub drain: Option<Drain>,
    /// How jails are distributed over nodes by their loads, instead of `moves`.
    #[serde(default)]
    pub rebalance: Option<Rebalance>,
}

/// One jail goes to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Move {
    /// The jail.
    pub jail: JailName,
    /// The node it goes to. Where it is now, the hosts tell.
    pub to: NodeName,
    /// Jails of this playbook whose moves must have succeeded before this one begins.
    #[serde(default)]
    #[schemars(with = "Option<Vec<JailName>>")]
    pub after: Vec<JailName>,
    /// Options of this move.
    #[serde(flatten)]
    pub options: Options,
}

/// A node to be emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Drain {
    /// The node.
    pub node: NodeName,
    /// Where its jails may go. Without it, to every other node that is no hub.
    #[serde(default)]
    #[schemars(with = "Option<Vec<NodeName>>")]
    pub to: Vec<NodeName>,
    /// Jails that stay.
    #[serde(default)]
    #[schemars(with = "Option<Vec<JailName>>")]
    pub stay: Vec<JailName>,
    /// No cut-over begins later than this after the start, such as `2h`.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub deadline: Option<SignedDuration>,
}
