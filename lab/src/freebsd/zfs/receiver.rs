//! Receives one snapshot: may it come, where does it go, and what is there afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::path::PathBuf;

use super::computed::EMPTY;
use super::computed::View;
use super::diff;
use super::model::Dataset;
use super::model::Encryption;
use super::model::Kind;
use super::model::Partial;
use super::model::Snapshot;
use super::names;
use super::props;
use super::session::Done;
use super::session::Fail;
use super::session::fail;
use super::store;
use super::store::Locked;
use super::stream::Begin;
use super::tree;

/// The words of the command line that matter here.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// `-F`.
    pub force: bool,
    /// `-s`.
    pub resumable: bool,
    /// `-h`: leave the holds.
    pub no_holds: bool,
    /// `-o`.
    pub set: Vec<(String, String)>,
    /// `-x`.
    pub exclude: Vec<String>,
    /// `-o origin=`.
    pub origin: Option<String>,
}

/// A receive that may begin.
pub struct Accepted {
    /// The directory's number.
    pub id: u64,
    /// The tree that deltas start from.
    pub base: Option<PathBuf>,
    /// Bytes that may come, and whether a quota is the limit.
    pub room: (u64, bool),
    /// The dataset did not exist before.
    pub new: bool,
    /// The snapshot that a clone starts from.
    pub origin: Option<u64>,
    _lock: File,
}

/// `cannot receive new filesystem stream` or `cannot receive incremental stream`.
pub fn what(begin: &Begin) -> &'static str {
    match begin.fromguid.is_some() && !begin.clone {
        true => "cannot receive incremental stream",
        false => "cannot receive new filesystem stream",
    }
}

/// Checks and makes the directory; the state is saved. Error texts: libzfs_sendrecv.c (contract 5.5).
pub fn begin(locked: &mut Locked, begin: &Begin, name: &str, leaf: &str, top: bool, wish: &Wish) -> Done<Accepted> {
    let refuse = |text: String| fail(format!("{}: {text}", what(begin)));
    if begin.resume.is_some() {
        return resume(locked, begin, name, &refuse);
    }
    let existing = locked.state.datasets.get(name);
    let fresh = begin.fromguid.is_none() || begin.clone;
    let base = match (existing, fresh) {
        (Some(dataset), true) => {
            overwrite(dataset, name, begin, wish, &refuse)?;
            None
        }
        (None, true) => {
            let parent = names::parent(name).is_some_and(|parent| locked.state.datasets.contains_key(parent));
            if !parent {
                return Err(refuse("dataset does not exist".into()));
            }
            None
        }
        (None, false) => return Err(refuse(format!("destination '{name}' does not exist"))),
        (Some(dataset), false) => Some(incremental(locked, dataset, begin, name, leaf, wish, &refuse)?),
    };
    let origin = match (begin.clone, begin.fromguid) {
        (true, Some(guid)) => Some(origin(locked, guid, name, wish, &refuse)?),
        _ => None,
    };
    let base = base.or(origin);
    let new = !locked.state.datasets.contains_key(name);
    let id = locked.state.id();
    let dir = locked.store.recv(id);
    tree::remove(&dir)?;
    let base = base.map(|id| locked.store.snap(id));
    match &base {
        Some(base) => tree::link(base, &dir)?,
        None => fs::create_dir(&dir)?,
    }
    let lock = File::open(&dir)?;
    lock.lock()?;
    let room = View { state: &locked.state, store: &locked.store }.available(if new {
        names::parent(name).unwrap_or(name)
    } else {
        name
    });
    if wish.resumable {
        if new {
            let mut dataset = Dataset::new(kind(begin), &mut locked.state);
            dataset.guid = store::guid();
            dataset.origin = origin;
            fs::create_dir_all(locked.store.live(dataset.id))?;
            // Properties are set before the content comes, but for refquota, which waits for its end (zfs_ioctl.c,
            // zfs_ioc_recv_impl and extract_delay_props): a stream that is taken up again does not bring it.
            properties(&mut dataset, begin, top, wish, true)?;
            dataset.received.remove("refquota");
            dataset.local.remove("refquota");
            locked.state.datasets.insert(name.to_string(), dataset);
        }
        if let Some(dataset) = locked.state.datasets.get_mut(name) {
            dataset.partial = Some(Partial {
                id,
                toname: begin.toname.clone(),
                toguid: begin.toguid,
                fromguid: begin.fromguid,
                new,
                flags: begin.flags.clone(),
            });
        }
    }
    locked.save()?;
    Ok(Accepted { id, base, room, new, origin, _lock: lock })
}

