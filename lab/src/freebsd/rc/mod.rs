//! rc(8): service(8), sysrc(8), inetd(8), kldload(8), devfs(8), and what happens when a host boots or shuts down.

use crate::context::Context;
use crate::freebsd::Command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[];

/// What /etc/rc does: called once by the host's init, with the network card up and the disk mounted. Output goes to /var/log/boot.log.
pub fn boot(_ctx: &Context) {}

/// What /etc/rc.shutdown does: called before an orderly reboot; whatever is left is killed afterwards.
pub fn shutdown(_ctx: &Context) {}
