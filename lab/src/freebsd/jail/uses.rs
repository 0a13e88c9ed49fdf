//! Whether a jail uses a mount of the host. Linux does not count what processes of another mount namespace do, so an unmount would pass that FreeBSD refuses.

use std::fs;

use super::registry;
use super::registry::Jail;
use super::remove;
use crate::context::Context;
use crate::mounts;

/// Is a jail's root on the file system mounted on `dir`, or has one of its processes a file open or its folder there?
pub fn uses(ctx: &Context, dir: &str) -> bool {
    let (jails, dying) = (registry::list(ctx), registry::dying(ctx));
    if jails.is_empty() && dying.is_empty() {
        return false;
    }
    let mounts: Vec<String> = mounts::list(ctx).unwrap_or_default().into_iter().map(|mount| mount.dir).collect();
    let on = |path: &str| mounts.iter().filter(|mount| below(path, mount)).max_by_key(|mount| mount.len());
    // What is dying has no process, but its root (kern_jail.c, prison_deref).
    let holds = |jail: &Jail| on(&jail.path).is_some_and(|mount| mount == dir);
    dying.iter().filter(|jail| !jail.rootless).any(holds)
        || jails.iter().any(|jail| {
            holds(jail)
                || below(dir, &jail.path) && open(jail).iter().any(|path| on(path).is_some_and(|mount| mount == dir))
        })
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the processes of a jail have open, as paths of the host.
fn open(jail: &Jail) -> Vec<String> {
    let mut paths = Vec::new();
    for pid in remove::processes(jail.pid) {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for link in descriptors.map(|entry| entry.path()).chain([format!("/proc/{pid}/cwd").into()]) {
            if let Ok(path) = fs::read_link(link)
                && path.is_absolute()
            {
                paths.push(format!("{}{}", jail.path.trim_end_matches('/'), path.display()));
            }
        }
    }
    paths
}
