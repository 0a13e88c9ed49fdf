//! Small tools of the base system whose FreeBSD form differs from Debian's.

use crate::freebsd::Command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[];
