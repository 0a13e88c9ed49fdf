//! `lab down`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::Result;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::world::place::Place;

/// Ends the lab in `place` and removes its folder. Fine when none runs.
pub fn run(place: &Place) -> Result<i32> {
    if let Some(pid) = place.outer() {
        kill(Pid::from_raw(pid), Signal::SIGKILL).context("cannot end the lab's process")?;
        for _ in 0..500 {
            if place.outer().is_none() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        anyhow::ensure!(place.outer().is_none(), "the lab's process {pid} does not end");
    }
    crate::freebsd::zfs::real::forget(place);
    if place.file("lab").exists() {
        fs::remove_dir_all(&place.dir).with_context(|| format!("cannot remove {}", place.dir.display()))?;
    }
    Ok(0)
}
