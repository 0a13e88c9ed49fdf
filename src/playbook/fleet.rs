//! The fleet as its owner writes it: hub, nodes, jails. Only what the hosts cannot tell is required.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::command::Become;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::SshDestination;
use crate::model::TableName;
use crate::playbook::amounts::Amount;
use crate::playbook::amounts::Reserve;
use crate::playbook::check::Check;
use crate::playbook::check::CheckText;
use crate::playbook::fabric::Fabric;
use crate::playbook::fabric::FabricText;
use crate::playbook::options::Options;
use crate::playbook::publish::Egress;
use crate::playbook::publish::Publish;
use crate::playbook::publish::PublishText;

/// The hosts that jails move between, and what is known of the jails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "jailferry fleet", deny_unknown_fields)]
pub struct Fleet {
    /// The node whose WireGuard AllowedIPs say where each prefix is: the one with the public address. With several hubs a
    /// list of them; the first one keeps locks and plans.
    #[schemars(with = "HubText")]
    pub hub: NodeName,
    /// The hubs behind the first one in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub more_hubs: Vec<NodeName>,
    /// The hosts by the names that commands and playbooks use. A host that needs no settings has just its name and a
    /// colon.
    #[schemars(with = "BTreeMap<NodeName, Option<Node>>")]
    pub nodes: BTreeMap<NodeName, Node>,
    /// Jails that need more than the hosts can tell: what they own, how to see that they answer.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<JailName, Option<JailSpec>>>")]
    pub jails: BTreeMap<JailName, JailSpec>,
    /// Networks of the tunnel itself, such as 10.77.0.0/24; no jail may own addresses of them. Without it, the hosts
    /// tell.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Prefix>>")]
    pub tunnel: Vec<Prefix>,
    /// Addresses that nobody uses, one small network a family such as 192.168.123.8/30 and 2001:db8:1:1::8/126, inside
    /// what the hub's NAT covers: before a jail moves, a throw-away jail with the third address of each tries its new
    /// way, with the second as its gateway.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Prefix>>")]
    pub canary: Vec<Prefix>,
    /// What every jail reaches outside, one or more a family: http:// and an address (best a page that shows its caller's
    /// address, so that the hub's NAT is tried too), or an address to ping.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Landmark>>")]
    pub egress_check: Vec<Landmark>,
    /// An ssh_config(5) file to use instead of `~/.ssh/config`, as a path relative to this file.
    #[serde(default)]
    pub ssh_config: Option<PathBuf>,
    /// Settings of all nodes and options of all moves, unless a node, jail, playbook or move says otherwise.
    #[serde(rename = "defaults", default)]
    #[schemars(with = "Option<DefaultsText>")]
    pub options: Options,
}

/// `hub:` as written.
#[derive(schemars::JsonSchema)]
#[schemars(inline, untagged)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) enum HubText {
    /// One.
    One(NodeName),
    /// Several.
    Several(#[schemars(length(min = 1))] Vec<NodeName>),
}

impl Fleet {
    /// All hubs, the one that keeps locks and plans first.
    pub fn hubs(&self) -> impl Iterator<Item = &NodeName> {
        std::iter::once(&self.hub).chain(&self.more_hubs)
    }

    /// Is that node a hub?
    #[must_use]
    pub fn is_hub(&self, node: &NodeName) -> bool {
        self.hubs().any(|hub| hub == node)
    }

    /// The options of a jail: its own over the fleet's.
    #[must_use]
    pub fn options_of(&self, jail: &JailName) -> Options {
        match self.jails.get(jail) {
            Some(spec) => spec.options.over(&self.options),
            None => self.options.clone(),
        }
    }

    /// What the fleet says of a jail; nothing, when it is not listed.
    #[must_use]
    pub fn jail(&self, jail: &JailName) -> JailSpec {
        self.jails.get(jail).cloned().unwrap_or_default()
    }
}

