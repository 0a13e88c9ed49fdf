//! sh(1) and csh(1): dash (or FreeBSD's own, [`super::own`]) and tcsh behind, after writing down what came over SSH.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::context::Context;
use crate::faults;
use crate::journal;
use crate::net::tool;

/// `/bin/sh`.
pub fn sh(ctx: &Context, args: &[String]) -> i32 {
    run(ctx, "sh", &super::own::find(ctx, "sh").unwrap_or_else(|| tool("dash")), args)
}

/// `/bin/csh`.
pub fn csh(ctx: &Context, args: &[String]) -> i32 {
    run(ctx, "csh", &tool("tcsh"), args)
}

fn run(ctx: &Context, name: &str, program: &Path, args: &[String]) -> i32 {
    let login = is_login();
    if login
        && let [flag, command, ..] = args
        && flag == "-c"
    {
        journal::received(ctx, Some(command), None, &[]);
        return with_faults(ctx, name, program, args, command, None);
    }
    if name == "sh" && args.first().is_some_and(|flag| reads_script(flag)) {
        return match script(ctx, args) {
            Ok(text) => with_faults(ctx, name, program, args, &text, Some(&text)),
            Err(error) => {
                eprintln!("sh: {error}");
                2
            }
        };
    }
    if login {
        return become_shell(name, program, login, args);
    }
    // `sh -c …`, `sh FILE`: a command as others are.
    crate::freebsd::logged(ctx, name, args, || become_shell(name, program, login, args))
}

/// `-s`, or a cluster such as `-eus`.
fn reads_script(flag: &str) -> bool {
    flag.starts_with('-') && !flag.starts_with("--") && !flag.contains(['c', 'o']) && flag.ends_with('s')
}

/// `script`: what is on standard input, where the shell reads its commands from there.
fn with_faults(ctx: &Context, name: &str, program: &Path, args: &[String], text: &str, script: Option<&str>) -> i32 {
    let struck = faults::strike(ctx, text, true);
    if let Some(status) = faults::happen(ctx, &struck.before) {
        return status;
    }
    if struck.twice()
        && let Err(error) = once_before(name, program, args, script.unwrap_or_default())
    {
        eprintln!("{name}: {error}");
        return 127;
    }
    if struck.after.is_empty() {
        return become_shell(name, program, false, args);
    }
    match Command::new(program).arg0(name).args(args).status() {
        Ok(status) => faults::happen(ctx, &struck.after).unwrap_or_else(|| super::timeout::status_of(status)),
        Err(error) => {
            eprintln!("{name}: {error}");
            127
        }
    }
}

/// Runs all of it, and nobody hears the answer.
fn once_before(name: &str, program: &Path, args: &[String], input: &str) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg0(name).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    child.wait().map(|_| ())
}

/// sshd started us as root's or admin's login shell.
fn is_login() -> bool {
    let parent = nix::unistd::getppid();
    fs::read_to_string(format!("/proc/{parent}/comm")).is_ok_and(|name| name.trim().starts_with("sshd"))
}

/// Reads the whole script, writes it down, and puts a pipe with it in the place of standard input: a child that reads standard input still swallows the rest of the script, as
/// on FreeBSD.
fn script(ctx: &Context, args: &[String]) -> io::Result<String> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    let rest: Vec<String> = args.iter().skip(1).filter(|arg| *arg != "--").cloned().collect();
    let read = String::from_utf8_lossy(&text).into_owned();
    journal::received(ctx, None, Some(&read), &rest);
    let (reader, mut writer) = io::pipe()?;
    // SAFETY: fcntl with numbers; when the pipe cannot be made that big, the script goes through a child below.
    let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, text.len().max(4096) as libc::c_int) };
    if size >= 0 && size as usize >= text.len() {
        writer.write_all(&text)?;
    } else if crate::world::spawn::fork()?.is_none() {
        drop(reader);
        let written = writer.write_all(&text);
        std::process::exit(i32::from(written.is_err()));
    }
    drop(writer);
    nix::unistd::dup2_stdin(&reader)?;
    Ok(read)
}

fn become_shell(name: &str, program: &Path, login: bool, args: &[String]) -> i32 {
    // A login shell without a command is called as -sh.
    let called = if login && args.is_empty() { format!("-{name}") } else { name.to_string() };
    let error = Command::new(program).arg0(called).args(args).exec();
    eprintln!("{name}: {error}");
    127
}
