//! umount(8).

use std::path::Path;

use nix::errno::Errno;
use nix::mount::MntFlags;
use nix::mount::umount2;

use crate::context::Context;
use crate::freebsd::jail;
use crate::freebsd::zfs::zoned;
use crate::mounts;

use super::make::errno_text;

/// umount(8): `umount [-fnv] special … | node …`, `umount -a [-t type]`.
pub fn umount(ctx: &Context, args: &[String]) -> i32 {
    let (mut force, mut all, mut types, mut fstab) = (false, false, None, None);
    let mut operands = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "-f" => force = true,
            "-a" => all = true,
            "-v" | "-n" => {}
            "-t" => types = rest.next().cloned(),
            "-F" => fstab = rest.next().cloned(),
            flag if flag.starts_with('-') => {
                eprintln!("umount: illegal option -- {}", flag.trim_start_matches('-'));
                eprintln!(
                    "usage: umount [-fNnv] special ... | node ... | fsid ...\n       umount -a | -A [-F fstab] [-fnv] [-h host] [-t type]"
                );
                return 1;
            }
            operand => operands.push(operand.to_string()),
        }
    }
    if all {
        let from_fstab = |path: &String| {
            super::fstab::read(path).unwrap_or_default().into_iter().map(|line| line.dir).collect::<Vec<_>>()
        };
        let wanted = |mount: &mounts::Mount| {
            types.as_ref().is_none_or(|types: &String| types.split(',').any(|kind| kind == mount.fstype))
        };
        operands = match &fstab {
            Some(path) => from_fstab(path),
            None => mounts::list(ctx).unwrap_or_default().into_iter().filter(wanted).map(|mount| mount.dir).collect(),
        };
        operands.reverse();
    }
    let mut status = 0;
    for operand in operands {
        if let Err(error) = unmount(ctx, &operand, force) {
            eprintln!("{error}");
            status = 1;
        }
    }
    status
}

/// Unmounts what is mounted on (or from) `operand`. The error is the whole line that FreeBSD prints. Also for jail(8).
pub fn unmount(ctx: &Context, operand: &str, force: bool) -> Result<(), String> {
    let dir = mounts::real(Path::new(operand));
    let list = mounts::list(ctx).map_err(|error| format!("umount: {error}"))?;
    let found = list
        .iter()
        .rev()
        .find(|mount| mount.dir == dir)
        .or_else(|| list.iter().rev().find(|mount| mount.source == operand));
    let Some(mount) = found else {
        let problem =
            if Path::new(operand).exists() { "not a file system root directory" } else { "unknown file system" };
        return Err(format!("umount: {operand}: {problem}"));
    };
    if mount.jail.is_some() && ctx.jail.is_none() {
        return zoned::unmount(ctx, mount)
            .map_err(|_| format!("umount: unmount of {} failed: {}", mount.dir, errno_text(Errno::EBUSY)));
    }
    detach(ctx, &mount.dir, force)
        .map_err(|errno| format!("umount: unmount of {} failed: {}", mount.dir, errno_text(errno)))?;
    mounts::remove(ctx, &mount.dir).map(|_| ()).map_err(|error| format!("umount: {error}"))
}

/// The system call: EBUSY while something uses it, also from a jail (whose mount namespace the kernel does not count), unless forced.
pub fn detach(ctx: &Context, dir: &str, force: bool) -> nix::Result<()> {
    let inside = |other: &str| other.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let others = mounts::list(ctx).unwrap_or_default();
    if others.iter().any(|mount| inside(&mount.dir)) {
        return Err(Errno::EBUSY);
    }
    if force {
        return umount2(dir, MntFlags::MNT_DETACH);
    }
    if jail::uses(ctx, dir) {
        return Err(Errno::EBUSY);
    }
    // devfs is a tmpfs with devices bound into it here: only as a whole does it go.
    let devfs = others.iter().rev().find(|mount| mount.dir == dir).is_some_and(|mount| mount.fstype == "devfs");
    umount2(dir, if devfs { MntFlags::MNT_DETACH } else { MntFlags::empty() })
}
