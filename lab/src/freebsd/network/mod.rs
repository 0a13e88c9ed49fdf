//! ifconfig(8), route(8), netstat(1), arp(8), ndp(8), pfctl(8), setfib(1).

pub mod arp;
pub mod ifconfig;
pub mod kernel;
pub mod ndp;
pub mod netstat;
pub mod pf;
pub mod prefix;
pub mod route;
pub mod setfib;
pub mod table;
mod wg;

use crate::freebsd::Command;
use crate::freebsd::command;

/// This family's commands.
pub const COMMANDS: &[Command] = &[
    command("ifconfig", "/sbin", ifconfig::run),
    command("route", "/sbin", route::run),
    command("netstat", "/usr/bin", netstat::run),
    command("arp", "/usr/sbin", arp::run),
    command("ndp", "/usr/sbin", ndp::run),
    command("pfctl", "/sbin", pf::run),
    command("setfib", "/usr/sbin", setfib::run),
    command("wg", "/usr/bin", wg::run),
];

/// An error as strerror(3) says it, without Rust's "(os error N)".
pub fn errno_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_string(),
        None => text,
    }
}