/// A host. What is absent is found out by asking it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Node {
    /// What ssh(1) connects to: a Host of ssh_config(5), `user@host` or `ssh://user@host:port`. Without it, the
    /// node's name.
    #[schemars(with = "Option<SshDestination>")]
    pub ssh: SshDestination,
    /// How commands become root: none (the ssh user is root), sudo, doas or mdo. Without it, none.
    #[serde(rename = "become")]
    #[schemars(with = "Option<Become>")]
    pub become_root: Become,
    /// The WireGuard interface of the tunnel, such as wg0.
    #[serde(default)]
    pub wireguard: Option<InterfaceName>,
    /// The WireGuard configuration file, such as /usr/local/etc/wireguard/wg0.conf.
    #[serde(default)]
    pub wireguard_config: Option<RemotePath>,
    /// The bridge that jails are attached to, such as bridge0.
    #[serde(default)]
    pub bridge: Option<InterfaceName>,
    /// How its jails are connected to those of other nodes: routed (each node has a bridge of its own, the hub's
    /// AllowedIPs say where a prefix is) or bridged (the bridges of all nodes that say so are one layer-2 segment, such as
    /// a ZeroTier or VXLAN one); `bridged: NAME` where a fleet has several segments. Without it, routed.
    #[serde(default, skip_serializing_if = "Fabric::is_routed")]
    #[schemars(with = "Option<FabricText>")]
    pub fabric: Fabric,
    /// The FIB that the jails' traffic uses on this host (setfib(1)).
    #[serde(default)]
    pub fib: Option<u16>,
    /// The MTU inside jails, such as 1380.
    #[serde(default)]
    #[schemars(range(min = 576, max = 65535))]
    pub mtu: Option<u32>,
    /// The dataset below which jails live, such as zroot/jails.
    #[serde(default)]
    pub parent: Option<DatasetName>,
    /// By whose pf the IPv4 traffic of jails here reaches the internet: hub (through the tunnel) or node (this host has
    /// a public address and translates itself). Without it, hub.
    #[serde(default)]
    #[schemars(with = "Option<Egress>")]
    pub egress: Egress,
    /// A pf table of this host whose members its own NAT rules translate, such as jailferry_nat: the prefixes of jails
    /// that leave by this host are put into it where no rule covers them.
    #[serde(default)]
    pub pf_table: Option<TableName>,
    /// What it has, for `jailferry rebalance`. Without it, what the host says (hw.ncpu, hw.physmem).
    #[serde(default)]
    #[schemars(with = "Option<Amount>")]
    pub capacity: Amount,
    /// What `jailferry rebalance` keeps free of jails.
    #[serde(default)]
    #[schemars(with = "Option<Reserve>")]
    pub reserve: Reserve,
    /// Words for what it offers, such as ssd; `rebalance` and `drain` move a jail that `needs` them to such a node only.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub provides: BTreeSet<String>,
}

impl Node {
    /// A node of which only the name is known.
    ///
    /// # Errors
    /// [`crate::model::InvalidName`] when the name cannot be an ssh destination.
    pub fn named(name: &NodeName) -> Result<Node, crate::model::InvalidName> {
        Ok(Node {
            ssh: SshDestination::new(name.as_str())?,
            become_root: Become::None,
            wireguard: None,
            wireguard_config: None,
            bridge: None,
            fabric: Fabric::Routed,
            fib: None,
            mtu: None,
            parent: None,
            egress: Egress::Hub,
            pf_table: None,
            capacity: Amount::default(),
            reserve: Reserve::default(),
            provides: BTreeSet::new(),
        })
    }
}

/// What the fleet says of a jail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct JailSpec {
    /// The prefixes that the jail owns and takes along: whole networks or single addresses, with their length. Without
    /// it, the addresses inside the jail as /32 and /128.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Prefix>>")]
    pub prefixes: Vec<Prefix>,
    /// How to see that the jail answers. Without it, ping(8) of every address.
    #[serde(default)]
    #[schemars(with = "Option<Vec<CheckText>>")]
    pub checks: Vec<Check>,
    /// Ports that the outside reaches at the host by which the jail's IPv4 traffic leaves: the hub, or its node where
    /// that says `egress: node`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<PublishText>>")]
    pub publish: Vec<Publish>,
    /// What it uses, for `jailferry rebalance`. Without it, what is measured.
    #[serde(default)]
    #[schemars(with = "Option<Amount>")]
    pub load: Amount,
    /// What a node must provide for `jailferry rebalance` and `drain` to move it there, such as ssd.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub needs: BTreeSet<String>,
    /// Options of this jail's moves.
    #[serde(flatten)]
    pub options: Options,
}

/// The written form of `defaults:`, for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct DefaultsText {
    /// How commands become root on nodes that do not say it themselves.
    #[schemars(rename = "become")]
    become_root: Option<Become>,
    /// The WireGuard interface of nodes that do not say it themselves.
    wireguard: Option<InterfaceName>,
    /// The bridge of nodes that do not say it themselves.
    bridge: Option<InterfaceName>,
    /// How jails are connected on nodes that do not say it themselves.
    fabric: Option<FabricText>,
    /// The MTU inside jails on nodes that do not say it themselves.
    #[schemars(range(min = 576, max = 65535))]
    mtu: Option<u32>,
    /// The parent dataset on nodes that do not say it themselves.
    parent: Option<DatasetName>,
    /// Options of all moves.
    #[serde(flatten)]
    options: Options,
}
