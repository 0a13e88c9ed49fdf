//! fsync(1), logger(1), mdconfig(8), pwd_mkdb(8), reboot(8) and shutdown(8).

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::getopt::getopt;
use crate::context::Context;
use crate::world::control;
use crate::world::control::Request;

/// fsync(1).
pub fn fsync(_ctx: &Context, args: &[String]) -> i32 {
    let mut status = 0;
    for file in args {
        if let Err(error) = File::open(file).and_then(|file| file.sync_all()) {
            eprintln!("fsync: open {file}: {}", super::reason(&error));
            status = 1;
        }
    }
    if args.is_empty() {
        eprintln!("usage: fsync file ...");
        return 64;
    }
    status
}

/// mdconfig(8): there are no memory disks.
pub fn mdconfig(_ctx: &Context, args: &[String]) -> i32 {
    if args.first().is_some_and(|arg| arg.starts_with("-l")) {
        return 0;
    }
    eprintln!("mdconfig: open(/dev/mdctl): No such file or directory");
    1
}

/// logger(1), into /var/log/messages.
pub fn logger(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("logger", "46Af:H:h:iP:p:S:st:", args) else {
        eprintln!(
            "usage: logger [-46Ais] [-f file] [-h host] [-P port] [-p pri] [-t tag]\n              [-S addr:port] [message ...]"
        );
        return 1;
    };
    let tag = options.value('t').unwrap_or("root");
    let text = if options.operands.is_empty() {
        std::io::read_to_string(std::io::stdin()).unwrap_or_default()
    } else {
        options.operands.join(" ")
    };
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Ok(mut log) = File::options().append(true).create(true).open("/var/log/messages") else { return 1 };
    for line in text.lines() {
        if options.has('s') {
            eprintln!("{tag}: {line}");
        }
        if writeln!(log, "{host} {tag}: {line}").is_err() {
            return 1;
        }
    }
    0
}

/// pwd_mkdb(8): makes passwd from master.passwd; the databases hold nothing that anybody here reads.
pub fn pwd_mkdb(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("pwd_mkdb", "BCd:iLNps:u:v", args) else { return pwd_usage() };
    let [file] = options.operands.as_slice() else { return pwd_usage() };
    let folder = Path::new(options.value('d').unwrap_or("/etc"));
    let made = || -> std::io::Result<()> {
        let text = fs::read_to_string(file)?;
        let mut passwd = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, _, _, gecos, home, shell] = fields.as_slice() else {
                return Err(std::io::Error::other(format!("corrupted entry: {line}")));
            };
            passwd += &format!("{name}:*:{uid}:{gid}:{gecos}:{home}:{shell}\n");
        }
        if options.has('p') {
            fs::write(folder.join("passwd"), passwd)?;
        }
        File::options().write(true).create(true).truncate(true).mode(0o644).open(folder.join("pwd.db"))?;
        File::options().write(true).create(true).truncate(true).mode(0o600).open(folder.join("spwd.db"))?;
        if Path::new(file) != folder.join("master.passwd") {
            fs::rename(file, folder.join("master.passwd"))?;
        }
        Ok(())
    };
    match made() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("pwd_mkdb: {file}: {}", super::reason(&error));
            1
        }
    }
}

fn pwd_usage() -> i32 {
    eprintln!("usage: pwd_mkdb [-BCiNp] [-d directory] [-s cachesize] [-u username] file");
    1
}

/// reboot(8): at once, without rc.shutdown.
pub fn reboot(ctx: &Context, _args: &[String]) -> i32 {
    ask(ctx, "reboot", Request::Reboot { node: ctx.host.name.clone(), hard: true, wait: false })
}

/// halt(8) and poweroff(8).
pub fn halt(ctx: &Context, _args: &[String]) -> i32 {
    ask(ctx, "halt", Request::PowerOff { node: ctx.host.name.clone() })
}

/// shutdown(8), now.
pub fn shutdown(ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("shutdown", "chnopqr", args) else {
        eprintln!("usage: shutdown [-] [-c | -h | -p | -r | -k] [-o [-n]] time [warning-message ...]");
        return 1;
    };
    let node = ctx.host.name.clone();
    match options.operands.first().map(String::as_str) {
        Some("now" | "+0") if options.has('r') || options.has('c') => {
            ask(ctx, "shutdown", Request::Reboot { node, hard: false, wait: false })
        }
        Some("now" | "+0") if options.has('p') || options.has('h') => ask(ctx, "shutdown", Request::PowerOff { node }),
        _ => {
            eprintln!("shutdown: only -r, -c, -p and -h with the time `now` here");
            1
        }
    }
}

fn ask(ctx: &Context, name: &str, request: Request) -> i32 {
    if nix::unistd::geteuid().as_raw() != 0 || ctx.jail.is_some() {
        eprintln!("{name}: Operation not permitted");
        return 1;
    }
    match control::ask(&ctx.state.join("control"), &request) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            1
        }
    }
}
