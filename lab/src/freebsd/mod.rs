//! FreeBSD's commands. One folder per family, one file or folder per command; each family lists its own in `COMMANDS`.

pub mod base;
pub mod jail;
pub mod network;
pub mod rc;
pub mod zfs;

use crate::context::Context;
use crate::faults;
use crate::journal;
use crate::world::enter;
use crate::world::spawn;

/// A command: gets the arguments after its name, returns its exit status.
pub type Run = fn(&Context, &[String]) -> i32;

/// One line of the dispatch table.
pub struct Command {
    /// The command's name, such as `route`.
    pub name: &'static str,
    /// The folder where FreeBSD has it: hosts get a link there and nowhere else, so that a wrong absolute path fails.
    pub dir: &'static str,
    /// What it does.
    pub run: Run,
}

/// A line of a family's table.
pub const fn command(name: &'static str, dir: &'static str, run: Run) -> Command {
    Command { name, dir, run }
}

/// All commands.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    [base::COMMANDS, zfs::COMMANDS, jail::COMMANDS, network::COMMANDS, rc::COMMANDS].into_iter().flatten()
}

/// Runs the FreeBSD command `name`.
pub fn run(name: &str, args: &[String]) -> i32 {
    // FreeBSD's tools end silently when nobody reads them any more (`pfctl -si | head -1`); Rust's runtime would panic instead.
    // SAFETY: no other thread runs yet, and no handler of ours is replaced.
    if let Err(error) =
        unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) }
    {
        eprintln!("lab: SIGPIPE: {error}");
    }
    let ctx = Context::load();
    // The shell's input is written down first (base/shell.rs).
    if let Some(program) = base::own::find(&ctx, name).filter(|_| name != "sh") {
        return logged(&ctx, name, args, || base::own::run(&program, name, args));
    }
    if let Some(tool) = base::plain::find(&ctx, name) {
        return logged(&ctx, name, args, || base::plain::run(&tool, name, args));
    }
    match commands().find(|command| command.name == name) {
        // Shells write down themselves what they are given. A jail's first process is nobody's command.
        Some(command) if ["sh", "csh", jail::init::NAME].contains(&command.name) => (command.run)(&ctx, args),
        Some(command) => logged(&ctx, name, args, || (command.run)(&ctx, args)),
        None => {
            eprintln!("lab: {name}: no such FreeBSD command in the lab");
            127
        }
    }
}

/// Runs a command between its two lines in the log, with the faults that are ordered for it.
pub fn logged(ctx: &Context, name: &str, args: &[String], run: impl Fn() -> i32) -> i32 {
    let struck = faults::strike(ctx, &faults::line(name, args), false);
    let id = journal::begin(ctx, name, args, struck.describe());
    let status = faults::happen(ctx, &struck.before).unwrap_or_else(|| {
        if struck.twice() {
            in_child(|| if spawn::mute().is_ok() { run() } else { 126 });
        }
        // Many become another program: then somebody has to stay, if something is to happen afterwards.
        let status = if struck.after.is_empty() { run() } else { in_child(run) };
        faults::happen(ctx, &struck.after).unwrap_or(status)
    });
    journal::end(ctx, &id, status);
    status
}

fn in_child(run: impl FnOnce() -> i32) -> i32 {
    match spawn::fork() {
        Ok(None) => std::process::exit(run()),
        Ok(Some(child)) => enter::wait(child).unwrap_or(126),
        Err(error) => {
            eprintln!("lab: fork: {error}");
            126
        }
    }
}
