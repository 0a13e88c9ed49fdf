//! The log of every command a host received: `/.lab/commands.log`, JSON lines; and of what came over SSH: `/.lab/ssh.log`.
//!
//! Commands are programs that were started: all names that a host has lead here first. What a shell does itself (`echo`, `test`, `cd`, a redirection) starts no program and cannot be seen; it is in the
//! script, which `/.lab/ssh.log` has whole.
//!
//! A command writes a line when it begins and one when it ends, each with one `write` to a file opened for appending, so lines never mix. [`merge`] puts the two together.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;

/// A command that a host received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970 at its begin.
    pub time: f64,
    /// Process, as the pid namespace of the host or jail counts, with the time: unique.
    pub id: String,
    /// Who ran it.
    pub uid: u32,
    /// The command's name and arguments.
    pub argv: Vec<String>,
    /// Where.
    pub cwd: String,
    /// In this jail.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jail: Option<String>,
    /// `rc`: run by the host's own boot or shutdown; `inetd`: by a service for somebody who asked it. Not by somebody who logged in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Exit status; none: it still runs, was killed, or became another program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<i32>,
    /// The fault that hit it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct End {
    id: String,
    ended: i32,
}

/// Writes that a command begins; the id is for [`end`].
pub fn begin(ctx: &Context, name: &str, args: &[String], fault: Option<String>) -> String {
    let time = now();
    let id = format!("{}-{:.6}", std::process::id(), time);
    let mut argv = vec![name.to_string()];
    argv.extend_from_slice(args);
    let entry = Entry {
        time,
        id: id.clone(),
        uid: nix::unistd::getuid().as_raw(),
        argv,
        cwd: std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        jail: ctx.jail.clone(),
        by: std::env::var("LAB_BY").ok(),
        status: None,
        fault,
    };
    append(&ctx.state.join("commands.log"), &entry);
    id
}

/// Writes that it ended.
pub fn end(ctx: &Context, id: &str, status: i32) {
    append(&ctx.state.join("commands.log"), &End { id: id.to_string(), ended: status });
}

/// What came over SSH: a command string handed to the login shell, or a script on `sh -s`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Received {
    /// Seconds since 1970.
    pub time: f64,
    /// Who.
    pub uid: u32,
    /// The login shell's `-c` string.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<String>,
    /// The whole script that `sh -s` read from its standard input, and its arguments.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub script: Option<String>,
    /// The arguments after `sh -s --`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub args: Vec<String>,
}

/// Writes what came over SSH.
pub fn received(ctx: &Context, command: Option<&str>, script: Option<&str>, args: &[String]) {
    let line = Received {
        time: now(),
        uid: nix::unistd::getuid().as_raw(),
        command: command.map(str::to_string),
        script: script.map(str::to_string),
        args: args.to_vec(),
    };
    append(&ctx.state.join("ssh.log"), &line);
}

/// What became of a jail: `/.lab/jails.log`. Written before its first process is there, and once its last one is gone, so two that ever ran at the same time overlap here.
#[derive(Debug, Serialize, Deserialize)]
pub struct Life {
    /// Seconds since 1970, by the clock that all hosts of a lab share.
    pub time: f64,
    /// The jail; none: all of the host's, which lost its power.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jail: Option<String>,
    /// Does it begin to be, or has it ended?
    pub runs: bool,
}

/// Writes down that a jail begins to be, or has ended (`jail`: none is all of them), in the log below `state`.
pub fn life(state: &Path, jail: Option<&str>, runs: bool) {
    append(&state.join("jails.log"), &Life { time: now(), jail: jail.map(str::to_string), runs });
}

/// The commands of a log, in the order of their begin, each with its exit status.
pub fn merge(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        if let Ok(end) = serde_json::from_str::<End>(line) {
            if let Some(entry) = entries.iter_mut().rev().find(|entry| entry.id == end.id) {
                entry.status = Some(end.ended);
            }
        } else if let Ok(entry) = serde_json::from_str::<Entry>(line) {
            entries.push(entry);
        }
    }
    entries
}

fn append(path: &Path, line: &impl Serialize) {
    // Outside of a host (unit tests) there is no log. Losing a line must not change what the command does.
    if let (Ok(mut file), Ok(mut text)) = (File::options().append(true).open(path), serde_json::to_string(line)) {
        text.push('\n');
        let _unlogged = file.write_all(text.as_bytes());
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or_default()
}
