//! A jail's first process: makes the namespaces and the jail's view of the disk, then only takes leave of processes that end.
//!
//! The jail's root is a small file system of its own in which every entry of the dataset's top folder is bound: so that what Linux needs and FreeBSD does not (/proc,
//! the lab's own folder, a place for ELF loaders) is there without anything being written into the dataset.

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use nix::mount::MntFlags;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::mount::umount2;
use nix::sched::CloneFlags;
use nix::sched::unshare;
use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;

/// Its name in the dispatch table.
pub const NAME: &str = "jailinit";

/// What it has to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The jail's name.
    pub name: String,
    /// Its root.
    pub path: String,
    /// Its host name.
    pub hostname: String,
    /// A network of its own?
    pub vnet: bool,
}

/// Starts a jail's first process; its pid as the host has it.
pub fn start(order: &Order) -> io::Result<i32> {
    let text = serde_json::to_string(order)?;
    let output = myself().arg("unshare").arg(text).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other("the jail's first process did not start"))
}

fn myself() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["as", NAME]);
    // LAB1's journal and `ps` look at argv; the path of a link would be wrong here.
    std::os::unix::process::CommandExt::arg0(&mut command, "lab");
    command
}

/// The command: `jailinit unshare ORDER`, then `jailinit first ORDER`.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let [stage, text] = args else {
        eprintln!("jailinit: started by jail(8) only");
        return 64;
    };
    let done = serde_json::from_str(text).map_err(io::Error::from).and_then(|order: Order| match stage.as_str() {
        "unshare" => apart(&order, text),
        _ => first(ctx, &order),
    });
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("jailinit: {error}");
            1
        }
    }
}

/// Makes the namespaces; a pid namespace takes only children, so the first process is one.
fn apart(order: &Order, text: &str) -> io::Result<()> {
    nix::unistd::setsid().map_err(io::Error::from)?;
    let mut flags =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWPID;
    if order.vnet {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags)?;
    let mut child = myself().arg("first").arg(text).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut ready = String::new();
    if let Some(output) = child.stdout.take() {
        io::BufReader::new(output).read_line(&mut ready)?;
    }
    if ready.trim() != "ready" {
        child.wait()?;
        return Err(io::Error::other("the jail's first process ended"));
    }
    println!("{}", child.id());
    Ok(())
}

fn first(ctx: &Context, order: &Order) -> io::Result<()> {
    nix::unistd::sethostname(&order.hostname)?;
    root(ctx, order)?;
    if order.vnet {
        network()?;
    }
    println!("ready");
    io::stdout().flush()?;
    let null = fs::File::options().read(true).write(true).open("/dev/null").or_else(|_| fs::File::open("/"))?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    loop {
        match nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::__WALL)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            // No children now; adopted ones may come.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    }
}

fn network() -> io::Result<()> {
    for scope in ["all", "default"] {
        for (knob, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0"), ("addr_gen_mode", "1")] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/{knob}"), value)?;
        }
        fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    Ok(())
}

/// Binds the jail's view together and makes it the root.
fn root(ctx: &Context, order: &Order) -> io::Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let run = ctx.run.join("jails/.root");
    fs::create_dir_all(&run)?;
    mount(Some("jail"), &run, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    for entry in fs::read_dir(&order.path)? {
        let entry = entry?;
        let (from, to) = (entry.path(), run.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
            continue;
        }
        if kind.is_dir() {
            fs::create_dir(&to)?;
        } else {
            fs::write(&to, "")?;
        }
        mount(Some(&from), &to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    }
    // What Linux needs.
    for dir in ["proc", "run", ".lab", "old"] {
        fs::create_dir_all(run.join(dir))?;
    }
    mount(Some("proc"), &run.join("proc"), Some("proc"), MsFlags::empty(), none)?;
    mount(Some("run"), &run.join("run"), Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    // The loader of Linux' programs and, where the jail has no /lib of its own, their libraries.
    let debian = ctx.state.join("usr");
    let debian = if debian.exists() { debian } else { "/usr".into() };
    for (from, name) in [(debian.join("lib64"), "lib64"), (debian.join("lib"), "lib"), (ctx.state.clone(), ".lab")] {
        let to = run.join(name);
        let filled = fs::read_dir(&to).is_ok_and(|mut entries| entries.next().is_some());
        // A thin jail's /lib is a link into its release.
        if filled || to.is_symlink() || !from.exists() {
            continue;
        }
        fs::create_dir_all(&to)?;
        mount(Some(&from.canonicalize()?), &to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    }
    marker(&run, order)?;
    // A jail boots when its host does; it may have datasets of its own.
    let boot = ctx.run.join(crate::freebsd::zfs::BOOT);
    if boot.exists() {
        fs::copy(boot, run.join("run").join(crate::freebsd::zfs::BOOT))?;
    }
    fs::write(run.join("run").join(crate::freebsd::zfs::ROOT), &order.path)?;
    std::env::set_current_dir(&run)?;
    nix::unistd::pivot_root(".", "old")?;
    std::env::set_current_dir("/")?;
    umount2("/old", MntFlags::MNT_DETACH)?;
    fs::remove_dir("/old")
}

/// Tells commands which jail they are in: the jail's name over `/.lab/jail`.
fn marker(root: &Path, order: &Order) -> io::Result<()> {
    let none: Option<&str> = None;
    let name = root.join("run/.jail");
    fs::write(&name, &order.name)?;
    mount(Some(&name), &root.join(".lab/jail"), none, MsFlags::MS_BIND, none)?;
    Ok(())
}
