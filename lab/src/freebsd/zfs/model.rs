//! What the emulated ZFS remembers: pools, datasets, snapshots, bookmarks. The data itself lies in directories ([`super::store`]).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// Everything, as one JSON document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The transaction group: grows with every change, gives `createtxg`.
    pub txg: u64,
    /// The next number for a directory.
    pub next_id: u64,
    /// The boot of the host that this was written in.
    #[serde(default)]
    pub boot: String,
    /// Imported pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Exported pools with their datasets, by name.
    #[serde(default)]
    pub exported: BTreeMap<String, Exported>,
    /// File systems and volumes by name.
    pub datasets: BTreeMap<String, Dataset>,
}

/// A pool that `zpool export` put away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exported {
    /// The pool.
    pub pool: Pool,
    /// Its datasets.
    pub datasets: BTreeMap<String, Dataset>,
}

/// A pool.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pool {
    /// The pool's guid.
    pub guid: u64,
    /// Bytes it can hold.
    pub size: u64,
    /// The file or disk it is made of.
    pub vdev: String,
    /// Pool properties set by the administrator.
    pub props: BTreeMap<String, String>,
    /// Features that are not `enabled`, with their state.
    #[serde(default)]
    pub features: BTreeMap<String, String>,
}

/// File system or volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory tree.
    Filesystem,
    /// A plain file, the only one of its directory.
    Volume,
}

/// A file system or volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dataset {
    /// What it is.
    pub kind: Kind,
    /// Its guid.
    pub guid: u64,
    /// The number of its directory, and its `objsetid`.
    pub id: u64,
    /// When it was created, in transaction groups.
    pub createtxg: u64,
    /// When it was created, in seconds.
    pub creation: u64,
    /// Properties set here.
    pub local: BTreeMap<String, String>,
    /// Properties that came with a stream.
    #[serde(default)]
    pub received: BTreeMap<String, String>,
    /// The number of the snapshot it was cloned from. Not its guid: a copy received in the same pool has that, too.
    #[serde(default)]
    pub origin: Option<u64>,
    /// Oldest first.
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    /// Oldest first.
    #[serde(default)]
    pub bookmarks: Vec<Bookmark>,
    /// Set on every dataset under an encryption root, the root included.
    #[serde(default)]
    pub encryption: Option<Encryption>,
    /// A receive with `-s` that did not end.
    #[serde(default)]
    pub partial: Option<Partial>,
    /// The live tree has to be made equal to the latest snapshot: set before, cleared after the work, so that a killed command is finished by the next.
    #[serde(default)]
    pub settle: bool,
    /// The jail it was handed to by `zfs jail`.
    #[serde(default)]
    pub jail: Option<String>,
}

/// A snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The part after `@`.
    pub name: String,
    /// Its guid: the same on every host that has received it.
    pub guid: u64,
    /// The number of its directory.
    pub id: u64,
    /// Creation in transaction groups.
    pub createtxg: u64,
    /// Creation in seconds.
    pub creation: u64,
    /// What the tree referred to.
    pub referenced: u64,
    /// Tag to time.
    #[serde(default)]
    pub holds: BTreeMap<String, u64>,
    /// User properties.
    #[serde(default)]
    pub local: BTreeMap<String, String>,
    /// `zfs destroy -d` while held.
    #[serde(default)]
    pub defer_destroy: bool,
}

/// A bookmark. It keeps (hard links to) the snapshot's files, since the emulation has no birth times to compare with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bookmark {
    /// The part after `#`.
    pub name: String,
    /// The snapshot's guid.
    pub guid: u64,
    /// The number of its directory.
    pub id: u64,
    /// The snapshot's creation in transaction groups.
    pub createtxg: u64,
    /// The snapshot's creation in seconds.
    pub creation: u64,
}

