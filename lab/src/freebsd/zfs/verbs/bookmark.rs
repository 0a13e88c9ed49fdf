//! `zfs bookmark` and `zfs diff`.

use super::super::diff;
use super::super::diff::Op;
use super::super::model::Bookmark;
use super::super::mounts;
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

/// `zfs bookmark snapshot|bookmark newbookmark`.
pub fn bookmark(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "bookmark", args, "")?;
    let [source, target] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "bookmark", "missing source or bookmark argument"));
    };
    let what = format!("cannot create bookmark '{target}'");
    let mut locked = Store::open(session.ctx)?.lock()?;
    let parsed = Name::parse(source);
    let dataset = parsed.dataset().to_string();
    let target = if target.starts_with('#') { format!("{dataset}{target}") } else { target.clone() };
    names::check(&target, &what)?;
    let Name::Bookmark(owner, leaf) = Name::parse(&target) else {
        return Err(usage::wrong("zfs", "bookmark", "invalid bookmark name"));
    };
    if owner != dataset {
        return Err(fail(format!("{what}: source is not an ancestor of the new bookmark's dataset")));
    }
    let found = locked.state.datasets.get(&dataset).ok_or_else(|| absent(source))?;
    let from = match &parsed {
        Name::Snapshot(_, name) => found.snapshot(name).map(|s| (s.guid, s.id, s.createtxg, s.creation)),
        Name::Bookmark(_, name) => {
            found.bookmarks.iter().find(|b| b.name == *name).map(|b| (b.guid, b.id, b.createtxg, b.creation))
        }
        Name::Dataset(_) => return Err(usage::wrong("zfs", "bookmark", "invalid source name")),
    };
    let Some((guid, from, createtxg, creation)) = from else {
        return Err(absent(source));
    };
    if found.bookmarks.iter().any(|bookmark| bookmark.name == leaf) {
        return Err(fail(format!("{what}: bookmark exists")));
    }
    let id = locked.state.id();
    let copy = locked.store.snap(id);
    tree::remove(&copy)?;
    tree::link(&locked.store.snap(from), &copy)?;
    if let Some(dataset) = locked.state.datasets.get_mut(&dataset) {
        dataset.bookmarks.push(Bookmark { name: leaf, guid, id, createtxg, creation });
    }
    locked.state.tick();
    locked.save()
}

/// `zfs diff [-FHt] snapshot [snapshot|filesystem]`.
pub fn diff(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "diff", args, "FHt")?;
    let (from, to) = match options.rest.as_slice() {
        [from] => (from, None),
        [from, to] => (from, Some(to)),
        _ => return Err(usage::wrong("zfs", "diff", "must provide at least one snapshot name")),
    };
    let locked = Store::open(session.ctx)?.lock()?;
    let Name::Snapshot(name, leaf) = Name::parse(from) else {
        return Err(fail(format!("Badly formed snapshot name {from}")));
    };
    let dataset = locked.state.datasets.get(&name).ok_or_else(|| absent(&name))?;
    let base = dataset
        .snapshot(&leaf)
        .ok_or_else(|| fail(format!("Unable to determine path or stats for object in {from}")))?;
    let tree = match to.map(|to| Name::parse(to)) {
        Some(Name::Snapshot(other, leaf)) if other == name => {
            locked.store.snap(dataset.snapshot(&leaf).ok_or_else(|| absent(&format!("{name}@{leaf}")))?.id)
        }
        Some(Name::Dataset(other)) if other != name => {
            return Err(fail(format!("{from}: Not an earlier snapshot from the same fs")));
        }
        _ => locked.store.live(dataset.id),
    };
    let top = mounts::find(&locked.store, dataset.id)
        .map(|dir| dir.display().to_string())
        .unwrap_or_else(|| props::value(&locked.state, &name, "mountpoint"));
    let base = locked.store.snap(base.id);
    for entry in diff::diff(Some(&base), &tree)? {
        let letter = match entry.op {
            Op::Remove => "-",
            Op::Make | Op::File => "+",
            Op::Dir if !base.join(&entry.path).exists() => continue,
            Op::Delta | Op::Dir => "M",
        };
        let kind = match (&entry.meta, options.has('F')) {
            (_, false) => "",
            (Some(meta), true) if meta.is_dir() => "\t/",
            (Some(meta), true) if meta.target.is_some() => "\t@",
            _ => "\tF",
        };
        let path = entry.path.display();
        session.say(format!("{letter}{kind}\t{}/{path}", top.trim_end_matches('/')));
    }
    Ok(())
}
