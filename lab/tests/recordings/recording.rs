//! Reads a recording.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// What was asked and answered.
pub struct Recording {
    pub command: String,
    pub answer: Answer,
}

/// Both outputs and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub out: String,
    pub err: String,
    pub status: i32,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/freebsd-13.2")
}

/// The names of all recordings.
pub fn all() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("the recordings are there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_suffix(".txt").map(str::to_string)).collect()
}

/// One of them.
pub fn read(name: &str) -> Recording {
    let text = fs::read_to_string(folder().join(format!("{name}.txt"))).expect("the recording is there");
    let (command, rest) = text.strip_prefix("$ ").and_then(|t| t.split_once("\n--- stdout\n")).expect("a command");
    let (out, rest) = rest.split_once("--- stderr\n").expect("standard error");
    let (err, exit) = rest.rsplit_once("--- exit ").expect("an exit status");
    let status = exit.trim().parse().expect("a number");
    Recording { command: command.into(), answer: Answer { out: out.into(), err: err.into(), status } }
}
