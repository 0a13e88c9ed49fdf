//! The canary: a throw-away jail that tries the new way before the real one takes it, and what it is asked to try.

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::NodeName;
use crate::model::RunId;

/// A VNET jail without any process, with a network like that of the jail which shall move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The host.
    pub host: NodeName,
    /// Its name, which begins with `jailferry_`.
    pub jail: JailName,
    /// The run it belongs to: its host name and the description of its interface, so that nobody else's is removed.
    pub run: RunId,
    /// Its epair: end a stays on the host, end b goes inside.
    pub unit: u32,
    /// The bridge that end a joins.
    pub bridge: InterfaceName,
    /// The FIB of end a.
    pub fib: u16,
    /// The MTU inside.
    pub mtu: u32,
    /// Its addresses, at most one a family.
    pub ends: Vec<CanaryEnd>,
}

/// One of the canary's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryEnd {
    /// The address inside.
    pub address: IpAddr,
    /// Its default gateway, an address of the bridge meanwhile.
    pub gateway: IpAddr,
    /// Length of the network that both are in.
    pub length: u8,
}

/// Something that is tried on the new way. It changes nothing; when it fails, both hosts are asked why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The jail inside which it is tried; `None`: on the host, in the jails' FIB.
    pub jail: Option<JailName>,
    /// The address that the packets come from (or, from the hub, go to).
    pub address: IpAddr,
    /// What is tried.
    pub goal: Goal,
    /// The way it should take.
    pub road: Road,
    /// How long it is tried.
    pub seconds: u32,
}

/// The way between a jail on a host and the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Road {
    /// The host.
    pub host: NodeName,
    /// The jail's interface on the host's side, when it has one.
    pub end: Option<InterfaceName>,
    /// The bridge.
    pub bridge: InterfaceName,
    /// The FIB in which the jail's packets are looked up.
    pub fib: u16,
    /// The host's tunnel to the hub; `None` on the hub itself.
    pub tunnel: Option<InterfaceName>,
    /// The hub.
    pub hub: NodeName,
    /// The hub's end of the tunnel.
    pub hub_tunnel: InterfaceName,
    /// The size of packets that must pass.
    pub mtu: u32,
    /// What the plan already holds against this way, to be told if the trial fails.
    pub suspicions: Vec<String>,
}

/// What is tried.
#[expect(missing_docs, reason = "the fields' names and types say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "goal", rename_all = "snake_case")]
pub enum Goal {
    /// The hub answers the jail, with packets of the jail's size.
    Hub { hub: IpAddr },
    /// The jail answers the hub, with packets of the jail's size; `source` where the hub's usual address will not do.
    FromHub { source: Option<IpAddr> },
    /// Something outside answers the jail, and sees it as it should be seen.
    Outside { landmark: Landmark, seen: Option<Seen> },
}

/// The address that something outside sees as its caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The caller's own: nothing translates it.
    Own,
    /// This one: the packet filter's.
    Address(IpAddr),
}

impl Trial {
    /// The family it is about.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// The host that its question about the other end goes to.
    #[must_use]
    pub fn other_end(&self) -> &NodeName {
        match self.goal {
            Goal::FromHub { .. } => &self.road.host,
            Goal::Hub { .. } | Goal::Outside { .. } => &self.road.hub,
        }
    }
}
