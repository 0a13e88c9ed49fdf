//! One call of a real tool, with what it says translated.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::process::Stdio;

use super::Names;
use crate::net::tool;
use crate::world::spawn;

/// Runs it on this process's standard input and output. With `stream` its standard output is not looked at.
pub fn run(names: &Names, program: &str, args: &[String], stream: bool) -> i32 {
    let mut command = Command::new(tool(program));
    command.args(args).stdout(if stream { Stdio::inherit() } else { Stdio::piped() }).stderr(Stdio::piped());
    // Who ends `zfs receive` ends what it has begun.
    // SAFETY: prctl is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(spawn::die_with_parent) };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("lab: {program}: {error}");
            return 127;
        }
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        if let Some(err) = err {
            scope.spawn(|| hand_on(names, err, io::stderr()));
        }
        if let Some(out) = out {
            hand_on(names, out, io::stdout());
        }
    });
    match child.wait() {
        Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        Err(_) => 126,
    }
}

fn hand_on(names: &Names, from: impl Read, mut to: impl Write) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            // Nobody listens any more: the tool goes on all the same.
            Ok(_) => drop(to.write_all(&names.take_out(&line)).and_then(|()| to.flush())),
        }
    }
}
