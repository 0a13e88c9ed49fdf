//! The host's mount table as FreeBSD shows it: `/.lab/mounts`, one JSON line a mount, oldest first. Emptied at every boot.
//!
//! Everything that mounts keeps it: mount(8) and umount(8) here, `zfs mount` and `zfs unmount`, jail(8) with its fstab and devfs.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Dataset, folder, or the file system's name (`devfs`).
    pub source: String,
    /// Absolute, without symbolic links.
    pub dir: String,
    /// `zfs`, `nullfs`, `devfs`, `fdescfs`, `tmpfs`, `ufs`.
    pub fstype: String,
    /// As `mount -p` prints them, such as `rw` and `nfsv4acls`.
    pub opts: Vec<String>,
    /// The jail that made it and sees it: a dataset of its own. It outlives the jail.
    #[serde(default)]
    pub jail: Option<String>,
}

/// All mounts, the root first.
pub fn list(ctx: &Context) -> io::Result<Vec<Mount>> {
    Table::open(ctx)?.read()
}

/// Adds a mount that has just been made.
pub fn add(ctx: &Context, mount: Mount) -> io::Result<()> {
    change(ctx, |mounts| mounts.push(mount))
}

/// Takes out the newest mount on `dir`, which has just been unmounted. False: there was none.
pub fn remove(ctx: &Context, dir: &str) -> io::Result<bool> {
    let mut found = false;
    change(ctx, |mounts| {
        if let Some(at) = mounts.iter().rposition(|mount| mount.dir == dir) {
            mounts.remove(at);
            found = true;
        }
    })?;
    Ok(found)
}

/// Changes the table as one step.
pub fn change(ctx: &Context, change: impl FnOnce(&mut Vec<Mount>)) -> io::Result<()> {
    let mut table = Table::open(ctx)?;
    let mut mounts = table.read()?;
    change(&mut mounts);
    table.write(&mounts)
}

struct Table {
    file: File,
}

impl Table {
    /// Opened and locked until dropped.
    fn open(ctx: &Context) -> io::Result<Table> {
        let path = ctx.state.join("mounts");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .or_else(|_| File::open(&path))?;
        file.lock()?;
        Ok(Table { file })
    }

    fn read(&mut self) -> io::Result<Vec<Mount>> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
    }

    fn write(&mut self, mounts: &[Mount]) -> io::Result<()> {
        let mut text = String::new();
        for mount in mounts {
            text += &serde_json::to_string(mount)?;
            text.push('\n');
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}

/// An absolute path without symbolic links, as FreeBSD's mount table has it; of the parts that do not exist yet, as written.
pub fn real(path: &Path) -> String {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_path_buf())
        .display()
        .to_string()
}
