//! Mounting datasets: a bind mount of the live tree, and its line in the host's mount table.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use nix::mount::mount as mount2;
use nix::mount::umount2;

use super::computed::View;
use super::model::Kind;
use super::props;
use super::session::Done;
use super::session::fail;
use super::store::Locked;
use super::store::Store;
use super::zoned;
use crate::context::Context;
use crate::mounts::Mount;

const NONE: Option<&str> = None;

/// Where the dataset with that number is mounted, asked of the kernel: what a reboot took away is not mounted.
pub fn find(store: &Store, id: u64) -> Option<PathBuf> {
    let live = fs::canonicalize(store.live(id)).ok()?;
    let here = fs::metadata(&live).ok()?;
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // The newest mount is last.
    table
        .lines()
        .rev()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(3);
            Some((fields.next()?, unescape(fields.next()?)))
        })
        .filter(|(root, dir)| root.ends_with(&format!("/zfs/fs/{id}")) && *dir != live)
        .find(|(_, dir)| fs::metadata(dir).is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())))
        .map(|(_, dir)| dir)
}

/// Is the snapshot with that number mounted somewhere?
pub fn is_mounted(id: u64) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(3)).any(|root| root.ends_with(&format!("/zfs/snap/{id}")))
}

/// Mounts a snapshot on a directory, read-only, as mount(8) with `-t zfs` does (zfs_vfsops.c, zfs_domount). The error is
/// FreeBSD's word for the error number.
pub fn mount_snapshot(ctx: &Context, name: &str, dir: &str) -> Result<Mount, String> {
    let internal = |fail: super::session::Fail| fail.message;
    let locked = Store::open(ctx).and_then(|store| store.lock()).map_err(internal)?;
    let missing = || "No such file or directory".to_string();
    let (dataset, leaf) = name.split_once('@').ok_or("the lab mounts snapshots only")?;
    let dataset = locked.state.datasets.get(dataset).ok_or_else(missing)?;
    let id = dataset.snapshot(leaf).ok_or_else(missing)?.id;
    if dataset.kind == Kind::Volume {
        return Err("Invalid argument".into());
    }
    if !(View { state: &locked.state, store: &locked.store }).readable(dataset) {
        return Err("Permission denied".into());
    }
    // It has one owner (dmu_objset_own).
    if is_mounted(id) {
        return Err("Device busy".into());
    }
    mount2(Some(&locked.store.snap(id)), dir, NONE, MsFlags::MS_BIND, NONE)
        .and_then(|()| mount2(NONE, dir, NONE, MsFlags::MS_PRIVATE, NONE))
        .and_then(|()| protect(dir, true))
        .map_err(crate::freebsd::base::mount::make::errno_text)?;
    let opts = vec!["ro".to_string(), "nfsv4acls".to_string()];
    let made = Mount { source: name.into(), dir: dir.into(), fstype: "zfs".into(), opts, jail: None };
    crate::mounts::add(ctx, made.clone()).map_err(|error| error.to_string())?;
    Ok(made)
}

