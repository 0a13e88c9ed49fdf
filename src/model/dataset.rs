//! Snapshots, their GUIDs, and the base of an incremental stream.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::model::DatasetName;
use crate::model::InvalidName;
use crate::model::SnapshotLabel;

/// ZFS's identity of a snapshot or dataset; a snapshot keeps it across send and receive (zfsprops(7), contract 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Guid(pub u64);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A snapshot with the dataset it is of: `zroot/template@base`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName {
    /// The dataset.
    pub dataset: DatasetName,
    /// The part after '@'.
    pub label: SnapshotLabel,
}

impl SnapshotName {
    /// Checks both parts.
    ///
    /// # Errors
    /// When one of them is not a name.
    pub fn new(text: &str) -> Result<SnapshotName, InvalidName> {
        let (dataset, label) = text.split_once('@').unwrap_or((text, ""));
        Ok(SnapshotName { dataset: DatasetName::new(dataset)?, label: SnapshotLabel::new(label)? })
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset, self.label)
    }
}

impl TryFrom<String> for SnapshotName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<SnapshotName, InvalidName> {
        SnapshotName::new(&text)
    }
}

impl From<SnapshotName> for String {
    fn from(name: SnapshotName) -> String {
        name.to_string()
    }
}

/// One snapshot as `zfs list -Hp -t snapshot -o name,guid,createtxg,userrefs,written` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The part after '@'.
    pub label: SnapshotLabel,
    /// Same on both sides of a send.
    pub guid: Guid,
    /// Order of creation within its own pool.
    pub createtxg: u64,
    /// Number of holds.
    pub userrefs: u64,
    /// Bytes that it shows since the one before it.
    #[serde(default)]
    pub written: Option<u64>,
}

/// The newest snapshot (by the source's createtxg) that both sides have by GUID: the base of an incremental send.
/// Never by name alone: equal names prove nothing (contract 5.2).
#[must_use]
pub fn common_base<'a>(source: &'a [Snapshot], target: &[Snapshot]) -> Option<&'a Snapshot> {
    source.iter().filter(|s| target.iter().any(|t| t.guid == s.guid)).max_by_key(|s| s.createtxg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(label: &str, guid: u64, createtxg: u64) -> Snapshot {
        Snapshot { label: SnapshotLabel::new(label).unwrap(), guid: Guid(guid), createtxg, userrefs: 0, written: None }
    }

    #[test]
    fn the_base_is_found_by_guid_not_by_name() {
        let source = [snapshot("a", 1, 10), snapshot("b", 2, 20), snapshot("c", 3, 30)];
        let same_names_other_guids = [snapshot("a", 7, 1), snapshot("c", 9, 2)];
        assert_eq!(common_base(&source, &same_names_other_guids), None);
        let renamed = [snapshot("x", 1, 99), snapshot("y", 2, 98)];
        assert_eq!(common_base(&source, &renamed).map(|s| s.label.as_str()), Some("b"));
    }
}
