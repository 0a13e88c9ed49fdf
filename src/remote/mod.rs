//! The SSH transport: one connection a host, one place where remote commands run, one place where data is relayed.
//!
//! The user's own ssh(1) does the talking, so `~/.ssh/config`, agents, ProxyJump and known_hosts work as always; the
//! openssh crate speaks the multiplexing protocol to it. Nothing here decides anything: it runs a
//! [`Command`](crate::effect::command::Command) exactly as the plan prints it and says what happened.

pub mod chain;
mod cipher;
mod control;
pub mod copy;
pub mod direct;
pub mod failure;
pub mod hosts;
pub mod log;
mod master;
mod pace;
mod ready;
mod room;
pub mod run;

pub use chain::Broken;
pub use cipher::has_aes;
pub use copy::Bounds;
pub use copy::Cause;
pub use copy::Copied;
pub use copy::CopyError;
pub use direct::DirectError;
pub use failure::Kind;
pub use failure::RemoteError;
pub use hosts::ConnectErrors;
pub use hosts::Hosts;
pub use hosts::Target;
pub use log::CommandEntry;
pub use log::CommandLog;
pub use master::ConnectError;
pub use ready::MOST as READY_SHELLS;
pub use run::FRESH_TRIES;
pub use run::Output;

#[cfg(test)]
mod loopback;
#[cfg(test)]
mod loopback_chain;
#[cfg(test)]
mod loopback_cipher;
#[cfg(test)]
mod loopback_copy;
#[cfg(test)]
mod loopback_direct;
#[cfg(test)]
mod loopback_ready;
