//! time(1), with `-h` and `-p` (recording `stop-and-unmount`).

use std::process::Command;
use std::time::Instant;

use super::getopt::getopt;
use crate::context::Context;

/// time(1).
pub fn time(_ctx: &Context, args: &[String]) -> i32 {
    let usage = || {
        eprintln!("usage: time [-al] [-h | -p] [-o file] utility [argument ...]");
        1
    };
    let Some(options) = getopt("time", "hp", args) else { return usage() };
    let [program, rest @ ..] = options.operands.as_slice() else { return usage() };
    let begin = Instant::now();
    let status = match Command::new(program).args(rest).status() {
        Ok(status) => super::timeout::status_of(status),
        Err(error) => {
            eprintln!("time: {program}: {}", super::reason(&error));
            if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
        }
    };
    let real = begin.elapsed().as_secs_f64();
    let (user, sys) = used();
    if options.has('h') {
        eprintln!("\t{real:.2}s real\t\t{user:.2}s user\t\t{sys:.2}s sys");
    } else if options.has('p') {
        eprintln!("real {real:.2}\nuser {user:.2}\nsys {sys:.2}");
    } else {
        eprintln!("{real:>9.2} real {user:>9.2} user {sys:>9.2} sys");
    }
    status
}

/// Seconds that ended children ran, as user and as system.
fn used() -> (f64, f64) {
    match nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN) {
        Ok(usage) => {
            let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
            (seconds(usage.user_time()), seconds(usage.system_time()))
        }
        Err(_) => (0.0, 0.0),
    }
}
