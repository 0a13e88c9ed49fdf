//! A host of a lab, on which the recorded session is held again.

use std::fs;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::mask::masked;
use crate::mask::numbers;
use crate::recording;
use crate::recording::Answer;
use crate::session::SESSION;

/// root's shell there is /bin/sh, as it was on the recorded host.
const HOST: &str = "big";
/// Addresses of the recorded host's network card and what this one has.
/// In tables the columns stay where they are.
const ADDRESSES: &[(&str, &str)] = &[
    ("10.0.2.15 ", "10.0.13.2 "),
    ("10.0.2.15", "10.0.13.2"),
    ("10.0.2.2  ", "10.0.13.1 "),
    ("10.0.2.2", "10.0.13.1"),
    ("10.0.2.0/24  ", "10.0.13.0/24 "),
    ("10.0.2.0", "10.0.13.0"),
    ("vtnet0 vtnet1 lo0 pflog0", "vtnet0 lo0"),
];

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn up() -> Lab {
        let lab = Lab { dir: tempfile::Builder::new().prefix("lab").tempdir().expect("a folder") };
        let up = lab.command(&["up", "--bare"]).output().expect("lab runs");
        assert!(up.status.success(), "lab up: {}", String::from_utf8_lossy(&up.stderr));
        lab
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.arg("--dir").arg(self.dir.path().join("l")).args(args).stdin(Stdio::null());
        command
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a script. The outputs are files, since what a jail goes on running would hold a pipe open.
    fn ask(&self, script: &str) -> Answer {
        let (out, err) = (self.file("out"), self.file("err"));
        let file = |path| File::create(path).expect("a file");
        let status = self
            .command(&["shell", HOST, "--", "sh", "-c", script])
            .stdout(file(&out))
            .stderr(file(&err))
            .status()
            .expect("lab shell runs");
        let read = |path| String::from_utf8_lossy(&fs::read(path).expect("an answer")).into_owned();
        Answer { out: read(&out), err: read(&err), status: status.code().unwrap_or(-1) }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ended = self.command(&["down"]).output();
    }
}

fn here(text: &str) -> String {
    ADDRESSES.iter().fold(text.to_string(), |text, (there, here)| text.replace(there, here))
}

#[test]
fn a_host_answers_like_the_recorded_one() {
    if !crate::is_root() {
        return;
    }
    let lab = Lab::up();
    let mut wrong = String::new();
    for chapter in SESSION {
        let before = lab.ask(&format!("set -e; {}", chapter.before));
        if before.status != 0 {
            wrong += &format!("\nbefore {:?}: {before:?}\n", chapter.asked);
        }
        for name in chapter.asked {
            let recorded = recording::read(name);
            let fit = |answer: &Answer| {
                let mut answer = masked(answer);
                if chapter.ids.contains(name) {
                    answer.out = numbers(&answer.out);
                }
                for (text, with) in chapter.differs {
                    answer.out = answer.out.replace(text, with);
                }
                answer
            };
            let got = fit(&lab.ask(&here(&recorded.command)));
            let answer = &recorded.answer;
            let wanted = fit(&Answer { out: here(&answer.out), err: here(&answer.err), status: answer.status });
            if got != wanted {
                wrong += &format!(
                    "\n{name}: $ {}\n--- wanted {}\n{}--- stderr\n{}--- got {}\n{}--- stderr\n{}",
                    recorded.command, wanted.status, wanted.out, wanted.err, got.status, got.out, got.err
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
