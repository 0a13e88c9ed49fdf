//! jail(8), jls(8), jexec(8).

use crate::freebsd::Command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[];
