//! Addresses as wg(8) and pfctl(8) list them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::Prefix;

/// A prefix, or a bare address as a host prefix. Host bits are cleared, as both tools do.
pub(super) fn prefix(text: &str) -> Option<Prefix> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(Prefix::host(address)),
        Err(_) => text.parse::<IpNet>().ok().map(Prefix::truncate),
    }
}
