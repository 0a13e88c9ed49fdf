//! route(8)'s command line.

use std::net::IpAddr;

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::prefix;
use crate::freebsd::network::prefix::Prefix;
use crate::net::fibs;

/// The flags before the verb.
#[derive(Debug, Default)]
pub struct Flags {
    /// `-q`.
    pub quiet: bool,
    /// `-4`, `-6`.
    pub v6: Option<bool>,
    /// A flag that route(8) does not have.
    pub unknown: Option<String>,
}

/// The next hop that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Through a gateway.
    Gateway(IpAddr),
    /// `-interface NAME`.
    Interface(String),
    /// Not said.
    None,
}

/// A command line, understood.
#[derive(Clone, Debug)]
pub struct Request {
    /// `add`, `delete`, `change` or `get`.
    pub verb: String,
    /// Where to.
    pub to: Prefix,
    /// The destination as typed, for the echo.
    pub typed: String,
    /// Was a mask or length given (or `-net`, `-host`)? A lookup is then for exactly this prefix.
    pub masked: bool,
    /// Is the echo `host` or `net`?
    pub host: bool,
    /// The next hop.
    pub hop: Hop,
    /// The gateway as typed.
    pub hop_typed: Option<String>,
    /// `-ifp NAME`.
    pub ifp: Option<String>,
    /// The FIBs to work on.
    pub fibs: Vec<u32>,
    /// Was `-fib` given? Then the echo says so.
    pub fib_given: bool,
    /// `-reject`.
    pub reject: bool,
    /// `-blackhole`.
    pub blackhole: bool,
}

/// Why a command line is refused.
#[derive(Debug)]
pub struct Refusal {
    /// What to print on standard error.
    pub text: String,
    /// The exit status (sysexits).
    pub status: i32,
}

fn refuse(status: i32, text: impl Into<String>) -> Refusal {
    Refusal { text: text.into(), status }
}

/// Takes the flags off the front.
pub fn flags(args: &[String]) -> (Flags, &[String]) {
    let mut flags = Flags::default();
    let mut rest = args;
    while let Some(letters) = rest.first().and_then(|arg| arg.strip_prefix('-')) {
        for letter in letters.chars() {
            match letter {
                '4' => flags.v6 = Some(false),
                '6' => flags.v6 = Some(true),
                'q' => flags.quiet = true,
                'd' | 'n' | 't' | 'v' => {}
                other => flags.unknown = Some(other.to_string()),
            }
        }
        rest = &rest[1..];
    }
    (flags, rest)
}

/// Reads what follows the verb.
pub fn request(ctx: &Context, flags: &Flags, verb: &str, args: &[String]) -> Result<Request, Refusal> {
    if let Some(letter) = &flags.unknown {
        return Err(refuse(
            64,
            format!("route: illegal option -- {letter}\nusage: route [-j jail] [-46dnqtv] command [[modifiers] args]"),
        ));
    }
    let mut v6 = flags.v6;
    let (mut net, mut host, mut interface) = (false, false, false);
    let (mut reject, mut blackhole) = (false, false);
    let (mut ifp, mut fib, mut length) = (None, None, None);
    let mut words: Vec<&str> = Vec::new();
    let mut rest = args.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        let Some(option) = word.strip_prefix('-') else {
            words.push(word);
            continue;
        };
        let mut value =
            || rest.next().ok_or_else(|| refuse(64, format!("route: option requires an argument -- {option}")));
        match option {
            "inet" | "4" => v6 = Some(false),
            "inet6" | "6" => v6 = Some(true),
            "net" => net = true,
            "host" => host = true,
            "interface" | "iface" => interface = true,
            "reject" => reject = true,
            "blackhole" => blackhole = true,
            "ifp" => ifp = Some(value()?.to_string()),
            "fib" => fib = Some(value()?.to_string()),
            "ifa" | "mtu" | "weight" | "expire" | "gateway" | "dst" | "genmask" => drop(value()?),
            "netmask" => {
                let text = value()?;
                length = prefix::mask_length(text);
                if length.is_none() {
                    return Err(refuse(68, format!("route: bad address: {text}")));
                }
            }
            "prefixlen" => length = value()?.parse().ok(),
            "static" | "nostatic" | "sticky" | "proto1" | "proto2" | "link" | "cloning" => {}
            _ => {
                return Err(refuse(
                    64,
                    format!(
                        "route: bad keyword: {option}\nusage: route [-j jail] [-46dnqtv] command [[modifiers] args]"
                    ),
                ));
            }
        }
    }
    let fibs = match &fib {
        Some(list) => fib_list(ctx, list)?,
        None => vec![fibs::of_process()],
    };
    let mut words = words.into_iter();
    let Some(typed) = words.next() else {
        return Err(refuse(64, "usage: route [-j jail] [-46dnqtv] command [[modifiers] args]"));
    };
    let v6 = v6.unwrap_or(typed.contains(':'));
    let mut to = Prefix::parse(typed, v6).ok_or_else(|| refuse(68, format!("route: bad address: {typed}")))?;
    let masked = length.is_some() || typed.contains('/') || typed == "default";
    if let Some(length) = length.filter(|n| *n <= prefix::bits(to.address)) {
        to.length = length;
    }
    let unspecified = to.address.is_unspecified();
    if !masked && unspecified && !host {
        to.length = 0;
    } else if !masked && net && !v6 {
        // An old-style network name: as long as its last non-zero byte.
        let IpAddr::V4(a) = to.address else { unreachable!("v6 is false") };
        to.length = 32 - (a.to_bits().trailing_zeros() / 8 * 8).min(24) as u8;
    }
    let hop_typed = words.next().map(str::to_string);
    let hop = match &hop_typed {
        None => Hop::None,
        Some(name) if interface => {
            if kernel::find(name).ok().flatten().is_none() {
                return Err(refuse(65, format!("route: interface '{name}' does not exist")));
            }
            Hop::Interface(name.clone())
        }
        Some(text) => {
            let address = text
                .split('%')
                .next()
                .unwrap_or(text)
                .parse()
                .map_err(|_| refuse(68, format!("route: bad address: {text}")))?;
            Hop::Gateway(address)
        }
    };
    Ok(Request {
        verb: if verb == "del" { "delete".into() } else { verb.into() },
        host: host || (!net && !masked && to.is_host()),
        to,
        typed: typed.to_string(),
        masked: masked || net,
        hop,
        hop_typed,
        ifp,
        fibs,
        fib_given: fib.is_some(),
        reject,
        blackhole,
    })
}

/// `all`, `default`, `N`, `A-B`, comma lists (sbin/route/route.c:265-352).
fn fib_list(ctx: &Context, text: &str) -> Result<Vec<u32>, Refusal> {
    let bad = || refuse(64, format!("route: invalid fib number: {text}"));
    let count = fibs::count(ctx);
    let mut list = Vec::new();
    for part in text.split(',') {
        match part {
            "all" => list.extend(0..count),
            "default" => list.push(fibs::of_process()),
            _ => match part.split_once('-') {
                Some((from, to)) => {
                    let (from, to): (u32, u32) = (from.parse().map_err(|_| bad())?, to.parse().map_err(|_| bad())?);
                    if from >= to || to >= count {
                        return Err(bad());
                    }
                    list.extend(from..=to);
                }
                None => {
                    let fib: u32 = part.parse().map_err(|_| bad())?;
                    if fib >= count {
                        return Err(bad());
                    }
                    list.push(fib);
                }
            },
        }
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}
