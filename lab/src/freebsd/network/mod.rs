//! ifconfig(8), route(8), netstat(1), arp(8), ndp(8), pfctl(8), setfib(1).

use crate::freebsd::Command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[];
