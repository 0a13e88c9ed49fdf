//! The closed list of things jailferry does to a host, and the exact command of each.

pub mod command;
pub mod shell;
