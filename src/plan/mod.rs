//! Plans: what will be done, in order, with the evidence it was made from. A plan is a value; making one changes nothing.
//!
//! [`migrate`] tells the story of a move, [`preflight`] what speaks against it, [`network`] who shall route what where,
//! [`situation`] what fleet.yml leaves out and the hosts told.

pub mod advice;
pub mod assemble;
pub mod assigned;
#[cfg(test)]
mod blackout_tests;
pub mod cast;
pub mod checks;
pub mod datasets;
pub mod direct;
pub mod doctor;
pub mod dress;
pub mod ends;
#[cfg(test)]
mod fib_tests;
pub mod finalize;
pub mod finding;
#[cfg(test)]
pub(crate) mod fixture;
pub mod forecast;
pub mod hooks;
#[cfg(test)]
mod hubs_tests;
mod immutable;
mod included;
pub mod keys;
pub mod leases;
pub mod leftovers;
#[cfg(test)]
mod link_local_tests;
pub mod manager;
pub mod mesh;
pub mod migrate;
pub mod mounts;
pub mod naming;
pub mod nat;
pub mod network;
mod next_hops;
pub mod notices;
#[cfg(test)]
mod older_copy_tests;
#[cfg(test)]
mod own_tunnels_tests;
pub mod persist;
pub mod preflight;
pub mod programs;
pub mod properties;
pub mod refresh;
pub mod rehearsal;
pub mod rollback;
mod routable;
pub mod saved;
pub mod segment;
#[cfg(test)]
mod segment_tests;
mod shared;
pub mod siblings;
pub mod situation;
pub mod snapshots;
pub mod staging;
mod step;
pub mod takes;
pub mod tunnels;
pub mod upkeep;
pub mod verify;
pub mod ways;

use std::num::NonZeroU64;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::Effect;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::Guard;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;
use crate::model::SnapshotName;
use crate::plan::forecast::Forecast;

pub use finding::Finding;
pub use finding::Fix;
pub use finding::Remedy;
pub use finding::Severity;

/// Where a plan stands: the phases of a move, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The jail runs at the source; its datasets are copied.
    Copy,
    /// The jail runs at the source; everything at the target is made ready.
    Stage,
    /// The jail runs at the source; the hosts get ready to go back by themselves.
    Arm,
    /// The jail runs at the source; the new path is tried.
    Rehearse,
    /// Nobody answers.
    CutOver,
    /// The jail runs at the target and is examined; a failure still goes back.
    Prove,
    /// Accepted: from here the run only goes forward.
    Persist,
}

impl Phase {
    /// Its name, as playbooks write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Copy => "copy",
            Phase::Stage => "stage",
            Phase::Arm => "arm",
            Phase::Rehearse => "rehearse",
            Phase::CutOver => "cut-over",
            Phase::Prove => "prove",
            Phase::Persist => "persist",
        }
    }

    /// A heading for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Phase::Copy => "Copy (the jail keeps running)",
            Phase::Stage => "Make the target ready",
            Phase::Rehearse => "Try the new path",
            Phase::Arm => "Arm the hosts (they go back by themselves when nobody is heard)",
            Phase::CutOver => "Cut over (nobody answers)",
            Phase::Prove => "Prove it",
            Phase::Persist => "Make it last (no way back by itself from here)",
        }
    }
}

/// One step: an effect, what it changes, and how it is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The phase it belongs to.
    pub phase: Phase,
    /// What it does, as an administrator would say it.
    pub title: String,
    /// The effect.
    pub effect: Effect,
    /// What undoes it, in the order in which to run it. Empty where nothing is left behind or an earlier step's undo
    /// takes care of it (the title of that step says so).
    pub undo: Vec<Effect>,
    /// What is different afterwards: AllowedIPs, routes, aliases, files, as before → after.
    pub changes: Vec<Change>,
    /// Does it run at the same time as the step before it? Such steps touch different things, so that their order
    /// does not matter; they are undone one after the other.
    #[serde(default)]
    pub alongside: bool,
    /// What must hold on the host before its scripts do anything.
    #[serde(default)]
    pub guard: Option<Guard>,
    /// Is it left out when the round before it left little to send?
    pub round: Option<u32>,
}

