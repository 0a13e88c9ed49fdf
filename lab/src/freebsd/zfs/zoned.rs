//! Datasets that belong to a jail, and what a host may not do with them (`jailed=on`): libzfs_dataset.c, `getzoneid() ==
//! GLOBAL_ZONEID` in zfs_valid_proplist, zfs_prop_set_list, zfs_prop_inherit and zfs_rename.

use std::fs;

use super::model::State;
use super::props;
use super::session::Done;
use super::session::fail;
use crate::context::Context;
use crate::mounts::Mount;

/// Was the jail handed any dataset (`zfs jail`)?
pub fn has_any(state: &State, jail: &str) -> bool {
    state.datasets.values().any(|dataset| dataset.jail.as_deref() == Some(jail))
}

/// Is it one that the jail was handed, or below one?
pub fn sees(state: &State, jail: &str, name: &str) -> bool {
    state.datasets.iter().any(|(top, dataset)| {
        dataset.jail.as_deref() == Some(jail)
            && name.strip_prefix(top.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The file below a jail's runtime state with its root on the host.
pub const ROOT: &str = "jail.path";

/// As the host's mount table has a path of this process (vfs_mount.c, vn_path_to_global_path).
pub fn global(ctx: &Context, dir: &str) -> Done<String> {
    match ctx.jail {
        Some(_) => Ok(format!("{}{dir}", fs::read_to_string(ctx.run.join(ROOT))?)),
        None => Ok(dir.to_owned()),
    }
}

/// The mount that a jail made of it, also of one that is gone.
pub fn mounted(ctx: &Context, name: &str) -> Done<Option<Mount>> {
    Ok(crate::mounts::list(ctx)?.into_iter().rev().find(|mount| mount.jail.is_some() && mount.source == name))
}

/// The same, for what has no context at hand.
pub fn is_mounted(name: &str) -> bool {
    mounted(&Context::load(), name).is_ok_and(|mount| mount.is_some())
}

/// By umount(8) of the host. The kernel took it away when the jail ended; here only the table knows of it still.
pub fn unmount(ctx: &Context, mount: &Mount) -> Done {
    let busy = |name: &String| crate::freebsd::jail::runs(ctx, name);
    let below = |other: &Mount| other.dir.starts_with(&format!("{}/", mount.dir));
    if mount.jail.as_ref().is_some_and(busy) || crate::mounts::list(ctx)?.iter().any(below) {
        return Err(fail(format!("cannot unmount '{}': pool or dataset is busy", mount.dir)));
    }
    crate::mounts::change(ctx, |mounts| mounts.retain(|other| other != mount))?;
    Ok(())
}

fn jailed(state: &State, name: &str) -> bool {
    props::value(state, name, "jailed") == "on"
}

/// Below it, with a mount point that comes from it.
fn child_inherits(state: &State, name: &str) -> bool {
    let below = state.tree(name).into_iter().filter(|child| child != name);
    below.into_iter().any(|child| {
        let own = |name: &str| state.datasets.get(name).is_some_and(|d| d.local.contains_key("mountpoint"));
        jailed(state, &child) && !own(&child)
    })
}

/// `zfs set mountpoint=…`.
pub fn may_set(ctx: &Context, state: &State, name: &str, property: &str, what: &str) -> Done {
    if property != "mountpoint" || ctx.jail.is_some() {
        return Ok(());
    }
    if jailed(state, name) {
        return Err(fail(format!("{what}: 'mountpoint' cannot be set on dataset in a non-global zone")));
    }
    if child_inherits(state, name) {
        return Err(fail(format!("{what}: child dataset with inherited mountpoint is used in a non-global zone")));
    }
    Ok(())
}

/// `zfs inherit mountpoint`.
pub fn may_inherit(ctx: &Context, state: &State, name: &str, property: &str) -> Done {
    if property != "mountpoint" || ctx.jail.is_some() {
        return Ok(());
    }
    let what = format!("cannot inherit {property} for '{name}'");
    if jailed(state, name) {
        return Err(fail(format!("{what}: dataset is used in a non-global zone")));
    }
    if child_inherits(state, name) {
        return Err(fail(format!("{what}: child dataset with inherited mountpoint is used in a non-global zone")));
    }
    Ok(())
}

/// `zfs rename`. A child that belongs to a jail is in the way as well (changelist_haszonedchild).
pub fn may_rename(ctx: &Context, state: &State, name: &str) -> Done {
    if ctx.jail.is_some() {
        return Ok(());
    }
    if jailed(state, name) {
        return Err(fail(format!("cannot rename '{name}': dataset is used in a non-global zone")));
    }
    if state.tree(name).iter().any(|child| jailed(state, child)) {
        return Err(fail(format!(
            "cannot rename '{name}': child dataset with inherited mountpoint is used in a non-global zone"
        )));
    }
    Ok(())
}
