//! `route get` (contract 1.3).

use crate::context::Context;
use crate::freebsd::network::route::parse::Request;
use crate::freebsd::network::table;
use crate::freebsd::network::table::Entry;

/// Prints what the first FIB asked for says about a destination; 255 when it says nothing.
pub fn run(ctx: &Context, request: &Request) -> i32 {
    let fib = request.fibs.first().copied().unwrap_or(0);
    let entries = match table::read(ctx, fib, request.to.address.is_ipv6()) {
        Ok(entries) => entries,
        Err(error) => {
            eprintln!("route: {error}");
            return 1;
        }
    };
    // With a mask: exactly this prefix. Without: the longest match (contract 0.2).
    let found = if request.masked {
        table::exact(&entries, request.to).first().copied()
    } else {
        table::longest(&entries, request.to.address)
    };
    match found {
        Some(entry) => {
            print(request, fib, entry);
            0
        }
        None => {
            eprintln!("route: route has not been found");
            255
        }
    }
}

fn print(request: &Request, fib: u32, entry: &Entry) {
    let name = |prefix: crate::freebsd::network::prefix::Prefix| {
        if prefix.length == 0 { "default".to_string() } else { prefix.address.to_string() }
    };
    println!("   route to: {}", name(request.to));
    println!("destination: {}", name(entry.to));
    if !entry.to.is_host() {
        println!("       mask: {}", mask(entry));
    }
    if let Some(gateway) = entry.gateway {
        println!("    gateway: {gateway}");
    }
    println!("        fib: {fib}");
    println!("  interface: {}", entry.interface);
    let mut flags = vec!["UP"];
    if entry.gateway.is_some() {
        flags.push("GATEWAY");
    }
    if entry.to.is_host() {
        flags.push("HOST");
    }
    if entry.reject {
        flags.push("REJECT");
    }
    flags.push("DONE");
    if entry.fixed {
        flags.push("STATIC");
    }
    if entry.blackhole {
        flags.push("BLACKHOLE");
    }
    if !entry.fixed || entry.own {
        flags.push("PINNED");
    }
    println!("      flags: <{}>", flags.join(","));
    println!(" recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire");
    println!("       0         0         0         0 {:>9}         1         0 ", entry.mtu);
}

fn mask(entry: &Entry) -> String {
    let length = u32::from(entry.to.length);
    if length == 0 {
        return "default".into();
    }
    if entry.to.address.is_ipv4() {
        std::net::Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - length).unwrap_or(0)).to_string()
    } else {
        std::net::Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - length).unwrap_or(0)).to_string()
    }
}
