//! A playbook: which jails go where.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::options::Options;
use crate::schedule::Schedule;

/// What to do with a fleet: moves, with options for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "jailferry playbook", deny_unknown_fields)]
pub struct Playbook {
    /// The fleet this playbook is for, as a path relative to the playbook. Without it, the fleet that `--fleet`,
    /// `$JAILFERRY_FLEET` or the usual places name.
    #[serde(default)]
    pub fleet: Option<PathBuf>,
    /// Options of all moves, unless a move says otherwise.
    #[serde(flatten)]
    pub options: Options,
    /// When `jailferry schedule` runs this playbook. Without it, only when somebody does.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// The moves, one after the other.
    #[schemars(length(min = 1))]
    pub moves: Vec<Move>,
}

/// One jail goes to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Move {
    /// The jail.
    pub jail: JailName,
    /// The node it goes to. Where it is now, the hosts tell.
    pub to: NodeName,
    /// Options of this move.
    #[serde(flatten)]
    pub options: Options,
}
