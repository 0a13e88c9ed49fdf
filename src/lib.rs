//! jailferry moves FreeBSD VNET jails between nodes, address and all.

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
