//! The journal of a run: a file of JSON lines, readable with less(1), written before and after every step.
//!
//! Lines that decide how a run is recovered (header, steps, the end) are on the disk when [`Journal::append`] returns.
//! Commands and notes are written at once but synced with the next such line: they only inform, and a sync for each
//! would lengthen the blackout.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::RunId;
use crate::remote::CommandEntry;
use crate::remote::CommandLog;
use crate::saga::record;
use crate::saga::record::BadJournal;
use crate::saga::record::CommandRecord;
use crate::saga::record::Entry;
use crate::saga::record::FORMAT;
use crate::saga::record::Header;
use crate::saga::record::NoteRecord;
use crate::saga::record::Record;
use crate::saga::record::RunRecord;
use crate::saga::record::StepRecord;
use crate::saga::state::StepEvent;
use crate::ui::sanitize;

/// How a journal's file is called: the run's id and this.
const SUFFIX: &str = ".jsonl";

/// No journal is larger; a file that is, is not ours.
const LARGEST: u64 = 1 << 30;

/// Lines of a command's output that are kept.
const KEPT_LINES: usize = 40;

/// Why a journal cannot be written or read. None of these can be ignored: a run without a journal cannot be recovered.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no; a full disk is here.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another process drives this run.
    #[error("{}: another jailferry is working on this run", .0.display())]
    InUse(PathBuf),
    /// The content is damaged or newer.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: BadJournal,
    },
    /// Neither variable is set.
    #[error("no place for the journal: set HOME, XDG_STATE_HOME or JAILFERRY_STATE to an absolute path")]
    NoPlace,
}

/// The folder of all runs: `$JAILFERRY_STATE/runs`, else `$XDG_STATE_HOME/jailferry/runs`, else
/// `~/.local/state/jailferry/runs`.
///
/// # Errors
/// [`JournalError::NoPlace`] when none of them is an absolute path.
pub fn runs_directory() -> Result<PathBuf, JournalError> {
    runs_directory_from(|name| std::env::var_os(name).map(PathBuf::from))
}

fn runs_directory_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, JournalError> {
    let absolute = |name: &str| variable(name).filter(|p| p.is_absolute());
    let ours = absolute("JAILFERRY_STATE");
    let xdg = || absolute("XDG_STATE_HOME").map(|p| p.join("jailferry"));
    let home = || absolute("HOME").map(|p| p.join(".local/state/jailferry"));
    ours.or_else(xdg).or_else(home).map(|p| p.join("runs")).ok_or(JournalError::NoPlace)
}

/// Where the journal of `run` is.
#[must_use]
pub fn path_of(directory: &Path, run: &RunId) -> PathBuf {
    directory.join(format!("{run}{SUFFIX}"))
}

/// An open journal, locked for this process.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<Tail>,
}

/// The file and how much of it is whole lines.
#[derive(Debug)]
struct Tail {
    file: File,
    length: u64,
    /// Is there a part of a line behind them that could not be taken away?
    torn: bool,
}

impl Journal {
    /// Begins the journal of a new run.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(directory: &Path, header: Header) -> Result<Journal, JournalError> {
        let path = path_of(directory, &header.run);
        let failed = |error| JournalError::File { path: path.clone(), error };
        let no_folder = |error| JournalError::File { path: directory.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(no_folder)?;
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        lock(&file, &path)?;
        let journal = Journal { path: path.clone(), file: Mutex::new(Tail { file, length: 0, torn: false }) };
        journal.write(&Entry { format: Some(FORMAT), at: Timestamp::now(), what: Record::Header(header) })?;
        // The name itself, too, has to survive a power loss.
        File::open(directory).and_then(|d| d.sync_all()).map_err(no_folder)?;
        Ok(journal)
    }

    /// Opens the journal of an interrupted run to go on with it.
    ///
    /// # Errors
    /// When another process works on the run, or the journal is damaged or newer.
    pub fn open(path: &Path) -> Result<(Journal, RunRecord), JournalError> {
        let failed = |error| JournalError::File { path: path.to_owned(), error };
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(failed)?;
        lock(&file, path)?;
        let run = read_file(&mut file, path)?;
        if run.torn {
            // The next line must not be glued to the torn one.
            file.set_len(run.length).and_then(|()| file.sync_data()).map_err(failed)?;
        }
        let tail = Tail { file, length: run.length, torn: false };
        Ok((Journal { path: path.to_owned(), file: Mutex::new(tail) }, run))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one record.
    ///
    /// # Errors
    /// When it cannot be stored; the run must not go on then.
    pub fn append(&self, what: Record) -> Result<(), JournalError> {
        self.write(&Entry { format: None, at: Timestamp::now(), what })
    }

    /// A step came to a new state.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn step(&self, number: usize, phase: StepEvent, reason: Option<String>) -> Result<(), JournalError> {
        self.append(Record::Step(StepRecord { number, phase, reason }))
    }

