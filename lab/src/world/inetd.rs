//! What listens in a host without being FreeBSD's: SSH (one `sshd -i` a connection), the jump to the host behind, and the client's echo service.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::Result;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::waitpid;

use super::nodes::JUMP_PORT;
use super::spawn;
use crate::faults;
use crate::net::tool;

/// Where SSH connections come from.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    /// A listening socket of the machine's own loopback, inherited.
    Listener(RawFd),
    /// A socket pair over which the jump host sends accepted connections.
    Handed(RawFd),
}

/// sshd's port on every address of the host itself: the tunnel's, the bridge's, its own loopback's (sshd_config(5), ListenAddress).
const SSH_PORT: u16 = 22;

/// Serves SSH for ever.
pub fn serve(doors: &[Door]) -> Result<()> {
    for door in doors {
        let (Door::Listener(fd) | Door::Handed(fd)) = door;
        close_on_exec(*fd)?;
    }
    let own = TcpListener::bind(("::", SSH_PORT)).context("cannot listen on port 22")?;
    let doors: Vec<Door> = doors.iter().copied().chain([Door::Listener(own.as_raw_fd())]).collect();
    loop {
        // SAFETY: the descriptors were inherited for us alone and are never closed.
        let borrowed: Vec<_> = doors
            .iter()
            .map(|(Door::Listener(fd) | Door::Handed(fd))| unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) })
            .collect();
        let mut polled: Vec<PollFd> = borrowed.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        poll(&mut polled, PollTimeout::from(500u16))
            .or_else(|error| if error == nix::errno::Errno::EINTR { Ok(0) } else { Err(error) })?;
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some()) {}
        for (door, polled) in doors.iter().zip(&polled) {
            if polled.any() == Some(true) {
                match accept(*door).and_then(answer) {
                    Ok(()) => {}
                    Err(error) => eprintln!("lab: ssh: {error:#}"),
                }
            }
        }
    }
}

fn accept(door: Door) -> Result<OwnedFd> {
    match door {
        Door::Listener(fd) => {
            let accepted = nix::sys::socket::accept4(fd, nix::sys::socket::SockFlag::SOCK_CLOEXEC)?;
            // SAFETY: the kernel just made this descriptor for us.
            Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
        }
        Door::Handed(fd) => spawn::receive_fd(fd),
    }
}

fn answer(connection: OwnedFd) -> Result<()> {
    // The connection is closed again at once.
    if faults::is_cut(Path::new("/.lab/faults")) {
        return Ok(());
    }
    let log = fs::File::options().create(true).append(true).open("/var/log/sshd.log")?;
    let connection: Stdio = connection.into();
    let mut sshd = Command::new(tool("sshd"));
    // The same socket is sshd's input and output.
    sshd.args(["-i", "-e", "-f", "/etc/ssh/sshd_config"]).stdin(connection).stderr(log);
    // SAFETY: dup2 is allowed between fork and exec.
    unsafe {
        use std::os::unix::process::CommandExt;
        sshd.pre_exec(|| if libc::dup2(0, 1) == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) });
    }
    sshd.env_clear().spawn().context("cannot start sshd")?;
    Ok(())
}

/// On the jump host: accepts on the loopback and hands each connection to the host behind.
pub fn jump(over: RawFd) -> Result<()> {
    close_on_exec(over)?;
    // SAFETY: inherited for us alone.
    let over = unsafe { OwnedFd::from_raw_fd(over) };
    let listener = TcpListener::bind(("127.0.0.1", JUMP_PORT))?;
    loop {
        let (connection, _) = listener.accept()?;
        spawn::send_fd(&over, &connection)?;
    }
}

/// On the client: HTTP that tells the asker its own address, as the internet sees it (for egress checks through NAT).
pub fn echo() -> Result<()> {
    let listener = TcpListener::bind("[::]:80")?;
    loop {
        let (stream, peer) = listener.accept()?;
        let address = peer.ip().to_canonical();
        if let Err(error) = reply(stream, &address.to_string()) {
            eprintln!("lab: echo: {error:#}");
        }
    }
}

fn reply(mut stream: TcpStream, address: &str) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = [0u8; 4096];
    let _length = std::io::Read::read(&mut stream, &mut request)?;
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{address}\n",
        address.len() + 1
    )?;
    Ok(())
}

fn close_on_exec(fd: RawFd) -> Result<()> {
    // SAFETY: inherited and open for as long as we run.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    nix::fcntl::fcntl(fd.as_fd(), nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .with_context(|| format!("descriptor {} is not open", fd.as_raw_fd()))?;
    Ok(())
}