/// What is received.
pub fn kind(begin: &Begin) -> Kind {
    if begin.volume { Kind::Volume } else { Kind::Filesystem }
}

fn resume(locked: &Locked, begin: &Begin, name: &str, refuse: &dyn Fn(String) -> Fail) -> Done<Accepted> {
    let Some(dataset) = locked.state.datasets.get(name) else {
        return Err(refuse(format!("destination '{name}' does not exist")));
    };
    let Some(partial) = dataset.partial.as_ref().filter(|partial| partial.toguid == begin.toguid) else {
        return Err(refuse("invalid backup stream".into()));
    };
    let dir = locked.store.recv(partial.id);
    let lock = File::open(&dir)?;
    if lock.try_lock().is_err() {
        return Err(refuse(format!("destination '{name}' is busy")));
    }
    let base = begin.fromguid.and_then(|guid| locked.state.find_guid(guid, name)).map(|(_, s)| locked.store.snap(s.id));
    let view = View { state: &locked.state, store: &locked.store };
    Ok(Accepted { id: partial.id, base, room: view.available(name), new: partial.new, origin: None, _lock: lock })
}

/// A full stream onto something that exists.
fn overwrite(dataset: &Dataset, name: &str, begin: &Begin, wish: &Wish, refuse: &dyn Fn(String) -> Fail) -> Done {
    if !wish.force {
        return Err(refuse(format!("destination '{name}' exists\nmust specify -F to overwrite it")));
    }
    if let Some(snapshot) = dataset.snapshots.first() {
        let eg = format!("{name}@{}", snapshot.name);
        return Err(refuse(format!("destination has snapshots (eg. {eg})\nmust destroy them to overwrite it")));
    }
    if dataset.encryption.is_some() || begin.raw.is_some() {
        return Err(refuse("zfs receive -F cannot be used to destroy an encrypted filesystem or overwrite an unencrypted one with an encrypted one".into()));
    }
    Ok(())
}

/// The number of the snapshot that the stream starts from.
fn incremental(
    locked: &Locked,
    dataset: &Dataset,
    begin: &Begin,
    name: &str,
    leaf: &str,
    wish: &Wish,
    refuse: &dyn Fn(String) -> Fail,
) -> Done<u64> {
    if let Some(partial) = &dataset.partial {
        return Err(match locked.store.receiving(partial.id) {
            true => refuse(format!("destination '{name}' is busy")),
            false => refuse(format!("destination {name} contains partially-complete state from \"zfs receive -s\".")),
        });
    }
    if dataset.snapshot(leaf).is_some() {
        return Err(fail(format!("cannot restore to {name}@{leaf}: destination already exists")));
    }
    let Some(at) = dataset.snapshots.iter().position(|snapshot| Some(snapshot.guid) == begin.fromguid) else {
        return Err(refuse(format!("most recent snapshot of {name} does not\nmatch incremental source")));
    };
    let base = &dataset.snapshots[at];
    let last = at + 1 == dataset.snapshots.len();
    let touched = || diff::modified(&locked.store.snap(base.id), &locked.store.live(dataset.id));
    // Snapshots that show nothing new are no change, but to a raw stream (dmu_recv.c, recv_begin_check_existing_impl).
    if !wish.force && ((!last && begin.raw.is_some()) || touched()?) {
        return Err(refuse(format!("destination {name} has been modified\nsince most recent snapshot")));
    }
    Ok(base.id)
}

/// The number of the snapshot that a clone starts from.
fn origin(locked: &Locked, guid: u64, name: &str, wish: &Wish, refuse: &dyn Fn(String) -> Fail) -> Done<u64> {
    let found = match &wish.origin {
        Some(text) => text.split_once('@').and_then(|(dataset, leaf)| {
            locked.state.datasets.get(dataset)?.snapshot(leaf).filter(|snapshot| snapshot.guid == guid).cloned()
        }),
        None => locked.state.find_guid(guid, name).map(|(_, snapshot)| snapshot),
    };
    found.map(|snapshot| snapshot.id).ok_or_else(|| refuse(format!("local origin for clone {name} does not exist")))
}

