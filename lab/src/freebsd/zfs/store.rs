//! Where the emulated ZFS keeps what it knows and what it holds.
//!
//! ```text
//! /.lab/zfs/lock       flock(2): one change at a time
//! /.lab/zfs/meta.json  the state, replaced as a whole
//! /.lab/zfs/fs/N       the live tree of a dataset, bind-mounted at its mountpoint
//! /.lab/zfs/snap/N     the tree of a snapshot or bookmark; never written again, files shared between them by hard links
//! /.lab/zfs/recv/N     a snapshot that is being received, and N.progress
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::model::State;
use super::session::Done;
use super::session::fail;
use super::tree;
use crate::context::Context;

/// The file below the runtime state that tells this boot of the host from the others.
pub const BOOT: &str = "zfs.boot";

/// The directories.
#[derive(Clone, Debug)]
pub struct Store {
    /// `/.lab/zfs`.
    pub root: PathBuf,
    /// Tells this boot of the host from the others.
    boot: String,
}

impl Store {
    /// The host's store; makes its directories.
    pub fn open(ctx: &Context) -> Done<Store> {
        let root = ctx.state.join("zfs");
        for dir in ["fs", "snap", "recv"] {
            fs::create_dir_all(root.join(dir))?;
        }
        fs::create_dir_all(&ctx.run)?;
        let path = ctx.run.join(BOOT);
        if !path.exists() {
            write_aside(&path, guid().to_string().as_bytes())?;
        }
        Ok(Store { root, boot: fs::read_to_string(path)? })
    }

    /// Somebody reads the snapshot with that number: a send.
    pub fn in_use(&self, id: u64) -> bool {
        locked(&self.snap(id))
    }

    /// Somebody writes the receive with that number.
    pub fn receiving(&self, id: u64) -> bool {
        locked(&self.recv(id))
    }

    /// The live tree of the dataset with that number.
    pub fn live(&self, id: u64) -> PathBuf {
        self.root.join("fs").join(id.to_string())
    }

    /// The tree of the snapshot or bookmark with that number.
    pub fn snap(&self, id: u64) -> PathBuf {
        self.root.join("snap").join(id.to_string())
    }

    /// The tree of the receive with that number.
    pub fn recv(&self, id: u64) -> PathBuf {
        self.root.join("recv").join(id.to_string())
    }

    /// How far that receive has come.
    pub fn progress(&self, id: u64) -> PathBuf {
        self.root.join("recv").join(format!("{id}.progress"))
    }

    /// Takes the lock, reads the state and finishes what a killed command has left half-done.
    pub fn lock(&self) -> Done<Locked> {
        let lock = File::create(self.root.join("lock"))?;
        lock.lock()?;
        let mut locked = Locked { store: self.clone(), state: self.read()?, _lock: lock };
        locked.boot()?;
        locked.settle()?;
        Ok(locked)
    }

    fn read(&self) -> Done<State> {
        match fs::read(self.root.join("meta.json")) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| fail(format!("internal error: meta.json: {error}")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The state while this process may change it.
pub struct Locked {
    /// The directories.
    pub store: Store,
    /// The state; lost unless saved.
    pub state: State,
    _lock: File,
}

impl Locked {
    /// Makes the changes last: written aside, then renamed.
    pub fn save(&self) -> Done {
        let text = serde_json::to_vec_pretty(&self.state).map_err(|error| fail(format!("internal error: {error}")))?;
        write_aside(&self.store.root.join("meta.json"), &text)?;
        Ok(())
    }

    /// After a reboot: keys are gone, and pools without a cache file have to be imported.
    fn boot(&mut self) -> Done {
        if self.state.boot == self.store.boot {
            return Ok(());
        }
        self.state.boot.clone_from(&self.store.boot);
        for encryption in self.state.datasets.values_mut().filter_map(|dataset| dataset.encryption.as_mut()) {
            encryption.loaded = false;
        }
        let none = |pool: &super::model::Pool| pool.props.get("cachefile").is_some_and(|file| file == "none");
        let names: Vec<String> =
            self.state.pools.iter().filter(|(_, pool)| none(pool)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.state.export(&name);
        }
        self.save()
    }

    /// Removes the directories that nothing refers to any more and nobody is using.
    pub fn sweep(&self) -> Done {
        let mut used: BTreeSet<(&str, u64)> = BTreeSet::new();
        let state = &self.state;
        let datasets = state.datasets.values().chain(state.exported.values().flat_map(|pool| pool.datasets.values()));
        for dataset in datasets {
            used.insert(("fs", dataset.id));
            used.extend(dataset.snapshots.iter().map(|snapshot| ("snap", snapshot.id)));
            used.extend(dataset.bookmarks.iter().map(|bookmark| ("snap", bookmark.id)));
            used.extend(dataset.partial.iter().map(|partial| ("recv", partial.id)));
        }
        for dir in ["fs", "snap", "recv"] {
            for entry in fs::read_dir(self.store.root.join(dir))?.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Ok(id) = name.trim_end_matches(".progress").parse::<u64>() else {
                    continue;
                };
                if !used.contains(&(dir, id)) && !locked(&self.store.root.join(dir).join(id.to_string())) {
                    tree::remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Makes the live trees equal to their latest snapshots where a receive or rollback decided so.
    pub fn settle(&mut self) -> Done {
        let waiting: Vec<String> =
            self.state.datasets.iter().filter(|(_, dataset)| dataset.settle).map(|(name, _)| name.clone()).collect();
        for name in &waiting {
            let Some(dataset) = self.state.datasets.get_mut(name) else {
                continue;
            };
            if let Some(last) = dataset.snapshots.last() {
                tree::sync(&self.store.snap(last.id), &self.store.live(dataset.id), None)?;
            }
            dataset.settle = false;
        }
        if !waiting.is_empty() {
            self.save()?;
        }
        Ok(())
    }
}

fn locked(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Replaces a file as a whole.
pub fn write_aside(path: &Path, text: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&aside, path)
}

/// A random guid, never 0.
pub fn guid() -> u64 {
    let mut bytes = [0u8; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        // Without /dev/urandom the time and the process still tell two datasets apart.
        bytes = (super::clock::now() << 22 | u64::from(std::process::id())).to_le_bytes();
    }
    u64::from_le_bytes(bytes).max(1)
}
