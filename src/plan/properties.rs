//! Properties that an increment does not bring. Streams carry them only when they make a dataset (zfs-send(8), `-p`): what
//! was set or taken back at the source since, an older copy does not know, and a jail that comes home would find the limits
//! and the compression of long ago.

use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::effect::PropertyChange;
use crate::effect::PropertyState;
use crate::effect::properties;
use crate::facts::JailDataset;
use crate::facts::PropertyValue;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::datasets;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;
use crate::plan::takes::Refusal;
use crate::plan::takes::Takes;

/// Limits that a receive runs into, too (zfsprops(7)).
const HINDERING: [&str; 2] = ["quota", "refquota"];

/// What an older copy has otherwise than the source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differing {
    /// To be changed before anything is received: limits that were raised or given up.
    pub before: Vec<Changed>,
    /// To be changed once the copy is up to date: what is in it fits into whatever the source has.
    pub after: Vec<Changed>,
    /// What stays different, since one of the hosts does not take it.
    pub apart: Vec<Apart>,
}

/// A property that stays different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Why the target does not take it; else it is the copy's there that stays, since the source has never had it.
    pub refusal: Option<Refusal>,
}

/// A property that is to change on the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What it is to be.
    pub new: PropertyChange,
    /// What it is.
    pub old: PropertyChange,
}

/// Its own value: set, or received.
fn own<'a>(dataset: &'a JailDataset, name: &str) -> Option<&'a PropertyValue> {
    let found = dataset.properties.get(name).filter(|p| matches!(p.source.as_str(), "local" | "received"))?;
    (!properties::is_no_limit(name, &found.value)).then_some(found)
}

/// Bytes of a limit; without one there is none.
fn bytes(value: Option<&PropertyValue>) -> u64 {
    value.and_then(|p| p.value.parse().ok()).unwrap_or(u64::MAX)
}

/// What a copy will not have as the source has it, for a new one.
#[must_use]
pub fn refused(source: &JailDataset, takes: &Takes<'_>) -> Differing {
    let ours = source.properties.keys().filter(|name| properties::travels(name));
    let apart = ours.filter_map(|name| {
        let value = own(source, name)?.value.clone();
        Some(Apart { name: name.clone(), refusal: Some(takes.refuses(name, &value)?), value })
    });
    Differing { apart: apart.collect(), ..Differing::default() }
}

/// What an older copy has otherwise than the source, by name. `takes`: what its host does.
///
/// A property that the copy has and the source has not was taken back there, or has never been taken there: then only the
/// copy still has it, and keeps it.
#[must_use]
pub fn differing(source: &JailDataset, copy: &JailDataset, takes: &Takes<'_>) -> Differing {
    let names: BTreeSet<&String> = source.properties.keys().chain(copy.properties.keys()).collect();
    let mut differing = refused(source, takes);
    for name in names.into_iter().filter(|name| properties::travels(name)) {
        let (ours, theirs) = (own(source, name), own(copy, name));
        if ours.map(|p| &p.value) == theirs.map(|p| &p.value) {
            differing.apart.retain(|apart| apart.name != *name);
            continue;
        }
        if differing.apart.iter().any(|apart| apart.name == *name) {
            continue;
        }
        if let (None, Some(kept)) = (ours, theirs)
            && !properties::everywhere(name, &kept.value)
            && !source.received.contains(name)
        {
            differing.apart.push(Apart { name: name.clone(), value: kept.value.clone(), refusal: None });
            continue;
        }
        let change = |state| PropertyChange { name: name.clone(), state };
        let new = match ours {
            Some(value) => PropertyState::Local(value.value.clone()),
            // `zfs inherit` refuses those, and what was received would come to light again.
            None if properties::is_limit(name) => PropertyState::Local("none".to_owned()),
            None => PropertyState::Inherited,
        };
        let changed = Changed { new: change(new), old: change(datasets::state(copy, name)) };
        if HINDERING.contains(&name.as_str()) && bytes(ours) > bytes(theirs) {
            differing.before.push(changed);
        } else {
            differing.after.push(changed);
        }
    }
    differing
}

/// What of it stays different.
pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source.node, &s.situation.target.node);
    for moving in s.datasets {
        let (ours, theirs) = (&moving.source.dataset, &moving.target.dataset);
        for Apart { name, value, refusal } in &moving.properties.apart {
            match refusal {
                Some(Refusal { why, fix }) => findings.warning(
                    "property-refused",
                    target,
                    format!("{ours} on {source} has {name}={value}, and {why}: the jail goes on without it there"),
                    fix.clone(),
                ),
                None => findings.warning(
                    "property-kept",
                    target,
                    format!("{theirs} on {target} has {name}={value} from before, which {source} has never taken: the jail has it again there"),
                    Fix::new("if it is to go, take it back once the jail is there").run(format!("zfs inherit {name} {theirs}")),
                ),
            }
        }
    }
}

fn step(cast: &Cast<'_>, moving: &DatasetMove, changed: &[Changed]) -> Option<Step> {
    if changed.is_empty() {
        return None;
    }
    let (host, dataset) = (cast.target(), &moving.target.dataset);
    let names: Vec<&str> = changed.iter().map(|c| c.new.name.as_str()).collect();
    let effect =
        |changes: Vec<PropertyChange>| Effect::SetProperties { host: host.clone(), dataset: dataset.clone(), changes };
    let told = |change: &PropertyChange| match &change.state {
        PropertyState::Local(value) => value.clone(),
        PropertyState::Received => "as received".to_owned(),
        PropertyState::Inherited => "not its own".to_owned(),
    };
    let title = format!("{} of {dataset} on {host} as on {}", names.join(", "), cast.source());
    let lines = changed
        .iter()
        .map(|c| Change::new(format!("{} of {dataset} on {host}", c.new.name), told(&c.old), told(&c.new)))
        .collect();
    Some(
        Step::new(Phase::Copy, title, effect(changed.iter().map(|c| c.new.clone()).collect()))
            .undo(effect(changed.iter().map(|c| c.old.clone()).collect()))
            .changes(lines),
    )
}

/// Before anything is received into a copy.
pub(super) fn make_room(cast: &Cast<'_>, moving: &DatasetMove) -> Option<Step> {
    step(cast, moving, &moving.properties.before)
}

/// Behind the first copy.
pub(super) fn follow(cast: &Cast<'_>, moving: &DatasetMove) -> Option<Step> {
    step(cast, moving, &moving.properties.after)
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
