//! Where a schedule's standing is kept: `schedule/NAME.json` beside the journals, replaced whole; who looks after it holds
//! `NAME.lock`, and a run that is under way `NAME.running`, as flock(2) that end with the process.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::saga::journal;
use crate::schedule::standing::FORMAT;
use crate::schedule::standing::Standing;

/// No standing is larger.
const LARGEST: u64 = 1 << 20;

/// The folder of all schedules of this machine.
///
/// # Errors
/// A message for people.
pub(super) fn folder() -> Result<PathBuf, String> {
    let runs = journal::runs_directory().map_err(|e| e.to_string())?;
    Ok(runs.parent().unwrap_or(&runs).join("schedule"))
}

/// The files of one schedule.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    key: String,
    /// Held as long as somebody looks after the schedule.
    _lock: File,
}

impl Keeper {
    /// Takes the schedule.
    ///
    /// # Errors
    /// A message for people; `Ok(None)` when another process has it.
    pub(super) fn take(folder: &Path, key: &str) -> Result<Option<Keeper>, String> {
        fs::DirBuilder::new().recursive(true).create(folder).map_err(|e| told(folder, &e))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|e| told(folder, &e))?;
        let path = folder.join(format!("{key}.lock"));
        let lock = open(&path).map_err(|e| told(&path, &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Keeper { folder: folder.to_owned(), key: key.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(told(&path, &error)),
        }
    }

    /// What is remembered; `None` when there is nothing yet.
    ///
    /// # Errors
    /// A message for people: what cannot be read is never taken for nothing, or everything would be run again.
    pub(super) fn standing(&self) -> Result<Option<Standing>, String> {
        read(&self.folder.join(format!("{}.json", self.key)))
    }

    /// Remembers it, on the disk when this returns.
    ///
    /// # Errors
    /// A message for people.
    pub(super) fn keep(&self, standing: &Standing) -> Result<(), String> {
        let path = self.folder.join(format!("{}.json", self.key));
        let text = serde_json::to_string_pretty(standing).map_err(|e| format!("{}: {e}", path.display()))?;
        replace(&path, text.as_bytes(), 0o600, true).map_err(|e| told(&path, &e))
    }

    /// Is a run under way, whoever began it?
    ///
    /// # Errors
    /// A message for people.
    pub(super) fn is_running(&self) -> Result<bool, String> {
        Ok(self.running()?.is_none())
    }

    /// The lock that a run inherits as its standard input; `None` while one is under way.
    ///
    /// # Errors
    /// A message for people.
    pub(super) fn running(&self) -> Result<Option<File>, String> {
        let path = self.folder.join(format!("{}.running", self.key));
        let file = open(&path).map_err(|e| told(&path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(told(&path, &error)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Reads a standing.
///
/// # Errors
/// A message for people.
pub(super) fn read(path: &Path) -> Result<Option<Standing>, String> {
    let mut text = String::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(path, &error)),
        Ok(file) => file.take(LARGEST).read_to_string(&mut text).map_err(|e| told(path, &e))?,
    };
    let standing: Standing = serde_json::from_str(&text).map_err(|e| {
        format!("{}: {e}\nremove the file to begin anew: runs missed before are not made up for then", path.display())
    })?;
    if standing.format > FORMAT {
        return Err(format!("{}: a newer jailferry wrote it", path.display()));
    }
    Ok(Some(standing))
}

/// Replaces a file whole.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    if durable {
        new.as_file().sync_all()?;
    }
    new.persist(path).map_err(|e| e.error)?;
    if durable { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that another test has just forked has our locks, too, until it becomes its program.
    fn soon<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = ask() {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    #[test]
    fn one_process_looks_after_a_schedule_and_a_run_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::take(folder.path(), "nightly-0123").unwrap().unwrap();
        assert!(Keeper::take(folder.path(), "nightly-0123").unwrap().is_none());
        assert!(Keeper::take(folder.path(), "weekly-0123").unwrap().is_some());
        assert_eq!(keeper.standing().unwrap(), None);
        let standing = Standing::new("nightly", "/p", "2026-11-27T00:00:00Z".parse().unwrap());
        keeper.keep(&standing).unwrap();
        assert_eq!(keeper.standing().unwrap(), Some(standing));
        // The run has the lock as its standard input, and keeps it when the scheduler is gone.
        let lock = keeper.running().unwrap().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(lock).spawn().unwrap();
        assert!(keeper.is_running().unwrap() && keeper.running().unwrap().is_none());
        drop(keeper);
        let keeper = soon(|| Keeper::take(folder.path(), "nightly-0123").unwrap());
        assert!(keeper.is_running().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        soon(|| (!keeper.is_running().unwrap()).then_some(()));
    }

    #[test]
    fn a_damaged_standing_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::take(folder.path(), "n").unwrap().unwrap();
        fs::write(folder.path().join("n.json"), "{").unwrap();
        assert!(keeper.standing().unwrap_err().contains("remove the file to begin anew"));
    }
}
