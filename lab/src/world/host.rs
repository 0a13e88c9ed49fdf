//! A host: pid 1 of its own pid, network, mount, uts and ipc namespace.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::fd::RawFd;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context as _;
use anyhow::Result;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::mount::umount2;
use nix::sched::CloneFlags;
use nix::sched::unshare;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::inetd::Door;
use super::links;
use super::nodes;
use super::nodes::Node;
use super::place::Place;
use super::spawn;
use crate::context::Context;
use crate::freebsd::rc;
use crate::net::fibs;
use crate::net::tool;

const NODEV_ALL: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// `lab __host DIR NAME DOOR JUMP`: makes the namespaces, tells `PID` (of the host's pid 1) on standard output, waits for `go` on standard input (the supervisor has plugged in the
/// network card), boots, tells `up`. Stays as the host's parent and ends with it.
pub fn run(place: &Place, name: &str, doors: &[Door], jump: Option<RawFd>) -> Result<i32> {
    spawn::die_with_parent()?;
    let node = nodes::find(name)?;
    unshare(
        CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )?;
    match spawn::fork()? {
        Some(child) => {
            println!("{child}");
            let _ended = waitpid(Pid::from_raw(child), None);
            Ok(0)
        }
        None => {
            spawn::die_with_parent()?;
            let mut go = [0u8; 1];
            std::io::stdin().read_exact(&mut go).context("the supervisor went away")?;
            init(place, node, doors, jump)
        }
    }
}

fn init(place: &Place, node: &Node, doors: &[Door], jump: Option<RawFd>) -> Result<i32> {
    let root = place.disks().join(node.name);
    mounts(place, node, &root).with_context(|| format!("cannot mount the disks of {}", node.name))?;
    nix::unistd::sethostname(node.name)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    std::env::set_current_dir("/")?;
    let kept: Vec<(String, String)> = std::env::vars().filter(|(name, _)| name == "TZ").collect();
    for (name, _) in std::env::vars() {
        // SAFETY: this process has one thread.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in kept.into_iter().chain([
        ("PATH".into(), super::enter::PATH.into()),
        ("HOME".into(), "/".into()),
        ("LAB_BY".into(), "rc".into()),
    ]) {
        // SAFETY: as above.
        unsafe { std::env::set_var(name, value) };
    }
    network(node).with_context(|| format!("cannot set up the network of {}", node.name))?;
    let ctx = Context::load();
    fibs::install(&ctx, loader_fibs()).context("cannot make the FIBs")?;
    // /etc/rc runs as a child, so that nothing in it can end pid 1.
    match spawn::fork()? {
        None => {
            log_to("/var/log/boot.log")?;
            crate::freebsd::zfs::real::boot(&ctx);
            rc::boot(&ctx);
            std::process::exit(0);
        }
        Some(boot) => reap_until(boot),
    }
    if node.name == "client" {
        child("echo", super::inetd::echo)?;
    }
    if let Some(socket) = jump {
        child("jump", || super::inetd::jump(socket))?;
    }
    child("inetd", || super::inetd::serve(doors))?;
    println!("up");
    std::io::stdout().flush()?;
    // The supervisor's pipe must see its end when we are gone, not hang on us.
    let null = fs::File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    reap_until(0);
    Ok(0)
}

fn mounts(place: &Place, node: &Node, root: &Path) -> Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some(root), root, none, MsFlags::MS_BIND, none)?;
    let at = |path: &str| super::disk::inside(root, path);
    mount(Some("/usr"), &at("/.lab/usr"), none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    mount(none, &at("/.lab/usr"), none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)?;
    mount(Some(&fs::read_link("/proc/self/exe")?), &at("/.lab/bin/lab"), none, MsFlags::MS_BIND, none)?;
    mount(Some(&place.file("control")), &at("/.lab/control"), none, MsFlags::MS_BIND, none)?;
    mount(Some("proc"), &at("/proc"), Some("proc"), NODEV_ALL, none)?;
    mount(Some("run"), &at("/run"), Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    for folder in ["sshd", "sudo", "wireguard"] {
        fs::create_dir_all(at("/run").join(folder))?;
    }
    mount(Some("dev"), &at("/dev"), Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    for device in ["null", "zero", "full", "random", "urandom", "tty", "net/tun"] {
        let path = at("/dev").join(device);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        fs::write(&path, "")?;
        mount(Some(&Path::new("/dev").join(device)), &path, none, MsFlags::MS_BIND, none)?;
    }
    fs::create_dir_all(at("/dev/pts"))?;
    mount(
        Some("devpts"),
        &at("/dev/pts"),
        Some("devpts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("newinstance,ptmxmode=0666,mode=620"),
    )?;
    for (link, to) in
        [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        std::os::unix::fs::symlink(to, at("/dev").join(link))?;
    }
    crate::freebsd::zfs::real::enter(place, node, root).context("cannot bring in the real ZFS")?;
    // What was mounted before the reboot no longer is.
    fs::write(at("/.lab/mounts"), "")?;
    std::env::set_current_dir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(())
}

fn network(node: &Node) -> Result<()> {
    // Duplicate address detection would lose packets to tentative addresses after a move.
    for scope in ["all", "default"] {
        for (knob, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0")] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/{knob}"), value)?;
        }
        // FreeBSD accepts packets for any of its addresses on any interface and has no reverse path filter.
        fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    // FreeBSD gives a card without an IPv6 address no link-local one either (IFDISABLED).
    if matches!(node.card, nodes::Card::Behind { .. }) {
        fs::write("/proc/sys/net/ipv6/conf/vtnet0/addr_gen_mode", "1")?;
    }
    let mut ip = Command::new(tool("ip"));
    ip.args(["-batch", "-"]);
    spawn::fed(ip, &links::configure(node))
}

/// `net.fibs` of /boot/loader.conf.
fn loader_fibs() -> u32 {
    let text = fs::read_to_string("/boot/loader.conf").unwrap_or_default();
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix("net.fibs="));
    value.and_then(|value| value.trim_matches('"').parse().ok()).unwrap_or(1).clamp(1, fibs::MOST)
}

fn child(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    if spawn::fork()?.is_none() {
        log_to(&format!("/var/log/lab-{name}.log"))?;
        // SAFETY: one thread.
        unsafe { std::env::remove_var("LAB_BY") };
        let status = match run() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("lab: {name}: {error:#}");
                1
            }
        };
        std::process::exit(status);
    }
    Ok(())
}

fn log_to(path: &str) -> Result<()> {
    let log = fs::File::options().create(true).append(true).open(path)?;
    let null = fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&log)?;
    nix::unistd::dup2_stderr(&log)?;
    Ok(())
}

/// Pid 1's job: takes leave of every process that ends, until `pid` (or, with 0, for ever).
fn reap_until(pid: i32) {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(status) if pid != 0 && status.pid() == Some(Pid::from_raw(pid)) => return,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) if pid != 0 => return,
            Err(_) => std::thread::sleep(std::time::Duration::from_secs(1)),
        }
    }
}

/// `lab __shutdown`: /etc/rc.shutdown, run inside the host before an orderly reboot.
pub fn shutdown() -> Result<i32> {
    log_to("/var/log/boot.log")?;
    // SAFETY: one thread.
    unsafe { std::env::set_var("LAB_BY", "rc") };
    rc::shutdown(&Context::load());
    Ok(0)
}

/// How the supervisor starts [`run`].
pub fn command(place: &Place, node: &Node) -> Command {
    let mut command = spawn::myself();
    command.arg("__host").arg(&place.dir).arg(node.name).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
