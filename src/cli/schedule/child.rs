//! A run as a process of its own: whatever becomes of it, the scheduler goes on; and whatever becomes of the scheduler,
//! the run goes on, and is known to be under way by the lock that it has as its standard input.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use jiff::Timestamp;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncRead;
use tokio::io::BufReader;
use tokio::process::Command;
use tokio::sync::watch;

use crate::cli::Global;
use crate::cli::known;
use crate::cli::schedule::clock::Clock;
use crate::cli::schedule::job::Job;
use crate::cli::schedule::log::Log;
use crate::schedule::standing::length;

/// The longest part of a line that is kept.
const LONGEST_LINE: usize = 64 << 10;

/// What a run needs besides its playbook.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// Our own program, by the path it had when the scheduler began: an update puts the new one there.
    pub(super) program: PathBuf,
    pub(super) global: Global,
    pub(super) clock: Clock,
    pub(super) log: Log,
    /// How often somebody asked to stop.
    pub(super) stop: watch::Receiver<u32>,
}

/// What is started: the words behind the program's name.
#[derive(Debug)]
pub(super) struct Errand {
    name: String,
    key: String,
    words: Vec<String>,
}

impl World {
    /// The run of a playbook.
    pub(super) fn run(&self, job: &Job) -> Errand {
        let mut words: Vec<String> = job.verb().iter().map(|w| (*w).to_owned()).collect();
        words.push(job.path.display().to_string());
        self.errand(job, words)
    }

    /// Letting go of what one of its runs kept.
    fn finalize(&self, job: &Job, run: &str) -> Errand {
        self.errand(job, ["finalize", run, "--yes"].map(str::to_owned).to_vec())
    }

    fn errand(&self, job: &Job, mut words: Vec<String>) -> Errand {
        words.extend(["--fleet".to_owned(), job.fleet_file.display().to_string()]);
        if let Some(config) = &self.global.ssh_config {
            words.extend(["--ssh-config".to_owned(), config.display().to_string()]);
        }
        Errand { name: job.name.clone(), key: job.key.clone(), words }
    }

    /// Starts it and waits for its end: its exit code, `None` when a signal ended it.
    pub(super) async fn carry_out(&self, errand: &Errand, input: Option<File>) -> Result<Option<i32>, String> {
        let mut command = Command::new(&self.program);
        command
            .args(&errand.words)
            .env(known::SCHEDULE_VARIABLE, &errand.key)
            .stdin(input.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on a terminal is for the scheduler, which asks the run once.
            .process_group(0);
        let mut child = command.spawn().map_err(|e| format!("{} cannot be started: {e}", self.program.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // The command holds the lock on the input as well.
        drop(command);
        let readers = [
            child.stdout.take().map(|out| tokio::spawn(relay(self.clone(), errand.name.clone(), out))),
            child.stderr.take().map(|err| tokio::spawn(relay(self.clone(), errand.name.clone(), err))),
        ];
        let mut stop = self.stop.clone();
        let mut told = 0;
        let status = loop {
            let asked = *stop.borrow_and_update();
            if told < asked
                && let Some(pid) = pid
            {
                // It has not been waited for, so the number is still its own.
                let _ = kill_process(pid, Signal::TERM);
                told += 1;
                continue;
            }
            tokio::select! {
                status = child.wait() => break status.map_err(|e| format!("its end cannot be seen: {e}"))?,
                Ok(()) = stop.changed() => {}
            }
        };
        for reader in readers.into_iter().flatten() {
            // What it left running may keep the pipe open for long; its own last words are there by now.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), reader).await;
        }
        Ok(status.code())
    }

    /// Lets go of the copies that have been kept long enough. What is let go is said before.
    pub(super) async fn finalize_outdated(&self, job: &Job, now: Timestamp) {
        let Ok(outdated) = job.outdated(now) else { return };
        for one in &outdated {
            let text = format!(
                "run {} ended {} ago and is kept for {}: it is finalized, what that destroys follows",
                one.run,
                length(one.age),
                length(one.keep)
            );
            self.log.say(self.clock.now(), &job.name, &text);
            if *self.stop.borrow() > 0 {
                self.log.say(self.clock.now(), &job.name, "not now: the scheduler was asked to stop");
                return;
            }
            let ended = self.carry_out(&self.finalize(job, one.run.as_str()), None).await;
            let text = match ended {
                Ok(Some(0)) => format!("run {} is finalized", one.run),
                Ok(Some(code)) => {
                    format!(
                        "run {} was not finalized (exit code {code}); it is tried again after the next run",
                        one.run
                    )
                }
                Ok(None) => format!("finalizing run {} was ended by a signal", one.run),
                Err(error) => error,
            };
            self.log.say(self.clock.now(), &job.name, &text);
        }
    }
}

/// Passes a run's lines on, each cut to a length that a log can hold.
async fn relay(world: World, name: String, stream: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let Ok(part) = reader.fill_buf().await else { return };
        if part.is_empty() {
            break;
        }
        let end = part.iter().position(|b| *b == b'\n');
        let taken = end.map_or(part.len(), |at| at + 1);
        let room = LONGEST_LINE.saturating_sub(line.len());
        line.extend_from_slice(part.get(..end.unwrap_or(taken).min(room)).unwrap_or_default());
        reader.consume(taken);
        if end.is_some() {
            tell(&world, &name, &line);
            line.clear();
        }
    }
    if !line.is_empty() {
        tell(&world, &name, &line);
    }
}

fn tell(world: &World, name: &str, line: &[u8]) {
    world.log.relay(world.clock.now(), name, String::from_utf8_lossy(line).trim_end_matches('\r'));
}
