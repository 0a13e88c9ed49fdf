//! zpool(8).

mod create;
mod import;
mod show;

use super::session::Done;
use super::session::Fail;
use super::session::Session;
use super::session::fail;
use super::usage;

/// Runs `zpool VERB ARGS`.
pub fn run(session: &mut Session, args: &[String]) -> Done {
    let Some(verb) = args.first() else {
        return Err(usage::all("zpool", "missing command"));
    };
    let rest = &args[1..];
    match verb.as_str() {
        "version" | "-V" | "--version" => {
            for line in ["zfs-2.1.9-FreeBSD_g92e0d9d18", "zfs-kmod-2.1.9-FreeBSD_g92e0d9d18"] {
                session.say(line);
            }
            Ok(())
        }
        "create" => create::create(session, rest),
        "destroy" => create::destroy(session, rest),
        "set" => create::set(session, rest),
        "export" => import::export(session, rest),
        "import" => import::import(session, rest),
        "list" => show::list(session, rest),
        "get" => show::get(session, rest),
        "status" => show::status(session, rest),
        _ => Err(usage::all("zpool", &format!("unrecognized command '{verb}'"))),
    }
}

/// `cannot open 'x': no such pool`.
fn absent(name: &str) -> Fail {
    fail(format!("cannot open '{name}': no such pool"))
}
