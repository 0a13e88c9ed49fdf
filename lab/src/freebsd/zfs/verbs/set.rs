//! `zfs set` and `zfs inherit`.

use std::path::PathBuf;

use super::super::mounts;
use super::super::names::Name;
use super::super::options;
use super::super::options::Options;
use super::super::props;
use super::super::props::Access;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::usage;
use super::super::zoned;
use super::absent;

/// `zfs set property=value... dataset...`.
pub fn set(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "set", args, "")?;
    let pairs: Vec<(String, String)> = options.rest.iter().map_while(|arg| options::assignment(arg)).collect();
    let operands = &options.rest[pairs.len()..];
    if pairs.is_empty() {
        return Err(usage::wrong("zfs", "set", "missing property=value argument(s)"));
    }
    if operands.is_empty() {
        return Err(usage::wrong("zfs", "set", "missing dataset name(s)"));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    for operand in operands {
        let what = format!("cannot set property for '{operand}'");
        match Name::parse(operand) {
            Name::Dataset(name) => {
                let kind = locked.state.datasets.get(&name).ok_or_else(|| absent(&name))?.kind;
                let mut accepted = Vec::new();
                for (property, value) in &pairs {
                    let property = props::canonical(property);
                    zoned::may_set(session.ctx, &locked.state, &name, property, &what)?;
                    accepted.push((property.to_string(), props::accept(property, value, kind, false, &what)?));
                }
                change(session, &mut locked, &name, &accepted, Change::Set)?;
            }
            Name::Snapshot(dataset, leaf) => {
                let found = locked.state.datasets.get_mut(&dataset).and_then(|d| d.snapshot_mut(&leaf));
                let snapshot = found.ok_or_else(|| absent(operand))?;
                for (property, value) in &pairs {
                    if !props::is_user(property) {
                        return Err(fail(format!("{what}: this property can not be modified for snapshots")));
                    }
                    snapshot.local.insert(property.clone(), value.clone());
                }
                locked.save()?;
            }
            Name::Bookmark(..) => {
                return Err(fail(format!(
                    "cannot open '{operand}': operation not applicable to datasets of this type"
                )));
            }
        }
    }
    Ok(())
}

/// `zfs inherit [-rS] property dataset...`.
pub fn inherit(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "inherit", args, "rS")?;
    let [property, operands @ ..] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "inherit", "missing property argument"));
    };
    if operands.is_empty() {
        return Err(usage::wrong("zfs", "inherit", "missing dataset argument"));
    }
    let property = props::canonical(property);
    match props::find(property) {
        Some(native) if native.access == Access::ReadOnly => {
            return Err(fail(format!("{property} property is read-only")));
        }
        // With -S, what does not inherit goes back to the received value.
        Some(native) if native.access != Access::Inherit && !options.has('S') => {
            return Err(fail(format!("'{property}' property cannot be inherited")));
        }
        None if !props::is_user(property) => {
            return Err(usage::wrong("zfs", "inherit", &format!("invalid property '{property}'")));
        }
        _ => {}
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    let how = if options.has('S') { Change::Received } else { Change::Inherit };
    for operand in operands {
        if let Name::Snapshot(dataset, leaf) = Name::parse(operand) {
            let found = locked.state.datasets.get_mut(&dataset).and_then(|d| d.snapshot_mut(&leaf));
            found.ok_or_else(|| absent(operand))?.local.remove(property);
            locked.save()?;
            continue;
        }
        if !locked.state.datasets.contains_key(operand) {
            return Err(absent(operand));
        }
        let names = if options.has('r') { locked.state.tree(operand) } else { vec![operand.clone()] };
        for name in names {
            zoned::may_inherit(session.ctx, &locked.state, &name, property)?;
            change(session, &mut locked, &name, &[(property.to_string(), String::new())], how)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Set,
    Inherit,
    Received,
}

/// What was mounted below a dataset, and whether its mountpoint was a path.
struct Before {
    mounted: Vec<(String, PathBuf)>,
    legacy: bool,
}

/// Changes properties of one dataset and carries out what that means for its mounts.
fn change(session: &mut Session, locked: &mut Locked, name: &str, pairs: &[(String, String)], how: Change) -> Done {
    let value = |locked: &Locked, property: &str| props::value(&locked.state, name, property);
    let has = |property: &str| pairs.iter().any(|(name, _)| name == property);
    let before = Before {
        mounted: locked
            .state
            .tree(name)
            .into_iter()
            .filter_map(|name| {
                let dir = mounts::find(&locked.store, locked.state.datasets.get(&name)?.id)?;
                Some((name, dir))
            })
            .collect(),
        legacy: !value(locked, "mountpoint").starts_with('/'),
    };
    // `inherit` takes canmount for a mount point, `set` does not (libzfs: changelist_gather, zfs_prop_set_list).
    let remount = has("mountpoint") || has("jailed") || has("canmount") && how != Change::Set;
    let off = pairs.iter().any(|(name, value)| name == "canmount" && value == "off");
    if remount {
        for (_, dir) in before.mounted.iter().rev() {
            mounts::unmount(session.ctx, dir, false)?;
        }
    } else if off && let Some((_, dir)) = before.mounted.iter().find(|(mounted, _)| mounted == name) {
        mounts::unmount(session.ctx, dir, false)?;
    }
    let Some(dataset) = locked.state.datasets.get_mut(name) else {
        return Err(absent(name));
    };
    for (property, value) in pairs {
        match how {
            Change::Set => dataset.local.insert(property.clone(), value.clone()),
            Change::Received => dataset.local.remove(property),
            // A received value stays on record, but no longer counts.
            Change::Inherit if dataset.received.contains_key(property) => {
                dataset.local.insert(property.clone(), props::INHERITED.into())
            }
            Change::Inherit => dataset.local.remove(property),
        };
    }
    locked.state.tick();
    locked.save()?;
    if has("readonly") {
        mounts::refresh(session.ctx, locked, name)?;
    }
    if remount {
        let path = |name: &str| props::value(&locked.state, name, "mountpoint").starts_with('/');
        let mut again: Vec<String> = before.mounted.into_iter().map(|(name, _)| name).collect();
        // From none or legacy to a path: mounted at once.
        if before.legacy && again.is_empty() && props::value(&locked.state, name, "canmount") == "on" {
            again.push(name.to_string());
        }
        let jailed = |name: &str| props::value(&locked.state, name, "jailed") == "on";
        for name in again.iter().filter(|name| path(name) && !jailed(name)) {
            mounts::mount(session.ctx, locked, name)?;
        }
    }
    Ok(())
}
