//! The jail's datasets: what goes over, from which base, and what each one's properties are when it is live.

use std::collections::BTreeSet;

use crate::effect::Base;
use crate::effect::Delegation;
use crate::effect::Parked;
use crate::effect::PropertyState;
use crate::facts::Dataset;
use crate::facts::DatasetKind;
use crate::facts::HostFacts;
use crate::facts::JailDataset;
use crate::facts::JailFacts;
use crate::facts::TargetFacts;
use crate::model::DatasetName;
use crate::model::RemotePath;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;
use crate::model::common_base;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::keys;
use crate::plan::keys::Key;
use crate::plan::properties;
use crate::plan::properties::Differing;
use crate::plan::situation::Situation;
use crate::plan::snapshots;
use crate::plan::takes::Takes;

/// One dataset of the jail on both hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetMove {
    /// At the source, with its live properties.
    pub source: Parked,
    /// At the target, with the properties it shall have when live.
    pub target: Parked,
    /// What the target has of it already.
    pub base: Base,
    /// The older copy of ours that the target has: its base as named there, and the run that left it.
    pub older: Option<(SnapshotLabel, RunId)>,
    /// Encrypted, so sent raw.
    pub raw: bool,
    /// Of an encrypted one: the file that holds its key, and the dataset of the source whose key that is.
    pub key: Option<(RemotePath, DatasetName)>,
    /// Snapshots that travel along ([`snapshots::of`]): those behind the base, stream by stream, oldest first.
    pub history: Vec<Vec<SnapshotLabel>>,
    /// Those before it that the target has already.
    pub there: Vec<SnapshotLabel>,
    /// Bytes to send: in full at most, of an increment at least.
    pub estimate: u64,
    /// What an older copy has otherwise than the source, of what is set on it.
    pub properties: Differing,
    /// Its own `refquota` in bytes, if it has one.
    pub refquota: Option<String>,
}

/// All datasets of the jail, parents first. `bases`: of our snapshots, those that go along.
#[must_use]
pub fn moves(
    situation: &Situation,
    source: &HostFacts,
    target: &HostFacts,
    jail: &JailFacts,
    there: &TargetFacts,
    bases: &BTreeSet<SnapshotLabel>,
    findings: &mut Findings,
) -> Vec<DatasetMove> {
    let stale = stale_copy(situation, jail, there, target).is_some();
    let (from_root, to_root) = (&situation.source.dataset, &situation.target.dataset);
    let (mut moves, unknown) = (Vec::new(), BTreeSet::new());
    for dataset in &jail.datasets {
        let Some(facts) = source.dataset(&dataset.name) else { continue };
        let Some(into) = dataset.name.rebase(from_root, to_root) else { continue };
        let existing = there.datasets.iter().find(|d| d.name == into).filter(|_| !stale);
        let volume = facts.kind == crate::facts::DatasetKind::Volume;
        let live = Parked {
            dataset: dataset.name.clone(),
            canmount: state(dataset, "canmount"),
            readonly: state(dataset, "readonly"),
            mountpoint: state(dataset, "mountpoint"),
            // jail(8) mounts it from the jail's fstab, and unmounts it.
            mounted: facts.mounted && !facts.is_legacy(),
            volume,
            delegation: delegation(dataset, facts),
            at: facts.mountpoint.starts_with('/').then(|| facts.mountpoint.clone()),
        };
        let arrived = Parked {
            dataset: into.clone(),
            canmount: settled(&live.canmount, &facts.canmount),
            readonly: settled(&live.readonly, if facts.readonly { "on" } else { "off" }),
            mountpoint: match existing {
                // The jail comes home: what held there before holds again.
                Some(older) if target.dataset(&into).is_some_and(|d| d.mountpoint == facts.mountpoint) => {
                    state(older, "mountpoint")
                }
                _ => target_mountpoint(&live.mountpoint, &facts.mountpoint, &into, target, &moves),
            },
            ..live.clone()
        };
        let (base, older) = base_of(situation, dataset, existing, &into, target, findings);
        let base = match base {
            Base::Nothing => as_a_clone(situation, jail, facts, there, target, findings).unwrap_or(Base::Nothing),
            other => other,
        };
        let (history, known) = snapshots::of(dataset, &base, existing, bases);
        let estimate = match base {
            Base::Nothing if !history.is_empty() => snapshots::size(facts, source),
            Base::Nothing => facts.referenced,
            // What it does not share with its origin; its snapshots, which stay, are counted too.
            Base::Origin { .. } => facts.used.min(facts.referenced),
            // Since the newest snapshot, which is no older than the base.
            Base::Snapshot(_) | Base::Bookmark(_) => {
                dataset.properties.get("written").and_then(|p| p.value.parse().ok()).unwrap_or_default()
            }
        };
        let refquota = own_number(dataset, "refquota");
        let key = match facts.encrypted.then(|| keys::of(jail, &dataset.name)) {
            Some(Key::File { file, root }) => Some((file, root)),
            Some(Key::Elsewhere { .. } | Key::Above(_)) | None => None,
        };
        let raw = facts.encrypted;
        // What filesystems have says nothing of volumes.
        let takes = Takes::of(&situation.target.node, target, &into, if volume { &unknown } else { &there.properties });
        let properties = match (&older, existing) {
            (Some(_), Some(copy)) => properties::differing(dataset, copy, &takes),
            _ => properties::refused(dataset, &takes),
        };
        moves.push(DatasetMove {
            source: live,
            target: arrived,
            base,
            older,
            raw,
            key,
            history,
            there: known,
            estimate,
            properties,
            refquota,
        });
    }
    if !stale {
        gone_meanwhile(situation, there, target, &moves, findings);
    }
    moves
}

