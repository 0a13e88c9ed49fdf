//! jailferry, run as its users run it, with its journals in a folder of the test's own.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::text;

/// What jailferry said.
pub struct Told {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    /// Command line, outputs and the end of the newest journal, for messages.
    pub all: String,
}

impl Told {
    /// Requires an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Told {
        assert_eq!(self.status, code, "expected exit code {code}\n{}", self.all);
        self
    }

    /// Requires words on standard output or error.
    #[track_caller]
    pub fn says(self, words: &str) -> Told {
        assert!(self.stdout.contains(words) || self.stderr.contains(words), "expected to read {words:?}\n{}", self.all);
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error})\n{}", self.all))
    }
}

impl Fleet {
    fn command(&self, fleet: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailferry"));
        command.args(args).arg("--fleet").arg(fleet).env("JAILFERRY_STATE", self.state.path());
        for name in ["JAILFERRY_FLEET", "JAILFERRY_SSH_CONFIG", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs jailferry to its end.
    pub fn jailferry(&self, args: &[&str]) -> Told {
        self.jailferry_with(&self.file, args)
    }

    /// Runs jailferry with another fleet.yml.
    pub fn jailferry_with(&self, fleet: &Path, args: &[&str]) -> Told {
        let output = self.command(fleet, args).output().expect("jailferry runs");
        self.told(args, &output)
    }

    /// Runs jailferry as on another machine, where `state` is the folder of journals.
    pub fn jailferry_from(&self, state: &Path, args: &[&str]) -> Told {
        let output = self.command(&self.file, args).env("JAILFERRY_STATE", state).output().expect("jailferry runs");
        self.told(args, &output)
    }

    /// Starts jailferry.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(&self.file, args).spawn().expect("jailferry runs")
    }

    /// Starts jailferry as on another machine, its words going into a file: a pipe that nobody reads fills up.
    pub fn start_into(&self, state: &Path, log: &Path, args: &[&str]) -> Child {
        let file = fs::File::create(log).expect("the folder is writable");
        let errors = file.try_clone().expect("a file has a second handle");
        let mut command = self.command(&self.file, args);
        command.env("JAILFERRY_STATE", state).stdout(file).stderr(errors);
        command.spawn().expect("jailferry runs")
    }

    /// What a started jailferry said, once it has ended.
    pub fn finished(&self, child: Child, args: &[&str]) -> Told {
        let output = child.wait_with_output().expect("jailferry ends");
        self.told(args, &output)
    }

    fn told(&self, args: &[&str], output: &Output) -> Told {
        let journal = self.journals().pop().map(|path| fs::read_to_string(path).expect("a journal is text"));
        let lines: Vec<&str> = journal.as_deref().unwrap_or_default().lines().skip(1).collect();
        let end = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        Told {
            // A signal that ended it is no exit code.
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            all: format!("jailferry {}: {}\nend of the newest journal:\n{end}", args.join(" "), text(output)),
        }
    }

    /// The journals of this test, oldest first.
    pub fn journals(&self) -> Vec<PathBuf> {
        let folder = self.state.path().join("runs");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|e| e.expect("the folder can be read").path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
        files.sort_by_key(|path| fs::metadata(path).and_then(|m| m.modified()).expect("a journal has a time"));
        files
    }

    /// The lines of the newest journal.
    pub fn journal(&self) -> Vec<Value> {
        self.jailferry(&["show", "last", "--json"]).exits(0).json().as_array().expect("a list").clone()
    }

    /// Has the newest run begun with a step of such a title?
    pub fn has_begun(&self, title: &str) -> bool {
        let Some(journal) = self.journals().pop() else { return false };
        let lines = fs::read_to_string(journal).expect("a journal is text");
        // The last line may be half written.
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let Some(first) = lines.next() else { return false };
        let steps = first["what"]["header"]["plan"]["steps"].as_array().expect("a list").clone();
        let found = steps.iter().position(|step| step["title"].as_str().is_some_and(|t| t.starts_with(title)));
        let number = found.unwrap_or_else(|| panic!("no step {title:?} in {steps:#?}")) + 1;
        lines.any(|line| line["what"]["step"]["number"] == number && line["what"]["step"]["phase"] == "intended")
    }

    /// The titles of the steps that failed in the newest run, with what was said.
    pub fn failed_steps(&self) -> Vec<(String, String)> {
        let journal = self.journal();
        let steps = journal.first().map(|first| first["what"]["header"]["plan"]["steps"].clone()).unwrap_or_default();
        let mut failed = Vec::new();
        for step in journal.iter().map(|line| &line["what"]["step"]).filter(|step| step["phase"] == "failed") {
            let index = step["number"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a number") - 1;
            failed.push((word(&steps[index]["title"]), word(&step["reason"])));
        }
        failed
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
