//! Edits a WireGuard configuration file on its host, with sh(1) and awk(1) of the base system.
//!
//! The file holds the private key: it is read and written there, and only SHA-256 sums come back (contract 3.4,
//! design promise 7). The frame around every edit is the same: already so → nothing happens; the file is not the one
//! the plan was made from → refused; else backup, stage beside it, fsync, rename, verify.

pub mod allowed_ips;
pub mod frame;
pub mod hooks;

pub use allowed_ips::PeerPrefixes;
pub use allowed_ips::restore_allowed_ips;
pub use allowed_ips::set_allowed_ips;
pub use frame::Target;
pub use hooks::Hook;
pub use hooks::HookLine;
pub use hooks::InvalidHook;
pub use hooks::edit_hooks;
pub use hooks::restore_hooks;

#[cfg(test)]
mod tests;
