//! exec.*: the commands that jail(8) runs on the host and in the jail (usr.sbin/jail/command.c).

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use super::conf::Definition;
use super::enter;

/// A command as jail(8) would start it: split on blanks, or by the shell when a metacharacter is in it.
fn command(line: &str) -> (Command, bool) {
    let trimmed = line.trim_end();
    let meta = trimmed.find(|c| "!\"$&'()*;<>?[\\]`{|}~".contains(c));
    let background = meta == Some(trimmed.len().saturating_sub(1)) && trimmed.ends_with('&');
    if meta.is_some() && !background {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(line);
        return (shell, false);
    }
    let mut words = trimmed.trim_end_matches('&').split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("true"));
    command.args(words);
    (command, background)
}

/// Runs every command of `parameter` in order, on the host, or in the jail with first process `inside`. The error has been printed.
pub fn run(definition: &Definition, parameter: &str, inside: Option<i32>) -> Result<(), ()> {
    for line in definition.all(parameter) {
        one(definition, line, inside).map_err(|reason| eprintln!("jail: {}: {reason}", definition.name))?;
    }
    Ok(())
}

fn one(definition: &Definition, line: &str, inside: Option<i32>) -> Result<(), String> {
    let (mut command, background) = command(line);
    if inside.is_some() {
        if definition.on("exec.clean") {
            enter::clean_environment(&mut command);
        } else {
            command.env_remove("LAB_FIB");
        }
        if let Some(log) = definition.value("exec.consolelog") {
            let log = OpenOptions::new().create(true).append(true).open(log).map_err(|e| format!("{log}: {e}"))?;
            let copy = log.try_clone().map_err(|e| e.to_string())?;
            command.stdout(log).stderr(copy).stdin(Stdio::null());
        }
    }
    let started = match inside {
        Some(pid) => enter::spawn(pid, command),
        None => {
            command.process_group(0);
            command.spawn()
        }
    };
    let mut child = started.map_err(|e| format!("{line}: {}", crate::freebsd::network::errno_text(&e)))?;
    if background {
        return Ok(());
    }
    let limit = definition.value("exec.timeout").and_then(|t| t.parse().ok()).unwrap_or(0);
    match wait(&mut child, limit).map_err(|e| e.to_string())? {
        None => Err(format!("{line}: timed out")),
        Some(status) if status.success() => Ok(()),
        Some(status) => match status.signal() {
            Some(signal) => Err(format!("{line}: exited on signal {signal}")),
            None => Err(format!("{line}: failed")),
        },
    }
}

/// Waits at most `limit` seconds (0: for ever); nothing when the time is over, and the child is killed.
fn wait(child: &mut Child, limit: u64) -> std::io::Result<Option<ExitStatus>> {
    if limit == 0 {
        return child.wait().map(Some);
    }
    let end = Instant::now() + Duration::from_secs(limit);
    let mut pause = Duration::from_millis(1);
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
