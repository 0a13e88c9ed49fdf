//! Stepping into a jail: its namespaces are those of its first process.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;

use nix::sched::CloneFlags;
use nix::sched::setns;

/// Namespaces to join; the mount namespace last, since /proc is another one afterwards.
const SPACES: &[(&str, CloneFlags)] = &[
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// Opens the jail's namespaces.
fn open(pid: i32) -> io::Result<Vec<(File, CloneFlags)>> {
    SPACES.iter().map(|(name, flag)| Ok((File::open(format!("/proc/{pid}/ns/{name}"))?, *flag))).collect()
}

/// Starts a command in the jail, as a child that ends with us.
pub fn spawn(pid: i32, mut command: Command) -> io::Result<Child> {
    let spaces = open(pid)?;
    command.current_dir("/");
    // A thread of its own does the joining, so that this process stays on the host. The pid namespace counts for children of the joining thread.
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                // A thread may join a mount namespace only with a file system state of its own.
                nix::sched::unshare(CloneFlags::CLONE_FS)?;
                for (file, flag) in &spaces {
                    setns(file, *flag)?;
                }
                command.spawn()
            })
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the jail ended")))
    })
}

/// Becomes a process of the jail for good; what is started from here on runs in it.
pub fn join(pid: i32) -> io::Result<()> {
    for (file, flag) in open(pid)? {
        setns(file, flag)?;
    }
    std::env::set_current_dir("/")
}

/// `exec.clean`, `jexec -l`: nothing of the caller's environment but TERM.
pub fn clean_environment(command: &mut Command) {
    command.env_clear();
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    command
        .env("HOME", "/root")
        .env("SHELL", "/bin/sh")
        .env("USER", "root")
        .env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin");
    for kept in ["LAB_STATE", "LAB_BY"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
}

/// Makes a command end when we end: on FreeBSD it would *be* us, jexec(8) calls exec.
pub fn end_with_us(command: &mut Command) {
    // SAFETY: prctl(2) is async-signal-safe and touches nothing but the new process.
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM).map_err(io::Error::from));
    }
}
