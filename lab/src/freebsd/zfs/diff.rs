//! What a stream has to carry: the differences between two snapshots, in an order that never changes, so that a broken stream can be taken up at any entry.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::tree;
use super::tree::Meta;

/// A record's size, as ZFS's default.
pub const RECORD: usize = 128 * 1024;

/// What happens to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It goes.
    Remove,
    /// A directory, link or node comes.
    Make,
    /// A regular file comes, with all of its content.
    File,
    /// A regular file changes in some records; the rest is that of the base.
    Delta,
    /// A directory's owner, mode and time, after everything in it.
    Dir,
}

/// One step of a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the dataset's root.
    pub path: PathBuf,
    /// What happens.
    pub op: Op,
    /// What it is afterwards; none for a removal.
    pub meta: Option<Meta>,
    /// The records (numbers) that follow, for a delta.
    #[serde(skip)]
    pub records: Vec<u64>,
}

impl Entry {
    /// Bytes of content that follow.
    pub fn bytes(&self) -> u64 {
        let size = self.meta.as_ref().map_or(0, |meta| meta.size);
        match self.op {
            Op::File => size,
            Op::Delta => self.records.iter().map(|record| (size - record * RECORD as u64).min(RECORD as u64)).sum(),
            _ => 0,
        }
    }
}

/// The steps from `base` (nothing, for a full stream) to `to`.
pub fn diff(base: Option<&Path>, to: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    directory(base, to, Path::new(""), &mut entries)?;
    Ok(entries)
}

fn directory(base: Option<&Path>, to: &Path, path: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    let start = entries.len();
    let (new_dir, old_dir) = (to.join(path), base.map(|base| base.join(path)));
    let names = match &old_dir {
        Some(old) => tree::union(old, &new_dir)?,
        None => tree::names(&new_dir)?.into_iter().collect(),
    };
    for name in names {
        let below = path.join(&name);
        let new = Meta::find(&new_dir.join(&name))?;
        let old = match &old_dir {
            Some(dir) => Meta::find(&dir.join(&name))?,
            None => None,
        };
        let Some(new) = new else {
            entries.push(entry(&below, Op::Remove, None));
            continue;
        };
        match old {
            Some(old) if old.ino == new.ino && !new.is_dir() => {}
            Some(old) if old.is_dir() && new.is_dir() => directory(base, to, &below, entries)?,
            Some(old) if old.is_file() && new.is_file() => {
                let records = match base {
                    Some(base) => changed(&base.join(&below), &to.join(&below))?,
                    None => Vec::new(),
                };
                if !records.is_empty() || !old.same(&new) {
                    let mut delta = entry(&below, Op::Delta, Some(new));
                    delta.records = records;
                    entries.push(delta);
                }
            }
            Some(old) if old.same(&new) => {}
            old => {
                if old.is_some() {
                    entries.push(entry(&below, Op::Remove, None));
                }
                if new.is_dir() {
                    entries.push(entry(&below, Op::Make, Some(new)));
                    directory(None, to, &below, entries)?;
                } else if new.is_file() {
                    entries.push(entry(&below, Op::File, Some(new)));
                } else {
                    entries.push(entry(&below, Op::Make, Some(new)));
                }
            }
        }
    }
    let meta = Meta::of(&new_dir)?;
    let moved = match &old_dir {
        Some(dir) => !Meta::find(dir)?.is_some_and(|old| old.same(&meta)),
        None => true,
    };
    if moved || entries.len() > start {
        entries.push(entry(path, Op::Dir, Some(meta)));
    }
    Ok(())
}

fn entry(path: &Path, op: Op, meta: Option<Meta>) -> Entry {
    Entry { path: path.to_path_buf(), op, meta, records: Vec::new() }
}

/// The numbers of the records of `new` that `old` does not have.
fn changed(old: &Path, new: &Path) -> io::Result<Vec<u64>> {
    let (mut old, mut new) = (File::open(old)?, File::open(new)?);
    let (mut left, mut right) = (vec![0; RECORD], vec![0; RECORD]);
    let mut records = Vec::new();
    for number in 0.. {
        let had = tree::fill(&mut old, &mut left)?;
        let has = tree::fill(&mut new, &mut right)?;
        if has == 0 {
            break;
        }
        if left[..had] != right[..has] {
            records.push(number);
        }
    }
    Ok(records)
}

/// Bytes written to the tree `to` since `base`, roughly as ZFS counts them: the changed files, and some metadata.
pub fn written(base: &Path, to: &Path) -> io::Result<u64> {
    const METADATA: u64 = 64 * 1024;
    let (bytes, changed) = metered(base, to)?;
    Ok(if changed { bytes + METADATA } else { 0 })
}

fn metered(base: &Path, to: &Path) -> io::Result<(u64, bool)> {
    let (mut bytes, mut changed) = (0, false);
    for name in tree::union(base, to)? {
        let (old, new) = (Meta::find(&base.join(&name))?, Meta::find(&to.join(&name))?);
        match (old, new) {
            (Some(old), Some(new)) if old.is_dir() && new.is_dir() => {
                let (more, moved) = metered(&base.join(&name), &to.join(&name))?;
                bytes += more;
                changed |= moved || !old.same(&new);
            }
            (Some(old), Some(new)) if old.same(&new) => {}
            (_, Some(new)) if new.is_dir() => {
                bytes += tree::space(&to.join(&name))?;
                changed = true;
            }
            (_, new) => {
                bytes += new.map_or(0, |new| new.space());
                changed = true;
            }
        }
    }
    Ok((bytes, changed))
}

/// Whether the live tree is no longer what the snapshot holds.
pub fn modified(snapshot: &Path, live: &Path) -> io::Result<bool> {
    let top = !Meta::of(snapshot)?.same(&Meta::of(live)?);
    Ok(top || metered(snapshot, live)?.1)
}
