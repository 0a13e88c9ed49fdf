//! How ifconfig(8) prints an interface (recordings `ifconfig-*`, `wg-create`, `jexec-ifconfig`).

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;
use crate::freebsd::network::prefix;
use crate::freebsd::network::prefix::Prefix;
use crate::net::fibs;

/// What `-f` and an address family on the command line ask for.
#[derive(Debug, Default)]
pub struct Style {
    inet_cidr: bool,
    inet6_cidr: bool,
    /// Print this family only.
    pub only: Option<String>,
}

impl Style {
    /// Reads `inet:cidr,inet6:cidr`.
    pub fn read(&mut self, text: &str) {
        for part in text.split(',') {
            match part {
                "inet:cidr" => self.inet_cidr = true,
                "inet6:cidr" => self.inet6_cidr = true,
                _ => {}
            }
        }
    }
}

/// The groups of an interface: its cloner's, then those given.
pub fn groups(link: &Link) -> Vec<String> {
    let mut list = Vec::new();
    if !link.notes.cloner.is_empty() {
        list.push(link.notes.cloner.clone());
    }
    list.extend(link.notes.groups.iter().cloned());
    list
}

fn flags(link: &Link) -> String {
    let mut bits = 0u32;
    let mut names = Vec::new();
    let mut put = |bit: u32, name: &'static str, on: bool| {
        if on {
            bits |= bit;
            names.push(name);
        }
    };
    let cloner = link.notes.cloner.as_str();
    let point = matches!(cloner, "tun" | "gif");
    let ethernet = !matches!(cloner, "lo" | "wg" | "tun" | "gif");
    put(0x1, "UP", link.up);
    put(0x2, "BROADCAST", ethernet);
    put(0x8, "LOOPBACK", cloner == "lo");
    put(0x10, "POINTOPOINT", point);
    // An epair carries 0x20 (IFF_KNOWSEPOCH), which ifconfig has no name for.
    let quiet = if cloner == "epair" { 0x20 } else { 0 };
    put(0x40, "RUNNING", cloner == "epair" || link.up);
    put(0x80, "NOARP", cloner == "wg");
    put(0x100, "PROMISC", link.promiscuous);
    put(0x800, "SIMPLEX", ethernet);
    put(0x8000, "MULTICAST", true);
    format!("flags={:x}<{}>", bits | quiet, names.join(","))
}

/// Prints one interface; the command's exit status.
pub fn print(ctx: &Context, link: &Link, style: &Style) -> i32 {
    println!("{}: {} metric 0 mtu {}", link.name, flags(link), link.mtu);
    let shows = |family: &str| style.only.as_deref().is_none_or(|only| only == family);
    let everything = style.only.is_none();
    let cloner = link.notes.cloner.as_str();
    if everything {
        match cloner {
            "epair" => println!("\toptions=8<VLAN_MTU>"),
            "wg" => println!("\toptions=80000<LINKSTATE>"),
            "lo" => println!("\toptions=680003<RXCSUM,TXCSUM,LINKSTATE,RXCSUM_IPV6,TXCSUM_IPV6>"),
            "bridge" => {}
            _ => println!("\toptions=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>"),
        }
        if !link.notes.description.is_empty() {
            println!("\tdescription: {}", link.notes.description);
        }
    }
    if !link.ether.is_empty() && cloner != "lo" && (shows("ether") || shows("link")) {
        println!("\tether {}", link.ether);
    }
    let addresses = match kernel::addresses(Some(&link.device)) {
        Ok(addresses) => addresses,
        Err(error) => return super::fail(error),
    };
    let mut has_v6 = false;
    for a in addresses.iter().filter(|a| !link.hides(&a.local)) {
        if a.v6 && shows("inet6") {
            has_v6 = true;
            let scope = if a.local.starts_with("fe80:") { format!("%{}", link.name) } else { String::new() };
            let tail = if scope.is_empty() { String::new() } else { format!(" scopeid 0x{:x}", link.index) };
            if style.inet6_cidr {
                println!("\tinet6 {}{scope}/{}{tail}", a.local, a.prefix);
            } else {
                println!("\tinet6 {}{scope} prefixlen {}{tail}", a.local, a.prefix);
            }
        } else if !a.v6 && shows("inet") {
            print_inet(a, style, cloner);
        }
    }
    if everything {
        if cloner == "bridge" {
            super::bridge::print(link);
        }
        print_tail(ctx, link, has_v6);
    }
    0
}

fn print_inet(a: &kernel::Address, style: &Style, cloner: &str) {
    let Some(own) = Prefix::parse(&format!("{}/{}", a.local, a.prefix), false) else {
        return;
    };
    let point = a.peer.as_ref().map(|peer| format!(" --> {peer}")).unwrap_or_default();
    let ethernet = !matches!(cloner, "lo" | "wg" | "tun" | "gif");
    let broadcast = match prefix::broadcast(own) {
        Some(address) if ethernet => format!(" broadcast {address}"),
        _ => String::new(),
    };
    if style.inet_cidr {
        println!("\tinet {}/{}{point}{broadcast}", a.local, a.prefix);
    } else {
        println!("\tinet {}{point} netmask {}{broadcast}", a.local, prefix::hex_mask(a.prefix));
    }
}

fn print_tail(ctx: &Context, link: &Link, has_v6: bool) {
    let groups = groups(link);
    if !groups.is_empty() {
        println!("\tgroups: {}", groups.join(" "));
    }
    let fib = fibs::interface(ctx, &link.device);
    if fib != 0 {
        println!("\tfib: {fib}");
    }
    if link.notes.tunnelfib != 0 {
        println!("\ttunnelfib: {}", link.notes.tunnelfib);
    }
    let cloner = link.notes.cloner.as_str();
    if !matches!(cloner, "bridge" | "wg" | "lo" | "tun" | "gif") {
        println!("\tmedia: Ethernet 10Gbase-T (10Gbase-T <full-duplex>)");
        println!("\tstatus: active");
    }
    // IFDISABLED goes away with the first IPv6 address.
    let nd6 = match (cloner, has_v6) {
        ("lo", _) => "21<PERFORMNUD,AUTO_LINKLOCAL>",
        ("wg", false) => "109<PERFORMNUD,IFDISABLED,NO_DAD>",
        ("wg", true) => "101<PERFORMNUD,NO_DAD>",
        ("bridge", false) => "9<PERFORMNUD,IFDISABLED>",
        ("bridge", true) => "1<PERFORMNUD>",
        (_, false) => "29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>",
        (_, true) => "21<PERFORMNUD,AUTO_LINKLOCAL>",
    };
    println!("\tnd6 options={nd6}");
}
