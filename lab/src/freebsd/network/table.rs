//! A FIB as FreeBSD shows it: the kernel's table, and the entries that FreeBSD keeps on lo0 for the host's own addresses.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;
use crate::freebsd::network::prefix::Prefix;
use crate::net::fibs;

/// FreeBSD's MTU of lo0.
const LOOPBACK_MTU: u64 = 16384;

/// One route.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where to.
    pub to: Prefix,
    /// The next hop, none for an interface route.
    pub gateway: Option<IpAddr>,
    /// The N of `link#N`.
    pub link: u64,
    /// The interface that packets leave by.
    pub interface: String,
    /// The zone of a link-local destination.
    pub zone: Option<String>,
    /// Made by an administrator (or for an own address), not by an interface's prefix.
    pub fixed: bool,
    /// `-reject`.
    pub reject: bool,
    /// `-blackhole`.
    pub blackhole: bool,
    /// One of the host's own addresses: in no table of Linux', not to be deleted.
    pub own: bool,
    /// MTU.
    pub mtu: u64,
}

impl Entry {
    /// The letters of netstat's Flags column with their long names.
    pub fn flags(&self) -> Vec<(char, &'static str)> {
        let mut list = vec![('U', "up")];
        let mut put = |on: bool, flag| {
            if on {
                list.push(flag);
            }
        };
        put(self.gateway.is_some() && !self.reject && !self.blackhole, ('G', "gateway"));
        put(self.to.is_host(), ('H', "host"));
        put(self.reject, ('R', "reject"));
        put(self.fixed, ('S', "static"));
        put(self.blackhole, ('B', "blackhole"));
        list
    }

    /// The destination as netstat prints it.
    pub fn destination(&self) -> String {
        let zone = self.zone.as_ref().map(|z| format!("%{z}")).unwrap_or_default();
        let mapped = match self.to.address {
            IpAddr::V6(a) if a.to_string().starts_with("::ffff:") => Some("::ffff:0.0.0.0".to_string()),
            _ => None,
        };
        let address = mapped.unwrap_or_else(|| self.to.address.to_string());
        if self.to.length == 0 {
            "default".into()
        } else if self.to.is_host() {
            format!("{address}{zone}")
        } else {
            format!("{address}{zone}/{}", self.to.length)
        }
    }

    /// The gateway as netstat prints it.
    pub fn via(&self) -> String {
        match self.gateway {
            Some(gateway) => gateway.to_string(),
            None => format!("link#{}", self.link),
        }
    }
}

/// The routes of FIB `fib`, in the order of FreeBSD's radix tree.
pub fn read(ctx: &Context, fib: u32, v6: bool) -> io::Result<Vec<Entry>> {
    let links = kernel::links()?;
    let by_device: HashMap<&str, &Link> = links.iter().map(|l| (l.device.as_str(), l)).collect();
    let mut entries = own_addresses(ctx, fib, v6, &by_device)?;
    let table = fibs::table(fib).to_string();
    let family = if v6 { "-6" } else { "-4" };
    // An absent table is an error for `ip` and an empty FIB for FreeBSD.
    let routes = match kernel::ip_list(&[family, "-d", "route", "show", "table", &table]) {
        Ok(routes) => routes,
        Err(error) if error.to_string().contains("table does not exist") => Vec::new(),
        Err(error) => return Err(error),
    };
    for route in &routes {
        let Some(to) = Prefix::parse(route["dst"].as_str().unwrap_or_default(), v6) else {
            continue;
        };
        // What the kernel adds for an own address is shown already.
        if route["protocol"] == "kernel" && entries.iter().any(|e| e.own && e.zone.is_none() && e.to == to) {
            continue;
        }
        let hidden = |link: &&Link| link.hides(route["dst"].as_str().unwrap_or_default());
        if route["dev"].as_str().and_then(|d| by_device.get(d).copied()).filter(hidden).is_some() {
            continue;
        }
        let hops = match route["nexthops"].as_array() {
            Some(hops) => hops.iter().collect(),
            None => vec![route],
        };
        for hop in hops {
            let entry = entry(route, hop, to, &by_device);
            // It belongs to the address that bridges have for the lab's sake only.
            if entry.zone.is_some() && entry.interface.starts_with("bridge") {
                continue;
            }
            entries.push(entry);
        }
    }
    // An own address has one entry, whatever else names it.
    entries.sort_by_key(|e| (e.to.network().address, std::cmp::Reverse(e.to.length), !e.own));
    Ok(entries)
}

fn entry(route: &serde_json::Value, hop: &serde_json::Value, to: Prefix, links: &HashMap<&str, &Link>) -> Entry {
    let kind = route["type"].as_str().unwrap_or("unicast");
    let rejects = matches!(kind, "unreachable" | "prohibit" | "blackhole");
    let device = if rejects { "lo" } else { hop["dev"].as_str().unwrap_or("lo") };
    let link = links.get(device).or_else(|| links.get("lo0"));
    let loopback: IpAddr =
        if to.address.is_ipv6() { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
    let interface = kernel::freebsd_name(device);
    let link_local = matches!(to.address, IpAddr::V6(a) if a.is_unicast_link_local()) && !rejects;
    Entry {
        to,
        gateway: if rejects { Some(loopback) } else { hop["gateway"].as_str().and_then(|g| g.parse().ok()) },
        link: link.map_or(0, |l| l.index),
        zone: link_local.then(|| interface.clone()),
        mtu: if interface == "lo0" { LOOPBACK_MTU } else { link.map_or(0, |l| l.mtu) },
        interface,
        fixed: route["protocol"] != "kernel",
        reject: matches!(kind, "unreachable" | "prohibit"),
        blackhole: kind == "blackhole",
        own: false,
    }
}

fn own_addresses(ctx: &Context, fib: u32, v6: bool, links: &HashMap<&str, &Link>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for address in kernel::addresses(None)?.iter().filter(|a| a.v6 == v6) {
        let (Some(link), Ok(local)) = (links.get(address.device.as_str()), address.local.parse::<IpAddr>()) else {
            continue;
        };
        if fibs::interface(ctx, &address.device) != fib || link.hides(&address.local) {
            continue;
        }
        let link_local = matches!(local, IpAddr::V6(a) if a.is_unicast_link_local());
        entries.push(Entry {
            to: Prefix::host(local),
            gateway: None,
            link: link.index,
            interface: "lo0".into(),
            zone: link_local.then(|| link.name.clone()),
            fixed: link.name != "lo0" || v6,
            reject: false,
            blackhole: false,
            own: true,
            mtu: LOOPBACK_MTU,
        });
    }
    Ok(entries)
}

/// The entries for exactly this prefix.
pub fn exact(entries: &[Entry], prefix: Prefix) -> Vec<&Entry> {
    entries.iter().filter(|e| e.zone.is_none() && e.to.network() == prefix.network()).collect()
}

/// The longest match.
pub fn longest(entries: &[Entry], address: IpAddr) -> Option<&Entry> {
    entries.iter().filter(|e| e.zone.is_none() && e.to.contains(address)).max_by_key(|e| e.to.length)
}
