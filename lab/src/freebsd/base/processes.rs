//! The host's own processes, as fstat(1) and sockstat(1) look at them.

use std::fs;
use std::path::PathBuf;

/// One of them.
pub struct Process {
    /// Its number.
    pub pid: String,
    /// Its name.
    pub command: String,
    /// Its folder below /proc.
    pub folder: PathBuf,
}

impl Process {
    /// What it has open: links, named by their descriptors.
    pub fn open(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(self.folder.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path())
    }
}

/// Those of the host but not of its jails, which have a mount namespace, and names, of their own.
pub fn of_the_host() -> impl Iterator<Item = Process> {
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter_map(move |folder| {
        let pid = folder.file_name()?.to_str().filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?.to_owned();
        if fs::read_link(folder.join("ns/mnt")).ok() != own {
            return None;
        }
        let command = fs::read_to_string(folder.join("comm")).unwrap_or_default().trim_end().to_owned();
        Some(Process { pid, command, folder })
    })
}