/// Datasets of the older copy that the source has no longer: destroyed there or renamed since. Left where they are they
/// would belong to the jail again, and travel with it. Whoever took them away at the source decides about them here.
fn gone_meanwhile(
    situation: &Situation,
    there: &TargetFacts,
    target: &HostFacts,
    moves: &[DatasetMove],
    findings: &mut Findings,
) {
    let (node, root) = (&situation.target.node, &situation.target.dataset);
    // Of a place that is not ours something else is said.
    if !moves.iter().any(|m| m.target.dataset == *root && m.older.is_some()) {
        return;
    }
    let mut tops: Vec<&DatasetName> = Vec::new();
    for dataset in &there.datasets {
        let known = moves.iter().any(|m| m.target.dataset == dataset.name);
        if known || !dataset.name.is_within(root) || tops.iter().any(|top| dataset.name.is_within(top)) {
            continue;
        }
        tops.push(&dataset.name);
    }
    for top in tops {
        let rest = top.as_str().strip_prefix(root.as_str()).unwrap_or_default().replace('/', "-");
        let whose = match target.dataset(top).and_then(|d| d.run.as_ref()) {
            Some(run) => format!("run {run} left it there"),
            None => "it is none that jailferry left there".to_owned(),
        };
        findings.error(
            "copy-has-more",
            node,
            format!(
                "{top} on {node} is below the older copy of jail {}, and {} has no such dataset any more ({whose}): it would belong to the jail again",
                situation.jail, situation.source.node
            ),
            Fix::new("put it out of the jail's place; look at it before it is destroyed")
                .run(format!("zfs rename {top} {root}{rest}.old")),
        );
    }
}

/// The snapshot that a dataset is a clone of, when the target has it outside of the jail's own place; rather not in a copy
/// that a run has left, which `finalize` could not let go of any more.
fn as_a_clone(
    situation: &Situation,
    jail: &JailFacts,
    facts: &Dataset,
    there: &TargetFacts,
    target: &HostFacts,
    findings: &mut Findings,
) -> Option<Base> {
    let (node, place) = (&situation.target.node, &situation.target.dataset);
    let here = SnapshotName::new(facts.origin.as_deref()?).ok()?;
    let guid = jail.origins.get(&here)?;
    // What is encrypted only here or only there is no origin: blocks of both kinds would be in one dataset.
    let fits = |twin: &&SnapshotName| {
        let of = target.dataset(&twin.dataset);
        !twin.dataset.is_within(place) && of.is_none_or(|d| d.encrypted == facts.encrypted)
    };
    let left_by = |twin: &SnapshotName| target.dataset(&twin.dataset).and_then(|d| d.run.clone());
    let twin = there.twins.get(guid)?.iter().filter(fits).min_by_key(|twin| left_by(twin).is_some())?;
    if let Some(run) = left_by(twin) {
        findings.warning(
            "clone-of-copy",
            node,
            format!(
                "{} becomes a clone of {twin} on {node}, which run {run} left there: that copy has to stay as long as the jail is there",
                facts.name
            ),
            format!("before that copy is let go of, let the jail's dataset own what they share: zfs promote {}", facts.name.rebase(&situation.source.dataset, place)?),
        );
    }
    Some(Base::Origin { here, there: twin.clone() })
}

