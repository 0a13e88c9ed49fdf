//! How to tell that a jail answers, in the words of fleet.yml.

use std::net::IpAddr;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::Serialize;

use crate::model::NodeName;
use crate::playbook::options::DurationText;

/// Where a check is asked from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// From the hub, through the tunnel.
    #[default]
    Hub,
    /// From a node of the fleet, such as one outside that sees what clients see, through NAT and port forwards.
    Node(NodeName),
}

/// `from:` as written.
#[derive(schemars::JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct VantageText(
    /// `hub`, or the name of a node of the fleet, such as one outside that sees what clients see.
    NodeName,
);

/// One check of a jail. It passes or fails before the move, after the switch, and whenever somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// How long one attempt may take.
    pub timeout: SignedDuration,
}

impl Check {
    /// The time one attempt gets when nothing else is written.
    pub const DEFAULT_TIMEOUT: SignedDuration = SignedDuration::from_secs(5);

    /// The timeout in whole seconds, at least one: what FreeBSD's commands take.
    #[must_use]
    pub fn timeout_seconds(&self) -> u32 {
        let up = i64::from(self.timeout.subsec_nanos() > 0);
        u32::try_from(self.timeout.as_secs().saturating_add(up)).unwrap_or(u32::MAX).max(1)
    }
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// ping(8); without an address, every address of the jail.
    Icmp {
        /// The address; `None` for all of the jail's.
        address: Option<IpAddr>,
        /// Where from.
        from: Vantage,
    },
    /// A TCP connection is accepted.
    Tcp {
        /// The address; `None` for all of the jail's.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
        /// Where from.
        from: Vantage,
    },
    /// An HTTP answer has the status and holds the text.
    Http {
        /// What is fetched.
        target: HttpTarget,
        /// The status that is right.
        status: u16,
        /// A text that the answer's body holds.
        body: Option<String>,
        /// Where from.
        from: Vantage,
    },
    /// A command inside the jail ends with 0.
    Command {
        /// Program and arguments; a text in YAML has become `/bin/sh -c TEXT`.
        run: Vec<String>,
    },
}

/// What an HTTP check fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTarget {
    /// A whole URL, such as the public one behind a port forward.
    Url(String),
    /// A path at an address of the jail.
    Path {
        /// The address; `None` for all of the jail's.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
        /// The path, starting with '/'.
        path: String,
    },
}

/// A check: one key that names its kind, with its settings below it.
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) enum CheckText {
    /// The jail answers ping(8).
    Icmp(Option<IcmpText>),
    /// A TCP port accepts connections.
    Tcp(TcpText),
    /// An HTTP answer has the right status and text.
    Http(Option<HttpText>),
    /// A command inside the jail ends with 0.
    Command(CommandText),
}

/// Settings of an icmp check.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct IcmpText {
    /// The address to ask. Without it, every address of the jail.
    address: Option<IpAddr>,
    /// Where the check is asked from. Without it, `hub`.
    from: Option<VantageText>,
    /// How long one attempt may take. Without it, 5s.
    timeout: Option<DurationText>,
}

/// Settings of a tcp check.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct TcpText {
    /// The port.
    #[schemars(range(min = 1))]
    port: u16,
    /// The address to ask. Without it, every address of the jail.
    address: Option<IpAddr>,
    /// Where the check is asked from. Without it, `hub`.
    from: Option<VantageText>,
    /// How long one attempt may take. Without it, 5s.
    timeout: Option<DurationText>,
}

/// Settings of an http check.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct HttpText {
    /// A whole URL, such as the public one behind a port forward; instead of address, port and path.
    #[schemars(regex(pattern = "^https?://"))]
    url: Option<String>,
    /// The address to ask. Without it, every address of the jail.
    address: Option<IpAddr>,
    /// The port. Without it, 80.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// The path. Without it, `/`.
    #[schemars(regex(pattern = "^/"))]
    path: Option<String>,
    /// The status that is right. Without it, 200.
    #[schemars(range(min = 100, max = 599))]
    status: Option<u16>,
    /// A text that the answer's body must hold.
    body: Option<String>,
    /// Where the check is asked from. Without it, `hub`.
    from: Option<VantageText>,
    /// How long one attempt may take. Without it, 5s.
    timeout: Option<DurationText>,
}

/// Settings of a command check.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct CommandText {
    /// What runs inside the jail: a list of program and arguments, or a text for /bin/sh.
    run: RunText,
    /// How long one attempt may take. Without it, 5s.
    timeout: Option<DurationText>,
}

/// A command as a text or as a list.
#[derive(schemars::JsonSchema)]
#[schemars(inline, untagged)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) enum RunText {
    /// A text for /bin/sh.
    Text(String),
    /// A program and its arguments.
    Words(#[schemars(length(min = 1))] Vec<String>),
}
