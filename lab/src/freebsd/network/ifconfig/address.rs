//! Addresses of an interface, with the connected routes that FreeBSD adds to the interface's FIB alone, or to all of them with `net.add_addr_allfibs=1` (contract 1.6).

use std::net::IpAddr;
use std::time::Duration;
use std::time::Instant;

use crate::context::Context;
use crate::freebsd::base::sysctl;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;
use crate::freebsd::network::prefix::Prefix;
use crate::net::announce;
use crate::net::fibs;

/// One address change, as read from the command line.
#[derive(Clone, Debug)]
pub struct Change {
    /// The address and its prefix length.
    pub own: Prefix,
    /// The other end, on point-to-point interfaces.
    pub peer: Option<IpAddr>,
    /// `alias` was given: keep what is there.
    pub alias: bool,
    /// `-alias` or `delete` was given.
    pub remove: bool,
}

fn family(v6: bool) -> &'static str {
    if v6 { "-6" } else { "-4" }
}

/// Does what the change says; the error is what follows `ifconfig: `.
pub fn apply(ctx: &Context, link: &Link, change: &Change) -> Result<(), String> {
    let v6 = change.own.address.is_ipv6();
    let present: Vec<Prefix> = kernel::addresses(Some(&link.device))
        .map_err(|e| e.to_string())?
        .iter()
        .filter(|a| a.v6 == v6)
        .filter_map(|a| Prefix::parse(&format!("{}/{}", a.local, a.prefix), v6))
        .collect();
    if change.remove {
        let Some(old) = present.iter().find(|p| p.address == change.own.address) else {
            return Err(format!("ioctl (SIOCDIFADDR{}): Can't assign requested address", if v6 { "_IN6" } else { "" })
                .replace("SIOCDIFADDR_IN6", "SIOCDIFADDR"));
        };
        return remove(ctx, link, *old, &present);
    }
    // Without `alias` the first IPv4 address is replaced; IPv6 addresses are always added.
    if !change.alias
        && !v6
        && let Some(first) = present.first()
    {
        remove(ctx, link, *first, &present)?;
    }
    if let Some(old) = present.iter().find(|p| p.address == change.own.address)
        && (change.alias || v6)
    {
        if old.length == change.own.length {
            return Ok(());
        }
        remove(ctx, link, *old, &present)?;
    }
    add(ctx, link, change).map_err(|e| format!("ioctl (SIOCAIFADDR): {e}"))
}

fn add(ctx: &Context, link: &Link, change: &Change) -> std::io::Result<()> {
    let v6 = change.own.address.is_ipv6();
    let cidr = change.own.cidr();
    // Setting an address brings an interface up.
    kernel::ip(&["link", "set", "dev", &link.device, "up"])?;
    let mut args = vec![family(v6), "addr", "add"];
    let local = change.own.address.to_string();
    let peer = change.peer.map(|p| Prefix::host(p).cidr());
    match &peer {
        Some(peer) => args.extend([local.as_str(), "peer", peer]),
        None => args.push(&cidr),
    }
    args.extend(["dev", &link.device]);
    // One prefix for all interfaces: Linux keeps a route of each, which replacing one would not.
    let link_only = matches!(change.own.address, IpAddr::V6(a) if a.is_unicast_link_local());
    if !link_only {
        args.push("noprefixroute");
    }
    if v6 {
        args.push("nodad");
    } else if link.name != "lo0" && peer.is_none() {
        args.extend(["broadcast", "+"]);
        if change.own.length >= 31 {
            args.truncate(args.len() - 2);
        }
    }
    kernel::ip(&args)?;
    if v6 {
        link_local(link);
    }
    if let (IpAddr::V4(address), Some(mac)) = (change.own.address, announce::mac(&link.ether))
        && let Err(error) = tell(link, mac, address)
    {
        eprintln!("lab: gratuitous ARP on {}: {error}", link.name);
    }
    let target = match change.peer {
        Some(peer) => Prefix::host(peer),
        None => change.own.network(),
    };
    if link_only || link.name == "lo0" || (target.is_host() && change.peer.is_none()) {
        return Ok(());
    }
    let target = target.cidr();
    for table in tables(ctx, link) {
        let mut route =
            vec![family(v6), "route", "replace", &target, "dev", &link.device, "table", &table, "proto", "kernel"];
        if !v6 {
            route.extend(["scope", "link", "src", &local]);
        }
        kernel::ip(&route)?;
    }
    Ok(())
}

/// The tables of the FIBs that get an interface's connected routes.
fn tables(ctx: &Context, link: &Link) -> Vec<String> {
    let all = sysctl::value(ctx, "net.add_addr_allfibs").is_some_and(|value| value.trim() == "1");
    let own = fibs::interface(ctx, &link.device);
    let fibs = if all { (0..fibs::count(ctx)).collect() } else { vec![own] };
    fibs.into_iter().map(|fib| fibs::table(fib).to_string()).collect()
}

/// Announces an address. An interface that has just come up carries nothing before Linux has noticed its carrier, and nor does the bridge that its other end is in;
/// FreeBSD's epair carries at once.
fn tell(link: &Link, mac: [u8; 6], address: std::net::Ipv4Addr) -> std::io::Result<()> {
    let end = Instant::now() + Duration::from_secs(2);
    let mut waited = false;
    while Instant::now() < end {
        let found = kernel::ip_list(&["link", "show", "dev", &link.device])?;
        let now = found.first().unwrap_or(&serde_json::Value::Null);
        let carrier = now["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "LOWER_UP"));
        if !carrier || now["operstate"] == "UP" {
            break;
        }
        waited = true;
        std::thread::sleep(Duration::from_millis(5));
    }
    announce::announce(link.index as i32, mac, address)?;
    if waited {
        std::thread::sleep(Duration::from_millis(20));
        announce::announce(link.index as i32, mac, address)?;
    }
    Ok(())
}

/// Linux asks for neighbours of forwarded packets from a link-local address only; FreeBSD without one takes the first of any, which a jail of another network does not answer: that the lab cannot show. So every interface with IPv6 gets one here; bridges do not
/// show theirs (they have no AUTO_LINKLOCAL).
fn link_local(link: &Link) {
    let path = format!("/proc/sys/net/ipv6/conf/{}/addr_gen_mode", link.device);
    if link.name != "lo0"
        && let Err(error) = std::fs::write(&path, "0")
    {
        eprintln!("lab: {path}: {error}");
    }
}

fn remove(ctx: &Context, link: &Link, old: Prefix, present: &[Prefix]) -> Result<(), String> {
    let v6 = old.address.is_ipv6();
    let text = |e: std::io::Error| format!("ioctl (SIOCDIFADDR): {e}");
    kernel::ip(&[family(v6), "addr", "del", &old.cidr(), "dev", &link.device]).map_err(text)?;
    let shared = present.iter().any(|other| other.address != old.address && other.network() == old.network());
    if !shared && !old.is_host() {
        // It may be gone already: the kernel drops IPv4 routes whose source address goes, and an administrator may have deleted it.
        let network = old.network().cidr();
        for table in tables(ctx, link) {
            let _ = kernel::ip(&[
                family(v6),
                "route",
                "del",
                &network,
                "dev",
                &link.device,
                "table",
                &table,
                "proto",
                "kernel",
            ]);
        }
    }
    Ok(())
}
