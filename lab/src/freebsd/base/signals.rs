//! Signals by FreeBSD's names, waiting for them, and the processes below one.

use std::fs;
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// `TERM`, `SIGTERM` or `15`. The few whose numbers differ on FreeBSD go by FreeBSD's number.
pub fn parse(text: &str) -> Option<Signal> {
    let name = match text {
        "30" => "USR1",
        "31" => "USR2",
        "17" => "STOP",
        "18" => "TSTP",
        "19" => "CONT",
        "20" => "CHLD",
        other => other,
    };
    if let Ok(number) = name.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let name = name.to_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse().ok()
}

/// Blocks signals, so that [`wait`] gets them.
pub fn block(signals: &[Signal]) -> nix::Result<SigSet> {
    let set: SigSet = signals.iter().copied().collect();
    set.thread_block()?;
    Ok(set)
}

/// Waits for one of them; none: the time was up first.
pub fn wait(set: &SigSet, limit: Option<Duration>) -> Option<Signal> {
    let limit = limit.unwrap_or(Duration::from_secs(3600 * 24 * 365));
    let time =
        libc::timespec { tv_sec: limit.as_secs() as libc::time_t, tv_nsec: libc::c_long::from(limit.subsec_nanos()) };
    loop {
        // SAFETY: both pointers are to live values of the right type; no siginfo is asked for.
        let got = unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &time) };
        if got > 0 {
            return Signal::try_from(got).ok();
        }
        if nix::errno::Errno::last() != nix::errno::Errno::EINTR {
            return None;
        }
    }
}

/// All processes below `root`, by /proc.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        if let Some(parent) = parent {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root.as_raw()];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}