    /// Something worth knowing.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn note(&self, text: impl Into<String>) -> Result<(), JournalError> {
        self.append(Record::Note(NoteRecord { text: text.into(), decision: None }))
    }

    fn write(&self, entry: &Entry) -> Result<(), JournalError> {
        let failed = |error| JournalError::File { path: self.path.clone(), error };
        let mut line = serde_json::to_vec(entry).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        let mut tail = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.torn {
            tail.file.set_len(tail.length).map_err(failed)?;
            tail.torn = false;
        }
        let durable = matches!(entry.what, Record::Header(_) | Record::Plan(_) | Record::Step(_) | Record::Finished(_));
        let written = tail.file.write_all(&line).and_then(|()| if durable { tail.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // A part of the line may be there (a full disk). Take it away, so that what was acknowledged stays
            // readable; if not even that works, the part has no line end and readers ignore it.
            tail.torn = tail.file.set_len(tail.length).is_err();
            return Err(failed(error));
        }
        tail.length += line.len() as u64;
        Ok(())
    }
}

impl CommandLog for Journal {
    fn command(&self, entry: &CommandEntry<'_>) -> io::Result<()> {
        let record = CommandRecord {
            host: entry.host.clone(),
            line: entry.line.to_owned(),
            stdin: entry.stdin.map(str::to_owned),
            status: entry.status,
            milliseconds: milliseconds(entry.duration),
            stdout: sanitize::tail(entry.stdout, KEPT_LINES),
            stderr: sanitize::tail(entry.stderr, KEPT_LINES),
            problem: entry.problem.map(str::to_owned),
        };
        self.append(Record::Command(record)).map_err(io::Error::other)
    }
}

/// Reads a journal without taking it.
///
/// # Errors
/// When it cannot be read, is damaged or newer.
pub fn replay(path: &Path) -> Result<RunRecord, JournalError> {
    let mut file = File::open(path).map_err(|error| JournalError::File { path: path.to_owned(), error })?;
    read_file(&mut file, path)
}

/// One journal of a folder.
#[derive(Debug)]
pub struct FoundRun {
    /// The run, by the file's name.
    pub run: RunId,
    /// The file.
    pub path: PathBuf,
    /// Does a process work on it right now?
    pub active: bool,
    /// What it says, or why it cannot be read.
    pub record: Result<RunRecord, JournalError>,
}

/// All journals of `directory`, the youngest last. A folder that does not exist has none.
///
/// # Errors
/// When the folder cannot be read.
pub fn list_runs(directory: &Path) -> Result<Vec<FoundRun>, JournalError> {
    let mut runs = Vec::new();
    for (run, path) in named(directory)? {
        let active =
            File::open(&path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
        runs.push(FoundRun { run, active, record: replay(&path), path });
    }
    // One that cannot be read has no time: first, where it is seen.
    runs.sort_by_key(|found| (found.record.as_ref().ok().map(|r| r.started), found.run.clone()));
    Ok(runs)
}

/// The runs of `directory` and their journals, by the files' names alone: there may be thousands, each with a whole plan.
///
/// # Errors
/// When the folder cannot be read.
pub fn named(directory: &Path) -> Result<Vec<(RunId, PathBuf)>, JournalError> {
    let failed = |error| JournalError::File { path: directory.to_owned(), error };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        runs.extend(run_of(&path).map(|run| (run, path)));
    }
    Ok(runs)
}

/// The run whose journal is called like this.
fn run_of(path: &Path) -> Option<RunId> {
    RunId::new(path.file_name()?.to_str()?.strip_suffix(SUFFIX)?).ok()
}

/// flock(2) for this process; gone when the file is closed, also by SIGKILL. Tried a few times, since
/// [`list_runs`] takes a look at the lock for an instant.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    for _ in 0..5 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(JournalError::File { path: path.to_owned(), error }),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    Err(JournalError::InUse(path.to_owned()))
}

