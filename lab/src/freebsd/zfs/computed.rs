//! Values that ZFS computes: sizes, states.

use super::clock;
use super::diff;
use super::model::Dataset;
use super::model::Kind;
use super::model::Snapshot;
use super::model::State;
use super::mounts;
use super::names;
use super::names::Name;
use super::props;
use super::props::Value;
use super::sizes;
use super::store::Store;
use super::token;
use super::tree;
use super::zoned;

/// What an empty file system refers to (ashift 12).
pub const EMPTY: u64 = 98_304;

/// ZFS keeps this much of a pool back: a 32nd, at least 128 MiB, at most half.
fn slop(size: u64) -> u64 {
    (size / 32).max(128 << 20).min(size / 2)
}

/// Sees values; knows the state and the directories.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The state.
    pub state: &'a State,
    /// The directories.
    pub store: &'a Store,
}

impl View<'_> {
    /// Bytes the live tree refers to.
    pub fn referenced(&self, dataset: &Dataset) -> u64 {
        let live = tree::space(&self.store.live(dataset.id)).unwrap_or_default();
        EMPTY + live
    }

    /// Bytes only snapshots hold.
    pub fn by_snapshots(&self, dataset: &Dataset) -> u64 {
        let mut before = None;
        let mut sum = 0;
        for snapshot in &dataset.snapshots {
            let path = self.store.snap(snapshot.id);
            sum += own_bytes(before.as_deref(), None, &path);
            before = Some(path);
        }
        let Some(last) = before else {
            return 0;
        };
        let kept = tree::space(&last).unwrap_or_default();
        let changed = diff::written(&self.store.live(dataset.id), &last).unwrap_or_default();
        sum.saturating_sub(kept.saturating_sub(changed))
    }

    /// Bytes that destroying the snapshot would free.
    pub fn unique(&self, dataset: &Dataset, snapshot: &Snapshot) -> u64 {
        let at = dataset.snapshots.iter().position(|s| s.guid == snapshot.guid);
        let Some(at) = at else { return 0 };
        let path = |index: usize| dataset.snapshots.get(index).map(|s| self.store.snap(s.id));
        let before = at.checked_sub(1).and_then(path);
        let here = self.store.snap(snapshot.id);
        match path(at + 1) {
            Some(next) => own_bytes(before.as_deref(), Some(&next), &here),
            None => {
                let live = self.store.live(dataset.id);
                let changed = diff::written(&live, &here).unwrap_or_default();
                changed.min(own_bytes(before.as_deref(), None, &here))
            }
        }
    }

    /// Bytes the dataset itself refers to and does not share with its origin.
    fn by_dataset(&self, dataset: &Dataset) -> u64 {
        let origin = dataset.origin.and_then(|id| self.state.find_id(id));
        match origin {
            Some((_, origin)) => {
                diff::written(&self.store.snap(origin.id), &self.store.live(dataset.id)).unwrap_or_default()
            }
            None => self.referenced(dataset),
        }
    }

    /// Bytes of the dataset, its snapshots and everything below.
    pub fn used(&self, name: &str) -> u64 {
        self.state
            .tree(name)
            .iter()
            .filter_map(|name| self.state.datasets.get(name))
            .map(|dataset| self.by_dataset(dataset) + self.by_snapshots(dataset))
            .sum()
    }

    /// Bytes of the children.
    fn by_children(&self, name: &str) -> u64 {
        let own = self.state.datasets.get(name);
        self.used(name).saturating_sub(own.map_or(0, |d| self.by_dataset(d) + self.by_snapshots(d)))
    }

    /// Bytes that may still be written there: the pool's, or what a quota leaves. The flag says that a quota decided.
    pub fn available(&self, name: &str) -> (u64, bool) {
        let pool = names::pool(name);
        let size = self.state.pools.get(pool).map_or(0, |pool| pool.size);
        let mut left = size.saturating_sub(slop(size)).saturating_sub(self.used(pool));
        let mut quota = false;
        let mut at = Some(name);
        while let Some(here) = at {
            if self.state.datasets.contains_key(here) {
                let limit = props::value(self.state, here, "quota").parse::<u64>().unwrap_or(0);
                let room = limit.saturating_sub(if limit > 0 { self.used(here) } else { 0 });
                if limit > 0 && room < left {
                    left = room;
                    quota = true;
                }
            }
            at = names::parent(here);
        }
        (left, quota)
    }

    /// The encryption root's name and dataset.
    pub fn key_root(&self, dataset: &Dataset) -> Option<(String, &Dataset)> {
        let root = dataset.encryption.as_ref()?.root;
        let found = self.state.datasets.iter().find(|(_, d)| d.guid == root)?;
        Some((found.0.clone(), found.1))
    }

    /// Whether the dataset's data can be read: not encrypted, or the key is loaded.
    pub fn readable(&self, dataset: &Dataset) -> bool {
        match self.key_root(dataset) {
            Some((_, root)) => root.encryption.as_ref().is_some_and(|e| e.loaded),
            None => dataset.encryption.is_none(),
        }
    }

    /// Any property of anything. `None`: the property does not apply there.
    pub fn get(&self, name: &Name, property: &str, raw: bool) -> Option<Value> {
        let property = props::canonical(property);
        if property == "name" {
            let text = match name {
                Name::Dataset(d) => d.clone(),
                Name::Snapshot(d, s) => format!("{d}@{s}"),
                Name::Bookmark(d, b) => format!("{d}#{b}"),
            };
            return Some(Value::new(text, "-"));
        }
        let dataset = self.state.datasets.get(name.dataset())?;
        match name {
            Name::Dataset(name) => self.of_dataset(name, dataset, property, raw),
            Name::Snapshot(parent, leaf) => self.of_snapshot(parent, dataset, dataset.snapshot(leaf)?, property, raw),
            Name::Bookmark(_, leaf) => {
                let bookmark = dataset.bookmarks.iter().find(|b| b.name == *leaf)?;
                let value = match property {
                    "type" => "bookmark".into(),
                    "guid" => bookmark.guid.to_string(),
                    "createtxg" => bookmark.createtxg.to_string(),
                    "creation" => date(bookmark.creation, raw),
                    _ => return None,
                };
                Some(Value::new(value, "-"))
            }
        }
    }

    fn of_dataset(&self, name: &str, dataset: &Dataset, property: &str, raw: bool) -> Option<Value> {
        let bytes = |n: u64| Some(Value::new(size(n, raw), "-"));
        let plain = |text: String| Some(Value::new(text, "-"));
        let volume = dataset.kind == Kind::Volume;
        match property {
            "type" => plain(if volume { "volume" } else { "filesystem" }.into()),
            "creation" => plain(date(dataset.creation, raw)),
            "guid" => plain(dataset.guid.to_string()),
            "createtxg" => plain(dataset.createtxg.to_string()),
            "objsetid" => plain(dataset.id.to_string()),
            "used" | "logicalused" => bytes(self.used(name)),
            "available" => bytes(self.available(name).0),
            "referenced" | "logicalreferenced" => bytes(self.referenced(dataset)),
            "usedbysnapshots" => bytes(self.by_snapshots(dataset)),
            "usedbydataset" => bytes(self.by_dataset(dataset)),
            "usedbychildren" => bytes(self.by_children(name)),
            "usedbyrefreservation" => bytes(0),
            "compressratio" | "refcompressratio" => plain(if raw { "1.00" } else { "1.00x" }.into()),
            "written" => bytes(match dataset.snapshots.last() {
                Some(last) => self.written_since(dataset, last),
                None => self.referenced(dataset),
            }),
            "mounted" if !volume => {
                let yes = mounts::find(self.store, dataset.id).is_some() || zoned::is_mounted(name);
                plain(if yes { "yes" } else { "no" }.into())
            }
            "origin" => plain(self.origin(dataset)?),
            "receive_resume_token" => plain(token::of(self.store, dataset.partial.as_ref()?)),
            "encryption" => {
                let suite = dataset.encryption.as_ref().map(|e| e.suite.clone());
                Some(suite.map_or(Value::new("off", "default"), |suite| Value::new(suite, "-")))
            }
            "keystatus" => {
                dataset.encryption.as_ref()?;
                plain(if self.readable(dataset) { "available" } else { "unavailable" }.into())
            }
            "encryptionroot" => plain(self.key_root(dataset)?.0),
            "keyformat" if dataset.encryption.is_some() => {
                plain(self.key_root(dataset)?.1.encryption.as_ref()?.keyformat.clone())
            }
            "mounted" | "userrefs" | "defer_destroy" | "clones" | "redact_snaps" => None,
            "mountpoint" | "canmount" | "recordsize" | "quota" | "refquota" if volume => None,
            "volsize" | "volblocksize" if !volume => None,
            _ if property.starts_with("written@") => {
                let snapshot = dataset.snapshot(property.strip_prefix("written@")?)?;
                // ZFS 2.1 calls this source local (zfs-get-source.txt).
                Some(Value::new(size(self.written_since(dataset, snapshot), raw), "local"))
            }
            _ => {
                let native = props::find(property);
                let mut found = props::lookup(self.state, name, property)?;
                if native.is_some_and(|n| n.values == "size") && !raw {
                    let none = found.value == "0" && property != "special_small_blocks";
                    let bytes: u64 = found.value.parse().unwrap_or_default();
                    found.value = if none { "none".into() } else { sizes::human(bytes).replace('B', "") };
                }
                Some(found)
            }
        }
    }

    fn of_snapshot(
        &self,
        parent: &str,
        dataset: &Dataset,
        snapshot: &Snapshot,
        property: &str,
        raw: bool,
    ) -> Option<Value> {
        let plain = |text: String| Some(Value::new(text, "-"));
        match property {
            "type" => plain("snapshot".into()),
            "creation" => plain(date(snapshot.creation, raw)),
            "guid" => plain(snapshot.guid.to_string()),
            "createtxg" => plain(snapshot.createtxg.to_string()),
            "objsetid" => plain(snapshot.id.to_string()),
            "userrefs" => plain(snapshot.holds.len().to_string()),
            "defer_destroy" => plain(if snapshot.defer_destroy { "on" } else { "off" }.into()),
            "clones" => plain(self.state.clones(snapshot.id).join(",")),
            "used" => plain(size(self.unique(dataset, snapshot), raw)),
            "referenced" | "logicalreferenced" => plain(size(snapshot.referenced, raw)),
            "compressratio" | "refcompressratio" => plain(if raw { "1.00" } else { "1.00x" }.into()),
            "written" => {
                let at = dataset.snapshots.iter().position(|s| s.guid == snapshot.guid)?;
                let bytes = match at.checked_sub(1).and_then(|at| dataset.snapshots.get(at)) {
                    Some(before) => {
                        diff::written(&self.store.snap(before.id), &self.store.snap(snapshot.id)).unwrap_or_default()
                    }
                    None => snapshot.referenced,
                };
                plain(size(bytes, raw))
            }
            "encryption" | "encryptionroot" | "keystatus" | "volsize" => {
                self.of_dataset(parent, dataset, property, raw)
            }
            "devices" | "exec" | "setuid" | "xattr" | "version" | "utf8only" | "normalization" | "casesensitivity"
            | "nbmand" | "primarycache" | "secondarycache" | "acltype" | "mlslabel" => {
                props::lookup(self.state, parent, property)
            }
            _ if props::is_user(property) => match snapshot.local.get(property) {
                Some(value) => Some(Value::new(value, "local")),
                None => {
                    let found = props::lookup(self.state, parent, property)?;
                    let source = match found.source.as_str() {
                        "local" | "received" => format!("inherited from {parent}"),
                        other => other.to_string(),
                    };
                    Some(Value::new(found.value, source))
                }
            },
            _ => None,
        }
    }

    fn written_since(&self, dataset: &Dataset, snapshot: &Snapshot) -> u64 {
        diff::written(&self.store.snap(snapshot.id), &self.store.live(dataset.id)).unwrap_or_default()
    }

    /// The origin of a clone, by name.
    pub fn origin(&self, dataset: &Dataset) -> Option<String> {
        let (parent, snapshot) = self.state.find_id(dataset.origin?)?;
        Some(format!("{parent}@{}", snapshot.name))
    }
}

/// Bytes of files that are in neither neighbour.
fn own_bytes(before: Option<&std::path::Path>, next: Option<&std::path::Path>, here: &std::path::Path) -> u64 {
    let mut sum = 0;
    for name in tree::names(here).unwrap_or_default() {
        let path = here.join(&name);
        let Ok(meta) = tree::Meta::of(&path) else {
            continue;
        };
        let (old, new) = (before.map(|p| p.join(&name)), next.map(|p| p.join(&name)));
        if meta.is_dir() {
            sum += own_bytes(old.as_deref(), new.as_deref(), &path);
        } else {
            let shared = [old, new]
                .into_iter()
                .flatten()
                .any(|other| tree::Meta::of(&other).is_ok_and(|other| other.ino == meta.ino));
            sum += if shared { 0 } else { meta.space() };
        }
    }
    sum
}

fn size(bytes: u64, raw: bool) -> String {
    if raw { bytes.to_string() } else { sizes::human(bytes) }
}

fn date(time: u64, raw: bool) -> String {
    if raw { time.to_string() } else { clock::date(time) }
}
