//! lockf(1): a command under a lock (usr.bin/lockf/lockf.c).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use super::getopt::getopt;
use crate::context::Context;

/// lockf(1).
pub fn lockf(_ctx: &Context, args: &[String]) -> i32 {
    let usage = || {
        eprintln!("usage: lockf [-knsw] [-t seconds] file command [arguments]");
        64
    };
    let Some(options) = getopt("lockf", "sknt:w", args) else { return usage() };
    let [file, command, arguments @ ..] = options.operands.as_slice() else { return usage() };
    let wait = match options.value('t').map(str::parse::<i64>) {
        None => None,
        Some(Ok(seconds)) => Some(seconds),
        Some(Err(_)) => {
            eprintln!("lockf: invalid timeout \"{}\"", options.value('t').unwrap_or_default());
            return 64;
        }
    };
    let lock = match acquire(file, !options.has('n'), options.has('w'), wait) {
        Ok(lock) => lock,
        Err(Refused::Busy) => {
            if !options.has('s') {
                eprintln!("lockf: {file}: already locked");
            }
            return 75;
        }
        Err(Refused::Open(error)) => {
            eprintln!("lockf: cannot open {file}: {}", super::reason(&error));
            return if error.kind() == io::ErrorKind::NotFound && options.has('n') { 69 } else { 73 };
        }
    };
    // The descriptor is closed on exec: a killed lockf frees the lock while the command runs on (contract 6.1).
    let status = match Command::new(command).args(arguments).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("lockf: {command}: {}", super::reason(&error));
            return 1;
        }
    };
    if !options.has('k') {
        // Without -k the file goes while we hold the lock.
        let _gone_already = std::fs::remove_file(file);
    }
    drop(lock);
    status.code().unwrap_or(70)
}

enum Refused {
    Busy,
    Open(io::Error),
}

fn acquire(file: &str, create: bool, write: bool, wait: Option<i64>) -> Result<File, Refused> {
    let begin = Instant::now();
    loop {
        let opened = File::options()
            .read(true)
            .write(write || create)
            .create(create)
            .mode(0o666)
            .open(file)
            .map_err(Refused::Open)?;
        // SAFETY: flock on our own descriptor.
        let locked = match wait {
            None => unsafe { libc::flock(opened.as_raw_fd(), libc::LOCK_EX) == 0 },
            Some(_) => unsafe { libc::flock(opened.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 },
        };
        if locked && same(&opened, file) {
            return Ok(opened);
        }
        if !locked && wait.is_some_and(|seconds| begin.elapsed() >= Duration::from_secs(seconds.max(0) as u64)) {
            return Err(Refused::Busy);
        }
        std::thread::sleep(Duration::from_millis(if locked { 0 } else { 20 }));
    }
}

/// The holder before us may have removed the file.
fn same(opened: &File, path: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (opened.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}
