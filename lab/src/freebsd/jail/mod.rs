//! jail(8), jls(8), jexec(8).

mod conf;
mod create;
mod enter;
mod hooks;
pub mod init;
mod jail8;
mod jexec;
mod jls;
mod lexer;
pub mod mounts;
mod parameters;
pub mod registry;
mod remove;
mod uses;
pub mod vnet;

pub use registry::revoke;
pub use uses::uses;

use crate::freebsd::Command;
use crate::freebsd::command;

/// Does a jail of that name run?
pub fn runs(ctx: &crate::context::Context, name: &str) -> bool {
    registry::find(ctx, name).is_some()
}

/// This family's commands.
pub const COMMANDS: &[Command] = &[
    command("jail", "/usr/sbin", jail8::run),
    command("jls", "/usr/sbin", jls::run),
    command("jexec", "/usr/sbin", jexec::run),
    // A jail's first process; nobody calls it by hand.
    command(init::NAME, "/.lab/libexec", init::run),
];
