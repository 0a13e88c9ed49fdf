//! `zfs destroy`.

use super::super::computed::View;
use super::super::model::Snapshot;
use super::super::mounts;
use super::super::names::Name;
use super::super::options::Options;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::session::silent;
use super::super::sizes;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::tree;
use super::super::usage;
use super::absent;

/// `zfs destroy` of a dataset, of snapshots (`a%b`, `a,b`), of a bookmark.
pub fn destroy(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "destroy", args, "fnpRrvd")?;
    let [operand] = options.rest.as_slice() else {
        let text = if options.rest.is_empty() { "missing dataset argument" } else { "too many arguments" };
        return Err(usage::wrong("zfs", "destroy", text));
    };
    let mut locked = Store::open(session.ctx)?.lock()?;
    match Name::parse(operand) {
        Name::Dataset(name) => dataset(session, &mut locked, &name, &options),
        Name::Snapshot(name, spec) => snapshots(session, &mut locked, &name, &spec, &options),
        Name::Bookmark(name, leaf) => bookmark(&mut locked, &name, &leaf),
    }
}

fn bookmark(locked: &mut Locked, name: &str, leaf: &str) -> Done {
    let missing = || fail(format!("bookmark '{name}#{leaf}' does not exist."));
    let dataset = locked.state.datasets.get_mut(name).ok_or_else(missing)?;
    let at = dataset.bookmarks.iter().position(|bookmark| bookmark.name == leaf).ok_or_else(missing)?;
    let gone = dataset.bookmarks.remove(at);
    locked.save()?;
    tree::remove(&locked.store.snap(gone.id))?;
    Ok(())
}

/// `a`, `a%b`, `%b`, `a%`, several by commas: the snapshots of one dataset, or the parts that match none.
fn select(all: &[Snapshot], spec: &str) -> Result<Vec<Snapshot>, String> {
    let mut chosen = Vec::new();
    for part in spec.split(',') {
        let place = |name: &str| all.iter().position(|snapshot| snapshot.name == name);
        let range = match part.split_once('%') {
            None => place(part).map(|at| at..at + 1),
            Some((first, last)) => {
                let start = if first.is_empty() { Some(0) } else { place(first) };
                let end = if last.is_empty() { all.len().checked_sub(1) } else { place(last) };
                start.zip(end).filter(|(start, end)| start <= end).map(|(start, end)| start..end + 1)
            }
        };
        match range {
            Some(range) => chosen.extend(all[range].iter().cloned()),
            None => return Err(part.to_string()),
        }
    }
    Ok(chosen)
}

fn snapshots(session: &mut Session, locked: &mut Locked, name: &str, spec: &str, options: &Options) -> Done {
    if !locked.state.datasets.contains_key(name) {
        return Err(absent(name));
    }
    let names = if options.has('r') || options.has('R') { locked.state.tree(name) } else { vec![name.to_string()] };
    let mut chosen = Vec::new();
    for dataset in &names {
        let all = locked.state.datasets.get(dataset).map(|dataset| dataset.snapshots.clone()).unwrap_or_default();
        if let Ok(some) = select(&all, spec) {
            chosen.extend(some.into_iter().map(|snapshot| (dataset.clone(), snapshot)));
        }
    }
    if chosen.is_empty() {
        return Err(fail("could not find any snapshots to destroy; check snapshot names."));
    }
    let mut reclaim = 0;
    for (dataset, snapshot) in &chosen {
        let view = View { state: &locked.state, store: &locked.store };
        reclaim += locked.state.datasets.get(dataset).map_or(0, |dataset| view.unique(dataset, snapshot));
        report(session, options, &format!("{dataset}@{}", snapshot.name));
    }
    if options.has('v') {
        session.say(match (options.has('p'), options.has('n')) {
            (true, _) => format!("reclaim\t{reclaim}"),
            (false, true) => format!("would reclaim {}", sizes::human(reclaim)),
            (false, false) => format!("will reclaim {}", sizes::human(reclaim)),
        });
    }
    if options.has('n') {
        return Ok(());
    }
    let mut refused = false;
    for (dataset, snapshot) in &chosen {
        let clones = locked.state.clones(snapshot.id);
        let full = format!("{dataset}@{}", snapshot.name);
        if !clones.is_empty() && !options.has('d') {
            let list = clones.join("\n");
            session.warn(format!("cannot destroy '{full}': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n{list}"));
            refused = true;
        } else if !snapshot.holds.is_empty() && !options.has('d') || busy(&locked.store, snapshot.id) {
            session.warn(format!("cannot destroy snapshot {full}: dataset is busy"));
            refused = true;
        }
    }
    if refused {
        return Err(silent(1));
    }
    for (dataset, snapshot) in &chosen {
        let deferred = !snapshot.holds.is_empty() || !locked.state.clones(snapshot.id).is_empty();
        let Some(found) = locked.state.datasets.get_mut(dataset) else {
            continue;
        };
        if deferred {
            if let Some(kept) = found.snapshot_mut(&snapshot.name) {
                kept.defer_destroy = true;
            }
        } else {
            found.snapshots.retain(|other| other.guid != snapshot.guid);
        }
    }
    locked.state.tick();
    locked.save()?;
    locked.sweep()
}

