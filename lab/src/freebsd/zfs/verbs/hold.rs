//! `zfs hold`, `zfs release`, `zfs holds`.

use super::super::clock;
use super::super::names::Name;
use super::super::options::Options;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::session::silent;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::usage;
use super::absent;

/// The dataset, the snapshot's name and all datasets that have it (with `-r`: below, too).
fn targets(locked: &Locked, operand: &str, recursive: bool) -> Done<(String, Vec<String>)> {
    let Name::Snapshot(dataset, leaf) = Name::parse(operand) else {
        return Err(fail(format!("'{operand}' is not a snapshot")));
    };
    if !locked.state.datasets.contains_key(&dataset) {
        return Err(absent(&dataset));
    }
    let names = if recursive { locked.state.tree(&dataset) } else { vec![dataset] };
    let having: Vec<String> = names
        .into_iter()
        .filter(|name| locked.state.datasets.get(name).is_some_and(|d| d.snapshot(&leaf).is_some()))
        .collect();
    Ok((leaf, having))
}

/// `zfs hold [-r] tag snapshot...`.
pub fn hold(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "hold", args, "r")?;
    let [tag, operands @ ..] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "hold", "missing dataset argument"));
    };
    if operands.is_empty() {
        return Err(usage::wrong("zfs", "hold", "missing dataset argument"));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    let mut refused = false;
    for operand in operands {
        let (leaf, having) = targets(&locked, operand, options.has('r'))?;
        let what = format!("cannot hold snapshot '{operand}'");
        if having.is_empty() {
            session.warn(format!("{what}: dataset does not exist"));
            refused = true;
            continue;
        }
        let snapshots = |name: &String| locked.state.datasets.get(name).and_then(|d| d.snapshot(&leaf));
        let again: Vec<&String> = having
            .iter()
            .filter(|name| snapshots(name).is_some_and(|snapshot| snapshot.holds.contains_key(tag)))
            .collect();
        // Named by the first that has it (zfs-hold-again.txt); nothing is held then.
        if let Some(name) = again.first() {
            session.warn(format!("cannot hold snapshot '{name}@{leaf}': tag already exists on this dataset"));
            refused = true;
            continue;
        }
        for name in &having {
            if let Some(snapshot) = locked.state.datasets.get_mut(name).and_then(|d| d.snapshot_mut(&leaf)) {
                snapshot.holds.insert(tag.clone(), clock::now());
            }
        }
    }
    locked.state.tick();
    locked.save()?;
    if refused { Err(silent(1)) } else { Ok(()) }
}

/// `zfs release [-r] tag snapshot...`.
pub fn release(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "release", args, "r")?;
    let [tag, operands @ ..] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "release", "missing dataset argument"));
    };
    if operands.is_empty() {
        return Err(usage::wrong("zfs", "release", "missing dataset argument"));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    let mut refused = false;
    for operand in operands {
        let (leaf, having) = targets(&locked, operand, options.has('r'))?;
        if having.is_empty() {
            session.warn(format!("cannot release hold from snapshot '{operand}': dataset does not exist"));
            refused = true;
            continue;
        }
        let mut released = false;
        for name in &having {
            if let Some(snapshot) = locked.state.datasets.get_mut(name).and_then(|d| d.snapshot_mut(&leaf)) {
                released |= snapshot.holds.remove(tag).is_some();
            }
        }
        if !released {
            session.warn(format!("cannot release hold from snapshot '{operand}': no such tag on this dataset"));
            refused = true;
        }
        for name in &having {
            if let Some(dataset) = locked.state.datasets.get_mut(name) {
                dataset.snapshots.retain(|s| !(s.name == leaf && s.defer_destroy && s.holds.is_empty()));
            }
        }
    }
    locked.state.tick();
    locked.save()?;
    locked.sweep()?;
    if refused { Err(silent(1)) } else { Ok(()) }
}

/// `zfs holds [-rH] snapshot...`.
pub fn holds(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "holds", args, "rH")?;
    if options.rest.is_empty() {
        return Err(usage::wrong("zfs", "holds", "missing dataset argument"));
    }
    let locked = Store::open(session.ctx)?.lock()?;
    let mut rows = Vec::new();
    for operand in &options.rest {
        let (leaf, having) = targets(&locked, operand, options.has('r'))?;
        if having.is_empty() {
            return Err(absent(operand));
        }
        for name in having {
            let snapshot = locked.state.datasets.get(&name).and_then(|d| d.snapshot(&leaf));
            for (tag, time) in snapshot.iter().flat_map(|snapshot| &snapshot.holds) {
                rows.push([format!("{name}@{leaf}"), tag.clone(), clock::date(*time)]);
            }
        }
    }
    if options.has('H') {
        for row in rows {
            session.say(row.join("\t"));
        }
    } else if !rows.is_empty() {
        let width =
            |column: usize, least: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(least);
        let (name, tag) = (width(0, 4), width(1, 3));
        session.say(format!("{:name$}  {:tag$}  TIMESTAMP", "NAME", "TAG"));
        for row in &rows {
            session.say(format!("{:name$}  {:tag$}  {}", row[0], row[1], row[2]));
        }
    }
    Ok(())
}