/// Encryption as far as it shows: nothing is enciphered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Encryption {
    /// Such as `aes-256-gcm`.
    pub suite: String,
    /// The guid of the dataset that holds the key.
    pub root: u64,
    /// `passphrase`, `hex` or `raw`; on the root only.
    pub keyformat: String,
    /// Digest of the key, to know it again; on the root only.
    pub key: String,
    /// Whether the key is loaded; on the root only.
    pub loaded: bool,
}

/// An interrupted `zfs receive -s`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Partial {
    /// The number of the directory that takes the snapshot.
    pub id: u64,
    /// The stream's snapshot as the sender calls it.
    pub toname: String,
    /// Its guid.
    pub toguid: u64,
    /// The guid it starts from.
    pub fromguid: Option<u64>,
    /// The dataset did not exist before: an abort removes it.
    pub new: bool,
    /// Flags of the stream that a resumed one must keep.
    pub flags: Vec<String>,
}

impl Dataset {
    /// A new dataset.
    pub fn new(kind: Kind, state: &mut State) -> Dataset {
        Dataset {
            kind,
            guid: super::store::guid(),
            id: state.id(),
            createtxg: state.tick(),
            creation: super::clock::now(),
            local: BTreeMap::new(),
            received: BTreeMap::new(),
            origin: None,
            snapshots: Vec::new(),
            bookmarks: Vec::new(),
            encryption: None,
            partial: None,
            settle: false,
            jail: None,
        }
    }

    /// The snapshot of that name.
    pub fn snapshot(&self, name: &str) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.name == name)
    }

    /// The snapshot of that name, to change.
    pub fn snapshot_mut(&mut self, name: &str) -> Option<&mut Snapshot> {
        self.snapshots.iter_mut().find(|snapshot| snapshot.name == name)
    }
}

impl State {
    /// Starts the next transaction group.
    pub fn tick(&mut self) -> u64 {
        self.txg += 1;
        self.txg
    }

    /// Puts a pool and its datasets away.
    pub fn export(&mut self, name: &str) {
        let Some(pool) = self.pools.remove(name) else {
            return;
        };
        let names = self.tree(name);
        let datasets = names.into_iter().filter_map(|name| self.datasets.remove_entry(&name)).collect();
        self.exported.insert(name.to_string(), Exported { pool, datasets });
    }

    /// A fresh directory number.
    pub fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The dataset and everything below it, in the order zfs lists them: a parent, then its children by name.
    pub fn tree(&self, top: &str) -> Vec<String> {
        let below = format!("{top}/");
        let mut names: Vec<String> =
            self.datasets.keys().filter(|name| *name == top || name.starts_with(&below)).cloned().collect();
        names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        names
    }

    /// All datasets in listing order.
    pub fn all(&self) -> Vec<String> {
        let mut names: Vec<String> = self.datasets.keys().cloned().collect();
        names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        names
    }

    /// The snapshot with that number, and its dataset.
    pub fn find_id(&self, id: u64) -> Option<(String, Snapshot)> {
        self.datasets.iter().find_map(|(name, dataset)| {
            let snapshot = dataset.snapshots.iter().find(|s| s.id == id)?;
            Some((name.clone(), snapshot.clone()))
        })
    }

    /// Where the snapshot with that guid is: in the dataset `near` if it can be, or else in its pool.
    pub fn find_guid(&self, guid: u64, near: &str) -> Option<(String, Snapshot)> {
        let pool = near.split('/').next().unwrap_or(near);
        let first = self.datasets.get_key_value(near);
        let others = self.datasets.iter().filter(|(name, _)| name.split('/').next() == Some(pool));
        first.into_iter().chain(others).find_map(|(name, dataset)| {
            let snapshot = dataset.snapshots.iter().find(|s| s.guid == guid)?;
            Some((name.clone(), snapshot.clone()))
        })
    }

    /// The names of the clones made from the snapshot.
    pub fn clones(&self, id: u64) -> Vec<String> {
        self.all().into_iter().filter(|name| self.datasets[name].origin == Some(id)).collect()
    }
}
