//! arp(8) (contract 6.4, recordings `arp*`).

use serde_json::Value;

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;

/// One line of the cache.
struct Entry {
    address: String,
    mac: String,
    interface: String,
    kind: &'static str,
    permanent: bool,
    published: bool,
    /// The host's own address, whose entry goes with the address only.
    own: bool,
}

fn usage() -> i32 {
    eprintln!(
        "usage: arp [-n] [-i interface] hostname\n       arp [-n] [-i interface] -a\n       arp -d hostname [pub]\n       arp -d [-i interface] -a\n       arp -s hostname ether_addr [temp] [reject | blackhole] [pub [only]]\n       arp -S hostname ether_addr [temp] [reject | blackhole] [pub [only]]\n       arp -f filename"
    );
    1
}

fn fail(text: impl std::fmt::Display) -> i32 {
    eprintln!("arp: {text}");
    1
}

/// The command.
pub fn run(_ctx: &Context, args: &[String]) -> i32 {
    let (mut all, mut delete, mut set, mut json) = (false, false, false, false);
    let mut interface = None;
    let mut words = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.strip_prefix('-') {
            Some("-libxo") => json = rest.next().is_some_and(|s| s.starts_with("json")),
            Some("-libxo=json") => json = true,
            Some(letters) if !letters.is_empty() => {
                for letter in letters.chars() {
                    match letter {
                        'a' => all = true,
                        'd' => delete = true,
                        's' | 'S' => set = true,
                        'n' => {}
                        'i' => interface = rest.next().cloned(),
                        _ => return usage(),
                    }
                }
            }
            _ => words.push(arg.as_str()),
        }
    }
    if set {
        return publish(&words);
    }
    let cache = match cache() {
        Ok(cache) => cache,
        Err(error) => return fail(error),
    };
    let shown: Vec<&Entry> =
        cache.iter().filter(|e| interface.as_ref().is_none_or(|wanted| *wanted == e.interface)).collect();
    match (delete, all, words.as_slice()) {
        (true, true, _) => shown.iter().filter(|e| !e.permanent || e.published).map(|e| remove(e)).max().unwrap_or(0),
        (true, false, [address, ..]) => match shown.iter().find(|e| e.address == *address && !e.own) {
            Some(entry) => remove(entry),
            None => fail("writing to routing socket: No such file or directory"),
        },
        (false, true, _) => {
            print(&shown, json);
            0
        }
        (false, false, [address]) => match shown.iter().find(|e| e.address == *address) {
            Some(entry) => {
                print(&[entry], json);
                0
            }
            None => {
                println!("{address} ({address}) -- no entry");
                1
            }
        },
        _ => usage(),
    }
}

/// The kernel's cache: own addresses, what is published, what was learnt.
fn cache() -> std::io::Result<Vec<Entry>> {
    let links = kernel::links()?;
    let link = |device: &str| links.iter().find(|l| l.device == device);
    let kind = |link: Option<&Link>| if link.is_some_and(|l| l.kind == "bridge") { "bridge" } else { "ethernet" };
    let mut entries = Vec::new();
    for proxy in kernel::ip_list(&["-4", "neigh", "show", "proxy"])? {
        let device = kernel::text(&proxy, "dev");
        let known = link(&device);
        entries.push(Entry {
            address: kernel::text(&proxy, "dst"),
            mac: known.map(|l| l.ether.clone()).unwrap_or_default(),
            interface: kernel::freebsd_name(&device),
            kind: kind(known),
            permanent: true,
            published: true,
            own: false,
        });
    }
    for address in kernel::addresses(None)?.into_iter().filter(|a| !a.v6) {
        let known = link(&address.device);
        if known.is_none_or(|l| l.ether.is_empty()) {
            continue;
        }
        entries.push(Entry {
            address: address.local,
            mac: known.map(|l| l.ether.clone()).unwrap_or_default(),
            interface: kernel::freebsd_name(&address.device),
            kind: kind(known),
            permanent: true,
            published: false,
            own: true,
        });
    }
    for neighbour in kernel::ip_list(&["-4", "neigh", "show"])? {
        let device = kernel::text(&neighbour, "dev");
        let has = |state: &str| neighbour["state"].as_array().is_some_and(|s| s.contains(&Value::from(state)));
        if neighbour["lladdr"].is_null() || has("NOARP") {
            continue;
        }
        entries.push(Entry {
            address: kernel::text(&neighbour, "dst"),
            mac: kernel::text(&neighbour, "lladdr"),
            interface: kernel::freebsd_name(&device),
            kind: kind(link(&device)),
            permanent: has("PERMANENT"),
            published: false,
            own: false,
        });
    }
    // FreeBSD keeps a cache an interface, the newest interface's first.
    let place = |entry: &Entry| links.iter().position(|l| l.name == entry.interface);
    entries.sort_by_key(|entry| std::cmp::Reverse(place(entry)));
    Ok(entries)
}

