//! daemon(8) (usr.sbin/daemon/daemon.c).

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::getopt::Options;
use super::getopt::getopt;
use super::signals;
use crate::context::Context;
use crate::world::spawn::fork;

const USAGE: &str = "usage: daemon [-cfHrS] [-p child_pidfile] [-P supervisor_pidfile]\n              [-u user] [-o output_file] [-M output_mask]\n              [-t title] [-l syslog_facility] [-s syslog_priority]\n              [-T syslog_tag] [-m output_mask] [-R restart_delay_secs]\ncommand arguments ...";

/// daemon(8). Returns as soon as the daemon runs; without `-f` the daemon keeps our descriptors open, so an ssh session that started it does not end.
pub fn daemon(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("daemon", "cfHSp:P:ru:o:s:l:t:m:R:T:", args) else { return usage() };
    if options.operands.is_empty() {
        return usage();
    }
    let mut files = Vec::new();
    for flag in ['P', 'p'] {
        match options.value(flag).map(pidfile).transpose() {
            Ok(file) => files.push(file),
            Err(status) => return status,
        }
    }
    let supervisor = files.remove(0);
    let child = files.remove(0);
    let output = match options
        .value('o')
        .map(|path| File::options().append(true).create(true).mode(0o600).open(path))
        .transpose()
    {
        Ok(output) => output,
        Err(error) => {
            eprintln!("daemon: open: {}", super::reason(&error));
            return 7;
        }
    };
    match fork() {
        Err(_) => 1,
        Ok(Some(_)) => {
            until_written(supervisor.iter().chain(&child));
            0
        }
        Ok(None) => {
            let status = detached(&options, supervisor, child, output).unwrap_or(1);
            std::process::exit(status);
        }
    }
}

/// FreeBSD's daemon writes the pid files after it has detached, so a reader right behind it may find them empty; here nobody has to be that lucky.
fn until_written<'a>(files: impl Iterator<Item = &'a File>) {
    let end = Instant::now() + Duration::from_secs(1);
    for file in files {
        while Instant::now() < end && file.metadata().is_ok_and(|meta| meta.len() == 0) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// daemon(3), then the command: as our child when somebody must watch over it, else in our place.
fn detached(
    options: &Options,
    mut supervisor: Option<File>,
    mut child: Option<File>,
    output: Option<File>,
) -> io::Result<i32> {
    nix::unistd::setsid()?;
    // SAFETY: ignoring a signal: the end of the session's leader must not end us.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    if options.has('c') {
        std::env::set_current_dir("/")?;
    }
    if options.has('f') {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        nix::unistd::dup2_stdout(&null)?;
        nix::unistd::dup2_stderr(&null)?;
    }
    let supervised = ['p', 'P', 'r', 'o', 'R', 'S', 'l', 's', 'T', 'm'].iter().any(|flag| options.has(*flag));
    let mut command = command(options);
    if !supervised {
        let error = command.exec();
        return Err(error);
    }
    if let Some(file) = supervisor.as_mut() {
        write_pid(file, std::process::id())?;
    }
    let set = signals::block(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD])?;
    let delay = options.value('R').and_then(|value| value.parse().ok()).unwrap_or(1);
    loop {
        let mut command = self::command(options);
        // SAFETY: unblocking signals is allowed between fork and exec.
        unsafe { command.pre_exec(move || set.thread_unblock().map_err(io::Error::from)) };
        if let Some(output) = &output {
            command.stdout(output.try_clone()?).stderr(output.try_clone()?);
        }
        let mut running = command.spawn()?;
        if let Some(file) = child.as_mut() {
            write_pid(file, running.id())?;
        }
        let ended = loop {
            if let Some(status) = running.try_wait()? {
                break Some(status);
            }
            match signals::wait(&set, None) {
                Some(Signal::SIGCHLD) | None => {}
                Some(_) => {
                    // The supervisor was told to end: so is the command, and there is no restart.
                    let _gone = kill(Pid::from_raw(running.id() as i32), Signal::SIGTERM);
                    running.wait()?;
                    break None;
                }
            }
        };
        if ended.is_none() || !(options.has('r') || options.has('R')) {
            break;
        }
        // Told to end while waiting to restart: no restart.
        if matches!(signals::wait(&set, Some(Duration::from_secs(delay))), Some(Signal::SIGTERM | Signal::SIGINT)) {
            break;
        }
    }
    for flag in ['p', 'P'] {
        if let Some(path) = options.value(flag) {
            let _gone_already = std::fs::remove_file(path);
        }
    }
    Ok(0)
}

fn command(options: &Options) -> Command {
    let (program, arguments) = match options.operands.split_first() {
        Some((program, arguments)) => (program.as_str(), arguments),
        None => ("", [].as_slice()),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if !options.has('f') {
        command.stdin(Stdio::inherit());
    }
    command
}

/// pidfile_open(3): created, locked for as long as the daemon lives. The status is daemon's: 3 when a live daemon holds it, 2 when it cannot be made.
fn pidfile(path: &str) -> Result<File, i32> {
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(
        |error| {
            eprintln!("daemon: pidfile ``{path}'': {}", super::reason(&error));
            2
        },
    )?;
    // SAFETY: flock on our own descriptor. It is inherited over fork, not over exec.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let holder = io::BufReader::new(&file).lines().next().and_then(Result::ok).unwrap_or_default();
        eprintln!("daemon: process already running, pid: {holder}");
        return Err(3);
    }
    file.set_len(0).map_err(|_| 2)?;
    Ok(file)
}

fn write_pid(file: &mut File, pid: u32) -> io::Result<()> {
    // SAFETY: ftruncate and lseek on our own descriptor.
    unsafe {
        libc::ftruncate(file.as_raw_fd(), 0);
        libc::lseek(file.as_raw_fd(), 0, libc::SEEK_SET);
    }
    write!(file, "{pid}")
}

fn usage() -> i32 {
    eprintln!("{USAGE}");
    1
}
