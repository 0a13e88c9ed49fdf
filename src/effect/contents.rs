//! What a comparison by content is about, and what two listings of the same snapshot say of each other. Pure.
//!
//! Each host lists its own copy and keeps the listing; digests of its parts are all that is asked of it, and of parts that
//! differ their lines. Which part an entry is in depends on its path only, so a file that one side does not have changes
//! one part and no other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::Comparison;
use crate::effect::command::RUNS;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// Stands for the path of an entry in the line of a dataset's properties; paths begin with a dot.
pub const PROPERTIES: &str = "(properties)";

/// The listing of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Where.
    pub host: NodeName,
    /// Whose jail's data it is.
    pub jail: JailName,
    /// For which run.
    pub run: RunId,
    /// Of which snapshot.
    pub label: SnapshotLabel,
    /// Filesystems, in the same order on both hosts.
    pub datasets: Vec<DatasetName>,
    /// Is only what is in some of the files read?
    pub sampled: bool,
    /// Properties that one of the hosts does not take, so that they differ.
    #[serde(default)]
    pub apart: Vec<String>,
}

impl Listing {
    /// Where it is kept: `jailferry leftovers` knows the run by the name.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{RUNS}/jailferry-{}.listing", self.run)
    }
}

/// What was listed of all datasets together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Files, folders, links and whatever else.
    pub entries: u64,
    /// Files of which the content was read.
    pub files: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// An answer that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no line of a listing's digests")]
pub struct NoDigest(String);

/// The digests of a listing: `total DATASET ENTRIES FILES BYTES` of each dataset, then `SHA256 DATASET.PART`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digests {
    /// What was listed.
    pub amount: Amount,
    parts: BTreeMap<Part, String>,
}

/// A part of a listing: which dataset, and which part of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// In the order of [`Listing::datasets`].
    pub dataset: usize,
    number: u8,
}

impl Part {
    /// The name of its file.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}.{}", self.dataset, self.number)
    }

    fn read(name: &str) -> Option<Part> {
        let (dataset, number) = name.split_once('.')?;
        Some(Part { dataset: dataset.parse().ok()?, number: number.parse().ok()? })
    }
}

impl Digests {
    /// Reads what a host printed.
    ///
    /// # Errors
    /// [`NoDigest`] for a line of another form.
    pub fn read(text: &str) -> Result<Digests, NoDigest> {
        let mut digests = Digests::default();
        for line in text.lines() {
            digests.add(line).ok_or_else(|| NoDigest(line.to_owned()))?;
        }
        Ok(digests)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["total", _, entries, files, bytes] => {
                let sum = |so_far: u64, more: &str| Some(so_far.saturating_add(more.parse().ok()?));
                self.amount = Amount {
                    entries: sum(self.amount.entries, entries)?,
                    files: sum(self.amount.files, files)?,
                    bytes: sum(self.amount.bytes, bytes)?,
                };
            }
            [digest, part] if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
                self.parts.insert(Part::read(part)?, (*digest).to_owned());
            }
            _ => return None,
        }
        Some(())
    }

    /// The parts that the two do not have alike, in the order of the datasets.
    #[must_use]
    pub fn differing(&self, other: &Digests) -> Vec<Part> {
        let all: BTreeSet<&Part> = self.parts.keys().chain(other.parts.keys()).collect();
        all.into_iter().filter(|part| self.parts.get(part) != other.parts.get(part)).copied().collect()
    }

    /// Has nothing been listed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// An entry that is not the same on both hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path below the dataset, as mtree(8) spells it: without blanks or control characters.
    pub path: String,
    /// What differs.
    pub what: Which,
}

/// What differs of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Only the source has it.
    Missing,
    /// Only the target has it.
    Added,
    /// Both have it, but these keywords of mtree(5) differ.
    Keywords(Vec<String>),
}

type Entry<'a> = BTreeMap<&'a str, &'a str>;

/// Entries by path; what is in a sampled file stands in a line of its own.
fn entries(text: &str) -> BTreeMap<&str, Entry<'_>> {
    let mut entries: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(path) = words.next().filter(|path| !path.is_empty()) else { continue };
        entries.entry(path).or_default().extend(words.filter_map(|word| word.split_once('=')));
    }
    entries
}

/// The entries of the same part of both listings that differ, by path.
#[must_use]
pub fn differences(source: &str, target: &str) -> Vec<Difference> {
    let (ours, theirs) = (entries(source), entries(target));
    let all: BTreeSet<&&str> = ours.keys().chain(theirs.keys()).collect();
    let mut found = Vec::new();
    for path in all {
        let what = match (ours.get(*path), theirs.get(*path)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => {
                let names: BTreeSet<&&str> = a.keys().chain(b.keys()).collect();
                let differing = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
                Which::Keywords(differing.map(|name| (*name).to_owned()).collect())
            }
            (Some(_), None) => Which::Missing,
            (None, _) => Which::Added,
        };
        found.push(Difference { path: (*path).to_owned(), what });
    }
    found
}