/// A value before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is.
    pub what: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this format.
    pub format: u32,
    /// The run that will execute it. Derived from the evidence, so the same evidence gives the same commands.
    pub run: RunId,
    /// The jail.
    pub jail: JailName,
    /// Where it runs now.
    pub source: NodeName,
    /// Where it goes.
    pub target: NodeName,
    /// Where its prefixes are handed over.
    pub hub: NodeName,
    /// Who will execute it.
    pub owner: Owner,
    /// Seconds of silence after which the hosts go back by themselves; the source after twice as long.
    pub lease: u32,
    /// What is and what will be, one sentence each.
    pub summary: Vec<String>,
    /// What the preflight found, worst first.
    pub findings: Vec<Finding>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Bytes to send before the cut-over: at most, or at least where older copies are brought up to date.
    pub bytes: u64,
    /// Predicted blackout in milliseconds.
    pub predicted_blackout: u64,
    /// The prediction, term by term, and what it rests on.
    #[serde(default)]
    pub forecast: Forecast,
    /// Milliseconds without an answer that are accepted; a longer prediction takes the move back before the jail stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_blackout: Option<u64>,
    /// Stop pre-copying when a round sent fewer bytes than this.
    pub precopy_until: u64,
    /// SHA-256 of each part of the evidence, by host and part.
    pub evidence: std::collections::BTreeMap<String, String>,
    /// Somebody's snapshots at the source that the target has when the run is over. Others stay on the source's copy only.
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub snapshots: std::collections::BTreeSet<SnapshotName>,
    /// What a playbook lets run beside the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<hooks::HookCall>,
}

impl Plan {
    /// Index of the first step that is never undone: the point of no return lies before it.
    #[must_use]
    pub fn point_of_no_return(&self) -> usize {
        self.steps.iter().position(|s| s.phase == Phase::Persist).unwrap_or(self.steps.len())
    }

    /// Seconds between two signs of life: one that is late or lost must not matter.
    #[must_use]
    pub fn beat_seconds(&self) -> u32 {
        (self.lease / 6).max(1)
    }

    /// Bytes a second that go over at most while the jail works, when that is limited.
    #[must_use]
    pub fn rate_limit(&self) -> Option<u64> {
        self.steps.iter().find_map(|step| match &step.effect {
            Effect::Transfer(transfer) => transfer.rate.map(NonZeroU64::get),
            _ => None,
        })
    }

    /// The same plan in other hands: every script asks for the new owner.
    #[must_use]
    pub fn with_owner(mut self, owner: &Owner) -> Plan {
        self.owner = owner.clone();
        for step in &mut self.steps {
            if let Some(guard) = &mut step.guard {
                guard.owner = owner.clone();
            }
            match &mut step.effect {
                Effect::Lock { owner: old, .. } => *old = owner.clone(),
                Effect::Arm(lease) => lease.owner = owner.clone(),
                Effect::Declare { notice, .. } => notice.owner = Some(owner.clone()),
                _ => {}
            }
            for effect in &mut step.undo {
                if let Effect::Declare { notice, .. } | Effect::Amend { notice, .. } = effect
                    && notice.run == self.run
                {
                    notice.owner = Some(owner.clone());
                }
            }
        }
        for hook in &mut self.hooks {
            if let hooks::Call::There(command) = &mut hook.what
                && let Some(guard) = &mut command.guard
            {
                guard.owner = owner.clone();
            }
        }
        self
    }

    /// Does a finding forbid the run?
    #[must_use]
    pub fn refused(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }
}

impl Step {
    /// Every command the step may run, exactly as it is executed but for a public key that does not exist yet, in whose
    /// place [`SshPublicKey::placeholder`](crate::effect::direct::SshPublicKey::placeholder) stands.
    #[must_use]
    pub fn commands(&self) -> Vec<Command> {
        self.work().commands().into_iter().cloned().collect()
    }

    /// The question that is asked only when the step fails, to say why; the last of its commands.
    #[must_use]
    pub fn asks_why(&self) -> Option<Command> {
        match self.work() {
            Work::Explained { why, .. } => why,
            _ => None,
        }
    }

    /// What is asked beside a stream of it, so that its progress has an end; nothing depends on the answer.
    #[must_use]
    pub fn asks_beside(&self) -> Vec<Command> {
        self.work().sizes().into_iter().cloned().collect()
    }

    /// What else it may run when a stream of it breaks, in that order, with
    /// [`TOKEN`](crate::effect::resume::TOKEN) in the place of a token that does not exist yet.
    #[must_use]
    pub fn commands_behind_a_break(&self) -> Vec<Command> {
        self.work().resumes().into_iter().flat_map(|resume| resume.commands().into_iter().cloned()).collect()
    }

    /// What is carried out.
    #[must_use]
    pub fn work(&self) -> Work {
        self.guarded(&self.effect, self.guard.clone())
    }

    /// What is carried out to undo a part of it. A host that has gone back by itself is no obstacle then.
    #[must_use]
    pub fn undo_work(&self, effect: &Effect) -> Work {
        self.guarded(effect, self.guard.clone().map(|guard| Guard { lease: false, ..guard }))
    }

    fn guarded(&self, effect: &Effect, guard: Option<Guard>) -> Work {
        match guard {
            Some(guard) => effect.work().guarded(&guard),
            None => effect.work(),
        }
    }

    /// Every command that undoing it may run.
    #[must_use]
    pub fn undo_commands(&self) -> Vec<Command> {
        self.undo.iter().flat_map(|e| self.undo_work(e).commands().into_iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// The host it is listed under.
    #[must_use]
    pub fn host(&self) -> &NodeName {
        self.effect.host()
    }
}
