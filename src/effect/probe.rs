//! What can be asked of a host, a jail or the way to it.

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::canary::Trial;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::RemotePath;

/// Something to prove, without changing anything.
#[expect(missing_docs, reason = "the fields' names and types say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "snake_case")]
pub enum Probe {
    /// Echo request; `size` is the whole packet in bytes with DF set; `fib` of the sender.
    /// `source` is the sender's own address where its usual one would not get an answer.
    Ping { address: IpAddr, size: Option<u32>, fib: u16, source: Option<IpAddr>, seconds: u32 },
    /// A TCP connection.
    Tcp { address: IpAddr, port: u16, source: Option<IpAddr>, seconds: u32 },
    /// An HTTP answer: its status and, if given, a text in it.
    Http { url: String, status: u16, body: Option<String>, source: Option<IpAddr>, seconds: u32 },
    /// A command inside the jail that must succeed.
    Inside { jail: JailName, argv: Vec<String>, seconds: u32 },
    /// The same, asked inside a jail with the jail's own tools: whether its services answer itself.
    Within { jail: JailName, asked: Box<Probe> },
    /// Something that the canary, or the jail itself, tries on its way; tells the likely reason when it fails.
    Trial(Box<Trial>),
    /// The jail runs with this root.
    Runs { jail: JailName, root: RemotePath },
    /// Nobody but the jail, with this root, has anything of these datasets, so that they can be unmounted when it has stopped.
    Unused { jail: JailName, root: RemotePath, datasets: Vec<DatasetName> },
    /// Echo requests from inside the jail.
    PingFromInside { jail: JailName, address: IpAddr, size: Option<u32>, seconds: u32 },
}
