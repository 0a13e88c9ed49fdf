//! Making one mount.

use std::path::Path;

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::mount::mount;

use crate::context::Context;
use crate::freebsd::zfs;
use crate::mounts;
use crate::mounts::Mount;

/// Mounts `source` of type `fstype` on `dir`. The error is the whole line that FreeBSD prints. Also for jail(8)'s `mount.fstab` and `mount.devfs`.
pub fn make(ctx: &Context, fstype: &str, source: &str, dir: &str, opts: &[String]) -> Result<Mount, String> {
    let target = mounts::real(Path::new(dir));
    if !Path::new(&target).is_dir() {
        let error = std::fs::metadata(&target)
            .err()
            .map(|error| super::super::reason(&error))
            .unwrap_or("Not a directory".into());
        return Err(format!("mount_{fstype}: {dir}: {error}"));
    }
    let read_only = opts.iter().any(|opt| opt == "ro" || opt == "rdonly");
    if fstype == "zfs" {
        // nmount(2) without a program of its own (sbin/mount/mount_fs.c).
        let made = zfs::mounts::mount_snapshot(ctx, source, &target);
        return made.map_err(|error| format!("mount: {source}: {error}"));
    }
    let none: Option<&str> = None;
    let done = match fstype {
        "nullfs" => {
            let real = mounts::real(Path::new(source));
            let list = mounts::list(ctx).unwrap_or_default();
            if list.iter().any(|mount| mount.fstype == "nullfs" && mount.dir == target && mount.source == source) {
                // What nullfs says to a mount onto itself (contract recordings: Resource deadlock avoided).
                return Err(format!("mount_nullfs: {target}: Resource deadlock avoided"));
            }
            mount(Some(real.as_str()), target.as_str(), none, MsFlags::MS_BIND, none)
                .and_then(|()| if read_only { remount(&target, true) } else { Ok(()) })
        }
        "tmpfs" => mount(Some("tmpfs"), target.as_str(), Some("tmpfs"), MsFlags::empty(), size(opts).as_deref()),
        "devfs" => devices(&target),
        "fdescfs" => mount(Some("/proc/self/fd"), target.as_str(), none, MsFlags::MS_BIND, none),
        "procfs" | "linprocfs" => mount(Some("proc"), target.as_str(), Some("proc"), MsFlags::empty(), none),
        other => {
            return Err(format!(
                "mount: {source}: {}",
                if other == "ufs" { "No such file or directory" } else { "Operation not supported by device" }
            ));
        }
    };
    done.map_err(|errno| format!("mount_{fstype}: {source}: {}", errno_text(errno)))?;
    let made = Mount {
        source: source.into(),
        dir: target,
        fstype: fstype.into(),
        opts: vec![if read_only { "ro" } else { "rw" }.into()],
        jail: None,
    };
    mounts::add(ctx, made.clone()).map_err(|error| format!("mount: {error}"))?;
    Ok(made)
}

/// `mount -u -o ro DIR`.
pub fn update(ctx: &Context, dir: &str, opts: &[String]) -> Result<Mount, String> {
    let read_only = opts.iter().any(|opt| opt == "ro" || opt == "rdonly");
    let mut updated = None;
    remount(dir, read_only).map_err(|errno| format!("mount: {dir}: {}", errno_text(errno)))?;
    mounts::change(ctx, |mounts| {
        if let Some(mount) = mounts.iter_mut().rev().find(|mount| mount.dir == dir) {
            mount.opts.retain(|opt| opt != "ro" && opt != "rw");
            mount.opts.insert(0, if read_only { "ro" } else { "rw" }.into());
            updated = Some(mount.clone());
        }
    })
    .map_err(|error| format!("mount: {error}"))?;
    updated.ok_or_else(|| format!("mount: {dir}: not a file system root directory"))
}

fn remount(dir: &str, read_only: bool) -> nix::Result<()> {
    let none: Option<&str> = None;
    let flag = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    mount(none, dir, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flag, none)
}

/// A jail's /dev: the host's devices, as devfs shows those that the ruleset lets through.
fn devices(target: &str) -> nix::Result<()> {
    let none: Option<&str> = None;
    mount(Some("devfs"), target, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let path = Path::new(target).join(device);
        std::fs::write(&path, "").map_err(|_| Errno::EIO)?;
        mount(Some(&Path::new("/dev").join(device)), &path, none, MsFlags::MS_BIND, none)?;
    }
    for (link, to) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        std::os::unix::fs::symlink(to, Path::new(target).join(link)).map_err(|_| Errno::EIO)?;
    }
    Ok(())
}

fn size(opts: &[String]) -> Option<String> {
    opts.iter().find(|opt| opt.starts_with("size=")).cloned()
}

/// FreeBSD's text for an error number.
pub fn errno_text(errno: Errno) -> String {
    super::super::reason(&std::io::Error::from_raw_os_error(errno as i32))
}
