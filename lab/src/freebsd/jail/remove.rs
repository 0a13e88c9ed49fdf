//! Stopping a jail (contract 2.3): a failing exec.prestop or exec.stop leaves it running.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::conf::Definition;
use super::create;
use super::hooks;
use super::mounts;
use super::registry;
use super::registry::Jail;
use super::vnet;
use crate::context::Context;
use crate::journal;

/// `jail -r`: with the jail's own configuration, if there is one; the exit status.
pub fn run(ctx: &Context, jail: &Jail, definition: Option<&Definition>, quiet: bool) -> i32 {
    let empty = Definition { name: jail.name.clone(), parameters: Vec::new() };
    let definition = definition.unwrap_or(&empty);
    if hooks::run(definition, "exec.prestop", None).is_err()
        || hooks::run(definition, "exec.stop", Some(jail.pid)).is_err()
    {
        return 1;
    }
    let limit = definition.value("stop.timeout").and_then(|t| t.parse().ok()).unwrap_or(10);
    terminate(jail.pid, Duration::from_secs(limit));
    end(ctx, jail);
    if !quiet {
        println!("{}: removed", jail.name);
    }
    // A failure from here on does not stop the rest.
    let mut status = i32::from(hooks::run(definition, "exec.poststop", None).is_err());
    match create::wanted_mounts(definition, &jail.path) {
        Ok(list) => {
            let places: Vec<String> = list.into_iter().map(|(entry, _)| entry.on).collect();
            unmount(ctx, definition, &places);
        }
        Err(text) => {
            eprintln!("jail: {}: {text}", definition.name);
            status = 1;
        }
    }
    if hooks::run(definition, "exec.release", None).is_err() {
        status = 1;
    }
    status
}

/// The processes of a jail, without its first one, as the host numbers them.
pub fn processes(first: i32) -> Vec<i32> {
    let Ok(space) = fs::read_link(format!("/proc/{first}/ns/pid")) else {
        return Vec::new();
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != first && registry::alive(*pid))
        .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|other| other == space))
        .collect()
}

fn terminate(first: i32, limit: Duration) {
    let end = Instant::now() + limit;
    for pid in processes(first) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    while !limit.is_zero() && Instant::now() < end && !processes(first).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `jail_remove(2)`: kills what runs, gives the interfaces back, forgets the jail. No exec.*, no unmounts.
pub fn end(ctx: &Context, jail: &Jail) {
    if jail.vnet
        && let Err(text) = vnet::take_all_back(jail)
    {
        eprintln!("jail: {}: {text}", jail.name);
    }
    if let Err(error) = registry::dies(ctx, jail) {
        eprintln!("jail: {}: {error}", jail.name);
    }
    let _ = kill(Pid::from_raw(jail.pid), Signal::SIGKILL);
    let end = Instant::now() + Duration::from_secs(10);
    while registry::alive(jail.pid) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    journal::life(&ctx.state, Some(&jail.name), false);
    if let Err(error) = registry::forget(ctx, &jail.name) {
        eprintln!("jail: {}: {error}", jail.name);
    }
}

/// Unmounts in reverse order; what is not mounted is passed over.
pub fn unmount(ctx: &Context, definition: &Definition, places: &[String]) {
    for place in places.iter().rev() {
        if mounts::is_mounted(ctx, place)
            && let Err(text) = mounts::take(ctx, place)
        {
            eprintln!("jail: {}: {text}", definition.name);
        }
    }
}