impl Difference {
    /// In words; `dataset` has it.
    #[must_use]
    pub fn told(&self, dataset: &DatasetName, source: &NodeName, target: &NodeName) -> String {
        let path = &self.path;
        match &self.what {
            Which::Keywords(names) if path == PROPERTIES => {
                let set = if names.len() == 1 { "the property" } else { "the properties" };
                format!("{dataset} differs in {set} {}", names.join(", "))
            }
            Which::Missing => format!("{dataset} {path} is only on {source}"),
            Which::Added => format!("{dataset} {path} is only on {target}"),
            Which::Keywords(names) => {
                let word = |name: &String| match name.as_str() {
                    "sha256digest" => "content".to_owned(),
                    "time" => "time of change".to_owned(),
                    other => other.to_owned(),
                };
                format!("{dataset} {path} differs in {}", names.iter().map(word).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// What a comparison that failed says. `named`: the first entries that differ, with their datasets; `parts`: so many of the
/// listings' parts differ.
#[must_use]
pub fn verdict(both: &Comparison, named: &[(DatasetName, Difference)], parts: usize) -> String {
    let Comparison { source, target, .. } = both;
    let (jail, from, to) = (&source.jail, &source.host, &target.host);
    let told: Vec<String> = named.iter().map(|(dataset, difference)| difference.told(dataset, from, to)).collect();
    let first = if told.is_empty() { "which ones could not be asked".to_owned() } else { told.join("; ") };
    let more = if parts > named.len() { ", and there is more" } else { "" };
    let look = if named.is_empty() || named.iter().any(|(_, difference)| difference.path != PROPERTIES) {
        format!(
            "A stream that arrives whole leaves no such difference: look for failing disks or memory on both hosts (zpool scrub, then zpool status -v) and for whoever writes into copies on {to}, then move it again"
        )
    } else {
        format!(
            "Was it changed during the copy, or does {to} not know it? Compare `zfs get -s local,received all` on both hosts, then move it again"
        )
    };
    format!(
        "the copy on {to} is not what {from} has in @{label}: {first}{more}\nJail {jail} still runs on {from}, which has not been changed; what was copied goes again. {look}",
        label = source.label,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(of: char) -> String {
        of.to_string().repeat(64)
    }

    #[test]
    fn parts_that_differ_are_found_and_totals_are_added() {
        let text =
            |c: char| format!("total 0 5 3 9000000000\ntotal 1 1 0 0\n{} 0.7\n{} 1.200\n", digest('a'), digest(c));
        let (ours, theirs) = (Digests::read(&text('b')).unwrap(), Digests::read(&text('c')).unwrap());
        assert_eq!(ours.amount, Amount { entries: 6, files: 3, bytes: 9_000_000_000 });
        assert_eq!(ours.differing(&ours), vec![]);
        let differing: Vec<String> = ours.differing(&theirs).into_iter().map(Part::name).collect();
        assert_eq!(differing, ["1.200"]);
        let fewer = Digests::read(&format!("{} 0.7\n", digest('a'))).unwrap();
        assert_eq!(ours.differing(&fewer).len(), 1, "a part that only one side has");
        for bad in ["", "total 0 x 3 4", "abc 0.1", &format!("{} 0.256", digest('a')), &format!("{} ../x", digest('a'))]
        {
            assert_eq!(Digests::read(&format!("{bad}\n")), Err(NoDigest(bad.to_owned())), "{bad}");
        }
        assert!(Digests::read("").unwrap().is_empty());
    }

    #[test]
    fn a_difference_is_told_with_its_path_and_what_it_is() {
        let source =
            "./a type=file size=1 time=1.0\n./b\\040c type=dir mode=0755\n./only type=file\n./a sha256digest=aa\n";
        let target =
            "./a type=file size=1 time=1.0\n./b\\040c type=dir mode=0700\n./new type=file\n./a sha256digest=ab\n";
        let dataset = DatasetName::new("zroot/web").unwrap();
        let (spare, big) = (NodeName::new("spare").unwrap(), NodeName::new("big").unwrap());
        let told: Vec<String> = differences(source, target).iter().map(|d| d.told(&dataset, &spare, &big)).collect();
        assert_eq!(
            told,
            [
                "zroot/web ./a differs in content",
                "zroot/web ./b\\040c differs in mode",
                "zroot/web ./new is only on big",
                "zroot/web ./only is only on spare",
            ]
        );
        assert_eq!(differences(source, source), vec![]);
    }
}
