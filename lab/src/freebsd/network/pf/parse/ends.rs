//! Addresses, tables, interfaces and ports of a rule.

use super::super::model::End;
use super::super::model::Peer;
use super::super::model::Port;
use super::super::words::Word;
use super::super::words::Wrong;
use super::Parser;
use crate::freebsd::network::kernel;
use crate::freebsd::network::prefix::Prefix;

impl Parser {
    pub(super) fn port(&mut self) -> Result<Port, Wrong> {
        let op = ["!=", "<=", ">=", "=", "<", ">"].into_iter().find(|op| self.take(op)).unwrap_or("=");
        let text = self.bare()?;
        let number = |p: &Parser, text: &str| match text.parse() {
            Ok(port) => Ok(port),
            Err(_) => named_port(text).ok_or_else(|| p.wrong(&format!("unknown port {text}"))),
        };
        if let Some((low, high)) = text.split_once(':') {
            return Ok(Port { op: ":".into(), low: number(self, low)?, high: number(self, high)? });
        }
        let low = number(self, &text)?;
        Ok(Port { op: op.into(), low, high: low })
    }

    /// An address, table or interface; an interface without parentheses becomes its addresses now.
    pub(super) fn peers(&mut self) -> Result<Vec<(bool, Peer)>, Wrong> {
        let not = self.take("!");
        if self.take("<") {
            let name = self.bare()?;
            self.expect(">")?;
            return Ok(vec![(not, Peer::Table(name))]);
        }
        if self.take("(") {
            let name = self.bare()?;
            self.expect(")")?;
            return Ok(vec![(not, Peer::Interface(name))]);
        }
        let text = self.bare()?;
        if text == "any" {
            return Ok(vec![(not, Peer::Any)]);
        }
        if let Some(prefix) = Prefix::parse(&text, text.contains(':')).filter(|_| text.contains(['.', ':'])) {
            return Ok(vec![(not, Peer::Net(prefix.network().cidr()))]);
        }
        let found = interface_nets(&text);
        if found.is_empty() {
            self.at -= 1;
            return Err(self.wrong(&format!("no IP address found for {text}")));
        }
        Ok(found.into_iter().map(|net| (not, Peer::Net(net))).collect())
    }

    /// Every combination of the peers and ports written after `from` or `to`.
    pub(super) fn ends(&mut self) -> Result<Vec<End>, Wrong> {
        let peers = if matches!(self.peek(), Word::Bare(w) if w == "port") {
            vec![(false, Peer::Any)]
        } else {
            self.list(|p| p.peers())?.into_iter().flatten().collect()
        };
        let ports =
            if self.take("port") { self.list(|p| p.port())?.into_iter().map(Some).collect() } else { vec![None] };
        Ok(peers
            .iter()
            .flat_map(|(not, peer)| ports.iter().map(|port| End { not: *not, peer: peer.clone(), port: port.clone() }))
            .collect())
    }
}

/// `vtnet0`, `vtnet0:0`, `vtnet0:network` as networks, as they are now.
pub fn interface_nets(text: &str) -> Vec<String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let modifiers: Vec<&str> = parts.collect();
    let mut seen = [false, false];
    let mut nets = Vec::new();
    for a in kernel::addresses(Some(&kernel::device(name))).unwrap_or_default() {
        if a.local.starts_with("fe80:") {
            continue;
        }
        let first = !std::mem::replace(&mut seen[usize::from(a.v6)], true);
        if modifiers.contains(&"0") && !first {
            continue;
        }
        let whole = if a.v6 { 128 } else { 32 };
        let length = if modifiers.contains(&"network") { a.prefix } else { whole };
        if let Some(prefix) = Prefix::parse(&format!("{}/{length}", a.local), a.v6) {
            nets.push(prefix.network().cidr());
        }
    }
    nets
}

/// The number of a service of /etc/services.
pub(super) fn named_port(name: &str) -> Option<u16> {
    let text = std::fs::read_to_string("/etc/services").ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.split('/').next()?.parse().ok())?
    })
}
