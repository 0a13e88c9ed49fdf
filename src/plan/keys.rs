//! The keys of encrypted datasets. Their blocks go over as they are (`zfs send -w`), so the target needs the same key, from a
//! file of its own: jailferry moves no keys and types none.
//!
//! A dataset that is received by itself becomes an encryption root (zfs-receive(8)), also where it used its parent's key
//! at the source; once its key is loaded, it is made to use its parent's again, as it did.

use crate::effect::Effect;
use crate::effect::KeyUse;
use crate::facts::Dataset;
use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::facts::PathKind;
use crate::model::DatasetName;
use crate::model::RemotePath;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

/// Where a dataset's key comes from at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// From a file.
    File {
        /// Which.
        file: RemotePath,
        /// Of which dataset it is the key.
        root: DatasetName,
    },
    /// It is typed, or fetched from somewhere: `keylocation`.
    Elsewhere {
        /// As zfs(8) says it.
        location: String,
        /// Of which dataset it is the key.
        root: DatasetName,
    },
    /// It belongs to a dataset that does not move along.
    Above(String),
}

/// The key of a dataset of the jail that is encrypted.
#[must_use]
pub fn of(jail: &JailFacts, dataset: &DatasetName) -> Key {
    let value = |name: &str, property: &str| {
        let found = jail.datasets.iter().find(|d| d.name.as_str() == name)?;
        found.properties.get(property).map(|p| p.value.clone())
    };
    let root = value(dataset.as_str(), "encryptionroot").unwrap_or_else(|| "-".to_owned());
    let known = jail.datasets.iter().find(|d| d.name.as_str() == root);
    let (Some(location), Some(owner)) = (value(&root, "keylocation"), known) else { return Key::Above(root) };
    let root = owner.name.clone();
    match location.strip_prefix("file://").map(RemotePath::new) {
        Some(Ok(file)) => Key::File { file, root },
        _ => Key::Elsewhere { location, root },
    }
}

/// The files that the target must have too.
#[must_use]
pub fn files(jail: &JailFacts, known: &[Dataset]) -> Vec<RemotePath> {
    let encrypted = jail.datasets.iter().filter(|d| known.iter().any(|k| k.name == d.name && k.encrypted));
    let mut files: Vec<RemotePath> = encrypted
        .filter_map(|d| match of(jail, &d.name) {
            Key::File { file, .. } => Some(file),
            Key::Elsewhere { .. } | Key::Above(_) => None,
        })
        .collect();
    files.sort();
    files.dedup();
    files
}

/// What forbids to move encrypted datasets.
pub fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source.node, &s.situation.target.node);
    for moving in s.datasets.iter().filter(|d| d.raw) {
        let name = &moving.source.dataset;
        match of(s.jail, name) {
            Key::File { file, .. } => match s.there.paths.get(&file) {
                Some(PathKind::File) => {}
                _ => findings.error(
                    "no-key-file",
                    target,
                    format!("{file}, which holds the key of {name}, is no file on {target}: what arrives could not be mounted there"),
                    format!("bring it there yourself, over a way that you trust (jailferry moves no keys), and: chmod 0400 {file}"),
                ),
            },
            Key::Elsewhere { location, root } => findings.error(
                "key-not-in-a-file",
                source,
                format!("the key of {name} comes from {location:?}, and nobody can type it while the jail moves"),
                format!("put it into the same file on {source} and {target}, say /root/{}.key, chmod 0400 it, and on {source}: zfs set keylocation=file:///root/{}.key {root}", s.situation.jail, s.situation.jail),
            ),
            Key::Above(root) => findings.error(
                "key-stays",
                source,
                format!("{name} uses the key of {root}, which does not move along"),
                format!("give the jail's top dataset a key of its own, from a file: zfs change-key -o keyformat=passphrase -o keylocation=file:///root/{}.key {}", s.situation.jail, s.situation.source.dataset),
            ),
        }
    }
    if s.datasets.iter().any(|d| d.key.is_some()) && !loads_at_boot(s.target) {
        findings.warning(
            "keys-forgotten",
            target,
            format!("zfskeys_enable of {target} is not YES: after a reboot nothing loads the keys of jail {}, and it does not start", s.situation.jail),
            Fix::new("let rc(8) load them").run("sysrc zfskeys_enable=YES"),
        );
    }
    for moving in s.datasets.iter().filter(|d| !d.base.makes_a_dataset()) {
        if s.target.dataset(&moving.target.dataset).is_some_and(|d| d.encrypted != moving.raw) {
            findings.error(
                "encryption-differs",
                target,
                format!("{} on {target}, an older copy, and {} on {source} are not both encrypted, so the one cannot be brought up to date from the other", moving.target.dataset, moving.source.dataset),
                format!("let go of the older copy (jailferry finalize), or put it aside: zfs rename {d} {d}.old", d = moving.target.dataset),
            );
        }
    }
}

/// By rc.d/zfskeys, or perhaps by a script of the host's own.
fn loads_at_boot(facts: &HostFacts) -> bool {
    facts.rc.says_yes("zfskeys_enable") || facts.boot.tools.contains("zfs")
}

/// The keys as the target uses them, parents first.
fn uses(cast: &Cast<'_>) -> Vec<KeyUse> {
    let mut uses: Vec<(DatasetName, KeyUse)> = Vec::new();
    for moving in cast.datasets {
        let Some((file, root)) = &moving.key else { continue };
        let dataset = moving.target.dataset.clone();
        // Of a dataset above it that has the same key at the source.
        let inherits = uses.iter().any(|(of, above)| of == root && dataset.parent().as_ref() == Some(&above.dataset));
        uses.push((root.clone(), KeyUse { dataset, file: file.clone(), inherits }));
    }
    uses.into_iter().map(|(_, key)| key).collect()
}

/// The first copy is there: is the key in the target's file the right one? The jail still runs.
pub(super) fn tried(cast: &Cast<'_>) -> Option<Step> {
    let keys = uses(cast);
    let host = cast.target();
    (!keys.is_empty()).then(|| {
        Step::new(
            Phase::Copy,
            format!("{host} has the right key for what has arrived"),
            Effect::TryKeys { host: host.clone(), keys },
        )
    })
}

/// Before anything is mounted. What is not there when the run begins is not there when it is undone.
pub(super) fn loaded(cast: &Cast<'_>) -> Option<Step> {
    let keys = uses(cast);
    let host = cast.target();
    if keys.is_empty() {
        return None;
    }
    let known = |key: &KeyUse| cast.target_facts().dataset(&key.dataset).is_some_and(|d| d.key_available);
    let new: Vec<&KeyUse> = keys.iter().filter(|key| cast.stale_copy.is_some() || !known(key)).collect();
    let unload: Vec<DatasetName> = new.iter().map(|k| k.dataset.clone()).collect();
    let mut step = Step::new(
        Phase::CutOver,
        format!("load the keys of the encrypted datasets on {host}"),
        Effect::LoadKeys { host: host.clone(), keys: keys.clone() },
    );
    if !unload.is_empty() {
        step = step.undo(Effect::UnloadKeys { host, datasets: unload });
    }
    for key in new {
        step = step.change(Change::new(format!("key of {}", key.dataset), "not loaded", &key.file));
    }
    Some(step)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
