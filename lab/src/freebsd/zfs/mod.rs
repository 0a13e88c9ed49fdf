//! zfs(8) and zpool(8).

use crate::freebsd::Command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[];
