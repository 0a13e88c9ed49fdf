//! The command line from outside, without any host: what is printed, where, and with which exit code.

#[path = "cli/check.rs"]
mod check;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/reference.rs"]
mod reference;
#[path = "cli/schedule.rs"]
mod schedule;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/words.rs"]
mod words;

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

/// jailferry in an empty world: a folder of its own as home, nothing in the environment.
struct Tool {
    home: TempDir,
}

impl Tool {
    fn new() -> Tool {
        let tool = Tool { home: TempDir::new().unwrap() };
        tool.file("closed", "Host *\n  ProxyCommand /usr/bin/false\n");
        tool
    }

    fn file(&self, name: &str, text: &str) -> &Tool {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailferry"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("COLUMNS", "100")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// The whole of what it said, with its exit code, as one text.
    fn run(&self, args: &[&str]) -> String {
        whole(&mut self.command(args), self.home.path())
    }
}

fn whole(command: &mut Command, home: &Path) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(home.to_str().unwrap(), "HOME");
    let mut all = format!("exit {}\n", output.status.code().map_or("by signal".to_owned(), |c| c.to_string()));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            all.push_str(&format!("--- {name}\n{}", text(bytes)));
        }
    }
    all
}

/// A fleet that is right; its hosts exist nowhere, and `closed` keeps ssh from looking for them.
const FLEET: &str =
    "ssh_config: closed\nhub: small\nnodes:\n  small:\n  big:\njails:\n  web:\n    prefixes: [192.168.123.50/32]\n";
