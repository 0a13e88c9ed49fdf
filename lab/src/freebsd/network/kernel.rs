//! What the Linux kernel knows about interfaces, addresses and routes, read through `ip -j` and said in FreeBSD's words.
//!
//! Interfaces and addresses are asked for once in a process's life, until it changes something: `ifconfig -a` needs them
//! for each interface, and a program that is started costs a lab more than all it says.

use std::cell::RefCell;
use std::io;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::net::tool;

/// An interface.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name as FreeBSD has it: the loopback is `lo0`.
    pub name: String,
    /// Its name in the kernel.
    pub device: String,
    /// Its index: the N of `link#N`.
    pub index: u64,
    /// `IFF_UP`.
    pub up: bool,
    /// The kernel's promiscuous flag, or membership of a bridge.
    pub promiscuous: bool,
    /// MTU.
    pub mtu: u64,
    /// MAC address, empty where there is none.
    pub ether: String,
    /// The bridge it is a member of, as kernel name.
    pub bridge: Option<String>,
    /// Linux's kind: `veth`, `bridge`, `wireguard`, `tun` …
    pub kind: String,
    /// What ifconfig noted down on it.
    pub notes: Notes,
}

impl Link {
    /// Is an address of it Linux' own affair? A bridge's link-local address is, if nobody gave it one: FreeBSD's has none.
    pub fn hides(&self, address: &str) -> bool {
        self.notes.cloner == "bridge" && from_mac(address)
    }
}

/// A link-local address that Linux made itself (EUI-64), and nobody gave it.
fn from_mac(address: &str) -> bool {
    address.starts_with("fe80:") && address.contains("ff:fe")
}

/// FreeBSD's facts about an interface that Linux has no place for. They are kept in the interface's own alias, so that they move with it between network namespaces
/// and end with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The cloner that made it: `epair`, `bridge`, `wg` …; it is also its first group.
    pub cloner: String,
    /// Groups beyond that one.
    pub groups: Vec<String>,
    /// `tunnelfib`.
    pub tunnelfib: u32,
    /// `description`.
    pub description: String,
}

impl Notes {
    /// Reads an alias; one that is not ours is a description.
    pub fn parse(alias: &str) -> Notes {
        let mut notes = Notes::default();
        let Some(rest) = alias.strip_prefix("freebsd;") else {
            notes.description = alias.to_string();
            return notes;
        };
        for part in rest.splitn(4, ';') {
            match part.split_once('=') {
                Some(("cloner", value)) => notes.cloner = value.into(),
                Some(("groups", value)) => {
                    notes.groups = value.split(',').filter(|g| !g.is_empty()).map(str::to_string).collect();
                }
                Some(("tunnelfib", value)) => notes.tunnelfib = value.parse().unwrap_or(0),
                Some(("description", value)) => notes.description = value.into(),
                _ => {}
            }
        }
        notes
    }

    /// The alias to keep them in.
    pub fn alias(&self) -> String {
        format!(
            "freebsd;cloner={};groups={};tunnelfib={};description={}",
            self.cloner,
            self.groups.join(","),
            self.tunnelfib,
            self.description
        )
    }
}

/// An address of an interface.
#[derive(Clone, Debug)]
pub struct Address {
    /// The interface's kernel name.
    pub device: String,
    /// `inet` or `inet6`.
    pub v6: bool,
    /// The address.
    pub local: String,
    /// Prefix length.
    pub prefix: u8,
    /// The other end of a point-to-point interface.
    pub peer: Option<String>,
}

thread_local! {
    static LINKS: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
    static ADDRESSES: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
}

/// Somebody changed interfaces or addresses: what is known of them is no longer so.
pub fn forget() {
    LINKS.take();
    ADDRESSES.take();
}

/// What is known, or else asked for.
fn known(known: &'static std::thread::LocalKey<RefCell<Option<Vec<Value>>>>, args: &[&str]) -> io::Result<Vec<Value>> {
    if let Some(list) = known.with_borrow(Clone::clone) {
        return Ok(list);
    }
    let list = ip_list(args)?;
    known.set(Some(list.clone()));
    Ok(list)
}

/// Runs `ip`; its complaint is the error's text.
pub fn ip(args: &[&str]) -> io::Result<String> {
    if !args.iter().any(|word| ["show", "get"].contains(word)) {
        forget();
    }
    let output = Command::new(tool("ip")).args(args).stdin(Stdio::null()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_string()))
    }
}

/// Runs `ip -j` and reads its list; an `ip` that prints nothing means an empty one.
pub fn ip_list(args: &[&str]) -> io::Result<Vec<Value>> {
    let mut full = vec!["-j"];
    full.extend_from_slice(args);
    let text = ip(&full)?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match serde_json::from_str(&text).map_err(io::Error::other)? {
        Value::Array(list) => Ok(list),
        other => Ok(vec![other]),
    }
}

