//! jailferry moves FreeBSD VNET jails between nodes, address and all.

// What comes from outside is never unwrapped, and nothing but cli::output and ui writes to the terminal (`println!` would
// panic when a reader goes away). Tests may.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod configuration;
pub mod effect;
pub mod facts;
pub mod model;
pub mod plan;
pub mod playbook;
pub mod remote;
pub mod saga;
pub mod ui;
