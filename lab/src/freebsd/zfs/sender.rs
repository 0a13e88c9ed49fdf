//! Writes streams: sizes first, then the content, with progress on standard error.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::clock;
use super::diff;
use super::diff::Entry;
use super::diff::Op;
use super::diff::RECORD;
use super::options::Options;
use super::session::Done;
use super::session::Session;
use super::session::fail;
use super::sizes;
use super::store::Locked;
use super::stream::Begin;
use super::stream::Package;
use super::stream::Writer;
use super::tree;

/// What every snapshot costs in a stream besides its content.
const OVERHEAD: u64 = 624;
/// What every step costs.
const PER_ENTRY: u64 = 512;

/// What to tell.
#[derive(Clone, Copy)]
pub struct Show {
    verbose: bool,
    parsable: bool,
    dry: bool,
}

impl Show {
    /// From `-v`, `-P` and `-n`.
    pub fn of(options: &Options) -> Show {
        Show { verbose: options.has('v') || options.has('P'), parsable: options.has('P'), dry: options.has('n') }
    }
}

/// One snapshot to send.
pub struct Step {
    /// Its name.
    pub name: String,
    /// The source's name, as it is to be shown.
    pub from: Option<String>,
    /// The tree it starts from.
    pub base: Option<PathBuf>,
    /// Its tree.
    pub tree: PathBuf,
    /// Its header.
    pub begin: Begin,
}

/// A whole stream.
pub struct Job {
    /// Its header, for more than a plain snapshot.
    pub package: Option<Package>,
    /// In order.
    pub steps: Vec<Step>,
    /// What to tell.
    pub options: Show,
    /// The name for error messages.
    pub last: String,
}

/// Sends; lets go of the state as soon as the trees are reserved.
pub fn run(session: &mut Session, locked: Locked, job: Job) -> Done {
    let mut reserved = Vec::new();
    for step in &job.steps {
        for path in step.base.iter().chain([&step.tree]) {
            // Shared: destroying the snapshot is refused while this process lives.
            let dir = File::open(path)?;
            dir.lock_shared()?;
            reserved.push(dir);
        }
    }
    drop(locked);
    let show = job.options;
    if !show.dry && io::stdout().is_terminal() {
        return Err(fail("Error: Stream can not be written to a terminal.\nYou must redirect standard output."));
    }
    if show.verbose {
        estimate(session, &job)?;
    }
    if show.dry {
        return Ok(());
    }
    session.flush();
    write(&job).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::BrokenPipe => "signal received".to_string(),
            _ => error.to_string(),
        };
        fail(format!("warning: cannot send '{}': {why}", job.last))
    })
}

fn cost(step: &Step, entries: &[Entry]) -> u64 {
    let (object, offset) = step.begin.resume.unwrap_or_default();
    let rest: u64 = entries.iter().skip(object as usize).map(|entry| entry.bytes() + PER_ENTRY).sum();
    OVERHEAD + rest.saturating_sub(offset)
}

fn estimate(session: &mut Session, job: &Job) -> Done {
    let show = job.options;
    let mut total = 0;
    for step in &job.steps {
        let bytes = cost(step, &diff::diff(step.base.as_deref(), &step.tree)?);
        total += bytes;
        let name = &step.name;
        let line = match (&step.from, show.parsable) {
            (None, true) => format!("full\t{name}\t{bytes}"),
            (Some(from), true) => format!("incremental\t{from}\t{name}\t{bytes}"),
            (None, false) => format!("full send of {name} estimated size is {}", sizes::human(bytes)),
            (Some(from), false) => format!("send from {from} to {name} estimated size is {}", sizes::human(bytes)),
        };
        tell(session, show, line);
    }
    let line = match show.parsable {
        true => format!("size\t{total}"),
        false => format!("total estimated size is {}", sizes::human(total)),
    };
    tell(session, show, line);
    Ok(())
}

/// A dry run answers on standard output, a real one has the stream there.
fn tell(session: &mut Session, show: Show, line: String) {
    if show.dry { session.say(line) } else { session.warn(line) }
}

fn write(job: &Job) -> io::Result<()> {
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, io::stdout().lock()))?;
    if let Some(package) = &job.package {
        writer.package(package)?;
    }
    for step in &job.steps {
        let progress = Progress::start(job.options, &step.name);
        snapshot(&mut writer, step, &progress)?;
    }
    writer.close()
}

fn snapshot(writer: &mut Writer<impl io::Write>, step: &Step, progress: &Progress) -> io::Result<()> {
    let (object, offset) = step.begin.resume.unwrap_or_default();
    writer.begin(&step.begin)?;
    let entries = diff::diff(step.base.as_deref(), &step.tree)?;
    let begun = writer.bytes;
    for (number, entry) in entries.iter().enumerate().skip(object as usize) {
        let from = if number as u64 == object { offset } else { 0 };
        writer.entry(entry)?;
        content(writer, step, entry, from, progress, begun)?;
        progress.bytes.store(writer.bytes - begun, Ordering::Relaxed);
    }
    writer.end()
}

fn content(
    writer: &mut Writer<impl io::Write>,
    step: &Step,
    entry: &Entry,
    from: u64,
    progress: &Progress,
    begun: u64,
) -> io::Result<()> {
    let size = entry.meta.as_ref().map_or(0, |meta| meta.size);
    let records: Box<dyn Iterator<Item = u64>> = match entry.op {
        Op::File => Box::new(0..size.div_ceil(RECORD as u64)),
        Op::Delta => Box::new(entry.records.iter().copied()),
        _ => return Ok(()),
    };
    let mut file = File::open(step.tree.join(&entry.path))?;
    let mut buffer = vec![0; RECORD];
    for record in records {
        let at = record * RECORD as u64;
        if at < from {
            continue;
        }
        file.seek(SeekFrom::Start(at))?;
        let read = tree::fill(&mut Read::by_ref(&mut file).take(size - at), &mut buffer)?;
        writer.data(at, &buffer[..read])?;
        progress.bytes.store(writer.bytes - begun, Ordering::Relaxed);
    }
    Ok(())
}

/// A line a second on standard error, from a thread of its own so that a stalled stream shows, too.
struct Progress {
    bytes: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Progress {
    fn start(show: Show, name: &str) -> Progress {
        let progress = Progress { bytes: Arc::default(), done: Arc::default() };
        if show.verbose {
            let (bytes, done, name) = (progress.bytes.clone(), progress.done.clone(), name.to_string());
            if !show.parsable {
                let _gone = writeln!(io::stderr(), "TIME        SENT   SNAPSHOT {name}");
            }
            thread::spawn(move || {
                loop {
                    thread::sleep(Duration::from_secs(1));
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let (time, sent) = (clock::time_of_day(clock::now()), bytes.load(Ordering::Relaxed));
                    let _gone = match show.parsable {
                        true => writeln!(io::stderr(), "{time}\t{sent}\t{name}"),
                        false => writeln!(io::stderr(), "{time}   {:>5}   {name}", sizes::human(sent)),
                    };
                }
            });
        }
        progress
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
