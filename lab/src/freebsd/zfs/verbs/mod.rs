//! zfs(8)'s subcommands, one file for those that belong together.

pub mod bookmark;
pub mod clone;
pub mod create;
pub mod destroy;
pub mod get;
pub mod hold;
pub mod jail;
pub mod key;
pub mod list;
pub mod mount;
pub mod receive;
pub mod rename;
pub mod send;
pub mod set;
pub mod snapshot;

use super::session::Done;
use super::session::Fail;
use super::session::Session;
use super::session::fail;
use super::suspension;
use super::usage;

/// Runs `zfs VERB ARGS`.
pub fn run(session: &mut Session, args: &[String]) -> Done {
    let Some(verb) = args.first() else {
        return Err(usage::all("zfs", "missing command"));
    };
    let rest = &args[1..];
    if !matches!(usage::canonical(verb), "version" | "list" | "get" | "holds" | "-?" | "--help" | "-h") {
        suspension::wait(session.ctx);
    }
    match usage::canonical(verb) {
        "version" | "-V" | "--version" => {
            for line in ["zfs-2.1.9-FreeBSD_g92e0d9d18", "zfs-kmod-2.1.9-FreeBSD_g92e0d9d18"] {
                session.say(line);
            }
            Ok(())
        }
        "create" => create::create(session, rest),
        "destroy" => destroy::destroy(session, rest),
        "snapshot" => snapshot::snapshot(session, rest),
        "rollback" => snapshot::rollback(session, rest),
        "clone" => clone::clone(session, rest),
        "promote" => clone::promote(session, rest),
        "rename" => rename::rename(session, rest),
        "bookmark" => bookmark::bookmark(session, rest),
        "list" => list::list(session, rest),
        "get" => get::get(session, rest),
        "set" => set::set(session, rest),
        "inherit" => set::inherit(session, rest),
        "mount" => mount::mount(session, rest),
        "unmount" => mount::unmount(session, rest),
        "send" => send::send(session, rest),
        "receive" => receive::receive(session, rest),
        "hold" => hold::hold(session, rest),
        "release" => hold::release(session, rest),
        "holds" => hold::holds(session, rest),
        "diff" => bookmark::diff(session, rest),
        "load-key" => key::load(session, rest),
        "unload-key" => key::unload(session, rest),
        "change-key" => key::inherit(session, rest),
        "jail" => jail::jail(session, rest),
        "unjail" => jail::unjail(session, rest),
        "-?" | "--help" | "-h" => Err(usage::all("zfs", "")),
        _ => Err(usage::all("zfs", &format!("unrecognized command '{verb}'"))),
    }
}

/// `cannot open 'x': dataset does not exist`.
pub fn absent(name: &str) -> Fail {
    fail(format!("cannot open '{name}': dataset does not exist"))
}
