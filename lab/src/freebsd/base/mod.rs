//! Small tools of the base system whose FreeBSD form differs from Debian's.

pub mod mount;
mod shell;

use crate::freebsd::Command;
use crate::freebsd::command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[
    command("sh", "/bin", shell::sh),
    command("csh", "/bin", shell::csh),
    command("mount", "/sbin", mount::mount),
    command("mount_nullfs", "/sbin", mount::mount_nullfs),
    command("umount", "/sbin", mount::umount),
];

/// FreeBSD's words for an error, without Rust's `(os error N)`.
pub fn reason(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EDEADLK) => "Resource deadlock avoided".into(),
        Some(libc::EBUSY) => "Device busy".into(),
        Some(libc::EOPNOTSUPP) => "Operation not supported".into(),
        Some(libc::EROFS) => "Read-only file system".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_string()
        }
    }
}
