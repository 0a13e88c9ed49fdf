//! The facts as plain values: serialisable, comparable, printable.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::facts::Boot;
use crate::facts::PermanentArp;
use crate::facts::Room;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::Notice;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::RemotePath;
use crate::model::TableName;

/// Everything a plan needs to know of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Who it is.
    pub identity: Identity,
    /// `sysctl` values asked for, by name; absent when the host does not know the name.
    pub sysctls: BTreeMap<String, String>,
    /// Names of kernel modules present or built in, of those asked for (`kldstat -q -m`, contract 7).
    pub modules: BTreeSet<String>,
    /// `ifconfig -a`.
    pub interfaces: Vec<Interface>,
    /// Routing tables by FIB number, both families in one list.
    pub routes: BTreeMap<u16, Vec<Route>>,
    /// WireGuard interfaces.
    pub wireguard: Vec<WireGuard>,
    /// WireGuard configuration files found, without any key but public ones.
    pub wireguard_files: Vec<WireGuardFile>,
    /// The packet filter.
    pub pf: Pf,
    /// Running (and dying) jails.
    pub jails: Vec<RunningJail>,
    /// Jails that are configured on the host (`jail -e`), running or not.
    pub jail_configurations: Vec<JailConfiguration>,
    /// The text of each file that configures jails, as far as it is UTF-8 and was read whole.
    #[serde(default)]
    pub jail_files: BTreeMap<RemotePath, String>,
    /// Folders of Bastille's jails whose settings say that they do not start at boot.
    #[serde(default)]
    pub boot_off: BTreeSet<RemotePath>,
    /// The parts of rc.conf that matter.
    pub rc: RcConf,
    /// All filesystems and volumes.
    pub datasets: Vec<Dataset>,
    /// All pools.
    pub pools: Vec<Pool>,
    /// `zfs version`: userland and kernel module; `None` on a host without ZFS (a hub may do without).
    pub zfs: Option<ZfsVersion>,
    /// Is a command there? Of those asked for (`fetch`, `nc`, `timeout`, `lockf`, `daemon`, `wg`, `wg-quick`).
    pub commands: BTreeSet<String>,
    /// Which jails are being moved, by what the hub's locks say: `RUN OWNER FENCE since …`.
    #[serde(default)]
    pub moving: BTreeMap<String, String>,
    /// Folders that steps write to.
    #[serde(default)]
    pub room: BTreeMap<RemotePath, Room>,
    /// Files that a move may change and that root may not write (chflags(1)).
    #[serde(default)]
    pub unwritable: BTreeSet<RemotePath>,
    /// What boot does by itself, besides rc.conf.
    #[serde(default)]
    pub boot: Boot,
    /// Entries of arp(8) that never end, the host's own addresses among them.
    #[serde(default)]
    pub permanent_arp: Vec<PermanentArp>,
    /// What its login shell prints before any command of ours: part of every stream that is sent through it.
    #[serde(default)]
    pub noise: Option<String>,
    /// What could not be read although the rest of the facts stands: the question (such as
    /// `jail -e /etc/jail.conf.d/old.conf`) and the answer's first line on standard error.
    pub unreadable: BTreeMap<String, String>,
}

/// Who a host is and what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `hostname`.
    pub hostname: String,
    /// `sysctl -n kern.hostuuid`; three hosts must be three (contract 7).
    pub hostuuid: String,
    /// `uname -m`, such as amd64.
    pub machine: String,
    /// `uname -K`: the running kernel's __FreeBSD_version.
    pub kernel_version: u32,
    /// `freebsd-version -k`: kernel installed on disk; differs from `running` when a reboot is pending.
    pub installed: String,
    /// `freebsd-version -r`.
    pub running: String,
    /// `freebsd-version -u`.
    pub userland: String,
    /// `date +%s` in seconds since the epoch, the host's own clock.
    pub clock: i64,
    /// `id -u` behind become: 0 when the commands run as root.
    pub uid: u32,
}

/// A network interface as ifconfig(8) shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: InterfaceName,
    /// UP flag.
    pub up: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// `fib:` line; 0 when absent (contract 1.7).
    pub fib: u16,
    /// Addresses with their prefix length; link-local ones left out.
    pub addresses: Vec<IpNet>,
    /// Its link-local IPv6 addresses. Bridges have none by themselves (ifconfig(8), auto_linklocal).
    #[serde(default)]
    pub link_locals: Vec<IpNet>,
    /// Bridge members.
    pub members: Vec<InterfaceName>,
    /// Interface groups.
    pub groups: Vec<String>,
}

