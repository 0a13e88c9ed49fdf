//! zfs(8) and zpool(8) over plain directories. What is behind each answer: OpenZFS 2.1.9 as recorded, and contract section 5.
//!
//! [`verbs`] holds the subcommands; [`store`] where things lie; [`model`] what is remembered; [`stream`], [`diff`] and [`tree`] how data is compared, sent and copied. [`mod@real`] is for labs with a real OpenZFS instead.

mod clock;
mod computed;
mod diff;
mod model;
pub mod mounts;
mod names;
mod options;
mod pools;
mod props;
pub mod real;
mod receiver;
mod sender;
mod session;
mod sizes;
mod store;
mod stream;
mod suspension;
mod token;
mod tree;
mod unpack;
mod usage;
mod verbs;
pub mod zoned;

pub use store::BOOT;
pub use zoned::ROOT;

use nix::sys::signal::SigHandler;
use nix::sys::signal::Signal;
use nix::sys::signal::signal;

use crate::context::Context;
use crate::freebsd::Command;
use crate::freebsd::command;
use session::Session;

/// This family's commands.
pub const COMMANDS: &[Command] = &[command("zfs", "/sbin", zfs), command("zpool", "/sbin", zpool)];

fn zfs(ctx: &Context, args: &[String]) -> i32 {
    match real(ctx) {
        Some(real) => real.zfs(ctx, args),
        None => call(ctx, args, verbs::run),
    }
}

fn zpool(ctx: &Context, args: &[String]) -> i32 {
    match real(ctx) {
        Some(real) => real.zpool(ctx, args),
        None => call(ctx, args, pools::run),
    }
}

/// A jail on a real pool has no /dev/zfs.
fn real(ctx: &Context) -> Option<real::Real> {
    if ctx.jail.is_some() { None } else { real::Real::load(&ctx.state) }
}

fn call(ctx: &Context, args: &[String], run: fn(&mut Session, &[String]) -> session::Done) -> i32 {
    // A send reports that its reader went away, and nobody's leaving stops a change half-way.
    // SAFETY: ignoring a signal installs no handler.
    let ignored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let mut session = Session::new(ctx);
    if let Err(errno) = ignored {
        session.warn(format!("internal error: {}", errno.desc()));
    }
    if let Some(jail) = &ctx.jail
        && !store::Store::open(ctx).and_then(|store| store.lock()).is_ok_and(|l| zoned::has_any(&l.state, jail))
    {
        // What one sees that has no datasets is not emulated.
        session.warn("internal error: failed to initialize ZFS library");
        return 1;
    }
    let done = run(&mut session, args);
    session.finish(done)
}
