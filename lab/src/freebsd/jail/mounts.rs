//! What jail(8) mounts: the lines of its fstab(5) and devfs, in the host's own mount namespace and mount table.

use std::path::Path;

use nix::mount::MntFlags;
use nix::mount::umount2;

use crate::context::Context;
use crate::freebsd::base::mount::make::make;
use crate::mounts;

/// A line of fstab(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub from: String,
    /// Where.
    pub on: String,
    /// Type.
    pub kind: String,
    /// Options.
    pub options: String,
}

/// The lines of an fstab(5).
pub fn parse(text: &str) -> Vec<Entry> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(str::to_string);
            Some(Entry {
                from: words.next()?,
                on: words.next()?,
                kind: words.next()?,
                options: words.next().unwrap_or_else(|| "rw".into()),
            })
        })
        .collect()
}

/// Mounts one; the error is the program's complaint, as mount(8) prints it.
pub fn put(ctx: &Context, entry: &Entry) -> Result<(), String> {
    let options: Vec<String> = entry.options.split(',').map(str::to_string).collect();
    make(ctx, &entry.kind, &entry.from, &entry.on, &options).map(drop)
}

/// Is something mounted there?
pub fn is_mounted(ctx: &Context, on: &str) -> bool {
    let on = mounts::real(Path::new(on));
    mounts::list(ctx).unwrap_or_default().iter().any(|mount| mount.dir == on)
}

/// Unmounts the top mount on a place.
pub fn take(ctx: &Context, on: &str) -> Result<(), String> {
    let on = mounts::real(Path::new(on));
    // devfs has its nodes bound below it; all of it goes at once.
    umount2(on.as_str(), MntFlags::MNT_DETACH).map_err(|e| format!("umount: {on}: {}", e.desc()))?;
    mounts::remove(ctx, &on).map(drop).map_err(|e| e.to_string())
}