/// The text of a JSON member, or nothing.
pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_string()
}

/// The kernel's name of an interface: FreeBSD's `lo0` is Linux' `lo` unless it has been renamed.
pub fn device(name: &str) -> String {
    if name == "lo0" && !std::path::Path::new("/sys/class/net/lo0").exists() { "lo".into() } else { name.into() }
}

/// FreeBSD's name of a kernel interface.
pub fn freebsd_name(device: &str) -> String {
    if device == "lo" { "lo0".into() } else { device.into() }
}

/// All interfaces of this network namespace in FreeBSD's order: network cards, the loopback, then those that were made later.
pub fn links() -> io::Result<Vec<Link>> {
    let mut links: Vec<Link> = known(&LINKS, &["-d", "link", "show"])?.iter().map(link).collect();
    // The loopback is Linux' first interface; FreeBSD finds the cards before.
    links.sort_by_key(|link| match (link.notes.cloner.as_str(), link.device.as_str()) {
        ("", _) => (0, link.index),
        ("lo", _) => (1, link.index),
        _ => (2, link.index),
    });
    Ok(links)
}

/// One interface by FreeBSD's name.
pub fn find(name: &str) -> io::Result<Option<Link>> {
    Ok(links()?.into_iter().find(|link| link.name == name))
}

fn link(value: &Value) -> Link {
    let device = text(value, "ifname");
    let flags: Vec<&str> =
        value["flags"].as_array().map(|flags| flags.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    let bridge = value["master"].as_str().map(str::to_string);
    let mut notes = Notes::parse(value["ifalias"].as_str().unwrap_or_default());
    let kind = value["linkinfo"]["info_kind"].as_str().unwrap_or_default().to_string();
    if notes.cloner.is_empty() {
        notes.cloner = match kind.as_str() {
            "bridge" => "bridge".into(),
            "wireguard" => "wg".into(),
            _ if device == "lo" || device == "lo0" => "lo".into(),
            _ => String::new(),
        };
    }
    Link {
        name: freebsd_name(&device),
        index: value["ifindex"].as_u64().unwrap_or(0),
        up: flags.contains(&"UP"),
        promiscuous: bridge.is_some(),
        // lo0 is as large as FreeBSD's, unless somebody changed it.
        mtu: value["mtu"].as_u64().map_or(0, |mtu| if mtu == 65536 { 16384 } else { mtu }),
        ether: if value["link_type"] == "ether" { text(value, "address") } else { String::new() },
        bridge,
        kind,
        notes,
        device,
    }
}

/// All addresses of this network namespace (of one interface, if named), as the kernel orders them.
pub fn addresses(device: Option<&str>) -> io::Result<Vec<Address>> {
    let wanted = |name: &str| device.is_none_or(|device| device == name);
    let mut list: Vec<Address> = Vec::new();
    for entry in known(&ADDRESSES, &["addr", "show"])? {
        let device = text(&entry, "ifname");
        if !wanted(&device) {
            continue;
        }
        let start = list.len();
        for info in entry["addr_info"].as_array().into_iter().flatten() {
            let local = text(info, "local");
            // A bridge's link-local address is the lab's own affair (ifconfig's clone.rs says why).
            if local.is_empty() || (from_mac(&local) && device.starts_with("bridge")) {
                continue;
            }
            list.push(Address {
                device: device.clone(),
                v6: info["family"] == "inet6",
                local,
                prefix: info["prefixlen"].as_u64().and_then(|n| u8::try_from(n).ok()).unwrap_or(32),
                peer: info["address"].as_str().map(str::to_string),
            });
        }
        // Linux lists the newest IPv6 address first, FreeBSD the oldest.
        let first_v6 = (start..list.len()).find(|at| list[*at].v6).unwrap_or(list.len());
        list[first_v6..].reverse();
    }
    Ok(list)
}

/// Notes something down on an interface.
pub fn set_notes(device: &str, notes: &Notes) -> io::Result<()> {
    ip(&["link", "set", "dev", device, "alias", &notes.alias()]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::Notes;

    #[test]
    fn notes_survive_the_alias() {
        let notes = Notes {
            cloner: "epair".into(),
            groups: vec!["jails".into(), "web".into()],
            tunnelfib: 3,
            description: "a; b=c".into(),
        };
        assert_eq!(Notes::parse(&notes.alias()), notes);
    }

    #[test]
    fn a_foreign_alias_is_a_description() {
        assert_eq!(Notes::parse("uplink").description, "uplink");
    }
}
