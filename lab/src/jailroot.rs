//! What a jail's root needs so that the programs of the lab run in it: `/.lab` (this program, Debian's /usr, the host's log), `/lib64` (the loader) and `/proc`.
//!
//! FreeBSD's jails need none of it: the folders are made at the start and taken away after the end, so that a dataset looks as it would on FreeBSD.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::MsFlags;
use nix::mount::mount;

use crate::context::Context;

const FOLDERS: [&str; 3] = [".lab", "lib64", "proc"];

/// Furnishes `root` for the jail `name`. To be called in the jail's own mount namespace (private propagation) and pid namespace, before chroot or pivot_root.
/// After it, commands in the jail find `ctx.jail` set and log to the host's log.
pub fn furnish(ctx: &Context, root: &Path, name: &str) -> io::Result<()> {
    let none: Option<&str> = None;
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    mount(Some(&ctx.state), &root.join(".lab"), none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    mount(Some(&ctx.state.join("usr/lib64")), &root.join("lib64"), none, MsFlags::MS_BIND, none)?;
    mount(
        Some("proc"),
        &root.join("proc"),
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        none,
    )?;
    let names = ctx.run.join("jailnames");
    fs::create_dir_all(&names)?;
    let file = names.join(name);
    fs::write(&file, name)?;
    mount(Some(&file), &root.join(".lab/jail"), none, MsFlags::MS_BIND, none)?;
    Ok(())
}

/// Takes the empty folders away again, once the jail's processes (and with them its mount namespace) are gone.
pub fn clear(root: &Path) {
    for folder in FOLDERS {
        // A folder that holds something was the jail's own.
        let _not_empty = fs::remove_dir(root.join(folder));
    }
}
