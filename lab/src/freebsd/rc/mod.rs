//! rc(8): service(8), sysrc(8), inetd(8), kldload(8), devfs(8), and what happens when a host boots or shuts down.
//!
//! As on FreeBSD the scripts of rc.d are sh: they stand in `scripts/` and are written to /etc when a host boots; they call the same commands that an administrator calls.

mod assign;
mod devfs;
mod inetd;
pub mod kld;
mod scripts;
mod service;
mod sysrc;

use std::process::Command as Process;

use crate::context::Context;
use crate::freebsd::Command;
use crate::freebsd::command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[
    command("service", "/usr/sbin", service::run),
    command("sysrc", "/usr/sbin", sysrc::run),
    command("inetd", "/usr/sbin", inetd::run),
    command("kldload", "/sbin", kld::load),
    command("kldunload", "/sbin", kld::unload),
    command("kldstat", "/sbin", kld::stat),
    command("devfs", "/sbin", devfs::run),
];

/// What /etc/rc does: called once by the host's init, with the network card up and the disk mounted. Output goes to /var/log/boot.log.
pub fn boot(_ctx: &Context) {
    script("/etc/rc");
}

/// What /etc/rc.shutdown does: called before an orderly reboot; whatever is left is killed afterwards.
pub fn shutdown(_ctx: &Context) {
    script("/etc/rc.shutdown");
}

fn script(path: &str) {
    if let Err(error) = scripts::install(std::path::Path::new("/")) {
        eprintln!("rc: cannot write the scripts: {error}");
    }
    match Process::new("/bin/sh").arg(path).env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin").status() {
        Ok(status) if status.success() => {}
        Ok(status) => eprintln!("rc: {path}: {status}"),
        Err(error) => eprintln!("rc: {path}: {error}"),
    }
}
