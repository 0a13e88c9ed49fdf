//! `zfs rename`.

use super::super::mounts;
use super::super::names;
use super::super::names::Name;
use super::super::options::Options;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::usage;
use super::super::zoned;
use super::absent;

/// `zfs rename [-fpur] old new`.
pub fn rename(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "rename", args, "fpur")?;
    let [old, new] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "rename", "missing source dataset argument"));
    };
    let mut locked = Store::open(session.ctx)?.lock()?;
    match Name::parse(old) {
        Name::Snapshot(dataset, leaf) => snapshot(&mut locked, &dataset, &leaf, new, options.has('r')),
        Name::Bookmark(..) => {
            Err(fail(format!("cannot open '{old}': operation not applicable to datasets of this type")))
        }
        Name::Dataset(_) if options.has('r') => {
            Err(usage::wrong("zfs", "rename", "source dataset for recursive rename must be a snapshot"))
        }
        Name::Dataset(_) => dataset(session, &mut locked, old, new, &options),
    }
}

fn snapshot(locked: &mut Locked, dataset: &str, leaf: &str, new: &str, recursive: bool) -> Done {
    let old = format!("{dataset}@{leaf}");
    let full = if new.contains('@') { new.to_string() } else { format!("{dataset}@{new}") };
    names::check(&full, &format!("cannot create '{full}'"))?;
    let Name::Snapshot(owner, target) = Name::parse(&full) else {
        return Err(absent(&full));
    };
    if owner != dataset {
        return Err(fail(format!("cannot rename to '{full}': snapshots must be part of same dataset")));
    }
    if locked.state.datasets.get(dataset).and_then(|d| d.snapshot(leaf)).is_none() {
        return Err(absent(&old));
    }
    let names = if recursive { locked.state.tree(dataset) } else { vec![dataset.to_string()] };
    let taken = |name: &&String| locked.state.datasets.get(*name).is_some_and(|d| d.snapshot(&target).is_some());
    if let Some(name) = names.iter().find(taken) {
        return Err(fail(format!("cannot rename '{name}@{leaf}': snapshot already exists")));
    }
    for name in names {
        if let Some(snapshot) = locked.state.datasets.get_mut(&name).and_then(|d| d.snapshot_mut(leaf)) {
            snapshot.name.clone_from(&target);
        }
    }
    locked.state.tick();
    locked.save()
}

fn dataset(session: &mut Session, locked: &mut Locked, old: &str, new: &str, options: &Options) -> Done {
    let what = format!("cannot rename '{old}'");
    names::check(new, &format!("cannot create '{new}'"))?;
    if !locked.state.datasets.contains_key(old) {
        return Err(absent(old));
    }
    if locked.state.datasets.contains_key(new) {
        return Err(fail(format!("{what}: dataset already exists")));
    }
    zoned::may_rename(session.ctx, &locked.state, old)?;
    if names::pool(old) != names::pool(new) {
        return Err(fail(format!("{what}: datasets must be within same pool")));
    }
    if new.starts_with(&format!("{old}/")) {
        return Err(fail(format!("{what}: New dataset name cannot be a descendant of current dataset name")));
    }
    let parent = names::parent(new).unwrap_or(new).to_string();
    if !locked.state.datasets.contains_key(&parent) {
        if !options.has('p') {
            return Err(fail(format!("cannot create '{new}': parent does not exist")));
        }
        super::create::make(session, locked, &parent, super::super::model::Kind::Filesystem, &[])?;
    }
    let tree = locked.state.tree(old);
    let mut mounted = Vec::new();
    if !options.has('u') {
        for name in tree.iter().rev() {
            let id = locked.state.datasets.get(name).map(|dataset| dataset.id);
            if let Some(dir) = id.and_then(|id| mounts::find(&locked.store, id)) {
                mounts::unmount(session.ctx, &dir, options.has('f'))?;
                mounted.insert(0, name.clone());
            }
        }
    }
    let moved = |name: &String| format!("{new}{}", name.strip_prefix(old).unwrap_or_default());
    for name in &tree {
        if let Some(dataset) = locked.state.datasets.remove(name) {
            locked.state.datasets.insert(moved(name), dataset);
        }
    }
    locked.state.tick();
    locked.save()?;
    if options.has('u') {
        // The mounts stay where they are; only their sources change (zfs-rename-unmount.txt).
        crate::mounts::change(session.ctx, |mounts| {
            for mount in mounts.iter_mut().filter(|mount| tree.contains(&mount.source)) {
                mount.source = moved(&mount.source);
            }
        })?;
    }
    for name in &mounted {
        mounts::mount(session.ctx, locked, &moved(name))?;
    }
    Ok(())
}
