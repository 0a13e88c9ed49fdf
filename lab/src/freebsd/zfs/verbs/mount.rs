//! `zfs mount` and `zfs unmount`.

use std::path::Path;

use super::super::computed::View;
use super::super::mounts;
use super::super::options::Options;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::session::silent;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::usage;
use super::super::zoned;
use super::absent;
use super::create;

/// `zfs mount`, `zfs mount [-flvO] [-o options] -a | filesystem`.
pub fn mount(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "mount", args, "aflvOo:")?;
    let locked = Store::open(session.ctx)?.lock()?;
    match (options.rest.as_slice(), options.has('a')) {
        ([], true) => {
            let mut refused = false;
            for name in locked.state.all() {
                let mounted =
                    locked.state.datasets.get(&name).is_some_and(|d| mounts::find(&locked.store, d.id).is_some());
                let view = View { state: &locked.state, store: &locked.store };
                let ready = locked.state.datasets.get(&name).is_some_and(|dataset| {
                    view.readable(dataset) && !dataset.partial.as_ref().is_some_and(|partial| partial.new)
                });
                if mounted || !ready {
                    continue;
                }
                if let Err(refusal) = create::automount(session, &locked, &name) {
                    session.warn(refusal.message);
                    refused = true;
                }
            }
            if refused { Err(silent(1)) } else { Ok(()) }
        }
        ([], false) => {
            for name in locked.state.all() {
                let id = locked.state.datasets.get(&name).map(|dataset| dataset.id);
                if let Some(dir) = id.and_then(|id| mounts::find(&locked.store, id)) {
                    session.say(format!("{name:<30}  {}", dir.display()));
                }
            }
            Ok(())
        }
        ([name], false) if name.contains(['@', '#']) => {
            Err(fail(format!("cannot open '{name}': operation not applicable to datasets of this type")))
        }
        ([name], false) => mounts::mount(session.ctx, &locked, name),
        _ => Err(usage::wrong("zfs", "mount", "too many arguments")),
    }
}

/// The dataset that is mounted at the path.
pub fn by_path(view: View, path: &str) -> Option<String> {
    let wanted = crate::mounts::real(Path::new(path));
    view.state
        .datasets
        .iter()
        .find(|(_, dataset)| mounts::find(view.store, dataset.id).is_some_and(|dir| dir == Path::new(&wanted)))
        .map(|(name, _)| name.clone())
}

/// `zfs unmount [-fu] -a | filesystem | mountpoint`.
pub fn unmount(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "unmount", args, "afu")?;
    let locked = Store::open(session.ctx)?.lock()?;
    let force = options.has('f');
    match (options.rest.as_slice(), options.has('a')) {
        ([], true) => {
            for name in locked.state.all().into_iter().rev() {
                below(session, &locked, &name, force)?;
            }
            Ok(())
        }
        ([operand], false) => {
            let view = View { state: &locked.state, store: &locked.store };
            let name = match operand.starts_with('/') {
                true => by_path(view, operand)
                    .ok_or_else(|| fail(format!("cannot unmount '{operand}': not currently mounted")))?,
                false => operand.clone(),
            };
            let dataset = locked.state.datasets.get(&name).ok_or_else(|| absent(&name))?;
            if mounts::find(&locked.store, dataset.id).is_none() {
                // Passed over in silence outside of jails: libzfs_changelist.c, changelist_prefix (seen on 15.0).
                if session.ctx.jail.is_none() && zoned::mounted(session.ctx, &name)?.is_some() {
                    return Ok(());
                }
                return Err(fail(format!("cannot unmount '{operand}': not currently mounted")));
            }
            // Children first, as zfs does.
            below(session, &locked, &name, force)
        }
        _ => Err(usage::wrong("zfs", "unmount", "missing filesystem argument")),
    }
}

/// Unmounts the dataset and what is mounted of the datasets below it, deepest first. When one would not go, the others come back.
fn below(session: &mut Session, locked: &Locked, name: &str, force: bool) -> Done {
    let mut gone: Vec<String> = Vec::new();
    for name in locked.state.tree(name).into_iter().rev() {
        let id = locked.state.datasets.get(&name).map(|dataset| dataset.id);
        let Some(dir) = id.and_then(|id| mounts::find(&locked.store, id)) else {
            continue;
        };
        if let Err(refusal) = mounts::unmount(session.ctx, &dir, force) {
            for name in gone.iter().rev() {
                mounts::mount(session.ctx, locked, name)?;
            }
            return Err(refusal);
        }
        gone.push(name);
    }
    Ok(())
}
