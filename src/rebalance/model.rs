//! What the planner is given, and what it gives.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::NodeName;

/// What a jail uses, or a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// Thousandths of a processor.
    pub cpu: u64,
    /// Bytes of memory.
    pub memory: u64,
}

impl Load {
    /// Both resources, in a fixed order.
    #[must_use]
    pub fn each(self) -> [u64; 2] {
        [self.cpu, self.memory]
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Load) -> Load {
        Load { cpu: self.cpu.saturating_add(other.cpu), memory: self.memory.saturating_add(other.memory) }
    }

    /// The difference, never below nothing.
    #[must_use]
    pub fn less(self, other: Load) -> Load {
        Load { cpu: self.cpu.saturating_sub(other.cpu), memory: self.memory.saturating_sub(other.memory) }
    }
}

/// A node as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// What jails may use there: what it has, without what is reserved for the node itself.
    pub capacity: Load,
    /// Bytes that jails which arrive may take; what is kept back has been taken off.
    pub disk: u64,
    /// May jails come here?
    pub accepts: bool,
    /// Must all its jails leave? Then it accepts none either.
    pub emptied: bool,
    /// What it offers, such as `ssd`.
    pub provides: BTreeSet<String>,
    /// Major release of FreeBSD; a jail never goes to an older one than it runs on.
    pub release: u32,
}

/// A running jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jail {
    /// Its name.
    pub name: JailName,
    /// The index of its node in [`Fleet::nodes`].
    pub at: usize,
    /// What it used, one entry a sample, at least one; every jail has as many.
    pub samples: Vec<Load>,
    /// Bytes to send.
    pub bytes: u64,
    /// Bytes that its copy takes, with what is to spare.
    pub disk: u64,
    /// Milliseconds for which nobody would answer.
    pub blackout: u64,
    /// Why it never moves; `None` when it may.
    pub stays: Option<String>,
    /// The only nodes it may be on; `None` for any.
    pub only: Option<BTreeSet<usize>>,
    /// Nodes it must not be on.
    pub never: BTreeSet<usize>,
    /// Nodes it is better on.
    pub prefers: BTreeSet<usize>,
    /// Nodes to which a move has failed lately.
    pub failed: BTreeSet<usize>,
    /// What a node must provide.
    pub needs: BTreeSet<String>,
}

/// Jails that belong on one node, or on different ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Indices into [`Fleet::jails`].
    pub jails: Vec<usize>,
    /// On one node (`true`) or each on another one.
    pub together: bool,
    /// Must it be so, or is it only better?
    pub hard: bool,
}

/// Everything that a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The jails.
    pub jails: Vec<Jail>,
    /// What belongs together or apart.
    pub groups: Vec<Group>,
}

/// What is wanted of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Goal {
    /// Nodes are about equally used.
    #[default]
    Spread,
    /// As few nodes as possible have jails.
    Consolidate,
    /// Only what breaks a rule or is above the limit is put right.
    Violations,
}

/// How it is decided. Shares are in thousandths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What is wanted.
    pub goal: Goal,
    /// A node this much above the average is relieved, down to half as much.
    pub band: u64,
    /// No node is filled above this share of its capacity, and one above it is relieved.
    pub limit: u64,
    /// What a move must gain at least, as a share of a node.
    pub min_gain: u64,
    /// At most this many moves.
    pub most_moves: usize,
    /// At most this many moves are weighed; the best found until then counts.
    pub budget: u64,
    /// Decides between equals.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            goal: Goal::Spread,
            band: 200,
            limit: 900,
            min_gain: 10,
            most_moves: usize::MAX,
            budget: 50_000_000,
            seed: 1,
        }
    }
}

/// A move, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Its place in the order, from 1.
    pub number: usize,
    /// The jail.
    pub jail: JailName,
    /// Where it is.
    pub from: NodeName,
    /// Where it goes.
    pub to: NodeName,
    /// Moves (by jail) that must have succeeded before this one, or there is no room.
    pub after: Vec<JailName>,
    /// Bytes to send.
    pub bytes: u64,
    /// For how long nobody would answer, in milliseconds.
    pub predicted_blackout_milliseconds: u64,
    /// Why, in one sentence.
    pub why: String,
}

/// Something that is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The jail.
    pub jail: JailName,
    /// Why it does not move, in one sentence.
    pub why: String,
    /// Does a rule say that it should?
    pub must: bool,
}

/// How much of a node is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The node.
    pub node: NodeName,
    /// Jails on it.
    pub jails: usize,
    /// What they use.
    pub used: Load,
    /// What they may use.
    pub capacity: Load,
    /// Bytes that jails which arrive may still take.
    pub disk: u64,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The moves in their order.
    pub moves: Vec<Planned>,
    /// What should move and does not.
    pub refused: Vec<Refusal>,
    /// The nodes now.
    pub before: Vec<Usage>,
    /// The nodes after all moves.
    pub after: Vec<Usage>,
    /// The decision in one sentence.
    pub summary: String,
    /// Was the search finished, or did its budget end?
    pub complete: bool,
}