fn report(session: &mut Session, options: &Options, name: &str) {
    if options.has('v') {
        session.say(match (options.has('p'), options.has('n')) {
            (true, _) => format!("destroy\t{name}"),
            (false, true) => format!("would destroy {name}"),
            (false, false) => format!("will destroy {name}"),
        });
    }
}

fn dataset(session: &mut Session, locked: &mut Locked, name: &str, options: &Options) -> Done {
    if !locked.state.datasets.contains_key(name) {
        return Err(absent(name));
    }
    if !name.contains('/') {
        return Err(fail(format!(
            "cannot destroy '{name}': operation does not apply to pools\nuse 'zfs destroy -r {name}' to destroy all datasets in the pool\nuse 'zpool destroy {name}' to destroy the pool itself"
        )));
    }
    let mut tree = locked.state.tree(name);
    let snapshots = |names: &[String]| -> Vec<(String, Snapshot)> {
        let of = |name: &String| locked.state.datasets.get(name).map(|d| d.snapshots.clone()).unwrap_or_default();
        names.iter().flat_map(|name| of(name).into_iter().map(|s| (name.clone(), s))).collect()
    };
    let mut inside = snapshots(&tree);
    if (tree.len() > 1 || !inside.is_empty()) && !options.has('r') && !options.has('R') {
        let children: Vec<String> = inside
            .iter()
            .filter(|(dataset, _)| dataset == name)
            .map(|(dataset, snapshot)| format!("{dataset}@{}", snapshot.name))
            .chain(tree[1..].iter().cloned())
            .collect();
        return Err(fail(format!(
            "cannot destroy '{name}': {} has children\nuse '-r' to destroy the following datasets:\n{}",
            "filesystem",
            children.join("\n")
        )));
    }
    // Clones outside of the tree depend on its snapshots.
    for (dataset, snapshot) in inside.clone() {
        for clone in locked.state.clones(snapshot.id) {
            if tree.contains(&clone) {
                continue;
            }
            if !options.has('R') {
                return Err(fail(format!(
                    "cannot destroy '{dataset}': filesystem has dependent clones\nuse '-R' to destroy the following datasets:\n{clone}"
                )));
            }
            tree.extend(locked.state.tree(&clone));
        }
    }
    inside = snapshots(&tree);
    for dataset in tree.iter().rev() {
        for (_, snapshot) in inside.iter().filter(|(other, _)| other == dataset) {
            report(session, options, &format!("{dataset}@{}", snapshot.name));
        }
        report(session, options, dataset);
    }
    if options.has('n') {
        return Ok(());
    }
    if let Some((dataset, snapshot)) =
        inside.iter().find(|(_, snapshot)| !snapshot.holds.is_empty() || busy(&locked.store, snapshot.id))
    {
        return Err(fail(format!("cannot destroy snapshot {dataset}@{}: dataset is busy", snapshot.name)));
    }
    for dataset in tree.iter().rev() {
        let Some(found) = locked.state.datasets.get(dataset) else {
            continue;
        };
        if found.partial.as_ref().is_some_and(|partial| locked.store.receiving(partial.id)) {
            return Err(fail(format!("cannot destroy '{dataset}': dataset is busy")));
        }
        if let Some(dir) = mounts::find(&locked.store, found.id) {
            mounts::unmount(session.ctx, &dir, options.has('f'))?;
        }
    }
    for dataset in &tree {
        locked.state.datasets.remove(dataset);
    }
    locked.state.tick();
    locked.save()?;
    locked.sweep()
}

/// Does somebody read the snapshot with that number?
fn busy(store: &Store, id: u64) -> bool {
    store.in_use(id) || mounts::is_mounted(id)
}
