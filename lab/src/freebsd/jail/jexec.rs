//! jexec(8): runs a command in a jail (recordings `jexec-*`).

use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::enter;
use super::registry;
use crate::context::Context;

fn usage() -> i32 {
    eprintln!("usage: jexec [-l] [-d working-directory] [-u username | -U username] jail [command ...]");
    1
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let (mut clean, mut user, mut dir) = (false, None, None);
    let mut rest = args;
    while let Some(option) = rest.first().filter(|arg| arg.starts_with('-')) {
        rest = &rest[1..];
        match option.as_str() {
            "--" => break,
            "-l" => clean = true,
            "-u" | "-U" | "-d" => {
                let Some(value) = rest.first() else {
                    return usage();
                };
                rest = &rest[1..];
                if option == "-d" { dir = Some(value.clone()) } else { user = Some(value.clone()) }
            }
            _ => return usage(),
        }
    }
    let [name, words @ ..] = rest else {
        return usage();
    };
    let Some(jail) = registry::find(ctx, name) else {
        eprintln!("jexec: jail \"{name}\" not found");
        return 1;
    };
    if let Err(error) = enter::join(jail.pid) {
        eprintln!("jexec: jail_attach({}): {}", jail.jid, crate::freebsd::network::errno_text(&error));
        return 1;
    }
    let shell = ["/bin/sh".to_string()];
    let words = if words.is_empty() { &shell[..] } else { words };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    if clean {
        enter::clean_environment(&mut command);
        command.current_dir("/");
    } else {
        command.env_remove("LAB_FIB");
    }
    if let Some(dir) = dir {
        command.current_dir(dir);
    }
    if let Some(user) = user {
        let Some((uid, gid)) = ids(&user) else {
            eprintln!("jexec: {user}: no such user");
            return 1;
        };
        command.uid(uid).gid(gid);
    }
    enter::end_with_us(&mut command);
    match command.status() {
        Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        Err(error) => {
            eprintln!("jexec: execvp: {}: {}", words[0], crate::freebsd::network::errno_text(&error));
            1
        }
    }
}

/// uid and gid from the jail's own /etc/passwd.
fn ids(user: &str) -> Option<(u32, u32)> {
    if user == "root" {
        return Some((0, 0));
    }
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
