//! Names of datasets, snapshots and bookmarks.

use super::session::Fail;
use super::session::fail;

/// A name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `pool/a`.
    Dataset(String),
    /// `pool/a@b`.
    Snapshot(String, String),
    /// `pool/a#b`.
    Bookmark(String, String),
}

impl Name {
    /// Takes a name apart; says nothing about its validity.
    pub fn parse(text: &str) -> Name {
        if let Some((dataset, snapshot)) = text.split_once('@') {
            Name::Snapshot(dataset.into(), snapshot.into())
        } else if let Some((dataset, bookmark)) = text.split_once('#') {
            Name::Bookmark(dataset.into(), bookmark.into())
        } else {
            Name::Dataset(text.into())
        }
    }

    /// The dataset's part.
    pub fn dataset(&self) -> &str {
        match self {
            Name::Dataset(dataset) | Name::Snapshot(dataset, _) | Name::Bookmark(dataset, _) => dataset,
        }
    }
}

/// The pool's name in a dataset's.
pub fn pool(dataset: &str) -> &str {
    dataset.split('/').next().unwrap_or(dataset)
}

/// The parent's name.
pub fn parent(dataset: &str) -> Option<&str> {
    dataset.rsplit_once('/').map(|(parent, _)| parent)
}

/// Why a component is not allowed (zfs_namecheck.c).
fn component(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("empty component or misplaced '@' or '#' delimiter in name".into());
    }
    text.chars()
        .find(|c| !(c.is_ascii_alphanumeric() || "-_.: ".contains(*c)))
        .map(|c| format!("invalid character '{c}' in name"))
}

/// Checks a name before something is created under it; `what` is the beginning of the message, such as `cannot create 'x'`.
pub fn check(text: &str, what: &str) -> Result<(), Fail> {
    let name = Name::parse(text);
    let leaf = match &name {
        Name::Dataset(_) => None,
        Name::Snapshot(_, leaf) | Name::Bookmark(_, leaf) => Some(leaf.as_str()),
    };
    let problem = if text.len() > 255 {
        Some("name is too long".to_string())
    } else if text.starts_with('/') {
        Some("leading slash in name".into())
    } else if text.ends_with('/') {
        Some("trailing slash in name".into())
    } else if leaf.is_some_and(|leaf| leaf.contains('@')) {
        Some("multiple '@' and/or '#' delimiters in name".into())
    } else {
        name.dataset().split('/').chain(leaf).find_map(component)
    };
    match problem {
        Some(problem) => Err(fail(format!("{what}: {problem}"))),
        None => Ok(()),
    }
}
