//! `zfs snapshot` and `zfs rollback`.

use std::collections::BTreeMap;

use super::super::clock;
use super::super::computed::EMPTY;
use super::super::model::Snapshot;
use super::super::names;
use super::super::names::Name;
use super::super::options::Options;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::session::silent;
use super::super::store;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::tree;
use super::super::usage;
use super::absent;

/// `zfs snapshot [-r] [-o property=value]... filesystem@snap...`: all or none.
pub fn snapshot(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "snapshot", args, "ro:")?;
    if options.rest.is_empty() {
        return Err(usage::wrong("zfs", "snapshot", "missing snapshot argument"));
    }
    let local: BTreeMap<String, String> = options.assignments("zfs", "snapshot")?.into_iter().collect();
    if let Some(property) = local.keys().find(|property| !props::is_user(property)) {
        return Err(fail(format!("cannot create snapshots : '{property}' is readonly")));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    let mut wanted = Vec::new();
    for operand in &options.rest {
        let what = format!("cannot create snapshot '{operand}'");
        let Name::Snapshot(dataset, leaf) = Name::parse(operand) else {
            return Err(fail(format!("{what}: missing '@' delimiter in snapshot name")));
        };
        names::check(operand, &what)?;
        if !locked.state.datasets.contains_key(&dataset) {
            session.warn(format!("cannot open '{dataset}': dataset does not exist"));
            return Err(usage::wrong("zfs", "snapshot", "no snapshots were created"));
        }
        match options.has('r') {
            true => wanted.extend(locked.state.tree(&dataset).into_iter().map(|name| (name, leaf.clone()))),
            false => wanted.push((dataset, leaf)),
        }
    }
    let mut refused = false;
    for (name, leaf) in &wanted {
        let problem = match locked.state.datasets.get(name) {
            Some(dataset) if dataset.snapshot(leaf).is_some() => "dataset already exists",
            Some(dataset) if dataset.partial.as_ref().is_some_and(|partial| partial.new) => "dataset is busy",
            _ => continue,
        };
        session.warn(format!("cannot create snapshot '{name}@{leaf}': {problem}"));
        refused = true;
    }
    if refused {
        session.warn("no snapshots were created");
        return Err(silent(1));
    }
    take(&mut locked, &wanted, &local)?;
    locked.save()
}

/// Takes the snapshots in one transaction group, not yet saved.
pub fn take(locked: &mut Locked, wanted: &[(String, String)], local: &BTreeMap<String, String>) -> Done {
    let (txg, creation) = (locked.state.tick(), clock::now());
    for (name, leaf) in wanted {
        let id = locked.state.id();
        let Some(dataset) = locked.state.datasets.get_mut(name) else {
            return Err(absent(name));
        };
        let previous = dataset.snapshots.last().map(|last| locked.store.snap(last.id));
        let target = locked.store.snap(id);
        tree::remove(&target)?;
        tree::snapshot(&locked.store.live(dataset.id), previous.as_deref(), &target)?;
        dataset.snapshots.push(Snapshot {
            name: leaf.clone(),
            guid: store::guid(),
            id,
            createtxg: txg,
            creation,
            referenced: EMPTY + tree::space(&target)?,
            holds: BTreeMap::new(),
            local: local.clone(),
            defer_destroy: false,
        });
    }
    Ok(())
}

/// `zfs rollback [-rRf] snapshot`.
pub fn rollback(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "rollback", args, "rRf")?;
    let [operand] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "rollback", "missing dataset argument"));
    };
    let store = Store::open(session.ctx)?;
    let mut locked = store.lock()?;
    let Name::Snapshot(name, leaf) = Name::parse(operand) else {
        return Err(fail(format!("cannot open '{operand}': missing '@' delimiter in snapshot name")));
    };
    let state = &locked.state;
    let snapshots = state.datasets.get(&name).map(|dataset| dataset.snapshots.clone()).unwrap_or_default();
    let Some(at) = snapshots.iter().position(|snapshot| snapshot.name == leaf) else {
        return Err(absent(operand));
    };
    let newer = &snapshots[at + 1..];
    if !newer.is_empty() && !options.has('r') && !options.has('R') {
        let list: Vec<String> = newer.iter().map(|snapshot| format!("{name}@{}", snapshot.name)).collect();
        return Err(fail(format!(
            "cannot rollback to '{operand}': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\n{}",
            list.join("\n")
        )));
    }
    for snapshot in newer {
        if !snapshot.holds.is_empty() {
            return Err(fail(format!("cannot destroy '{name}@{}': dataset is busy", snapshot.name)));
        }
        let clones = state.clones(snapshot.id);
        if !clones.is_empty() {
            return Err(fail(format!(
                "cannot rollback to '{operand}': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\n{}",
                clones.join("\n")
            )));
        }
    }
    locked.state.tick();
    if let Some(dataset) = locked.state.datasets.get_mut(&name) {
        dataset.snapshots.truncate(at + 1);
        dataset.settle = true;
    }
    locked.save()?;
    locked.settle()?;
    for snapshot in newer {
        tree::remove(&store.snap(snapshot.id))?;
    }
    Ok(())
}
