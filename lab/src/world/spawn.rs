//! Children in namespaces of their own.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context as _;
use anyhow::Result;
use nix::sched::CloneFlags;
use nix::sched::setns;
use nix::unistd::ForkResult;

/// Forks this (single-threaded) process: `Some(pid)` in the parent, `None` in the child.
pub fn fork() -> io::Result<Option<i32>> {
    // SAFETY: no thread of the lab is ever started before this, so the child may go on as usual.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child.as_raw())),
        ForkResult::Child => Ok(None),
    }
}

/// This program again, with other arguments.
pub fn myself() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("lab");
    command
}

/// Turns this process's standard input and output away.
pub fn mute() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(nix::unistd::dup2_stderr(&null)?)
}

/// Lets a descriptor stay open in the programs we start.
pub fn inherit(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain fcntl on a number; a wrong one gives EBADF.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends this process when its parent ends.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a number only.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A command to be run in the network namespace of process `pid`.
pub fn in_network_of(pid: i32, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
    let namespace =
        File::open(format!("/proc/{pid}/ns/net")).with_context(|| format!("no network namespace of process {pid}"))?;
    let mut command = Command::new(program);
    // SAFETY: setns is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(move || setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)) };
    Ok(command)
}

/// Runs a command with input; its complaints become the error.
pub fn fed(mut command: Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        io::Write::write_all(&mut stdin, input.as_bytes()).with_context(|| format!("cannot feed {command:?}"))?;
    }
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Sends a descriptor over a socket pair (SCM_RIGHTS).
pub fn send_fd(over: &OwnedFd, fd: &impl AsRawFd) -> Result<()> {
    let fds = [fd.as_raw_fd()];
    let message = [nix::sys::socket::ControlMessage::ScmRights(&fds)];
    nix::sys::socket::sendmsg::<()>(
        over.as_raw_fd(),
        &[io::IoSlice::new(b"!")],
        &message,
        nix::sys::socket::MsgFlags::empty(),
        None,
    )?;
    Ok(())
}

/// Receives a descriptor that [`send_fd`] sent.
pub fn receive_fd(over: RawFd) -> Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let mut byte = [0u8; 1];
    let mut slices = [io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = nix::sys::socket::recvmsg::<()>(
        over,
        &mut slices,
        Some(&mut space),
        nix::sys::socket::MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for control in message.cmsgs()? {
        if let nix::sys::socket::ControlMessageOwned::ScmRights(fds) = control
            && let Some(fd) = fds.first()
        {
            // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
            return Ok(unsafe { OwnedFd::from_raw_fd(*fd) });
        }
    }
    anyhow::bail!("no descriptor arrived")
}
