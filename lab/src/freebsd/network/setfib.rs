//! setfib(1): runs a command in another FIB (recording `setfib`).

use std::os::unix::process::CommandExt;

use crate::context::Context;
use crate::net::fibs;

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let (number, command) = match args {
        [flag, number, command @ ..] if flag == "-F" => (number.as_str(), command),
        [first, command @ ..] => (first.strip_prefix("-F").or(first.strip_prefix('-')).unwrap_or(first), command),
        [] => return usage(),
    };
    if command.is_empty() {
        return usage();
    }
    let most = fibs::count(ctx).saturating_sub(1);
    match number.parse::<u32>() {
        Ok(fib) if fib <= most => {
            let error =
                std::process::Command::new(&command[0]).args(&command[1..]).env("LAB_FIB", fib.to_string()).exec();
            eprintln!("setfib: {}: {}", command[0], super::errno_text(&error));
            if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
        }
        _ => {
            eprintln!("setfib: {number}: invalid FIB (max {most})");
            1
        }
    }
}

fn usage() -> i32 {
    eprintln!("usage: setfib [-F]fib_number command\n       setfib [-F]fib_number -p pid");
    1
}