/// Everything has come: the snapshot appears, and the live tree becomes equal to it.
pub fn commit(
    locked: &mut Locked,
    begin: &Begin,
    name: &str,
    leaf: &str,
    top: bool,
    wish: &Wish,
    from: &Accepted,
) -> Done {
    let refuse = |text: String| fail(format!("{}: {text}", what(begin)));
    let id = locked.state.id();
    let txg = locked.state.tick();
    let target = locked.store.snap(id);
    if !locked.state.datasets.contains_key(name) {
        if !from.new {
            return Err(refuse(format!("destination '{name}' does not exist")));
        }
        let dataset = Dataset::new(kind(begin), &mut locked.state);
        fs::create_dir_all(locked.store.live(dataset.id))?;
        locked.state.datasets.insert(name.to_string(), dataset);
    }
    let encryption = encryption(locked, begin, name, from.new);
    let Some(dataset) = locked.state.datasets.get_mut(name) else {
        return Ok(());
    };
    tree::remove(&target)?;
    fs::rename(locked.store.recv(from.id), &target)?;
    if wish.force
        && let Some(at) = dataset.snapshots.iter().position(|snapshot| Some(snapshot.guid) == begin.fromguid)
    {
        dataset.snapshots.truncate(at + 1);
    }
    if from.new {
        dataset.encryption = encryption;
        dataset.origin = dataset.origin.or(from.origin);
    }
    dataset.partial = None;
    dataset.settle = true;
    dataset.snapshots.push(Snapshot {
        name: leaf.to_string(),
        guid: begin.toguid,
        id,
        createtxg: txg,
        creation: begin.creation,
        referenced: EMPTY + tree::space(&target)?,
        holds: match wish.no_holds {
            true => BTreeMap::new(),
            false => begin.holds.iter().map(|tag| (tag.clone(), super::clock::now())).collect(),
        },
        local: BTreeMap::new(),
        defer_destroy: false,
    });
    properties(dataset, begin, top, wish, from.new)?;
    let (live, trusted) = (locked.store.live(dataset.id), !from.new && !wish.force);
    locked.save()?;
    tree::sync(&target, &live, from.base.as_deref().filter(|_| trusted))?;
    if let Some(dataset) = locked.state.datasets.get_mut(name) {
        dataset.settle = false;
    }
    locked.save()?;
    locked.sweep()
}

/// Received values, less what `-x` and `-o` say; `-o` itself holds for the top dataset only (recv-nested-props.txt).
fn properties(dataset: &mut Dataset, begin: &Begin, top: bool, wish: &Wish, new: bool) -> Done {
    if let Some(sent) = &begin.props {
        dataset.received = sent.iter().cloned().collect();
    }
    if new {
        // A root that comes with its properties keeps its place (libzfs_sendrecv.c, recv_fix_encryption_hierarchy); any
        // other raw dataset becomes a root, and nobody knows where its key is.
        let location = dataset.received.remove("keylocation").unwrap_or_else(|| "prompt".into());
        if begin.raw.is_some() {
            dataset.local.insert("keylocation".into(), location);
        }
    }
    for name in wish.exclude.iter().chain(wish.set.iter().map(|(name, _)| name)) {
        dataset.received.remove(name);
    }
    if top {
        for (name, value) in wish.set.iter().filter(|(name, _)| props::applies(name, dataset.kind)) {
            let value = props::accept(name, value, dataset.kind, true, "cannot receive")?;
            dataset.local.insert(name.clone(), value);
        }
    }
    Ok(())
}

/// A raw stream brings its own key, not loaded; another is enciphered with the parent's.
fn encryption(locked: &Locked, begin: &Begin, name: &str, new: bool) -> Option<Encryption> {
    let parent = names::parent(name).and_then(|parent| locked.state.datasets.get(parent));
    let own = locked.state.datasets.get(name).filter(|_| new)?;
    match &begin.raw {
        Some(raw) => Some(Encryption {
            suite: raw.suite.clone(),
            root: own.guid,
            keyformat: raw.keyformat.clone(),
            key: raw.key.clone(),
            loaded: false,
        }),
        None => parent.and_then(|parent| parent.encryption.clone()),
    }
}

/// Nothing is to stay of a receive that failed.
pub fn discard(locked: &mut Locked, name: &str, id: u64) -> Done {
    let partial = locked.state.datasets.get(name).and_then(|dataset| dataset.partial.clone());
    if let Some(partial) = partial.filter(|partial| partial.id == id) {
        match locked.state.datasets.get_mut(name) {
            Some(dataset) if !partial.new => dataset.partial = None,
            _ => {
                locked.state.datasets.remove(name);
            }
        }
        locked.save()?;
    }
    tree::remove(&locked.store.recv(id))?;
    tree::remove(&locked.store.progress(id))?;
    locked.sweep()
}