/// A limit of its own, set or received; 0 is none.
fn own_number(dataset: &JailDataset, property: &str) -> Option<String> {
    let own = dataset.properties.get(property).filter(|p| matches!(p.source.as_str(), "local" | "received"))?;
    own.value.parse::<u64>().ok().filter(|bytes| *bytes > 0).map(|bytes| bytes.to_string())
}

/// Volumes have no `jailed` (zfsprops(7)).
fn delegation(dataset: &JailDataset, facts: &Dataset) -> Delegation {
    match (facts.jailed, state(dataset, "jailed")) {
        (false, _) => Delegation::None,
        (true, PropertyState::Local(_) | PropertyState::Received) => Delegation::Own,
        (true, PropertyState::Inherited) => Delegation::Above,
    }
}

/// Whose value a property has.
pub(super) fn state(dataset: &JailDataset, property: &str) -> PropertyState {
    match dataset.properties.get(property) {
        Some(p) if p.source == "local" => PropertyState::Local(p.value.clone()),
        Some(p) if p.source == "received" => PropertyState::Received,
        _ => PropertyState::Inherited,
    }
}

/// At the target a value that was the dataset's own becomes its own again; what was received counts as its own.
fn settled(state: &PropertyState, value: &str) -> PropertyState {
    match state {
        PropertyState::Inherited => PropertyState::Inherited,
        PropertyState::Local(value) => PropertyState::Local(value.clone()),
        PropertyState::Received => PropertyState::Local(value.to_owned()),
    }
}

/// The same path as at the source: inherited where the target's parent gives it anyway, set where it does not.
fn target_mountpoint(
    state: &PropertyState,
    path: &str,
    into: &DatasetName,
    target: &HostFacts,
    earlier: &[DatasetMove],
) -> PropertyState {
    if *state != PropertyState::Inherited {
        return settled(state, path);
    }
    let Some((parent, last)) = into.as_str().rsplit_once('/') else { return PropertyState::Local(path.to_owned()) };
    // Below a dataset of this jail the parent keeps its path, so the child inherits it as it does at the source.
    if earlier.iter().any(|m| m.target.dataset.as_str() == parent) {
        return PropertyState::Inherited;
    }
    let given = DatasetName::new(parent)
        .ok()
        .and_then(|p| target.dataset(&p))
        .map(|p| format!("{}/{last}", p.mountpoint.trim_end_matches('/')));
    if given.as_deref() == Some(path) { PropertyState::Inherited } else { PropertyState::Local(path.to_owned()) }
}

/// An older copy of ours on the target that cannot be brought up to date, since a snapshot is missing that both sides
/// have: its root, and the name to put it aside under. Nothing of it is destroyed.
#[must_use]
pub fn stale_copy(
    situation: &Situation,
    jail: &JailFacts,
    there: &TargetFacts,
    target: &HostFacts,
) -> Option<(DatasetName, DatasetName)> {
    let root = &situation.target.dataset;
    let mark = target.dataset(root)?.run.clone()?;
    let run = RunId::new(mark.as_str()).ok().filter(|run| run.jail() == situation.jail.as_str())?;
    let apart = jail.datasets.iter().any(|dataset| {
        let into = dataset.name.rebase(&situation.source.dataset, root);
        let existing = there.datasets.iter().find(|d| Some(&d.name) == into.as_ref());
        existing.is_some_and(|e| snapshots::apart(&dataset.snapshots, &e.snapshots, &mark))
    });
    let aside = stale_name(root, &run)?;
    (apart && target.dataset(&aside).is_none()).then(|| (root.clone(), aside))
}

/// The name under which an outdated copy that a run left is put aside.
#[must_use]
pub fn stale_name(root: &DatasetName, run: &RunId) -> Option<DatasetName> {
    DatasetName::new(format!("{root}.jailferry-{run}")).ok()
}

