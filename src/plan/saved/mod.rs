//! Saved plans: a plan in a file, with the evidence that it was made from, field by field.
//!
//! Whoever applies it reads the facts again. What a plan rests on has a name and a value that people can read
//! ([`matters`]); when one of them differs, the plan is stale and says which. Besides, the steps are planned anew under
//! the same run id: only when they come out the same, the file's steps run, and nothing else.

mod matters;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::effect::Effect;
use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::plan::Plan;
use crate::plan::Step;
use crate::plan::finding::Finding;
use crate::plan::finding::Severity;
use crate::plan::situation::Evidence;
use crate::plan::snapshots;
use crate::playbook::Options;
use crate::playbook::Settings;

pub use matters::matters;

/// Version of the file's format.
pub const FORMAT: u32 = 1;

/// What the file says it is.
const KIND: &str = "jailferry plan";

/// No more differences of steps than this are told: the first ones say it.
const MOST_STEPS: usize = 5;

/// A plan in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// Always `jailferry plan`.
    pub kind: String,
    /// Version of this format.
    pub format: u32,
    /// The jailferry that wrote it.
    pub version: String,
    /// When, for people.
    pub made: String,
    /// The options of the command line.
    pub options: Options,
    /// All options, settled.
    pub settings: Settings,
    /// What the plan rests on: field to value.
    pub evidence: BTreeMap<String, String>,
    /// SHA-256 of all commands that the steps stood for when the plan was made.
    pub commands: String,
    /// The plan.
    pub plan: Plan,
}

/// A field that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name, the host first.
    pub field: String,
    /// What it was; `None`: it was not there.
    pub before: Option<String>,
    /// What it is.
    pub now: Option<String>,
}

/// Why a file is no plan that can be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// Something else.
    #[error("not a saved plan: {0}")]
    NotOne(String),
    /// Written by a newer jailferry.
    #[error("a saved plan of format {found}, and this jailferry reads {ours}: plan anew, or use jailferry {version}")]
    Format {
        /// The file's.
        found: u32,
        /// What this program reads.
        ours: u32,
        /// Who wrote it.
        version: String,
    },
    /// The same steps stand for other commands.
    #[error(
        "its steps do not stand for the commands that it was saved with (it was made by jailferry {0}): it was changed, or this jailferry spells them otherwise; plan anew"
    )]
    Commands(String),
}

impl SavedPlan {
    /// A plan with what it rests on.
    #[must_use]
    pub fn new(
        plan: Plan,
        options: Options,
        settings: Settings,
        evidence: BTreeMap<String, String>,
        made: String,
    ) -> SavedPlan {
        SavedPlan {
            kind: KIND.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made,
            options,
            settings,
            evidence,
            commands: commands(&plan),
            plan,
        }
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`BadPlan`] when it is no plan, a newer one, or was changed.
    pub fn read(bytes: &[u8]) -> Result<SavedPlan, BadPlan> {
        // The version first: the rest of a newer file may look different.
        #[derive(Deserialize)]
        struct Head {
            kind: String,
            format: u32,
            version: String,
        }
        let bad = |error: serde_json::Error| BadPlan::NotOne(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(bad)?;
        if head.kind != KIND {
            return Err(BadPlan::NotOne(format!("it says that it is a {:?}", head.kind)));
        }
        if head.format != FORMAT {
            return Err(BadPlan::Format { found: head.format, ours: FORMAT, version: head.version });
        }
        let saved: SavedPlan = serde_json::from_slice(bytes).map_err(bad)?;
        if commands(&saved.plan) != saved.commands {
            return Err(BadPlan::Commands(saved.version));
        }
        Ok(saved)
    }

    /// What is not as it was: the fields of the evidence, and the findings that forbid the move now.
    #[must_use]
    pub fn stale(&self, now: &BTreeMap<String, String>, findings: &[Finding]) -> Vec<Difference> {
        let names: BTreeSet<&String> = self.evidence.keys().chain(now.keys()).collect();
        let changed = names.into_iter().filter(|name| self.evidence.get(*name) != now.get(*name));
        let mut all: Vec<Difference> = changed
            .map(|name| Difference {
                field: name.clone(),
                before: self.evidence.get(name).cloned(),
                now: now.get(name).cloned(),
            })
            .collect();
        all.extend(findings.iter().filter(|f| f.severity == Severity::Error).map(|f| Difference {
            field: format!("{}finding {}", f.host.as_ref().map(|h| format!("{h}/")).unwrap_or_default(), f.code),
            before: None,
            now: Some(f.what.clone()),
        }));
        all
    }

    /// The facts of now, to see whether the same plan comes of them.
    #[must_use]
    pub fn planned_from(&self, mut now: Evidence) -> Evidence {
        if let Some(jail) = &mut now.jail {
            snapshots::forget_newer(jail, &self.plan);
        }
        now.bases = Some(snapshots::bases_of(&self.plan));
        now
    }

    /// The steps that would be planned otherwise now: whatever no field of the evidence has caught.
    #[must_use]
    pub fn other_steps(&self, now: &Plan) -> Vec<Difference> {
        let (before, after) = (&self.plan.steps, &now.steps);
        let length = before.len().max(after.len());
        let differ = |index: &usize| before.get(*index).map(lasting) != after.get(*index).map(lasting);
        (0..length)
            .filter(differ)
            .take(MOST_STEPS)
            .map(|index| {
                let (before, now) = told(before.get(index), after.get(index));
                Difference { field: format!("step {}", index + 1), before, now }
            })
            .collect()
    }
}

/// A step without what changes by itself and is only told: how much there will be to send.
fn lasting(step: &Step) -> Step {
    let mut step = step.clone();
    if let Effect::Transfer(transfer) = &mut step.effect {
        transfer.estimate = None;
    }
    step
}

/// Where two steps differ: their titles, or the first line of their commands that is not the same.
fn told(before: Option<&Step>, now: Option<&Step>) -> (Option<String>, Option<String>) {
    let title = |step: &Step| format!("{}: {}", step.host(), step.title);
    let (Some(one), Some(other)) = (before, now) else { return (before.map(title), now.map(title)) };
    if title(one) != title(other) {
        return (Some(title(one)), Some(title(other)));
    }
    let lines = |step: &Step| -> Vec<String> {
        let all = step.commands().into_iter().chain(step.undo_commands());
        all.flat_map(|c| c.text().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let (a, b) = (lines(one), lines(other));
    let at = (0..a.len().max(b.len())).find(|i| a.get(*i) != b.get(*i));
    let line = |list: &[String]| at.and_then(|i| list.get(i)).map(|line| line.trim().to_owned());
    match (line(&a), line(&b)) {
        (None, None) => (Some(title(one)), Some(title(other))),
        lines => lines,
    }
}

/// SHA-256 of every command of every step and of its undo, as it is executed.
#[must_use]
pub fn commands(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    let mut add = |command: &Command| {
        // How commands become root is fleet.yml's; it is compared as a field.
        for part in [command.host.as_str(), &command.remote_line(Become::None), &command.stdin().unwrap_or_default()] {
            hash.update(part.len().to_string());
            hash.update([0]);
            hash.update(part);
        }
    };
    for step in &plan.steps {
        step.commands().iter().chain(&step.undo_commands()).for_each(&mut add);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