fn print(entries: &[&Entry], json: bool) {
    // FreeBSD's default life of an entry; Linux does not tell when it will drop one.
    let expires = 1200;
    if json {
        let list: Vec<String> = entries
            .iter()
            .map(|e| {
                let life = if e.permanent { "\"permanent\":true".into() } else { format!("\"expires\":{expires}") };
                let published = if e.published { ",\"published\":true" } else { "" };
                format!(
                    "{{\"hostname\":\"?\",\"ip-address\":\"{}\",\"mac-address\":\"{}\",\"interface\":\"{}\",{life}{published},\"type\":\"{}\"}}",
                    e.address, e.mac, e.interface, e.kind
                )
            })
            .collect();
        println!("{{\"__version\": \"1\", \"arp\": {{\"arp-cache\": [{}]}}}}", list.join(", "));
        return;
    }
    for e in entries {
        let life = if e.permanent { " permanent".into() } else { format!(" expires in {expires} seconds") };
        let published = if e.published { " published" } else { "" };
        println!("? ({}) at {} on {}{life}{published} [{}]", e.address, e.mac, e.interface, e.kind);
    }
}

fn remove(entry: &Entry) -> i32 {
    let device = kernel::device(&entry.interface);
    let result = if entry.published {
        kernel::ip(&["neigh", "del", "proxy", &entry.address, "dev", &device])
    } else {
        kernel::ip(&["neigh", "del", &entry.address, "dev", &device])
    };
    match result {
        Ok(_) => {
            println!("{0} ({0}) deleted", entry.address);
            0
        }
        Err(error) => fail(error),
    }
}

/// `arp -s ADDR auto pub`, or with a MAC address.
fn publish(words: &[&str]) -> i32 {
    let [address, mac, rest @ ..] = words else {
        return usage();
    };
    let Ok(parsed) = address.parse::<std::net::Ipv4Addr>() else {
        return fail(format_args!("{address}: hostname nor servname provided, or not known"));
    };
    // It must lie in the subnet of an own interface, and no route may lead elsewhere (contract 6.4).
    let addresses = kernel::addresses(None).unwrap_or_default();
    let on = addresses.iter().filter(|a| !a.v6).find(|a| {
        super::prefix::Prefix::parse(&format!("{}/{}", a.local, a.prefix), false)
            .is_some_and(|p| !p.is_host() && p.contains(parsed.into()))
    });
    let route = kernel::ip_list(&["route", "get", address]).unwrap_or_default();
    let leaves_by = route.first().map(|r| kernel::text(r, "dev")).unwrap_or_default();
    let Some(own) = on.filter(|a| a.device == leaves_by) else {
        eprintln!("arp: cannot intuit interface index and type for {address}");
        return 1;
    };
    let link = kernel::find(&kernel::freebsd_name(&own.device)).ok().flatten();
    let ether = link.map(|l| l.ether).unwrap_or_default();
    let result = if rest.contains(&"pub") {
        if *mac == "auto" {
            println!("using interface {} for proxy with address {ether}", kernel::freebsd_name(&own.device));
        }
        kernel::ip(&["neigh", "replace", "proxy", address, "dev", &own.device])
    } else {
        kernel::ip(&["neigh", "replace", address, "lladdr", mac, "dev", &own.device, "nud", "permanent"])
    };
    match result {
        Ok(_) => 0,
        Err(error) => fail(error),
    }
}
