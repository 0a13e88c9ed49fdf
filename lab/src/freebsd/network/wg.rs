//! wg(8): WireGuard's own, with FreeBSD's word for an interface that is not there (recording `wg-nodev`).

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::net::tool;

/// The command.
pub fn run(_ctx: &Context, args: &[String]) -> i32 {
    let named = match args {
        [verb, name, ..] if verb == "show" && !["all", "interfaces"].contains(&name.as_str()) => Some((verb, name)),
        [verb, name, ..] if ["showconf", "set", "setconf", "addconf", "syncconf"].contains(&verb.as_str()) => {
            Some((verb, name))
        }
        _ => None,
    };
    if let Some((verb, name)) = named
        && !name.starts_with('-')
        && matches!(kernel::find(name), Ok(None))
    {
        let deed = if verb.starts_with("show") { "access" } else { "modify" };
        eprintln!("Unable to {deed} interface: Device not configured");
        return 1;
    }
    let error = Command::new(tool("wg")).arg0("wg").args(args).exec();
    eprintln!("wg: {}", crate::freebsd::base::reason(&error));
    127
}
