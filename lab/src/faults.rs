//! Faults on order: what `lab fault` adds to a host's `/.lab/faults`, and what the commands do when one matches.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;
use crate::journal;
use crate::world::control;
use crate::world::control::Request;

/// When a fault strikes, seen from its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before its effect.
    Before,
    /// After its effect.
    After,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The command exits with this status (and, before its effect, has none).
    Fail { status: i32, stderr: String },
    /// The command waits until the fault is cleared, then goes on.
    Hang,
    /// Processes of the host whose command line contains the pattern are killed; the command goes on.
    Kill { pattern: String },
    /// The host loses power and boots again.
    Reboot,
    /// All SSH connections of the host are cut; the command goes on.
    DropSsh,
    /// All SSH connections of the host are cut and none is made until the fault is cleared; the command goes on.
    Cut,
    /// It runs two times, one after the other; only the second answers. So runs what is repeated because its answer was lost.
    Twice,
}

/// One fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Its number on this host.
    pub id: u64,
    /// A part of the command line (words joined by a space), or of the script with `script`.
    pub part: String,
    /// Matches what comes over SSH (command strings and scripts) instead of single commands.
    pub script: bool,
    /// Matches only what ends with the part: a script that contains another one is not that one.
    pub at_end: bool,
    /// Strikes at this match only; none: at every one.
    pub nth: Option<u64>,
    /// Before or after.
    pub when: When,
    /// What.
    pub action: Action,
    /// How often it matched.
    pub seen: u64,
    /// How often it struck.
    pub fired: u64,
    /// When it struck last, in seconds since 1970.
    pub struck: Option<f64>,
}

/// The faults of a host.
pub struct Faults {
    file: File,
}

impl Faults {
    /// Opens the file and locks it until dropped.
    pub fn open(path: &Path) -> io::Result<Faults> {
        let file = File::options().read(true).write(true).open(path)?;
        file.lock()?;
        Ok(Faults { file })
    }

    /// All of them.
    pub fn list(&mut self) -> io::Result<Vec<Fault>> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        if text.is_empty() { Ok(Vec::new()) } else { serde_json::from_str(&text).map_err(io::Error::from) }
    }

    /// Replaces them. The file is empty when there are none and at no other time: [`strike`] looks at that without the lock.
    pub fn write(&mut self, faults: &[Fault]) -> io::Result<()> {
        let text = if faults.is_empty() { Vec::new() } else { serde_json::to_vec(faults)? };
        self.file.rewind()?;
        self.file.write_all(&text)?;
        self.file.set_len(text.len() as u64)
    }
}

/// What strikes at a command.
#[derive(Debug, Default)]
pub struct Struck {
    /// The faults before its effect.
    pub before: Vec<Fault>,
    /// The faults after it.
    pub after: Vec<Fault>,
}

impl Struck {
    /// Does it run two times?
    pub fn twice(&self) -> bool {
        self.before.iter().chain(&self.after).any(|fault| fault.action == Action::Twice)
    }

    /// A line for the log.
    pub fn describe(&self) -> Option<String> {
        let describe = |fault: &Fault| format!("{:?} {:?}", fault.when, fault.action);
        let all: Vec<String> = self.before.iter().chain(&self.after).map(describe).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// A command line as faults see it: the words, joined by a space.
pub fn line(name: &str, args: &[String]) -> String {
    std::iter::once(name).chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// Counts a command line (or, with `script`, what came over SSH) and tells what strikes. Each match is counted once, before the effect.
pub fn strike(ctx: &Context, text: &str, script: bool) -> Struck {
    let mut struck = Struck::default();
    let path = ctx.state.join("faults");
    // Nearly always empty: no lock then.
    if std::fs::metadata(&path).map_or(0, |meta| meta.len()) == 0 {
        return struck;
    }
    let counted = || -> io::Result<Vec<Fault>> {
        let mut faults = Faults::open(&path)?;
        let mut list = faults.list()?;
        let (mut hit, mut matched) = (Vec::new(), false);
        let is_meant = |fault: &&mut Fault| {
            fault.script == script
                && if fault.at_end { text.ends_with(&fault.part) } else { text.contains(&fault.part) }
        };
        for fault in list.iter_mut().filter(is_meant) {
            matched = true;
            fault.seen += 1;
            if fault.nth.is_none_or(|nth| nth == fault.seen) {
                fault.fired += 1;
                fault.struck = Some(journal::now());
                hit.push(fault.clone());
            }
        }
        if matched {
            faults.write(&list)?;
        }
        Ok(hit)
    };
    match counted() {
        Ok(hit) => (struck.before, struck.after) = hit.into_iter().partition(|fault| fault.when == When::Before),
        // A fault that silently does not happen would make a test lie.
        Err(error) => eprintln!("lab: faults: {error}"),
    }
    struck
}

/// Lets faults happen. Some(status): the command ends with it.
pub fn happen(ctx: &Context, faults: &[Fault]) -> Option<i32> {
    for fault in faults {
        match &fault.action {
            Action::Fail { status, stderr } => {
                if !stderr.is_empty() {
                    eprintln!("{stderr}");
                }
                return Some(*status);
            }
            // Whoever runs the command sees to that.
            Action::Twice => {}
            Action::Hang => wait_until_cleared(&ctx.state.join("faults"), fault.id),
            Action::Kill { pattern } => kill_matching(|_, line| line.contains(pattern.as_str())),
            Action::DropSsh | Action::Cut => kill_matching(|name, _| name.starts_with("sshd")),
            Action::Reboot => {
                let request = Request::Reboot { node: ctx.host.name.clone(), hard: true, wait: false };
                match control::ask(&ctx.state.join("control"), &request) {
                    Ok(()) => loop {
                        // We die with the host.
                        nix::unistd::pause();
                    },
                    Err(error) => eprintln!("lab: faults: {error:#}"),
                }
            }
        }
    }
    None
}

/// Does a fault keep everybody out of the host?
pub fn is_cut(path: &Path) -> bool {
    if std::fs::metadata(path).map_or(0, |meta| meta.len()) == 0 {
        return false;
    }
    let list = Faults::open(path).and_then(|mut faults| faults.list());
    list.is_ok_and(|list| list.iter().any(|fault| fault.action == Action::Cut && fault.fired > 0))
}

fn wait_until_cleared(path: &Path, id: u64) {
    while Faults::open(path)
        .and_then(|mut faults| faults.list())
        .is_ok_and(|list| list.iter().any(|fault| fault.id == id))
    {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Kills the processes of this host by name or command line; not ourselves, not pid 1.
fn kill_matching(wanted: impl Fn(&str, &str) -> bool) {
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if pid != 1 && pid as u32 != std::process::id() && wanted(name.trim(), &line) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
