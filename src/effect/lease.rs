//! Commit-confirmed: what a host undoes by itself when nobody is heard any more.
//!
//! Before the first step that changes more than copies, hub, source and target each get a script that undoes their part,
//! and a watcher that runs it when the operator's machine has been silent for too long. The source lets go of its right
//! to start the jail before the target may start it, so at most one host is ever entitled to run the jail.

use serde::Deserialize;
use serde::Serialize;

use crate::effect::Effect;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;

/// What a host does when nobody is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The host.
    pub host: NodeName,
    /// The jail that moves.
    pub jail: JailName,
    /// The run.
    pub run: RunId,
    /// Who is to be heard.
    pub owner: Owner,
    /// Seconds of silence after which it goes back. Counted by the host in sleeps, so that clocks may jump.
    pub silence: u32,
    /// What it undoes, in this order; all of it on this host.
    pub reverts: Vec<Effect>,
    /// When it leaves everything as it is instead.
    pub stays: Stays,
}

/// When a host does not go back although nobody is heard.
#[expect(missing_docs, reason = "the fields' names and types say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stays {
    /// It always goes back.
    Never,
    /// The target, once the jail runs there: it is the only copy, and what is written in it is nowhere else.
    WhileJailRuns,
    /// The hub, while the jail answers behind it. `source`: the address to ask from where the usual one gets no answer.
    WhileAnswers { address: std::net::IpAddr, source: Option<std::net::IpAddr> },
}

/// How far a run is, as the hub keeps it: what another machine needs to know to take it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The jail runs at the source; copies are made.
    Copying,
    /// The hosts are armed; the jail stops at the source.
    CutOver,
    /// Proven: from here only forward.
    Accepted,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 3] = [Stage::Copying, Stage::CutOver, Stage::Accepted];

    /// As it is written on the hub.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Copying => "copying",
            Stage::CutOver => "cut-over",
            Stage::Accepted => "accepted",
        }
    }

    /// The stage of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|s| s.as_str() == word)
    }
}
