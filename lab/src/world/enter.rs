//! Running a command inside a host, from outside of the lab and without SSH (`lab shell`, `lab client`).

use std::fs;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context as _;
use anyhow::Result;
use nix::sched::CloneFlags;
use nix::sched::setns;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::place::Place;
use super::spawn::fork;

/// The PATH of FreeBSD's login class `daemon`/root.
pub const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin";

/// Runs `argv` as root in `node` and returns its exit status (128 + N when signal N ended it).
pub fn run(place: &Place, node: &str, argv: &[String], extra_path: &str) -> Result<i32> {
    let outer = place.running()?;
    let disks = place.disks();
    match fork()? {
        Some(child) => wait(child),
        None => {
            let status =
                inside_outer(outer, &disks.join(format!("{node}.pid")), argv, extra_path).unwrap_or_else(|error| {
                    eprintln!("lab: {error:#}");
                    126
                });
            std::process::exit(status);
        }
    }
}

fn inside_outer(outer: i32, pidfile: &std::path::Path, argv: &[String], extra_path: &str) -> Result<i32> {
    join(outer, &[("pid", CloneFlags::CLONE_NEWPID), ("mnt", CloneFlags::CLONE_NEWNS)])?;
    match fork()? {
        Some(child) => wait(child),
        None => {
            let pid: i32 = fs::read_to_string(pidfile)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .context("the host is down")?;
            inside(pid, || {
                let error = match command(argv, extra_path) {
                    Ok(mut command) => anyhow::Error::from(command.exec()),
                    Err(error) => error,
                };
                eprintln!("lab: {}: {error:#}", argv.first().map(String::as_str).unwrap_or_default());
                126
            })
        }
    }
}

/// Runs `then` in a child inside the host whose pid 1 is `pid` (as this process's pid namespace counts), and returns its status.
pub fn inside(pid: i32, then: impl FnOnce() -> i32) -> Result<i32> {
    let kinds = [
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    join(pid, &kinds).context("the host is down")?;
    match fork()? {
        Some(child) => wait(child),
        None => std::process::exit(then()),
    }
}

fn command(argv: &[String], extra_path: &str) -> Result<Command> {
    let (program, args) = argv.split_first().context("no command")?;
    std::env::set_current_dir("/root")?;
    // root's groups at a login: wheel, operator.
    nix::unistd::setgroups(&[0, 5].map(nix::unistd::Gid::from_raw)).context("cannot set root's groups")?;
    let path = format!("{PATH}{extra_path}");
    // SAFETY: this process has one thread. The program is looked up in our own PATH, so that must be the host's.
    unsafe { std::env::set_var("PATH", &path) };
    let mut command = Command::new(program);
    command.args(args).env_clear().envs([
        ("PATH", path.as_str()),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", "/bin/sh"),
    ]);
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    Ok(command)
}

fn join(pid: i32, kinds: &[(&str, CloneFlags)]) -> Result<()> {
    let open = |kind: &str| {
        File::open(format!("/proc/{pid}/ns/{kind}")).with_context(|| format!("no namespaces of process {pid}"))
    };
    // All are opened before the first is joined: afterwards /proc is another one.
    let files = kinds.iter().map(|(kind, flag)| open(kind).map(|file| (file, *flag))).collect::<Result<Vec<_>>>()?;
    for (file, flag) in files {
        setns(file, flag).context("cannot join a namespace of the lab")?;
    }
    Ok(())
}

/// Waits for a child; its exit status, or 128 + N when signal N ended it.
pub fn wait(child: i32) -> Result<i32> {
    loop {
        match waitpid(Pid::from_raw(child), None) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
