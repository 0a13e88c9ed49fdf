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
    /// The place that was asked for depends on the current folder.
    #[error("JAILFERRY_STATE is {}, which is no absolute path: runs would be looked for elsewhere from another folder", .0.display())]
    Relative(PathBuf),
}

/// The folder of all runs: `$JAILFERRY_STATE/runs`, else `$XDG_STATE_HOME/jailferry/runs`, else
/// `~/.local/state/jailferry/runs`.
///
/// # Errors
/// [`JournalError::NoPlace`] when none of them is an absolute path, [`JournalError::Relative`] when the first is none. (Of
/// the second, whoever does not follow its specification is passed over, as that says.)
pub fn runs_directory() -> Result<PathBuf, JournalError> {
    runs_directory_from(|name| std::env::var_os(name).map(PathBuf::from))
}

fn runs_directory_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, JournalError> {
    let absolute = |name: &str| variable(name).filter(|p| p.is_absolute());
    let ours = variable("JAILFERRY_STATE").filter(|p| !p.as_os_str().is_empty());
    if let Some(relative) = ours.clone().filter(|p| !p.is_absolute()) {
        return Err(JournalError::Relative(relative));
    }
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
    /// What could not be written about steps: it comes before the next line, since no step's events may have a gap.
    owed: Vec<u8>,
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
        let journal =
            Journal { path: path.clone(), file: Mutex::new(Tail { file, length: 0, torn: false, owed: Vec::new() }) };
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
        let tail = Tail { file, length: run.length, torn: false, owed: Vec::new() };
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
        let durable = matches!(entry.what, Record::Header(_) | Record::Plan(_) | Record::Step(_) | Record::Finished(_));
        let mut tail = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = tail.write(&line, durable);
        if written.is_err() && matches!(entry.what, Record::Step(_)) {
            tail.owed.extend_from_slice(&line);
        }
        written.map_err(failed)
    }
}

impl Tail {
    /// Writes whole lines, what is owed before them, or nothing.
    fn write(&mut self, line: &[u8], durable: bool) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let lines = [&self.owed, line].concat();
        let durable = durable || !self.owed.is_empty();
        let written = self.file.write_all(&lines).and_then(|()| if durable { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // A part of a line may be there (a full disk). Take it away, so that what was acknowledged stays
            // readable; if not even that works, the part has no line end and readers ignore it.
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += lines.len() as u64;
        self.owed.clear();
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

impl JournalError {
    /// Is the journal ours to read, and its content no journal's? A newer jailferry's is whole.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            JournalError::Content { error, .. } => !matches!(error, BadJournal::Newer(_)),
            JournalError::File { .. } | JournalError::InUse(_) | JournalError::NoPlace | JournalError::Relative(_) => {
                false
            }
        }
    }
}

/// Makes room for a new journal of a run whose own here is damaged, or ended when another machine took the run over: it
/// stays beside it, for people. Nothing is done where there is none.
///
/// # Errors
/// When another process has it, when it is neither, or when the file system says no.
pub fn put_aside(directory: &Path, run: &RunId) -> Result<Option<PathBuf>, JournalError> {
    let path = path_of(directory, run);
    let failed = |error| JournalError::File { path: path.clone(), error };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    lock(&file, &path)?;
    let why = match replay(&path) {
        Err(error) if error.is_damage() => "damaged",
        Err(error) => return Err(error),
        Ok(record) if record.finished.is_some() => "ended",
        Ok(_) => return Err(failed(io::ErrorKind::AlreadyExists.into())),
    };
    let names = std::iter::once(String::new()).chain((1..100).map(|n| format!(".{n}")));
    let mut places = names.map(|end| directory.join(format!("{run}{SUFFIX}.{why}{end}")));
    let free = places.find(|p| !p.exists()).ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
    fs::rename(&path, &free).map_err(failed)?;
    Ok(Some(free))
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
#[path = "journal_tests.rs"]
mod tests;
