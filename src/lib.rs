//! jailferry moves FreeBSD VNET jails between nodes, address and all.

pub mod model;
