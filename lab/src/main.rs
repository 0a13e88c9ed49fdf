//! `lab`: several FreeBSD-like hosts on one Linux machine, with real SSH, tunnels and packets.
//!
//! One binary, two faces. Called `lab`, it raises and drives labs ([`verbs`]). Called by any other name (through the links that every host has in its
//! PATH, or as `lab as NAME …`), it is that FreeBSD command ([`freebsd`]).

mod context;
mod faults;
mod freebsd;
mod journal;
mod mounts;
mod net;
mod verbs;
mod world;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let called = if args.is_empty() { "lab".to_string() } else { args.remove(0) };
    let name = Path::new(&called).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A login shell is called as `-sh` or `-csh`.
    let name = name.strip_prefix('-').map(str::to_string).unwrap_or(name);
    let status = match (name.as_str(), args.first().map(String::as_str)) {
        ("lab", Some("as")) if args.len() > 1 => freebsd::run(&args[1], &args[2..]),
        ("lab", _) => verbs::run(&args),
        _ => freebsd::run(&name, &args),
    };
    ExitCode::from((status & 0xff) as u8)
}
