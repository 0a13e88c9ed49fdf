//! One parser a tool, and [`parse_host`], [`parse_jail`], [`parse_target`], which put the facts together.
//!
//! Input is hostile: parsers never panic, pass over fields and lines that a later release may add, and refuse what
//! they would have to guess, with the tool and the line in the error.

mod error;
mod files;
mod frames;
mod host;
mod ifconfig;
mod jails;
mod json;
mod leftovers;
mod loads;
mod mount;
mod netstat;
mod pf;
mod prefix;
mod rc;
mod second_round;
mod sysctl;
mod upkeep;
mod wireguard;
mod zfs;

#[cfg(test)]
mod hostile_frames_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod leftovers_script_tests;
#[cfg(test)]
pub(in crate::facts) mod script_tests;

pub use error::FactsError;
pub use frames::Frame;
pub use frames::Frames;
pub use host::parse_handshakes;
pub use host::parse_host;
pub use leftovers::parse_leftovers;
pub use loads::parse_loads;
pub use second_round::parse_jail;
pub use second_round::parse_target;
