//! `zfs list -Hp`, `zfs get -Hp`, `zpool list`, `zpool get`, `zfs version` (contract 5.2).

use std::collections::BTreeMap;

use super::error::FactsError;
use super::error::line;
use crate::facts::Dataset;
use crate::facts::DatasetKind;
use crate::facts::Pool;
use crate::facts::PropertyValue;
use crate::facts::ZfsVersion;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::Snapshot;
use crate::model::SnapshotLabel;

/// The datasets of `zfs list`, columns as in `host.sh`. Names that are not a [`DatasetName`] (with blanks, say) are
/// handed back apart: nothing may be done with them.
///
/// # Errors
/// A line with other columns.
pub fn datasets(text: &str) -> Result<(Vec<Dataset>, Vec<String>), FactsError> {
    let (mut found, mut odd) = (Vec::new(), Vec::new());
    for (index, row) in text.lines().enumerate() {
        let columns: Vec<&str> = row.split('\t').collect();
        let wrong = |problem: &str| line("zfs list", index, row, problem);
        let [
            name,
            kind,
            guid,
            used,
            referenced,
            available,
            mountpoint,
            canmount,
            mounted,
            origin,
            encryption,
            key,
            jailed,
            readonly,
        ] = columns.as_slice()
        else {
            return Err(wrong("not 14 columns"));
        };
        let Ok(name) = DatasetName::new(*name) else {
            odd.push((*name).to_owned());
            continue;
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong("a size or guid that is no number"));
        found.push(Dataset {
            name,
            kind: match *kind {
                "filesystem" => DatasetKind::Filesystem,
                "volume" => DatasetKind::Volume,
                _ => return Err(wrong("neither filesystem nor volume")),
            },
            guid: Guid(number(guid)?),
            used: number(used)?,
            referenced: number(referenced)?,
            available: number(available)?,
            mountpoint: (*mountpoint).to_owned(),
            canmount: (*canmount).to_owned(),
            mounted: *mounted == "yes",
            origin: (*origin != "-").then(|| (*origin).to_owned()),
            encrypted: !matches!(*encryption, "off" | "-"),
            key_available: *key != "unavailable",
            jailed: *jailed == "on",
            readonly: *readonly == "on",
            run: None,
            notice: None,
        });
    }
    Ok((found, odd))
}

/// `NAME\tPROPERTY\tVALUE` lines, by name and property.
#[must_use]
pub fn marks(text: &str) -> BTreeMap<(String, String), String> {
    let row = |row: &str| {
        let mut columns = row.splitn(3, '\t').map(str::to_owned);
        Some(((columns.next()?, columns.next()?), columns.next()?))
    };
    text.lines().filter_map(row).collect()
}

/// Permissions that are delegated on a dataset itself, as the options that `zfs allow` takes for them; `zfs allow DATASET` tells
/// those of the datasets above it, too (zfs_main.c, print_fs_perms; seen on 14.0).
#[must_use]
pub fn allowed(dataset: &DatasetName, text: &str) -> Vec<String> {
    let (mut here, mut option, mut found) = (false, None, Vec::new());
    for row in text.lines() {
        if let Some(head) = row.strip_prefix("---- Permissions on ") {
            here = head.split_whitespace().next() == Some(dataset.as_str());
        } else if let Some(entry) = row.strip_prefix('\t').filter(|_| here) {
            let words: Vec<&str> = entry.split_whitespace().collect();
            // They are printed as lines to type.
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"@_-.,:".contains(&b);
            let who = match (option, words.as_slice()) {
                (Some("-s"), [set, what]) => format!("-s {set} {what}"),
                (Some("-c"), [what]) => format!("-c {what}"),
                (Some(option), ["user", name, what]) => format!("{option}-u {name} {what}"),
                (Some(option), ["group", name, what]) => format!("{option}-g {name} {what}"),
                (Some(option), ["everyone", what]) => format!("{option}-e {what}"),
                _ => continue,
            };
            found.extend(Some(who).filter(|who| who.split(' ').all(|word| word.bytes().all(plain))));
        } else {
            option = match row {
                "Permission sets:" => Some("-s"),
                "Create time permissions:" => Some("-c"),
                "Local permissions:" => Some("-l "),
                "Descendent permissions:" => Some("-d "),
                "Local+Descendent permissions:" => Some(""),
                _ => None,
            };
        }
    }
    found
}

