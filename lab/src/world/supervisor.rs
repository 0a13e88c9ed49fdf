//! Pid 1 of the lab: owns the switch, the disks and the hosts' sockets; boots hosts and boots them again.

use std::collections::HashMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::process::ChildStdout;

use anyhow::Context as _;
use anyhow::Result;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sched::CloneFlags;
use nix::sched::unshare;

use super::control::Answer;
use super::control::Request;
use super::disk;
use super::enter;
use super::host;
use super::links::Links;
use super::nodes;
use super::nodes::NODES;
use super::nodes::Node;
use super::place::Place;
use super::spawn;

/// `lab __outer DIR NAME=FD …`: makes the outer namespaces and the process that owns them; tells its pid on standard output, later `ready` or `error …`.
pub fn outer(place: &Place, listeners: &[(String, RawFd)]) -> Result<i32> {
    nix::unistd::setsid()?;
    unshare(
        CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )?;
    if let Some(child) = spawn::fork()? {
        println!("{child}");
        return Ok(0);
    }
    match Supervisor::start(place, listeners) {
        Ok(supervisor) => {
            println!("ready");
            let null = fs::File::options().write(true).open("/dev/null")?;
            nix::unistd::dup2_stdout(&null)?;
            supervisor.serve()
        }
        Err(error) => {
            println!("error {}", format!("{error:#}").replace('\n', " "));
            Ok(1)
        }
    }
}

struct Running {
    launcher: Child,
    output: BufReader<ChildStdout>,
}

struct Supervisor {
    place: Place,
    links: Links,
    listeners: HashMap<String, RawFd>,
    /// For hosts behind a jump: (the jump host's end, the host's end).
    jumps: HashMap<&'static str, (OwnedFd, OwnedFd)>,
    running: HashMap<&'static str, Running>,
    control: UnixListener,
}