/// Out of the way, and not mounted at the next boot either.
fn aside(dataset: &DatasetName, target: &HostFacts) -> Fix {
    let fix = Fix::new("look at it; if it is not needed, put it aside, unmounted");
    let fix = match target.dataset(dataset) {
        Some(facts) if facts.kind == DatasetKind::Filesystem => {
            let fix = fix.run(format!("zfs set canmount=noauto {dataset}"));
            if facts.mounted { fix.run(format!("zfs unmount {dataset}")) } else { fix }
        }
        _ => fix,
    };
    fix.run(format!("zfs rename {dataset} {dataset}.old"))
}

/// All of these, which lie next to each other: `zfs destroy dataset@first%last` (zfs-destroy(8)).
fn destroy(dataset: &DatasetName, labels: &[&str]) -> String {
    match labels {
        [] => String::new(),
        [one] => format!("zfs destroy {dataset}@{one}"),
        [first, .., last] => format!("zfs destroy {dataset}@{first}%{last}"),
    }
}

/// What the target has: nothing, or an older copy of ours that shares a snapshot by GUID. Anything else is not ours.
fn base_of(
    situation: &Situation,
    dataset: &JailDataset,
    existing: Option<&JailDataset>,
    into: &DatasetName,
    target: &HostFacts,
    findings: &mut Findings,
) -> (Base, Option<(SnapshotLabel, RunId)>) {
    let node = &situation.target.node;
    let Some(existing) = existing else { return (Base::Nothing, None) };
    let mark = target.dataset(into).and_then(|d| d.run.clone()).and_then(|r| RunId::new(r).ok());
    if let Some(other) = mark.as_ref().filter(|mark| mark.jail() != situation.jail.as_str()) {
        findings.error(
            "dataset-exists",
            node,
            format!("{into} on {node} is a copy of jail {} (run {other}), not of jail {}", other.jail(), situation.jail),
            format!("let the two lie in different places: `parent:` of {node} in fleet.yml, or another last part of the name of jail {}'s dataset (zfs rename)", situation.jail),
        );
        return (Base::Nothing, None);
    }
    let Some(mark) = mark else {
        findings.error(
            "dataset-exists",
            node,
            format!("{into} exists on {node} and is not a copy that jailferry left there"),
            aside(into, target),
        );
        return (Base::Nothing, None);
    };
    if let Some(copy) = target.dataset(into).filter(|d| d.mounted) {
        let unmount = if copy.is_legacy() { "umount" } else { "zfs unmount" };
        findings.error(
            "copy-mounted",
            node,
            format!("{into}, an older copy left by run {mark}, is mounted on {node}"),
            Fix::new("unmount it").run(format!("{unmount} {into}")),
        );
    }
    if target.dataset(into).is_some_and(|d| !d.readonly) {
        // It was when the run left it: somebody has used it, or still does.
        findings.error(
            "copy-writable",
            node,
            format!(
                "{into} on {node}, an older copy left by run {mark}, is not read-only any more: what was written there since goes when it is brought up to date"
            ),
            Fix::new("look at what was written there and take it elsewhere; then let it go")
                .run(format!("zfs set readonly=on {into}")),
        );
    }
    // Without a common snapshot the whole old copy is put aside (see `stale_copy`), and this one starts from nothing.
    let Some(base) = common_base(&dataset.snapshots, &existing.snapshots) else { return (Base::Nothing, None) };
    let theirs = existing.snapshots.iter().find(|s| s.guid == base.guid);
    let raw = target.dataset(into).is_none_or(|d| d.encrypted);
    let newer = snapshots::in_the_way(&existing.snapshots, base, raw);
    let newer: Vec<&str> = newer.iter().map(|s| s.label.as_str()).collect();
    if !newer.is_empty() {
        findings.error(
            "copy-changed",
            node,
            format!("{into} on {node} has snapshots that are newer than the common one: {}", newer.join(", ")),
            Fix::new("destroy them if nothing needs them").run(destroy(into, &newer)),
        );
    }
    let label = theirs.map_or_else(|| base.label.clone(), |t| t.label.clone());
    (Base::Snapshot(base.label.clone()), Some((label, mark)))
}
