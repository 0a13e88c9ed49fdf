//! pf's rules as values, and how pfctl(8) prints them.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::Serialize;

use crate::freebsd::network::prefix::Prefix;

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// `pass`
    Pass,
    /// `block drop`, `block return`
    Block(String),
    /// `nat`, `no nat`
    Nat(bool),
    /// `rdr`, `no rdr`
    Rdr(bool),
    /// `scrub`
    Scrub,
    /// `anchor`, `nat-anchor`, `rdr-anchor`, `binat-anchor`, with the anchor's name
    Anchor(String, String),
}

/// One end of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// Everybody.
    Any,
    /// `A/len`.
    Net(String),
    /// `<table>`.
    Table(String),
    /// `(if)`, `(if:0)`, `(if:network)`: looked up when the rules are put into the kernel.
    Interface(String),
}

/// A comparison of ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `=`, `!=`, `<`, `>`, `<=`, `>=` or `:` (a range).
    pub op: String,
    /// The port, or the lower end.
    pub low: u16,
    /// The upper end of a range.
    pub high: u16,
}

/// An end with its negation and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// `!`
    pub not: bool,
    /// Who.
    pub peer: Peer,
    /// Which port.
    pub port: Option<Port>,
}

impl End {
    /// Everybody, any port.
    pub fn any() -> End {
        End { not: false, peer: Peer::Any, port: None }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// `in`, `out`.
    pub direction: Option<String>,
    /// `log`.
    pub log: bool,
    /// `quick`.
    pub quick: bool,
    /// `on [!] IF`.
    pub interface: Option<(bool, String)>,
    /// `inet` (false), `inet6` (true).
    pub v6: Option<bool>,
    /// `proto`.
    pub proto: Option<String>,
    /// `from`.
    pub from: End,
    /// `to`.
    pub to: End,
    /// `->`.
    pub target: Option<Peer>,
    /// The target's port.
    pub target_port: Option<u16>,
    /// `keep state` (no: `no state`).
    pub state: bool,
    /// `flags` as written, else `S/SA` where a state is kept for TCP.
    pub flags: Option<String>,
    /// `rdr pass`.
    pub pass: bool,
    /// `label`.
    pub label: Option<String>,
}

/// The rules of the main ruleset or an anchor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// All rules, in order.
    pub rules: Vec<Rule>,
}

/// `-P`: ports as numbers.
pub static NUMERIC: AtomicBool = AtomicBool::new(false);

fn service(port: u16, proto: Option<&str>) -> String {
    if NUMERIC.load(Ordering::Relaxed) {
        return port.to_string();
    }
    let wanted = format!("{port}/{}", proto.unwrap_or("tcp"));
    std::fs::read_to_string("/etc/services")
        .unwrap_or_default()
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            (words.next()? == wanted).then(|| name.to_string())
        })
        .unwrap_or_else(|| port.to_string())
}

/// A network as pf prints it: a host has no length.
pub fn net(text: &str) -> String {
    match Prefix::parse(text, text.contains(':')) {
        Some(prefix) if prefix.is_host() => prefix.address.to_string(),
        _ => text.to_string(),
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Any => write!(f, "any"),
            Peer::Net(text) => write!(f, "{}", net(text)),
            Peer::Table(name) => write!(f, "<{name}>"),
            Peer::Interface(name) => write!(f, "({name})"),
        }
    }
}

impl Rule {
    fn end(&self, end: &End) -> String {
        let mut text = if end.not { "! ".to_string() } else { String::new() };
        text += &end.peer.to_string();
        if let Some(port) = &end.port {
            let name = |n| service(n, self.proto.as_deref());
            text += &match port.op.as_str() {
                ":" => format!(" port {}:{}", port.low, port.high),
                op => format!(" port {op} {}", name(port.low)),
            };
        }
        text
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let no = |yes: bool| if yes { "" } else { "no " };
        match &self.action {
            Action::Pass => write!(f, "pass")?,
            Action::Block(how) => write!(f, "block {how}")?,
            Action::Nat(yes) => write!(f, "{}nat", no(*yes))?,
            Action::Rdr(yes) => write!(f, "{}rdr", no(*yes))?,
            Action::Scrub => write!(f, "scrub")?,
            Action::Anchor(kind, name) => write!(f, "{kind} \"{name}\"")?,
        }
        if self.pass {
            write!(f, " pass")?;
        }
        if let Some(direction) = &self.direction {
            write!(f, " {direction}")?;
        }
        if self.log {
            write!(f, " log")?;
        }
        if self.quick {
            write!(f, " quick")?;
        }
        if let Some((not, name)) = &self.interface {
            write!(f, " on {}{name}", if *not { "! " } else { "" })?;
        }
        if let Some(v6) = self.v6 {
            write!(f, " {}", if v6 { "inet6" } else { "inet" })?;
        }
        if let Some(proto) = &self.proto {
            write!(f, " proto {proto}")?;
        }
        if self.from == End::any() && self.to == End::any() {
            write!(f, " all")?;
        } else {
            write!(f, " from {} to {}", self.end(&self.from), self.end(&self.to))?;
        }
        if matches!(self.action, Action::Pass) {
            if self.state {
                if self.proto.as_deref().is_none_or(|p| p == "tcp") {
                    write!(f, " flags {}", self.flags.as_deref().unwrap_or("S/SA"))?;
                }
                write!(f, " keep state")?;
            } else {
                write!(f, " no state")?;
            }
        }
        if matches!(self.action, Action::Scrub) {
            write!(f, " fragment reassemble")?;
        }
        if let Some(label) = &self.label {
            write!(f, " label \"{label}\"")?;
        }
        if let Some(target) = &self.target {
            write!(f, " -> {target}")?;
        }
        if let Some(port) = self.target_port {
            write!(f, " port {port}")?;
        }
        Ok(())
    }
}
