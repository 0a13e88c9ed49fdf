//! A suspended pool (`lab pool NODE suspend`), with FreeBSD's default `failmode=wait`: what is in memory can still be read, what has to reach
//! the disk waits in the kernel, where no signal ends it.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::SigHandler;
use nix::sys::signal::Signal;
use nix::sys::signal::signal;

use super::store::Store;
use crate::context::Context;

fn is_at(state: &Path) -> bool {
    state.join("suspended").exists()
}

/// `zpool list -o health`.
pub fn health(store: &Store) -> &'static str {
    if store.root.parent().is_some_and(is_at) { "SUSPENDED" } else { "ONLINE" }
}

/// What a change does. SIGKILL still ends a process of the lab; FreeBSD's would stay.
pub fn wait(ctx: &Context) {
    if !is_at(&ctx.state) {
        return;
    }
    for ignored in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: ignoring a signal installs no handler.
        let _as_it_is = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    while is_at(&ctx.state) {
        std::thread::sleep(Duration::from_millis(50));
    }
}
