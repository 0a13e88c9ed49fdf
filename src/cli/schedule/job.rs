//! One playbook of a scheduler.

use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::Digest;
use sha2::Sha256;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::known;
use crate::cli::output;
use crate::model::JailName;
use crate::model::RunId;
use crate::playbook::Fleet;
use crate::playbook::Playbook;
use crate::saga::RunRecord;
use crate::saga::owner;
use crate::schedule::Schedule;
use crate::schedule::ZoneName;
use crate::schedule::decide;

/// A playbook with a schedule, read and found right.
#[derive(Debug)]
pub(super) struct Job {
    /// What messages call it.
    pub(super) name: String,
    /// What its files and the journals of its runs call it: the name, and which file that is.
    pub(super) key: String,
    /// Its file, absolute.
    pub(super) path: PathBuf,
    /// The fleet's file.
    pub(super) fleet_file: PathBuf,
    pub(super) plan: decide::Plan,
    playbook: Playbook,
    fleet: Fleet,
}

impl Job {
    /// Reads a playbook.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn read(global: &Global, path: &Path) -> Result<Job, Exit> {
        let bad = |message: String| {
            output::complain(&message);
            Exit::BadInput
        };
        let (playbook, fleet) = input::playbook(global, path).map_err(|()| Exit::BadInput)?;
        let Some(schedule) = playbook.schedule.clone() else {
            return Err(bad(format!("{} has no `schedule:`, so nothing says when to run it", path.display())));
        };
        let zone = zone(schedule.time_zone.as_ref()).map_err(|e| bad(format!("{}: {e}", path.display())))?;
        let one_spelling = |path: &Path| one_spelling(path).map_err(|e| bad(format!("{}: {e}", path.display())));
        let (path, fleet_file) = (one_spelling(path)?, one_spelling(&fleet.path)?);
        let name = name_of(&path);
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let which: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
        let key = format!("{name}-{which}");
        let owner = owner::owner().map_err(|e| {
            output::complain(&e.to_string());
            Exit::Internal
        })?;
        let plan = decide::Plan { schedule, zone, salt: format!("{owner} {key}") };
        Ok(Job { name, key, path, fleet_file, plan, playbook, fleet: fleet.fleet })
    }

    pub(super) fn schedule(&self) -> &Schedule {
        &self.plan.schedule
    }

    /// What carries out this kind of playbook, with nobody there to answer. The one place that knows the kinds.
    pub(super) fn verb(&self) -> [&'static str; 2] {
        ["run", "--yes"]
    }

    /// Runs that this schedule started and whose copies have been kept long enough, oldest first.
    ///
    /// # Errors
    /// When the journals cannot be read; it has been said.
    pub(super) fn outdated(&self, now: Timestamp) -> Result<Vec<Outdated>, Exit> {
        let mark = known::started_by(&self.key);
        let runs = known::runs()?;
        let ours = runs.iter().filter(|r| !r.active).filter_map(|r| r.record.as_ref().ok());
        Ok(ours.filter_map(|record| self.is_outdated(record, &mark, now)).collect())
    }

    fn is_outdated(&self, record: &RunRecord, mark: &str, now: Timestamp) -> Option<Outdated> {
        let (header, ended) = (&record.header, record.ended()?);
        if !record.notes(mark) || !known::has_moved(record) || known::is_finalized(record) {
            return None;
        }
        let keep = self.keep(&header.jail)?;
        let age = now.duration_since(ended);
        (age > keep).then(|| Outdated { run: header.run.clone(), age, keep })
    }

    /// How long a copy of that jail is kept: the move's word, the playbook's, the jail's, the fleet's.
    fn keep(&self, jail: &JailName) -> Option<SignedDuration> {
        let one = self.playbook.moves.iter().find(|m| m.jail == *jail).map(|m| m.options.clone()).unwrap_or_default();
        one.over(&self.playbook.options).over(&self.fleet.options_of(jail)).keep
    }
}

/// The one path of a file, whatever links and folders it was named by: two schedulers may not look after one playbook. A file
/// that is gone keeps the path that it was named by.
///
/// # Errors
/// When there is no current folder.
pub(super) fn one_spelling(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path))
}

/// A run whose copy may go.
#[derive(Debug)]
pub(super) struct Outdated {
    pub(super) run: RunId,
    pub(super) age: SignedDuration,
    pub(super) keep: SignedDuration,
}

/// The time zone of that name, or the machine's.
///
/// # Errors
/// A message for people.
fn zone(name: Option<&ZoneName>) -> Result<TimeZone, String> {
    match name {
        Some(name) => input::zone(name.as_str()),
        None => TimeZone::try_system().map_err(|e| {
            format!("the time zone of this machine is not known ({e}): write `time_zone:` into the schedule")
        }),
    }
}

/// The file's name without its end, as far as file names and labels may hold it.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let kept: String = stem.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(60).collect();
    if kept.trim_start_matches(['.', '-']).is_empty() {
        "playbook".into()
    } else {
        kept.trim_start_matches(['.', '-']).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_files() {
        for (path, name) in [
            ("/etc/jailferry/nightly.yml", "nightly"),
            ("/x/a b/ö..yml", "playbook"),
            ("/x/-rf.yml", "rf"),
            ("/x/we.ek.yml", "we.ek"),
        ] {
            assert_eq!(name_of(Path::new(path)), name, "{path}");
        }
    }
}