/// `\040` and the like in mountinfo.
fn unescape(text: &str) -> PathBuf {
    PathBuf::from(text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
}

/// Mounts a dataset at its mountpoint, as `zfs mount` does, with its refusals.
pub fn mount(ctx: &Context, locked: &Locked, name: &str) -> Done {
    let Some(dataset) = locked.state.datasets.get(name) else {
        return Err(fail(format!("cannot open '{name}': dataset does not exist")));
    };
    let refuse = |text: &str| Err(fail(format!("cannot mount '{name}': {text}")));
    let state = &locked.state;
    let mountpoint = props::value(state, name, "mountpoint");
    let view = View { state, store: &locked.store };
    if dataset.kind == Kind::Volume {
        return Err(fail(format!("cannot open '{name}': operation not applicable to datasets of this type")));
    }
    if props::value(state, name, "jailed") == "on" && ctx.jail.is_none() {
        return refuse("dataset is exported to a local zone");
    }
    if let Some(jail) = &ctx.jail {
        if !zoned::sees(state, jail, name) {
            return Err(fail(format!("cannot open '{name}': dataset does not exist")));
        }
        if props::value(state, name, "jailed") != "on" {
            return refuse("permission denied");
        }
    }
    if mountpoint == "legacy" {
        return refuse("legacy mountpoint\nuse mount(8) to mount this filesystem");
    }
    if mountpoint == "none" {
        return refuse("no mountpoint set");
    }
    if props::value(state, name, "canmount") == "off" {
        return refuse("'canmount' property is set to 'off'");
    }
    if find(&locked.store, dataset.id).is_some() {
        return refuse("filesystem already mounted");
    }
    if !view.readable(dataset) {
        return refuse("encryption key not loaded");
    }
    if dataset.partial.as_ref().is_some_and(|partial| partial.new) {
        return refuse("Unable to mount an inconsistent dataset");
    }
    if fs::create_dir_all(&mountpoint).is_err() {
        return refuse("failed to create mountpoint: Read-only file system");
    }
    let dir = crate::mounts::real(Path::new(&mountpoint));
    let live = locked.store.live(dataset.id);
    let read_only = props::value(state, name, "readonly") == "on";
    mount2(Some(&live), dir.as_str(), NONE, MsFlags::MS_BIND, NONE)
        // Or a child's mount would show up in the live tree, where the host shares its mounts.
        .and_then(|()| mount2(NONE, dir.as_str(), NONE, MsFlags::MS_PRIVATE, NONE))
        .and_then(|()| protect(&dir, read_only))
        .map_err(|errno| fail(format!("cannot mount '{name}': {}", errno.desc())))?;
    let opts = vec![if read_only { "ro" } else { "rw" }.to_string(), "nfsv4acls".into()];
    let dir = zoned::global(ctx, &dir)?;
    crate::mounts::add(ctx, Mount { source: name.into(), dir, fstype: "zfs".into(), opts, jail: ctx.jail.clone() })?;
    Ok(())
}

/// Puts `readonly` into force on a mounted directory.
fn protect(dir: &str, read_only: bool) -> nix::Result<()> {
    let flag = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    mount2(NONE, dir, NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flag, NONE)
}

/// After a change of `readonly`: every mounted dataset below `top` follows.
pub fn refresh(ctx: &Context, locked: &Locked, top: &str) -> Done {
    for name in locked.state.tree(top) {
        let Some(dir) = locked.state.datasets.get(&name).and_then(|d| find(&locked.store, d.id)) else {
            continue;
        };
        let read_only = props::value(&locked.state, &name, "readonly") == "on";
        let dir = dir.display().to_string();
        protect(&dir, read_only)
            .map_err(|errno| fail(format!("cannot set property for '{name}': {}", errno.desc())))?;
        crate::mounts::change(ctx, |mounts| {
            for mount in mounts.iter_mut().filter(|mount| mount.dir == dir && mount.fstype == "zfs") {
                mount.opts[0] = if read_only { "ro" } else { "rw" }.into();
            }
        })?;
    }
    Ok(())
}

/// Unmounts what is mounted at `dir`.
pub fn unmount(ctx: &Context, dir: &Path, force: bool) -> Done {
    let text = dir.display().to_string();
    let busy = || fail(format!("cannot unmount '{text}': pool or dataset is busy"));
    let below = |mount: &Mount| Path::new(&mount.dir).starts_with(dir) && mount.dir != text;
    if crate::mounts::list(ctx)?.iter().any(below)
        || !force && (used_elsewhere(dir) || crate::freebsd::jail::uses(ctx, &text))
    {
        return Err(busy());
    }
    let flags = if force { MntFlags::MNT_DETACH } else { MntFlags::empty() };
    match umount2(dir, flags) {
        Ok(()) => {}
        Err(Errno::EBUSY) => return Err(busy()),
        Err(errno) => return Err(fail(format!("cannot unmount '{text}': {}", errno.desc()))),
    }
    if force {
        crate::freebsd::jail::revoke(ctx, &text)?;
    }
    crate::mounts::remove(ctx, &zoned::global(ctx, &text)?)?;
    Ok(())
}

/// Whether a jail lives in it. The kernel does not count the mounts of other mount namespaces, FreeBSD counts the jail's root.
fn used_elsewhere(dir: &Path) -> bool {
    let Ok(here) = fs::metadata(dir) else {
        return false;
    };
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit())))
        .filter(|path| fs::read_link(path.join("ns/mnt")).ok() != own)
        .any(|path| {
            let root = path.join("root");
            let same = |path: &Path| {
                fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino()))
            };
            same(&root) || mounted_in(&path).iter().any(|dir| same(&root.join(dir.trim_start_matches('/'))))
        })
}

/// Where the process sees datasets mounted inside a root that is one itself: a jail's own copies. A host's shell in another namespace does not count.
fn mounted_in(process: &Path) -> Vec<String> {
    let table = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
    let mounts: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(3);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(root, _)| root.contains("/zfs/fs/"))
        .collect();
    if !mounts.iter().any(|(_, dir)| *dir == "/") {
        return Vec::new();
    }
    mounts.into_iter().map(|(_, dir)| dir.to_string()).collect()
}
