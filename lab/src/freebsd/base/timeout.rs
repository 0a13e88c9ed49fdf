//! timeout(1) (usr.bin/timeout/timeout.c).
//!
//! The trap it is here for: without `--foreground` FreeBSD's timeout becomes the reaper of its descendants, signals all of them, and waits for *all* of them, also those that
//! became daemons. So `timeout 10 daemon -f sleep 3600` lasts an hour unless the time is up.

use std::io;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::process::ExitStatus;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::signals;
use crate::context::Context;

const USAGE: &str = "usage: timeout [--signal sig | -s sig] [--preserve-status] [--kill-after time | -k time] [--foreground] <duration> <command> <arg ...>";

struct Plan {
    after: Duration,
    signal: Signal,
    kill_after: Option<Duration>,
    foreground: bool,
    preserve: bool,
    command: Vec<String>,
}

/// timeout(1).
pub fn timeout(_ctx: &Context, args: &[String]) -> i32 {
    match parse(args) {
        Ok(plan) => run(&plan),
        Err(problem) => {
            if problem.is_empty() {
                eprintln!("{USAGE}")
            } else {
                eprintln!("timeout: {problem}")
            }
            125
        }
    }
}

fn parse(args: &[String]) -> Result<Plan, String> {
    let mut plan = Plan {
        after: Duration::ZERO,
        signal: Signal::SIGTERM,
        kill_after: None,
        foreground: false,
        preserve: false,
        command: Vec::new(),
    };
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next_if(|arg| arg.starts_with('-') && arg.len() > 1) {
        let (flag, attached) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_string())),
            None if !arg.starts_with("--") && arg.len() > 2 => (&arg[..2], Some(arg[2..].to_string())),
            None => (arg.as_str(), None),
        };
        let mut value = || attached.clone().or_else(|| rest.next().cloned()).ok_or_else(String::new);
        match flag {
            "--" => break,
            "-f" | "--foreground" => plan.foreground = true,
            "-p" | "--preserve-status" => plan.preserve = true,
            "-k" | "--kill-after" => plan.kill_after = Some(duration(&value()?)?),
            "-s" | "--signal" => plan.signal = signals::parse(&value()?).ok_or("invalid signal")?,
            flag => {
                eprintln!("timeout: illegal option -- {}", flag.trim_start_matches('-'));
                return Err(String::new());
            }
        }
    }
    plan.after = duration(rest.next().ok_or_else(String::new)?)?;
    plan.command = rest.cloned().collect();
    if plan.command.is_empty() { Err(String::new()) } else { Ok(plan) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|letter: char| letter.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err("duration unit suffix is incorrect".into()),
    };
    let seconds: f64 = number.parse().map_err(|_| "duration is not a number".to_string())?;
    Duration::try_from_secs_f64(seconds * factor).map_err(|_| "duration is too small".into())
}

fn run(plan: &Plan) -> i32 {
    if !plan.foreground {
        // SAFETY: prctl with numbers: orphans below us become our children.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    }
    // Waiting must not miss a signal: they are taken by sigtimedwait.
    let taken = signals::block(&[
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGALRM,
    ]);
    let Ok(taken) = taken else { return 125 };
    let (program, arguments) =
        plan.command.split_first().map_or(("", [].as_slice()), |(program, rest)| (program.as_str(), rest));
    let mut command = Command::new(program);
    command.args(arguments);
    let unblock = taken;
    // SAFETY: sigprocmask and signal are allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            unblock.thread_unblock()?;
            libc::signal(libc::SIGTTIN, libc::SIG_DFL);
            libc::signal(libc::SIGTTOU, libc::SIG_DFL);
            Ok(())
        });
    }
    let child = match command.spawn() {
        Ok(child) => Pid::from_raw(child.id() as i32),
        Err(error) => {
            eprintln!("timeout: exec({program}): {}", super::reason(&error));
            return if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        }
    };
    watch(plan, child, &taken)
}

fn watch(plan: &Plan, child: Pid, taken: &nix::sys::signal::SigSet) -> i32 {
    let begin = Instant::now();
    let mut limit = (!plan.after.is_zero()).then(|| begin + plan.after);
    let mut next = plan.signal;
    let mut fired = false;
    let mut ended: Option<i32> = None;
    loop {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == child => ended = Some(status),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => ended = Some(128 + signal as i32),
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                // No child is left: neither the command nor anything that came from it.
                Err(_) => return finish(plan, ended, fired),
            }
        }
        if plan.foreground && ended.is_some() {
            return finish(plan, ended, fired);
        }
        match signals::wait(taken, limit.map(|limit| limit.saturating_duration_since(Instant::now()))) {
            None => {
                // The time is up; with -k the second time with SIGKILL.
                fired = true;
                send(plan, child, next);
                limit = plan.kill_after.filter(|_| next != Signal::SIGKILL).map(|after| Instant::now() + after);
                next = Signal::SIGKILL;
            }
            Some(Signal::SIGCHLD) => {}
            Some(signal) => {
                send(plan, child, signal);
                if signal == Signal::SIGTERM {
                    fired = fired || limit.is_none();
                }
            }
        }
    }
}

/// The command only (foreground), or every descendant (PROC_REAP_KILL).
fn send(plan: &Plan, child: Pid, signal: Signal) {
    let targets = if plan.foreground { vec![child] } else { signals::descendants(nix::unistd::getpid()) };
    for pid in targets {
        let _gone = kill(pid, signal);
        if signal != Signal::SIGKILL && signal != Signal::SIGCONT {
            let _gone = kill(pid, Signal::SIGCONT);
        }
    }
}

fn finish(plan: &Plan, ended: Option<i32>, fired: bool) -> i32 {
    if fired && !plan.preserve { 124 } else { ended.unwrap_or(0) }
}

/// An exit status as the shell shows it.
pub fn status_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
