//! FreeBSD's commands. One folder per family, one file or folder per command; each family lists its own in `COMMANDS`.

pub mod base;
pub mod jail;
pub mod network;
pub mod rc;
pub mod zfs;

use crate::context::Context;
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
    let ctx = Context::load();
    match commands().find(|command| command.name == name) {
        // Shells have a log of their own: what they are given over SSH.
        Some(command) if command.name == "sh" || command.name == "csh" => (command.run)(&ctx, args),
        Some(command) => {
            let id = journal::begin(&ctx, name, args, None);
            let status = (command.run)(&ctx, args);
            journal::end(&ctx, &id, status);
            status
        }
        None => {
            eprintln!("lab: {name}: no such FreeBSD command in the lab");
            127
        }
    }
}
