//! What a host needs to stay as it is: room to write, settings that boot makes again, and what was fixed by hand.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::InterfaceName;

/// A folder that steps write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Root may write there: its filesystem is not mounted read-only.
    pub writable: bool,
    /// Bytes that can still be written.
    pub free: u64,
}

/// What boot does by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Boot {
    /// Numbers that loader.conf(5) and sysctl.conf(5) set, the later file's where both do.
    pub settings: BTreeMap<String, i64>,
    /// Which of route, ifconfig, sysctl, pfctl and wg the host's own boot scripts run. What they do with it is not known, so
    /// nothing that such a tool could make is said to be forgotten.
    pub tools: BTreeSet<String>,
}

/// An entry of arp(8) that never ends. A host's own addresses are among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermanentArp {
    /// The address.
    pub address: IpAddr,
    /// Where.
    pub interface: InterfaceName,
}
