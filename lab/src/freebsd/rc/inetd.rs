//! inetd(8): stream services over TCP, with FreeBSD's default limit of 256 invocations a minute and service (`-R`), which turns a service off for ten minutes.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::poll;
use nix::sys::socket;
use nix::sys::socket::sockopt;

use crate::context::Context;

const MINUTE: Duration = Duration::from_secs(60);
/// How long a service that was called too often stays off (RETRYTIME).
const PENANCE: Duration = Duration::from_secs(600);

struct Limits {
    /// `-R`: invocations a minute; 0: any number.
    rate: usize,
    /// `-C`: invocations a minute from one address.
    per_address: usize,
    /// `-c`: at the same time.
    children: usize,
}

struct Service {
    name: String,
    v6: bool,
    both: bool,
    port: u16,
    uid: u32,
    gid: u32,
    program: String,
    argv: Vec<String>,
    children: usize,
    per_address: usize,
}

struct Door {
    service: Service,
    listener: TcpListener,
    running: Vec<Child>,
    calls: Vec<(Instant, IpAddr)>,
    off_until: Option<Instant>,
}

fn usage() -> i32 {
    eprintln!(
        "usage: inetd [-dlWw] [-a address] [-C rate] [-c maximum] [-p filename] [-R rate] [-s maximum] [configuration_file]"
    );
    1
}

/// The command: binds, goes into the background (unless `-d`), serves.
pub fn run(_ctx: &Context, args: &[String]) -> i32 {
    let mut limits = Limits { rate: 256, per_address: 0, children: 0 };
    let (mut debug, mut pid_file, mut address, mut file) = (false, "/var/run/inetd.pid".to_string(), None, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(letters) = arg.strip_prefix('-') else {
            file = Some(arg.clone());
            continue;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'd' => debug = true,
                'l' | 'w' | 'W' | 'n' => {}
                'a' | 'C' | 'c' | 'p' | 'R' | 's' => {
                    let tail = &letters[at + 1..];
                    let value = if tail.is_empty() { rest.next().cloned() } else { Some(tail.to_string()) };
                    let Some(value) = value else {
                        return usage();
                    };
                    let number = value.parse().unwrap_or(0);
                    match letter {
                        'a' => address = value.parse::<IpAddr>().ok(),
                        'p' => pid_file = value,
                        'C' => limits.per_address = number,
                        'c' => limits.children = number,
                        'R' => limits.rate = number,
                        _ => {}
                    }
                    break;
                }
                _ => return usage(),
            }
        }
    }
    let file = file.unwrap_or_else(|| "/etc/inetd.conf".into());
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("inetd: {file}: {}", crate::freebsd::network::errno_text(&error));
            return 1;
        }
    };
    let mut doors = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with('#') && !l.trim().is_empty()) {
        match service(line).and_then(|service| open(service, address)) {
            Ok(door) => doors.push(door),
            Err(text) => eprintln!("inetd: {text}"),
        }
    }
    if !debug && let Err(error) = nix::unistd::daemon(false, false) {
        eprintln!("inetd: daemon: {error}");
        return 1;
    }
    if let Err(error) = fs::write(&pid_file, format!("{}\n", std::process::id())) {
        eprintln!("inetd: {pid_file}: {error}");
    }
    // It has told everybody that it runs, and ends (inetd.c: EX_USAGE without the transports of netconfig(5); seen on
    // 15.0).
    let transports = fs::read_to_string("/etc/netconfig").unwrap_or_default();
    let known = |name: &&str| transports.lines().any(|line| line.split_whitespace().next() == Some(name));
    if !["udp", "tcp", "udp6", "tcp6"].iter().all(known) {
        return 64;
    }
    serve(doors, &limits)
}

fn service(line: &str) -> Result<Service, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, kind, protocol, wait, user, program, argv @ ..] = words.as_slice() else {
        return Err(format!("{}: bad line", words.first().unwrap_or(&"")));
    };
    let (v6, both) = match *protocol {
        "tcp" | "tcp4" => (false, false),
        "tcp6" => (true, false),
        "tcp46" => (true, true),
        _ => return Err(format!("{name}/{protocol}: the lab's inetd serves tcp only")),
    };
    if *kind != "stream" || !wait.starts_with("nowait") {
        return Err(format!("{name}/{protocol}: the lab's inetd serves stream nowait only"));
    }
    let mut numbers = wait.split('/').skip(1).map(|n| n.parse().unwrap_or(0));
    let children = numbers.next().unwrap_or(usize::MAX);
    let per_address = numbers.next().unwrap_or(usize::MAX);
    let port = port(name).ok_or_else(|| format!("{name}/{protocol}: unknown service"))?;
    let user = user.split([':', '/']).next().unwrap_or("root");
    let (uid, gid) = ids(user).ok_or_else(|| format!("{name}/{protocol}: {user}: No such user"))?;
    Ok(Service {
        name: format!("{name}/{protocol}"),
        v6,
        both,
        port,
        uid,
        gid,
        program: program.to_string(),
        argv: argv.iter().map(|w| w.to_string()).collect(),
        children,
        per_address,
    })
}