impl Supervisor {
    fn start(place: &Place, listeners: &[(String, RawFd)]) -> Result<Supervisor> {
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)?;
        fs::create_dir_all(place.disks())?;
        mount(Some("lab"), &place.disks(), Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
        let links = Links::install()?;
        let control = UnixListener::bind(place.file("control")).context("cannot bind the control socket")?;
        fs::set_permissions(place.file("control"), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let mut jumps = HashMap::new();
        for node in NODES.iter().filter(|node| node.jump.is_some()) {
            use nix::sys::socket::AddressFamily;
            use nix::sys::socket::SockFlag;
            use nix::sys::socket::SockType;
            jumps.insert(
                node.name,
                nix::sys::socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?,
            );
        }
        let mut supervisor = Supervisor {
            place: place.clone(),
            links,
            listeners: listeners.iter().cloned().collect(),
            jumps,
            running: HashMap::new(),
            control,
        };
        for node in NODES {
            disk::make(&supervisor.place, node)?;
            supervisor.begin(node)?;
        }
        for node in NODES {
            supervisor.finish(node)?;
        }
        Ok(supervisor)
    }

    /// Starts a host's boot.
    fn begin(&mut self, node: &'static Node) -> Result<()> {
        let mut command = host::command(&self.place, node);
        let mut keep = Vec::new();
        let mut pass = |kind: &str, fd: RawFd| -> Result<()> {
            // SAFETY: dup of an open descriptor; the copy is ours.
            let copy = unsafe { OwnedFd::from_raw_fd(nix::libc::dup(fd)) };
            spawn::inherit(copy.as_raw_fd())?;
            command.arg(format!("{kind}={}", copy.as_raw_fd()));
            keep.push(copy);
            Ok(())
        };
        if let Some(fd) = self.listeners.get(node.name) {
            pass("listener", *fd)?;
        }
        if let Some((_, theirs)) = self.jumps.get(node.name) {
            pass("handed", theirs.as_raw_fd())?;
        }
        for behind in NODES.iter().filter(|behind| behind.jump == Some(node.name)) {
            if let Some((ours, _)) = self.jumps.get(behind.name) {
                pass("jump", ours.as_raw_fd())?;
            }
        }
        let mut launcher = command.spawn().with_context(|| format!("cannot start {}", node.name))?;
        drop(keep);
        let mut output = BufReader::new(launcher.stdout.take().context("the host has no output")?);
        let pid = line(&mut output).with_context(|| format!("{} did not start", node.name))?;
        self.links.plug(node, launcher.id() as i32)?;
        fs::write(self.pidfile(node), format!("{pid}\n"))?;
        launcher.stdin.take().context("the host has no input")?.write_all(b"!")?;
        self.running.insert(node.name, Running { launcher, output });
        Ok(())
    }

    /// Waits until it is up.
    fn finish(&mut self, node: &'static Node) -> Result<()> {
        let running = self.running.get_mut(node.name).context("not started")?;
        let said = line(&mut running.output).with_context(|| format!("{} did not boot (see lab.log)", node.name))?;
        anyhow::ensure!(said == "up", "{} said {said:?} instead of up", node.name);
        Ok(())
    }

    /// Kills everything on the host and takes its network away. The disk stays.
    fn kill(&mut self, node: &'static Node) -> Result<()> {
        self.links.unplug(node);
        if let Some(mut running) = self.running.remove(node.name) {
            let pid: i32 = fs::read_to_string(self.pidfile(node))?.trim().parse()?;
            let _gone_already =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            running.launcher.wait()?;
            crate::journal::life(&disk::inside(&self.place.disks().join(node.name), "/.lab"), None, false);
        }
        fs::remove_file(self.pidfile(node))
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        Ok(())
    }

    fn reboot(&mut self, node: &'static Node, hard: bool) -> Result<()> {
        if !hard && let Some(pid) = self.pid(node) {
            let mut shutdown = spawn::myself();
            shutdown.args(["__shutdown", &pid.to_string()]);
            let status = shutdown.status()?;
            if !status.success() {
                eprintln!("lab: rc.shutdown of {}: {status}", node.name);
            }
        }
        self.kill(node)?;
        self.begin(node)?;
        self.finish(node)
    }

    fn pid(&self, node: &Node) -> Option<i32> {
        fs::read_to_string(self.pidfile(node)).ok()?.trim().parse().ok()
    }

    fn pidfile(&self, node: &Node) -> std::path::PathBuf {
        self.place.disks().join(format!("{}.pid", node.name))
    }

    fn serve(mut self) -> Result<i32> {
        loop {
            let mut polled = [PollFd::new(std::os::fd::AsFd::as_fd(&self.control), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::from(200u16)) {
                Ok(0) => reap_orphans(&self.running),
                Ok(_) => {
                    let (stream, _) = self.control.accept()?;
                    match self.answer(stream) {
                        Ok(true) => return Ok(0),
                        Ok(false) => {}
                        Err(error) => eprintln!("lab: {error:#}"),
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Serves one request; true: the lab ends.
    fn answer(&mut self, mut stream: UnixStream) -> Result<bool> {
        let mut text = String::new();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
        BufReader::new(&stream).read_line(&mut text)?;
        let request: Request = serde_json::from_str(&text).context("not a request")?;
        let mut tell = |result: &Result<()>| -> Result<()> {
            let answer = Answer { error: result.as_ref().err().map(|error| format!("{error:#}")) };
            writeln!(stream, "{}", serde_json::to_string(&answer)?).context("the asker went away")
        };
        let result = match &request {
            Request::Down => {
                tell(&Ok(()))?;
                return Ok(true);
            }
            Request::Reboot { node, hard, wait } => {
                let node = nodes::find(node)?;
                if !wait {
                    tell(&Ok(()))?;
                    return self.reboot(node, *hard).map(|()| false);
                }
                self.reboot(node, *hard)
            }
            Request::PowerOff { node } => self.kill(nodes::find(node)?),
        };
        tell(&result)?;
        Ok(false)
    }
}

fn line(output: &mut impl BufRead) -> Result<String> {
    let mut text = String::new();
    output.read_line(&mut text)?;
    anyhow::ensure!(text.ends_with('\n'), "it ended");
    Ok(text.trim_end().to_string())
}

/// Orphans of the outer namespace come to pid 1. The hosts' launchers are not orphans: their end is waited for where they are killed.
fn reap_orphans(running: &HashMap<&'static str, Running>) {
    use nix::sys::wait::Id;
    use nix::sys::wait::WaitPidFlag;
    use nix::sys::wait::waitid;
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, peek) {
        match status.pid() {
            Some(pid) if !running.values().any(|running| running.launcher.id() as i32 == pid.as_raw()) => {
                let _reaped = nix::sys::wait::waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            _ => return,
        }
    }
}

/// `lab __shutdown PID`: enters the host and runs its rc.shutdown.
pub fn shutdown(pid: i32) -> Result<i32> {
    enter::inside(pid, || host::shutdown().unwrap_or(1))
}