fn read_file(file: &mut File, path: &Path) -> Result<RunRecord, JournalError> {
    let failed = |error| JournalError::File { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    record::read(&bytes).map_err(|error| JournalError::Content { path: path.to_owned(), error })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::model::JailName;
    use crate::model::NodeName;
    use crate::saga::record::FinishedRecord;
    use crate::saga::state::StepState;

    fn header(run: &str) -> Header {
        Header {
            begun: None,
            run: RunId::new(run).unwrap(),
            jail: JailName::new("web").unwrap(),
            from: NodeName::new("spare").unwrap(),
            to: NodeName::new("big").unwrap(),
            plan: serde_json::json!({"steps": [1, 2]}),
        }
    }

    #[test]
    fn a_run_is_written_and_read_back() {
        let folder = TempDir::new().unwrap();
        let runs = folder.path().join("state/runs");
        let journal = Journal::create(&runs, header("web-00000001")).unwrap();
        assert_eq!(fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&runs).unwrap().permissions().mode() & 0o777, 0o700);
        journal.step(1, StepEvent::Intended, None).unwrap();
        let entry = CommandEntry {
            host: &NodeName::new("big").unwrap(),
            line: "exec timeout --foreground -k 10 60 /bin/sh -s",
            stdin: Some("set -eu\n"),
            status: Some(1),
            duration: Duration::from_millis(1500),
            stdout: b"\x1b[2J\xff",
            stderr: b"",
            problem: None,
        };
        journal.command(&entry).unwrap();
        journal.step(1, StepEvent::Failed, Some("cannot open".into())).unwrap();
        assert!(list_runs(&runs).unwrap()[0].active);
        journal
            .append(Record::Finished(FinishedRecord {
                outcome: "rolled-back".into(),
                blackout_milliseconds: None,
                measured: None,
            }))
            .unwrap();
        let path = journal.path().to_owned();
        drop(journal);
        let run = replay(&path).unwrap();
        assert_eq!(run.header, header("web-00000001"));
        assert_eq!((run.state(1), run.entries.len()), (StepState::Failed, 5));
        let Record::Command(command) = &run.entries[2].what else { panic!("{:?}", run.entries[2]) };
        assert_eq!((command.milliseconds, command.stdout.as_str()), (1500, "\\u{1b}[2J\u{fffd}"));
        assert_eq!(run.finished.unwrap().outcome, "rolled-back");
        let listed = list_runs(&runs).unwrap();
        assert_eq!((listed.len(), listed[0].active, listed[0].run.as_str()), (1, false, "web-00000001"));
    }

    #[test]
    fn one_process_drives_a_run() {
        let folder = TempDir::new().unwrap();
        let journal = Journal::create(folder.path(), header("web-00000001")).unwrap();
        assert!(matches!(Journal::open(journal.path()), Err(JournalError::InUse(_))));
        assert!(matches!(Journal::create(folder.path(), header("web-00000001")), Err(JournalError::File { .. })));
        replay(journal.path()).unwrap();
        let path = journal.path().to_owned();
        drop(journal);
        Journal::open(&path).unwrap();
    }

    #[test]
    fn a_torn_line_is_dropped_before_the_run_goes_on() {
        let folder = TempDir::new().unwrap();
        let journal = Journal::create(folder.path(), header("web-00000001")).unwrap();
        journal.step(1, StepEvent::Intended, None).unwrap();
        let path = journal.path().to_owned();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"at":"2026-11-22T20:00:01Z","what":{"st"#).unwrap();
        let (journal, run) = Journal::open(&path).unwrap();
        assert_eq!((run.torn, run.state(1)), (true, StepState::Intended));
        journal.step(1, StepEvent::Undoing, None).unwrap();
        let run = replay(&path).unwrap();
        assert_eq!((run.torn, run.state(1)), (false, StepState::Undoing));
    }

    #[test]
    fn a_full_disk_is_an_error_and_what_was_acknowledged_stays() {
        let folder = TempDir::new().unwrap();
        // /dev/full exists on Linux and FreeBSD: every write fails with ENOSPC.
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let journal =
            Journal { path: folder.path().join("x"), file: Mutex::new(Tail { file, length: 0, torn: false }) };
        let error = journal.step(1, StepEvent::Intended, None).unwrap_err();
        assert!(matches!(error, JournalError::File { error, .. } if error.kind() == io::ErrorKind::StorageFull));
    }

    #[test]
    fn the_place_follows_the_documented_order() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            runs_directory_from(move |name| set.iter().find(|(k, _)| k == name).map(|(_, v)| PathBuf::from(v)))
        };
        let all = [("HOME", "/h"), ("XDG_STATE_HOME", "/x"), ("JAILFERRY_STATE", "/j")];
        assert_eq!(with(&all).unwrap(), Path::new("/j/runs"));
        assert_eq!(with(&all[..2]).unwrap(), Path::new("/x/jailferry/runs"));
        assert_eq!(
            with(&[all[0], ("XDG_STATE_HOME", "relative")]).unwrap(),
            Path::new("/h/.local/state/jailferry/runs")
        );
        assert!(matches!(with(&[]), Err(JournalError::NoPlace)));
    }
}
