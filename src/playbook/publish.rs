//! Ports of a jail that the outside reaches at the host by which the jail leaves, in the words of fleet.yml.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::InterfaceName;

/// By whose pf the IPv4 traffic of a node's jails reaches the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Egress {
    /// By the hub's, through the tunnel.
    #[default]
    Hub,
    /// By the node's own.
    Node,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Proto {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
        })
    }
}

/// Where a port is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outside {
    /// Every address of an interface.
    Interface(InterfaceName),
    /// One address.
    Address(IpAddr),
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outside::Interface(name) => name.fmt(f),
            Outside::Address(address) => address.fmt(f),
        }
    }
}

/// One port forward.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Publish {
    /// The protocol.
    pub proto: Proto,
    /// The port outside.
    pub port: u16,
    /// The port of the jail.
    pub to: u16,
    /// Where outside; `None` for the interface by which the jail's traffic leaves.
    pub on: Option<Outside>,
}

/// A port forward (pf's rdr) at the host by which the jail's IPv4 traffic leaves: it follows the jail.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct PublishText {
    /// The protocol. Without it, tcp.
    proto: Option<Proto>,
    /// The port outside.
    #[schemars(range(min = 1, max = 65535))]
    port: u16,
    /// The port of the jail. Without it, the same.
    #[schemars(range(min = 1, max = 65535))]
    to: Option<u16>,
    /// Where outside: an interface (its addresses, whatever they are) or one address. Without it, the interface
    /// that the host's NAT rules name, or that of its default route.
    on: Option<OutsideText>,
}

/// An interface or an address.
#[derive(schemars::JsonSchema)]
#[schemars(inline, untagged)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) enum OutsideText {
    /// Such as vtnet0.
    Interface(InterfaceName),
    /// Such as 203.0.113.1.
    Address(IpAddr),
}
