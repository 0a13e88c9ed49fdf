//! Who drives a run: user, machine, and a number that this machine's state folder has once and for all, so that two
//! machines with the same name are two.

use std::fs;
use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::model::Owner;
use crate::saga::journal;
use crate::saga::journal::JournalError;

/// The owner that this user on this machine is.
///
/// # Errors
/// When there is no place for the number, or it cannot be kept.
pub fn owner() -> Result<Owner, JournalError> {
    let runs = journal::runs_directory()?;
    let folder = runs.parent().unwrap_or(&runs);
    let file = folder.join("machine");
    let failed = |error| JournalError::File { path: file.clone(), error };
    let number = number(&file).map_err(failed)?;
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    // uname(1) is on every system that jailferry runs on; POSIX has no variable for the name.
    let machine = Command::new("uname").arg("-n").output().map(|o| o.stdout).unwrap_or_default();
    let text = format!("{}@{}-{number}", plain(&user), plain(&String::from_utf8_lossy(&machine)));
    Owner::new(text).map_err(|error| failed(io::Error::other(error)))
}

/// Only what a name may hold, and not too much of it.
fn plain(text: &str) -> String {
    let text = text.trim();
    let kept: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(40).collect();
    if kept.is_empty() { "unknown".to_owned() } else { kept }
}

/// Made once: the file appears under its name only when it is whole, and whoever comes first wins.
fn number(file: &Path) -> io::Result<String> {
    let valid = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match fs::read_to_string(file) {
        Ok(text) if valid(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => return Err(io::Error::other("does not hold the eight hexadecimal digits that it was made with")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)?;
    let digits = format!("{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff);
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(new, "{digits}")?;
    new.as_file().sync_all()?;
    match new.persist_noclobber(file) {
        Ok(_) => Ok(digits),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => number(file),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/machine");
        let first = number(&file).unwrap();
        assert_eq!(number(&file).unwrap(), first);
        fs::write(&file, "somebody's words").unwrap();
        assert!(number(&file).is_err(), "never replaced: hosts may know the old one");
        assert_eq!(plain(" ann a$(x)\n"), "annax");
        assert_eq!(plain("\u{1b}"), "unknown");
    }
}
