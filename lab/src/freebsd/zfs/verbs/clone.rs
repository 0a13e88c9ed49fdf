//! `zfs clone` and `zfs promote`.

use std::fs;

use super::super::model::Dataset;
use super::super::model::Kind;
use super::super::names;
use super::super::names::Name;
use super::super::options::Options;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store::Store;
use super::super::tree;
use super::super::usage;
use super::absent;
use super::create;

/// `zfs clone [-p] [-o property=value]... snapshot filesystem`.
pub fn clone(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "clone", args, "po:u")?;
    let [source, target] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "clone", "missing source dataset argument"));
    };
    let what = format!("cannot create '{target}'");
    names::check(target, &what)?;
    let store = Store::open(session.ctx)?;
    let mut locked = store.lock()?;
    let Name::Snapshot(dataset, leaf) = Name::parse(source) else {
        return Err(fail(format!("cannot open '{source}': missing '@' delimiter in snapshot name")));
    };
    let origin = locked.state.datasets.get(&dataset).ok_or_else(|| absent(source))?;
    let (kind, encryption) = (origin.kind, origin.encryption.clone());
    let snapshot = origin.snapshot(&leaf).ok_or_else(|| absent(source))?.clone();
    if names::pool(&dataset) != names::pool(target) {
        return Err(fail(format!("{what}: source and target pools differ")));
    }
    if locked.state.datasets.contains_key(target) {
        return Err(fail(format!("{what}: dataset already exists")));
    }
    let mut missing = Vec::new();
    let mut at = names::parent(target);
    while let Some(here) = at.filter(|here| !locked.state.datasets.contains_key(*here)) {
        missing.insert(0, here.to_string());
        at = names::parent(here);
    }
    if !missing.is_empty() && !options.has('p') {
        return Err(fail(format!("{what}: parent does not exist")));
    }
    for parent in &missing {
        create::make(session, &mut locked, parent, Kind::Filesystem, &[])?;
    }
    let mut clone = Dataset::new(kind, &mut locked.state);
    for (name, value) in options.assignments("zfs", "clone")? {
        let name = props::canonical(&name).to_string();
        let value = props::accept(&name, &value, kind, true, &what)?;
        clone.local.insert(name, value);
    }
    clone.origin = Some(snapshot.id);
    clone.encryption = encryption;
    let live = store.live(clone.id);
    fs::create_dir_all(&live)?;
    tree::sync(&store.snap(snapshot.id), &live, None)?;
    locked.state.datasets.insert(target.clone(), clone);
    locked.save()?;
    for name in missing.iter().chain([target]).filter(|_| !options.has('u')) {
        create::automount(session, &locked, name)?;
    }
    Ok(())
}

/// `zfs promote clone`: the origin and the snapshots before it change hands.
pub fn promote(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "promote", args, "")?;
    let [name] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "promote", "missing clone filesystem argument"));
    };
    let mut locked = Store::open(session.ctx)?.lock()?;
    let what = format!("cannot promote '{name}'");
    let clone = locked.state.datasets.get(name).ok_or_else(|| absent(name))?;
    let found = clone.origin.and_then(|id| locked.state.find_id(id));
    let Some((parent, origin)) = found else {
        return Err(fail(format!("{what}: not a cloned filesystem")));
    };
    let names: Vec<String> = clone.snapshots.iter().map(|snapshot| snapshot.name.clone()).collect();
    let Some(other) = locked.state.datasets.get_mut(&parent) else {
        return Err(absent(&parent));
    };
    let cut = other.snapshots.iter().position(|s| s.guid == origin.guid).map_or(0, |at| at + 1);
    if let Some(clash) = other.snapshots[..cut].iter().find(|snapshot| names.contains(&snapshot.name)) {
        return Err(fail(format!("{what}: conflicting snapshot '{}' from parent '{parent}'", clash.name)));
    }
    let moved: Vec<_> = other.snapshots.drain(..cut).collect();
    let older = other.origin.replace(origin.id);
    if let Some(clone) = locked.state.datasets.get_mut(name) {
        clone.snapshots.splice(0..0, moved);
        clone.origin = older;
    }
    locked.state.tick();
    locked.save()
}