/// One route of `netstat --libxo json -rnW`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination; `default` is 0.0.0.0/0 or ::/0. Link-local and multicast routes are left out.
    pub destination: Prefix,
    /// The interface it leaves by. Compare this, not `link#N` (contract 1.5).
    pub interface: InterfaceName,
    /// Next hop address; `None` for an interface route.
    pub gateway: Option<IpAddr>,
    /// Flags such as `UHS`.
    pub flags: String,
}

/// One WireGuard interface, from single-field `wg show` forms only, so that no secret is ever read (contract 0.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireGuard {
    /// Its name.
    pub interface: InterfaceName,
    /// Its own public key.
    pub public_key: PublicKey,
    /// UDP port.
    pub listen_port: u16,
    /// The peers, in no particular order.
    pub peers: Vec<Peer>,
}

/// One peer of a WireGuard interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its public key.
    pub public_key: PublicKey,
    /// AllowedIPs as a set.
    pub allowed: BTreeSet<Prefix>,
    /// Seconds since the epoch of the last handshake; 0 = never.
    pub latest_handshake: i64,
    /// `IP:PORT`; `None` when not known yet.
    pub endpoint: Option<String>,
    /// Is something sent now and then, so that a NAT on the way keeps its state? `None` when not known.
    #[serde(default)]
    pub keepalive: Option<bool>,
}

/// A WireGuard configuration file on the host; only its public parts are read, by a filter that runs on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireGuardFile {
    /// Where it is.
    pub path: RemotePath,
    /// The interface it configures (from the file's name).
    pub interface: InterfaceName,
    /// `SaveConfig = true`: wg-quick rewrites the file at down.
    pub save_config: bool,
    /// Does it hold wg-quick keys (Address, Table, PostUp …)? Plain `wg setconf` files do not.
    pub wg_quick: bool,
    /// wg-quick(8)'s `Table`: `off` keeps it from making routes of the AllowedIPs.
    #[serde(default)]
    pub table: Option<String>,
    /// The PostUp lines of it that jailferry has written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// SHA-256 of the whole file, computed on the host.
    pub sha256: String,
    /// Public key and AllowedIPs of each [Peer] section.
    pub peers: Vec<(PublicKey, BTreeSet<Prefix>)>,
}

/// What pf says (contract 4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pf {
    /// `None` when /dev/pf is absent.
    pub enabled: Option<bool>,
    /// `pfctl -P -sn` lines, canonical, and those of `pfctl -P -sr` that translate.
    pub nat: Vec<String>,
    /// `pfctl -P -sr` lines that reference an anchor.
    pub anchors: Vec<String>,
    /// `pfctl -P -sr` lines that name an address or a network.
    #[serde(default)]
    pub addressed: Vec<String>,
    /// Is there a rule in `pfctl -P -sr` that blocks something?
    #[serde(default)]
    pub blocks: bool,
    /// Tables with their entries (negated entries left out).
    pub tables: BTreeMap<TableName, BTreeSet<Prefix>>,
    /// The negated entries of those tables that have some.
    #[serde(default)]
    pub negated: BTreeMap<TableName, BTreeSet<Prefix>>,
    /// Translation rules of our anchors `jailferry/JAIL` by jail (`pfctl -P -a … -sn`); anchors without any left out.
    pub of_jails: BTreeMap<JailName, Vec<String>>,
    /// The file of its rules, `pf_rules` of rc.conf(5).
    pub file: Option<PfFile>,
}

/// What pf.conf(5) says of files; its rules are those that pf says it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PfFile {
    /// Where it is.
    pub path: RemotePath,
    /// The files of `table <T> … file "F"`.
    pub table_files: BTreeMap<TableName, TableFile>,
    /// The files of `include "F"`.
    pub includes: BTreeSet<String>,
    /// Anchor and file of `load anchor "A" from "F"`.
    pub loads: BTreeSet<(String, String)>,
}

/// The file that a pf table is filled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// Where it is.
    pub path: RemotePath,
    /// SHA-256 of it, computed on the host.
    pub sha256: String,
    /// Its entries (negated ones and names left out, at most 2000 lines).
    pub entries: BTreeSet<Prefix>,
}

/// A jail that runs or is dying (`jls -d --libxo json name jid path vnet dying …`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningJail {
    /// Its name; jails whose name is not a [`JailName`](crate::model::JailName) are listed by text.
    pub name: String,
    /// jid.
    pub jid: u32,
    /// Root directory.
    pub path: String,
    /// Has its own network stack (`vnet=new`).
    pub vnet: bool,
    /// Removed, but not gone yet.
    pub dying: bool,
    /// Its addresses, when it has a network stack of its own: all but those of loopback and of tunnels that end in it.
    pub addresses: Vec<IpNet>,
    /// Default gateways inside.
    pub gateways: Vec<IpAddr>,
    /// The largest MTU of the interfaces with addresses inside.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The smallest of them.
    #[serde(default)]
    pub smallest_mtu: Option<u32>,
}

