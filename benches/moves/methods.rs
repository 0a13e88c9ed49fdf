//! Other ways to move the jail (methods.sh), in a lab of their own.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::stand::Stand;

/// How the jail moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// An expert's script for this lab: all prepared, one increment, one switch.
    Floor,
    /// One copy while it runs, stop, increment, start.
    NearLive,
    /// Stop, archive, copy, import, start.
    Archive,
}

/// A lab whose jail moves by scripts.
pub struct Scripted {
    pub stand: Stand,
    cold: PathBuf,
    warm: PathBuf,
}

impl Scripted {
    /// Prepared for all methods.
    pub fn new(stand: Stand) -> Scripted {
        let cold = stand.configuration();
        let warm = warm(&stand, "warm", "");
        let scripted = Scripted { stand, cold, warm };
        scripted.sh(&scripted.cold, "spare", "big", "prepare");
        // The floor's connections are the same host and keys.
        for file in ["big", "home"] {
            let copy = |from: &Path, to: &Path| {
                let end = |path: &Path| format!("{}.{file}", path.display());
                std::fs::copy(end(from), end(to)).expect("the lab's folder is writable");
            };
            copy(&scripted.cold, &scripted.warm);
        }
        scripted
    }

    /// Another ssh_config with warm connections, prepared like the first.
    pub fn warm_over(&self, name: &str, lines: &str) -> PathBuf {
        let path = warm(&self.stand, name, lines);
        for file in ["big", "home"] {
            let end = |path: &Path| format!("{}.{file}", path.display());
            std::fs::copy(end(&self.cold), end(&path)).expect("the lab's folder is writable");
        }
        path
    }

    /// The blackout of a move.
    pub fn moves(&self, method: Method, from: &str, to: &str) -> Duration {
        match method {
            Method::Floor => self.floor_over(&self.warm, from, to),
            Method::NearLive => self.timed(&self.cold, from, to, "first", "near_live"),
            Method::Archive => self.timed(&self.cold, from, to, "", "archive"),
        }
    }

    /// The floor's blackout over other connections.
    pub fn floor_over(&self, warm: &Path, from: &str, to: &str) -> Duration {
        self.timed(warm, from, to, "at small true; first; second", "floor")
    }

    fn timed(&self, configuration: &Path, from: &str, to: &str, before: &str, cut: &str) -> Duration {
        let probe = self.stand.probe();
        self.sh(configuration, from, to, &format!("{before}\n{cut}"));
        self.stand.fleet.answers_from("web", to);
        let blackout = probe.end(from, to);
        self.sh(configuration, from, to, "tidy");
        blackout
    }

    fn sh(&self, configuration: &Path, from: &str, to: &str, commands: &str) {
        let script = format!("{}\n{commands}\n", include_str!("methods.sh"));
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(script).env("CONFIG", configuration).env("FROM", from).env("TO", to);
        let output = shell.output().expect("sh runs");
        assert!(output.status.success(), "{commands}: {}", crate::bench::text(&output));
    }
}

/// An ssh_config that keeps its connections.
pub fn warm(stand: &Stand, name: &str, lines: &str) -> PathBuf {
    let folder = stand.fleet.state.path().display();
    let keep = format!("Host *\n  ControlMaster auto\n  ControlPath {folder}/{name}-%n\n  ControlPersist 600\n{lines}");
    stand.configured(name, &keep)
}
