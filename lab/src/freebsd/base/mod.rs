//! Small tools of the base system whose FreeBSD form differs from Debian's.

mod daemon;
mod digest;
mod fetch;
mod fstat;
pub mod getopt;
mod identity;
mod lockf;
mod ls;
pub mod mount;
mod mtree;
mod nc;
pub mod own;
mod ping;
pub mod plain;
mod processes;
mod ps;
mod shell;
mod signals;
mod small;
mod sockstat;
mod stat;
pub mod sysctl;
mod time;
mod timeout;
mod wc;
mod wrapped;

use crate::freebsd::Command;
use crate::freebsd::command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[
    command("sh", "/bin", shell::sh),
    command("csh", "/bin", shell::csh),
    command("daemon", "/usr/sbin", daemon::daemon),
    command("date", "/bin", wrapped::date),
    command("dd", "/bin", wrapped::dd),
    command("fetch", "/usr/bin", fetch::fetch),
    command("freebsd-version", "/bin", identity::freebsd_version),
    command("fstat", "/usr/bin", fstat::fstat),
    command("fsync", "/usr/bin", small::fsync),
    command("halt", "/sbin", small::halt),
    command("install", "/usr/bin", wrapped::install),
    command("lockf", "/usr/bin", lockf::lockf),
    command("logger", "/usr/bin", small::logger),
    command("md5", "/sbin", digest::md5),
    command("mdconfig", "/sbin", small::mdconfig),
    command("mktemp", "/usr/bin", wrapped::mktemp),
    command("mount", "/sbin", mount::mount),
    command("mount_nullfs", "/sbin", mount::mount_nullfs),
    command("mtree", "/usr/sbin", mtree::mtree),
    command("nc", "/usr/bin", nc::nc),
    command("pgrep", "/bin", wrapped::pgrep),
    command("ping", "/sbin", ping::ping),
    command("ping6", "/sbin", ping::ping6),
    command("pkill", "/bin", wrapped::pkill),
    command("poweroff", "/sbin", small::halt),
    command("ps", "/bin", ps::ps),
    command("pwd_mkdb", "/usr/sbin", small::pwd_mkdb),
    command("realpath", "/bin", wrapped::realpath),
    command("reboot", "/sbin", small::reboot),
    command("sed", "/usr/bin", wrapped::sed),
    command("sha256", "/sbin", digest::sha256),
    command("shutdown", "/sbin", small::shutdown),
    command("sockstat", "/usr/bin", sockstat::sockstat),
    command("stat", "/usr/bin", stat::stat),
    command("sysctl", "/sbin", sysctl::sysctl),
    command("time", "/usr/bin", time::time),
    command("timeout", "/usr/bin", timeout::timeout),
    command("umount", "/sbin", mount::umount::umount),
    command("uname", "/usr/bin", identity::uname),
];

/// FreeBSD's words for an error, without Rust's `(os error N)`.
pub fn reason(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EDEADLK) => "Resource deadlock avoided".into(),
        Some(libc::EBUSY) => "Device busy".into(),
        Some(libc::ETIMEDOUT) => "Operation timed out".into(),
        Some(libc::EOPNOTSUPP) => "Operation not supported".into(),
        Some(libc::EHOSTUNREACH) => "No route to host".into(),
        Some(libc::EROFS) => "Read-only file system".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_string()
        }
    }
}