/// A jail as configured on a host, read through `jail -e` (contract 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailConfiguration {
    /// Its name.
    pub name: String,
    /// The file that defines it.
    pub file: RemotePath,
    /// Parameters in order; `None` for a boolean without value.
    pub parameters: Vec<(String, Option<String>)>,
}

/// The parts of rc.conf(5) that matter (via `sysrc`), and the file that holds each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RcConf {
    /// `jail_enable` is YES.
    pub jail_enable: bool,
    /// `jail_list`, split at blanks.
    pub jail_list: Vec<String>,
    /// `jail_list` exactly as the file has it; `None` when no file sets it.
    pub jail_list_text: Option<String>,
    /// `jail_enable` exactly as the file has it; `None` when no file sets it.
    pub jail_enable_text: Option<String>,
    /// The file in which jail_enable is set, /etc/rc.conf when none does.
    pub jail_enable_file: RemotePath,
    /// The file in which jail_list is set: /etc/rc.conf, or an rc.conf.d file that overrides it (contract 2.5).
    pub jail_list_file: RemotePath,
    /// Every `static_routes`, `ipv6_static_routes`, `route_*`, `ipv6_route_*`, `ifconfig_*`, `cloned_interfaces`,
    /// `wireguard_*`, `pf_*`, `gateway_enable`, `arpproxy_all` variable with its value.
    pub variables: BTreeMap<String, String>,
    /// Assignments of what a move may edit that are not one line of /etc/rc.conf with everything in it, in the order in
    /// which rc(8) reads the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignments: Vec<RcAssignment>,
}

/// How a file of rc.conf(5) sets a variable, by the last assignment in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RcAssignment {
    /// The variable.
    pub variable: String,
    /// The file.
    pub file: RemotePath,
    /// How.
    pub form: RcForm,
}

/// What an assignment of rc.conf(5) looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RcForm {
    /// One line that says all.
    Plain,
    /// It refers to another variable or command, or to what another file has put into the same one.
    Refers,
    /// It goes on in the next line.
    Continued,
}

/// Filesystem or volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetKind {
    /// A filesystem.
    Filesystem,
    /// A volume.
    Volume,
}

/// One dataset of `zfs list -Hp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: DatasetName,
    /// Filesystem or volume.
    pub kind: DatasetKind,
    /// Its guid (changes on receive, unlike a snapshot's).
    pub guid: Guid,
    /// Bytes, with children and snapshots.
    pub used: u64,
    /// Bytes it refers to.
    pub referenced: u64,
    /// Bytes that can still be written.
    pub available: u64,
    /// `mountpoint`: a path, `none`, `legacy`, or `-` for a volume.
    pub mountpoint: String,
    /// `canmount`.
    pub canmount: String,
    /// Mounted now.
    pub mounted: bool,
    /// The snapshot it is a clone of.
    pub origin: Option<String>,
    /// `encryption` is not off.
    pub encrypted: bool,
    /// `keystatus` is available or not applicable.
    pub key_available: bool,
    /// `jailed`.
    pub jailed: bool,
    /// `readonly`.
    pub readonly: bool,
    /// Value of our user property `org.jailferry:run` when set locally or received, on datasets of ours.
    pub run: Option<String>,
    /// What a run has written on it about itself.
    #[serde(default)]
    pub notice: Option<Notice>,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Bytes free.
    pub free: u64,
    /// Bytes in all.
    pub size: u64,
    /// `health`, such as ONLINE.
    pub health: String,
    /// Imported read-only.
    #[serde(default)]
    pub readonly: bool,
    /// Feature name to `disabled`, `enabled` or `active`.
    pub features: BTreeMap<String, String>,
}

/// `zfs version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZfsVersion {
    /// `zfs-…` line.
    pub userland: String,
    /// `zfs-kmod-…` line.
    pub kernel: String,
}

impl ZfsVersion {
    /// The release of the kernel's part: `zfs-kmod-2.1.9-FreeBSD_g92e0d9d18` → (2, 1, 9).
    #[must_use]
    pub fn kernel_release(&self) -> Option<(u32, u32, u32)> {
        let text = self.kernel.trim().strip_prefix("zfs-kmod-")?;
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}
