//! FreeBSD's commands. One folder per family, one file or folder per command; each family lists its own in `COMMANDS`.

pub mod base;
pub mod jail;
pub mod network;
pub mod rc;
pub mod zfs;

use crate::context::Context;
use crate::faults;
use crate::journal;

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
    if let Some(plain) = base::plain::find(name) {
        return base::plain::run(plain, args);
    }
    let ctx = Context::load();
    match commands().find(|command| command.name == name) {
        // Shells have a log (and faults) of their own: what they are given over SSH. A jail's first process is nobody's command.
        Some(command) if ["sh", "csh", jail::init::NAME].contains(&command.name) => (command.run)(&ctx, args),
        Some(command) => {
            let line = std::iter::once(name).chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
            let struck = faults::strike(&ctx, &line, false);
            let id = journal::begin(&ctx, name, args, struck.describe());
            let status = faults::happen(&ctx, &struck.before).unwrap_or_else(|| {
                let status = (command.run)(&ctx, args);
                faults::happen(&ctx, &struck.after).unwrap_or(status)
            });
            journal::end(&ctx, &id, status);
            status
        }
        None => {
            eprintln!("lab: {name}: no such FreeBSD command in the lab");
            127
        }
    }
}
