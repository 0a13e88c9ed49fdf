//! Small tools of the base system whose FreeBSD form differs from Debian's.

mod shell;

use crate::freebsd::Command;
use crate::freebsd::command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[command("sh", "/bin", shell::sh), command("csh", "/bin", shell::csh)];
