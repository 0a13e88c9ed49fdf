//! What of the real pools is mounted, for mount(8) and jail(8) of the lab.

use std::fs;

use super::Names;
use crate::context::Context;
use crate::mounts;
use crate::mounts::Mount;

/// Brings the host's mount table up to what the kernel says.
pub fn tell(ctx: &Context, names: &Names) {
    let now = kernel(names);
    let changed = mounts::change(ctx, |table| {
        table.retain(|mount| {
            mount.fstype != "zfs" || now.iter().any(|m| (&m.source, &m.dir) == (&mount.source, &mount.dir))
        });
        for mount in now {
            match table.iter_mut().find(|m| m.fstype == "zfs" && (&m.source, &m.dir) == (&mount.source, &mount.dir)) {
                Some(known) => known.opts = mount.opts,
                None => table.push(mount),
            }
        }
    });
    if let Err(error) = changed {
        eprintln!("lab: mounts: {error}");
    }
}

fn kernel(names: &Names) -> Vec<Mount> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| row(names, line)).collect()
}

/// A line of mountinfo: `ID PARENT DEV ROOT DIR OPTIONS [OPTIONAL...] - TYPE SOURCE SUPER-OPTIONS` (proc(5)).
fn row(names: &Names, line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    let ([_, _, _, "/", dir, options, ..], ["zfs", source, all]) = (left.as_slice(), right.as_slice()) else {
        return None;
    };
    let source = source.strip_prefix(&names.host)?.to_owned();
    let only = |options: &str| options.split(',').any(|option| option == "ro");
    let way = if only(options) || only(all) { "ro" } else { "rw" };
    let dir = dir.replace("\\040", " ");
    Some(Mount { source, dir, fstype: "zfs".into(), opts: vec![way.into(), "nfsv4acls".into()], jail: None })
}

/// By force: what a jail had of it is gone.
pub fn revoke(ctx: &Context, names: &Names, what: &str) {
    for mount in kernel(names).iter().filter(|mount| mount.source == what || mount.dir == what) {
        if let Err(error) = crate::freebsd::jail::revoke(ctx, &mount.dir) {
            eprintln!("{}: {error}", mount.dir);
        }
    }
}

/// Why the dataset, or what is mounted there, cannot be unmounted: a jail lives on it. Linux would let go of the host's
/// mount, since the jail has its own.
pub fn in_a_jail(ctx: &Context, names: &Names, what: &str) -> Option<String> {
    let there = kernel(names);
    let mount = there.iter().find(|mount| mount.source == what || mount.dir == what)?;
    crate::freebsd::jail::uses(ctx, &mount.dir)
        .then(|| format!("cannot unmount '{}': pool or dataset is busy", mount.dir))
}
