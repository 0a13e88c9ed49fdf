//! pf's states are the kernel's connections: listing and killing them (contract 4.3).
//!
//! A difference that stays: pf keeps two states for a translated flow, one a side, the kernel keeps one connection. Killing by either side's address ends both here.

use std::net::IpAddr;
use std::process::Command;

use crate::freebsd::network::prefix::Prefix;
use crate::net::tool;

/// A connection.
#[derive(Clone, Debug)]
pub struct State {
    /// `tcp`, `udp`, `icmp` …
    pub proto: String,
    /// As it came in: source, destination, ports.
    pub original: Way,
    /// As the answers come.
    pub reply: Way,
    /// TCP's state.
    pub phase: String,
}

/// One direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// From.
    pub from: IpAddr,
    /// To.
    pub to: IpAddr,
    /// From this port.
    pub from_port: String,
    /// To this port.
    pub to_port: String,
}

/// All connections of this network namespace.
pub fn list() -> Vec<State> {
    std::fs::read_to_string("/proc/net/nf_conntrack").unwrap_or_default().lines().filter_map(read).collect()
}

fn read(line: &str) -> Option<State> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let values = |key: &str| -> Vec<String> {
        words.iter().filter_map(|w| w.strip_prefix(key)?.strip_prefix('=')).map(str::to_string).collect()
    };
    let (from, to) = (values("src"), values("dst"));
    let (from_port, to_port) = (values("sport"), values("dport"));
    let id = values("id");
    let way = |at: usize| {
        Some(Way {
            from: from.get(at)?.parse().ok()?,
            to: to.get(at)?.parse().ok()?,
            from_port: from_port.get(at).or(id.get(at)).cloned().unwrap_or_default(),
            to_port: to_port.get(at).or(id.get(at)).cloned().unwrap_or_default(),
        })
    };
    let phase = words.get(5).filter(|w| w.chars().all(|c| c.is_ascii_uppercase() || c == '_')).map_or("", |w| w);
    Some(State { proto: words.get(2)?.to_string(), original: way(0)?, reply: way(1)?, phase: phase.into() })
}

/// `pfctl -ss`.
pub fn show() {
    for state in list() {
        let phase = match (state.proto.as_str(), state.phase.as_str()) {
            ("tcp", "ESTABLISHED") => "ESTABLISHED:ESTABLISHED",
            ("tcp", "SYN_SENT") => "SYN_SENT:CLOSED",
            ("tcp", "TIME_WAIT") => "FIN_WAIT_2:FIN_WAIT_2",
            ("tcp", _) => "CLOSED:CLOSED",
            ("udp", _) => "MULTIPLE:MULTIPLE",
            _ => "0:0",
        };
        let end = |address: IpAddr, port: &str| match (address, port) {
            (_, "") => address.to_string(),
            (IpAddr::V4(a), port) => format!("{a}:{port}"),
            (IpAddr::V6(a), port) => format!("{a}[{port}]"),
        };
        let (o, r) = (&state.original, &state.reply);
        let inner = if o.from == r.to { String::new() } else { format!(" ({})", end(o.from, &o.from_port)) };
        let outer = if o.to == r.from { String::new() } else { format!(" ({})", end(o.to, &o.to_port)) };
        println!(
            "all {} {}{inner} -> {}{outer}       {phase}",
            state.proto,
            end(r.to, &r.to_port),
            end(r.from, &r.from_port)
        );
    }
}

/// `pfctl -k SOURCE [-k DESTINATION]`, with `-M` both ways; how many died.
///
/// A busy client leaves thousands of connections, so that all of a kind die by one command where conntrack(8) can tell
/// them by an address.
pub fn kill(source: Prefix, destination: Option<Prefix>, both_ways: bool) -> Result<usize, String> {
    let mut killed = 0;
    let pairs = [Some((source, destination)), both_ways.then_some((source, destination))];
    for (turned, pair) in pairs.into_iter().enumerate() {
        let Some((source, destination)) = pair else { continue };
        for starts in [Side::OriginalSource, Side::ReplyDestination] {
            for ends in [Side::OriginalDestination, Side::ReplySource] {
                let (from, to) = if turned == 0 { (starts, ends) } else { (ends, starts) };
                let hit = |state: &State| {
                    source.contains(from.of(state)) && destination.is_none_or(|d| d.contains(to.of(state)))
                };
                let dying: Vec<State> = list().into_iter().filter(hit).collect();
                let told = (from.told(source), destination.map_or(Some(Vec::new()), |d| to.told(d)));
                killed += match told {
                    _ if dying.is_empty() => 0,
                    (Some(from), Some(to)) if from.len() + to.len() > 0 => {
                        delete_all(&[from, to].concat(), source.address.is_ipv6())?;
                        dying.len()
                    }
                    _ => {
                        let mut gone = 0;
                        for state in &dying {
                            gone += usize::from(delete(state)?);
                        }
                        gone
                    }
                };
            }
        }
    }
    Ok(killed)
}

/// An address of a connection.
#[derive(Clone, Copy)]
enum Side {
    OriginalSource,
    OriginalDestination,
    ReplySource,
    ReplyDestination,
}

impl Side {
    fn of(self, state: &State) -> IpAddr {
        match self {
            Side::OriginalSource => state.original.from,
            Side::OriginalDestination => state.original.to,
            Side::ReplySource => state.reply.from,
            Side::ReplyDestination => state.reply.to,
        }
    }

    /// conntrack's words for it: none for every address, and none at all where it would take a mask.
    fn told(self, prefix: Prefix) -> Option<Vec<String>> {
        let option = match self {
            Side::OriginalSource => "--orig-src",
            Side::OriginalDestination => "--orig-dst",
            Side::ReplySource => "--reply-src",
            Side::ReplyDestination => "--reply-dst",
        };
        match prefix.length {
            0 => Some(Vec::new()),
            _ if prefix.is_host() => Some(vec![option.to_string(), prefix.address.to_string()]),
            _ => None,
        }
    }
}

fn delete_all(words: &[String], v6: bool) -> Result<(), String> {
    let mut command = Command::new(tool("conntrack"));
    command.arg("-D").args(words);
    if v6 {
        command.args(["-f", "ipv6"]);
    }
    // It fails when all have ended by themselves meanwhile.
    command.output().map_err(|e| format!("conntrack: {e} (Debian package conntrack)"))?;
    Ok(())
}

/// `pfctl -F states`; how many there were.
pub fn flush() -> Result<usize, String> {
    let any = |v6| Prefix::parse("default", v6).ok_or_else(|| "no such prefix".to_string());
    Ok(kill(any(false)?, None, false)? + kill(any(true)?, None, false)?)
}

fn delete(state: &State) -> Result<bool, String> {
    let way = &state.original;
    let mut command = Command::new(tool("conntrack"));
    command.args(["-D", "-p", &state.proto, "--orig-src", &way.from.to_string(), "--orig-dst", &way.to.to_string()]);
    if matches!(state.proto.as_str(), "tcp" | "udp") {
        command.args(["--sport", &way.from_port, "--dport", &way.to_port]);
    } else if state.proto.starts_with("icmp") && !way.from_port.is_empty() {
        let option = if way.from.is_ipv6() { "--icmpv6-id" } else { "--icmp-id" };
        command.args([option, &way.from_port]);
    }
    if way.from.is_ipv6() {
        command.args(["-f", "ipv6"]);
    }
    let output = command.output().map_err(|e| format!("conntrack: {e} (Debian package conntrack)"))?;
    // It may have ended by itself meanwhile.
    Ok(output.status.success())
}