fn port(name: &str) -> Option<u16> {
    if let Ok(port) = name.parse() {
        return Some(port);
    }
    let text = fs::read_to_string("/etc/services").ok()?;
    text.lines().map(|line| line.split('#').next().unwrap_or_default()).find_map(|line| {
        let mut words = line.split_whitespace();
        let known = words.next()?;
        let port = words.next()?.strip_suffix("/tcp")?.parse().ok()?;
        (known == name || words.any(|alias| alias == name)).then_some(port)
    })
}

fn ids(user: &str) -> Option<(u32, u32)> {
    if user == "root" {
        return Some((0, 0));
    }
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn open(service: Service, address: Option<IpAddr>) -> Result<Door, String> {
    let unspecified: IpAddr =
        if service.v6 { std::net::Ipv6Addr::UNSPECIFIED.into() } else { std::net::Ipv4Addr::UNSPECIFIED.into() };
    let address = address.filter(|a| a.is_ipv6() == service.v6).unwrap_or(unspecified);
    let listener = bind(SocketAddr::new(address, service.port), service.both)
        .map_err(|errno| format!("{}: bind: {}", service.name, errno.desc()))?;
    Ok(Door { service, listener, running: Vec::new(), calls: Vec::new(), off_until: None })
}

fn bind(address: SocketAddr, both: bool) -> nix::Result<TcpListener> {
    let family = if address.is_ipv6() { socket::AddressFamily::Inet6 } else { socket::AddressFamily::Inet };
    let flags = socket::SockFlag::SOCK_CLOEXEC | socket::SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket::socket(family, socket::SockType::Stream, flags, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &!both)?;
    }
    socket::bind(fd.as_raw_fd(), &socket::SockaddrStorage::from(address))?;
    socket::listen(&fd, socket::Backlog::new(128)?)?;
    Ok(fd.into())
}

fn serve(mut doors: Vec<Door>, limits: &Limits) -> i32 {
    loop {
        let mut fds: Vec<PollFd> = doors.iter().map(|d| PollFd::new(d.listener.as_fd(), PollFlags::POLLIN)).collect();
        // Often enough to take leave of children soon.
        let _ = poll(&mut fds, 200u16);
        let ready: Vec<bool> =
            fds.iter().map(|fd| fd.revents().is_some_and(|events| events.contains(PollFlags::POLLIN))).collect();
        for (door, ready) in doors.iter_mut().zip(ready) {
            door.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if !ready {
                continue;
            }
            // Until nobody waits any more (the socket does not block).
            while let Ok((stream, peer)) = door.listener.accept() {
                door.call(stream, peer.ip(), limits);
            }
        }
    }
}

impl Door {
    fn call(&mut self, stream: TcpStream, peer: IpAddr, limits: &Limits) {
        let now = Instant::now();
        // Closing the connection is all that a refused caller sees.
        if self.off_until.is_some_and(|until| now < until) {
            return;
        }
        self.off_until = None;
        self.calls.retain(|(at, _)| now.duration_since(*at) < MINUTE);
        if limits.rate > 0 && self.calls.len() >= limits.rate {
            eprintln!("inetd: {} server failing (looping), service terminated", self.service.name);
            self.off_until = Some(now + PENANCE);
            return;
        }
        let most = |own: usize, general: usize| if own == usize::MAX { general } else { own };
        let per_address = most(self.service.per_address, limits.per_address);
        let mut by_address: HashMap<IpAddr, usize> = HashMap::new();
        for (_, address) in &self.calls {
            *by_address.entry(*address).or_default() += 1;
        }
        if per_address > 0 && by_address.get(&peer).is_some_and(|n| *n >= per_address) {
            return;
        }
        let children = most(self.service.children, limits.children);
        if children > 0 && self.running.len() >= children {
            return;
        }
        self.calls.push((now, peer));
        match self.spawn(stream) {
            Ok(child) => self.running.push(child),
            Err(error) => eprintln!("inetd: {}: {error}", self.service.program),
        }
    }

    fn spawn(&self, stream: TcpStream) -> std::io::Result<Child> {
        stream.set_nonblocking(false)?;
        let stream: OwnedFd = stream.into();
        let mut command = Command::new(&self.service.program);
        if let Some((first, rest)) = self.service.argv.split_first() {
            command.arg0(first).args(rest);
        }
        command
            .stdin(Stdio::from(stream.try_clone()?))
            .stdout(Stdio::from(stream.try_clone()?))
            .stderr(Stdio::from(stream))
            .env("LAB_BY", "inetd")
            .current_dir("/");
        if self.service.uid != 0 {
            command.uid(self.service.uid).gid(self.service.gid);
        }
        command.spawn()
    }
}
