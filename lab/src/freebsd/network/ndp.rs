//! ndp(8): the neighbour cache of IPv6 (recording `ndp`).

use crate::context::Context;
use crate::freebsd::network::kernel;

fn usage() -> i32 {
    eprintln!(
        "usage: ndp [-nt] hostname\n       ndp [-nt] -a | -c | -p | -r | -H | -P | -R\n       ndp [-nt] -A wait\n       ndp [-nt] -d hostname\n       ndp [-nt] -f filename\n       ndp [-nt] -i interface [flags...]\n       ndp [-nt] -s nodename etheraddr [temp] [proxy]"
    );
    1
}

/// The command.
pub fn run(_ctx: &Context, args: &[String]) -> i32 {
    let letters: String = args.iter().filter_map(|a| a.strip_prefix('-')).collect();
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let verb = letters.chars().find(|c| "acdsprHPRiAf".contains(*c));
    match (verb, words.as_slice()) {
        (Some('a'), []) => show(None),
        (None, [address]) => show(Some(address)),
        (Some('d'), [address, ..]) => delete(address),
        (Some('c'), []) => match kernel::ip(&["-6", "neigh", "flush", "all"]) {
            Ok(_) => 0,
            Err(error) => fail(error),
        },
        (Some('s'), [address, mac, rest @ ..]) => set(address, mac, rest.iter().any(|w| *w == "proxy")),
        (Some('i'), [_, ..]) | (Some('p' | 'r' | 'H' | 'P' | 'R'), []) => 0,
        _ => usage(),
    }
}

fn fail(text: impl std::fmt::Display) -> i32 {
    eprintln!("ndp: {text}");
    1
}

fn show(only: Option<&str>) -> i32 {
    let (links, addresses, neighbours) =
        match (kernel::links(), kernel::addresses(None), kernel::ip_list(&["-6", "neigh", "show"])) {
            (Ok(links), Ok(addresses), Ok(neighbours)) => (links, addresses, neighbours),
            _ => return fail("cannot read the cache"),
        };
    let mut lines = Vec::new();
    for n in &neighbours {
        let mac = kernel::text(n, "lladdr");
        let state = n["state"][0].as_str().unwrap_or_default();
        // An interface without an IPv6 address takes part in none of it (IFDISABLED).
        let enabled = addresses.iter().any(|a| a.v6 && n["dev"] == a.device.as_str());
        if mac.is_empty() || state == "NOARP" || !enabled {
            continue;
        }
        let (life, letter) = match state {
            "REACHABLE" => ("23h59m58s", "R"),
            "DELAY" => ("3s", "D"),
            "PROBE" => ("1s", "P"),
            "PERMANENT" => ("permanent", "R"),
            _ => ("23h59m58s", "S"),
        };
        let router = if n["router"].is_null() { "" } else { " R" };
        lines.push((
            kernel::text(n, "dst"),
            mac,
            kernel::freebsd_name(&kernel::text(n, "dev")),
            life,
            format!("{letter}{router}"),
        ));
    }
    for a in addresses.iter().filter(|a| a.v6) {
        let Some(link) = links.iter().find(|l| l.device == a.device && !l.ether.is_empty() && !l.hides(&a.local))
        else {
            continue;
        };
        lines.push((a.local.clone(), link.ether.clone(), link.name.clone(), "permanent", "R".into()));
    }
    if let Some(only) = only {
        lines.retain(|line| line.0 == only);
        if lines.is_empty() {
            println!("{only} ({only}) -- no entry");
            return 1;
        }
    }
    println!("Neighbor                             Linklayer Address  Netif Expire    1s 5s");
    for (address, mac, interface, life, state) in lines {
        println!("{address:<36} {mac:<17}  {interface:>6} {life:<9} {state}");
    }
    0
}

fn delete(address: &str) -> i32 {
    let list = match kernel::ip_list(&["-6", "neigh", "show"]) {
        Ok(list) => list,
        Err(error) => return fail(error),
    };
    match list.iter().find(|n| n["dst"] == address && !n["lladdr"].is_null()) {
        None => fail("writing to routing socket: No such process"),
        Some(n) => match kernel::ip(&["-6", "neigh", "del", address, "dev", &kernel::text(n, "dev")]) {
            Ok(_) => {
                println!("{address} ({address}) deleted");
                0
            }
            Err(error) => fail(error),
        },
    }
}

/// `ndp -s`. With `proxy` it is taken and does nothing useful, as on 13.2 (contract 10.9).
fn set(address: &str, mac: &str, proxy: bool) -> i32 {
    if proxy {
        return 0;
    }
    let device = kernel::ip_list(&["-6", "route", "get", address]).unwrap_or_default();
    let device = device.first().map(|r| kernel::text(r, "dev")).unwrap_or_default();
    match kernel::ip(&["-6", "neigh", "replace", address, "lladdr", mac, "dev", &device, "nud", "permanent"]) {
        Ok(_) => 0,
        Err(error) => fail(error),
    }
}