/// Snapshots by dataset, in the order of the listing (`-s createtxg`).
///
/// # Errors
/// A line with other columns, or a name that jailferry cannot handle.
pub fn snapshots(text: &str) -> Result<BTreeMap<DatasetName, Vec<Snapshot>>, FactsError> {
    let mut found: BTreeMap<DatasetName, Vec<Snapshot>> = BTreeMap::new();
    for (index, row) in text.lines().enumerate() {
        let (dataset, snapshot) = snapshot(row).map_err(|problem| line("zfs list -t snapshot", index, row, problem))?;
        found.entry(dataset).or_default().push(snapshot);
    }
    for list in found.values_mut() {
        list.sort_by_key(|s| s.createtxg);
    }
    Ok(found)
}

fn snapshot(row: &str) -> Result<(DatasetName, Snapshot), String> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [name, guid, createtxg, userrefs, written @ ..] = columns.as_slice() else {
        return Err("not 5 columns".to_owned());
    };
    let (dataset, label) = name.split_once('@').ok_or("no '@'")?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
    let snapshot = Snapshot {
        label: SnapshotLabel::new(label).map_err(|e| e.to_string())?,
        guid: Guid(number(guid)?),
        createtxg: number(createtxg)?,
        userrefs: number(userrefs)?,
        written: written.first().map(|text| number(text)).transpose()?,
    };
    Ok((DatasetName::new(dataset).map_err(|e| e.to_string())?, snapshot))
}

/// `zfs get -o name,property,value,source` by dataset and property.
///
/// # Errors
/// A line with fewer columns. A value with a newline in it (user properties may) goes on in the next lines, which
/// count as part of it.
pub fn properties(text: &str) -> Result<BTreeMap<String, BTreeMap<String, PropertyValue>>, FactsError> {
    let mut found: BTreeMap<String, BTreeMap<String, PropertyValue>> = BTreeMap::new();
    let mut pending = String::new();
    let mut since = 0;
    for (index, row) in text.lines().enumerate() {
        if pending.is_empty() {
            since = index;
        } else if index - since > LONGEST_VALUE {
            return Err(line("zfs get", since, &pending, "not 4 columns"));
        } else {
            pending.push('\n');
        }
        pending.push_str(row);
        let columns: Vec<&str> = pending.split('\t').collect();
        let [name, property, value @ .., source] = columns.as_slice() else { continue };
        if value.is_empty() || !is_source(source) {
            continue;
        }
        let value = PropertyValue { value: value.join("\t"), source: (*source).to_owned() };
        found.entry((*name).to_owned()).or_default().insert((*property).to_owned(), value);
        pending.clear();
    }
    if pending.is_empty() {
        return Ok(found);
    }
    Err(line("zfs get", since, &pending, "not 4 columns"))
}

/// Lines that a property's value may have.
const LONGEST_VALUE: usize = 100;

fn is_source(text: &str) -> bool {
    matches!(text, "local" | "default" | "received" | "temporary" | "none" | "-") || text.starts_with("inherited from ")
}

/// The pools of `zpool list -Hp -o name,size,alloc,free,health`, without their features. A host that is a hub only may have
/// none, and releases differ in whether they say so with `-H`.
///
/// # Errors
/// A line with other columns.
pub fn pools(text: &str) -> Result<Vec<Pool>, FactsError> {
    let mut found = Vec::new();
    for (index, row) in text.lines().enumerate().filter(|(_, row)| *row != "no pools available") {
        let wrong = |problem: &str| line("zpool list", index, row, problem);
        let columns: Vec<&str> = row.split('\t').collect();
        let [name, size, _, free, health] = columns.as_slice() else { return Err(wrong("not 5 columns")) };
        // A faulted pool shows `-` for its sizes.
        let number =
            |text: &str| if text == "-" { Ok(0) } else { text.parse().map_err(|_| wrong("a size that is no number")) };
        found.push(Pool {
            name: (*name).to_owned(),
            free: number(free)?,
            size: number(size)?,
            health: (*health).to_owned(),
            readonly: false,
            features: BTreeMap::new(),
        });
    }
    Ok(found)
}

/// `feature@X` lines of `zpool get -Hp -o property,value,source all`.
#[must_use]
pub fn features(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|row| {
            let mut columns = row.split('\t');
            Some((columns.next()?.strip_prefix("feature@")?.to_owned(), columns.next()?.to_owned()))
        })
        .collect()
}

/// The two lines of `zfs version`; `None` when either is missing, as without the kernel module.
#[must_use]
pub fn version(text: &str) -> Option<ZfsVersion> {
    let kernel = text.lines().find(|l| l.starts_with("zfs-kmod-"))?;
    let userland = text.lines().find(|l| l.starts_with("zfs-") && !l.starts_with("zfs-kmod-"))?;
    Some(ZfsVersion { userland: userland.to_owned(), kernel: kernel.to_owned() })
}

#[cfg(test)]
#[path = "zfs_tests.rs"]
mod tests;
