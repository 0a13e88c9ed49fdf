//! netstat(1) -r, as text and as libxo's JSON (recordings `netstat-*`).

use crate::context::Context;
use crate::freebsd::network::table;
use crate::freebsd::network::table::Entry;
use crate::net::fibs;

#[derive(Default)]
struct Options {
    json: bool,
    routes: bool,
    wide: bool,
    families: Vec<bool>,
    fib: Option<String>,
}

fn usage() -> i32 {
    eprintln!(
        "usage: netstat [-46AaCcLnPRSTWx] [-f protocol_family | -p protocol]\n       netstat -i | -I interface [-46abdhnW] [-f address_family]\n       netstat -r [-46AnW] [-F fibnum] [-f address_family]"
    );
    1
}

fn parse(args: &[String]) -> Option<Options> {
    let mut options = Options::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--libxo" {
            options.json = rest.next()?.starts_with("json");
            continue;
        }
        if let Some(style) = arg.strip_prefix("--libxo=") {
            options.json = style.starts_with("json");
            continue;
        }
        let letters = arg.strip_prefix('-').filter(|l| !l.is_empty() && !l.starts_with('-'))?;
        for (at, letter) in letters.char_indices() {
            match letter {
                'r' => options.routes = true,
                'n' | 'A' => {}
                'W' => options.wide = true,
                '4' => options.families.push(false),
                '6' => options.families.push(true),
                'F' | 'f' => {
                    let tail = &letters[at + 1..];
                    let value = if tail.is_empty() { rest.next()?.clone() } else { tail.to_string() };
                    if letter == 'F' {
                        options.fib = Some(value);
                    } else {
                        options.families.push(match value.as_str() {
                            "inet" => false,
                            "inet6" => true,
                            _ => return None,
                        });
                    }
                    break;
                }
                _ => return None,
            }
        }
    }
    if options.families.is_empty() {
        options.families = vec![false, true];
    }
    Some(options)
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = parse(args) else {
        return usage();
    };
    if !options.routes {
        eprintln!("netstat: the lab shows routing tables only (-r)");
        return 1;
    }
    let fib = match &options.fib {
        None => fibs::of_process(),
        Some(text) => match text.parse::<u32>() {
            Ok(fib) if fib > 0 && fib < fibs::count(ctx) => fib,
            // FIB 0 by name is refused (13.2), with another status than a FIB that is not there.
            Ok(0) => {
                if options.json {
                    println!("{{ }}");
                }
                eprintln!("netstat: 0: invalid fib");
                return 1;
            }
            _ => {
                eprintln!("netstat: {text}: invalid fib");
                return 64;
            }
        },
    };
    let mut families = Vec::new();
    for v6 in &options.families {
        match table::read(ctx, fib, *v6) {
            Ok(entries) => families.push((*v6, entries)),
            Err(error) => {
                eprintln!("netstat: {error}");
                return 1;
            }
        }
    }
    let print = if options.json { json } else { plain };
    print(fib, &families, options.wide);
    0
}

/// A number for every distinct next hop, as the kernel's index of nexthops.
fn nhop<'a>(known: &mut Vec<(String, &'a str, bool)>, entry: &'a Entry) -> usize {
    let key = (entry.via(), entry.interface.as_str(), entry.to.is_host());
    match known.iter().position(|k| *k == key) {
        Some(at) => at + 1,
        None => {
            known.push(key);
            known.len()
        }
    }
}

fn plain(fib: u32, families: &[(bool, Vec<Entry>)], wide: bool) {
    if fib == 0 {
        println!("Routing tables");
    } else {
        println!("Routing tables (fib: {fib})");
    }
    for (v6, entries) in families.iter().filter(|(_, entries)| !entries.is_empty()) {
        let (to, via) = if *v6 { (33, 29) } else { (18, 18) };
        println!("\n{}:", if *v6 { "Internet6" } else { "Internet" });
        let extra =
            if wide { format!("{:>6} {:>6} {:>10}", "Nhop#", "Mtu", "Netif") } else { format!("{:>8}", "Netif") };
        println!("{:<to$} {:<via$} {:<6} {extra} Expire", "Destination", "Gateway", "Flags");
        let mut known = Vec::new();
        for entry in entries {
            let number = nhop(&mut known, entry);
            let flags: String = entry.flags().iter().map(|(letter, _)| *letter).collect();
            let cut = |text: String, width: usize| {
                if wide { text } else { text.chars().take(width).collect() }
            };
            let tail = if wide {
                format!("{number:>6} {:>6} {:>10}", entry.mtu, entry.interface)
            } else {
                format!("{:>8}", cut(entry.interface.clone(), 8))
            };
            println!("{:<to$} {:<via$} {flags:<6} {tail}", cut(entry.destination(), to), cut(entry.via(), via));
        }
    }
}

fn json(fib: u32, families: &[(bool, Vec<Entry>)], wide: bool) {
    let mut out = String::from("{\"statistics\": {\"route-information\": {");
    if fib != 0 {
        out += &format!("\"fib\":{fib}, ");
    }
    let mut shown = Vec::new();
    for (v6, entries) in families.iter().filter(|(_, entries)| !entries.is_empty()) {
        let mut known = Vec::new();
        let lines: Vec<String> = entries
            .iter()
            .map(|entry| {
                let number = nhop(&mut known, entry);
                let flags: String = entry.flags().iter().map(|(letter, _)| *letter).collect();
                let pretty: Vec<String> =
                    entry.flags().iter().map(|(_, name)| format!("\"{name}\"")).collect();
                let extra = if wide { format!("\"nhop\":{number},\"mtu\":{},", entry.mtu) } else { String::new() };
                format!(
                    "{{\"destination\":\"{}\",\"gateway\":\"{}\",\"flags\":\"{flags}\", \"flags_pretty\": [{}],\"weight\":1,{extra}\"interface-name\":\"{}\"}}",
                    entry.destination(),
                    entry.via(),
                    pretty.join(","),
                    entry.interface
                )
            })
            .collect();
        let family = if *v6 { "Internet6" } else { "Internet" };
        shown.push(format!("{{\"address-family\":\"{family}\", \"rt-entry\": [{}]}}", lines.join(", ")));
    }
    out += &format!("\"route-table\": {{\"rt-family\": [{}]}}}}}}}}", shown.join(", "));
    println!("{out}");
}
