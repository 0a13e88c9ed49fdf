//! pf's translation rules as text: reading those that `pfctl -s nat` shows, writing those of a jail's anchor.
//!
//! Written in the classic syntax, which every release reads (contract 4.4), and spelled as `pfctl -P -s nat` prints it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::Prefix;
use crate::model::TableName;
use crate::playbook::Outside;
use crate::playbook::Proto;

type Tables = BTreeMap<TableName, BTreeSet<Prefix>>;

/// The table that a rule `nat … from <T> …` translates.
#[must_use]
pub fn translated_table(rule: &str) -> Option<&str> {
    let mut words = rule.split_whitespace();
    if words.next() != Some("nat") {
        return None;
    }
    words.skip_while(|w| *w != "from").nth(1)?.strip_prefix('<')?.strip_suffix('>')
}

/// The interface of a rule `nat on IF …`.
#[must_use]
pub fn translates_on(rule: &str) -> Option<&str> {
    let mut words = rule.split_whitespace();
    if words.next() != Some("nat") {
        return None;
    }
    words.skip_while(|w| *w != "on").nth(1)
}

/// Does `nat on IF inet from X to Y -> Z` translate the prefix? X is any, a prefix, an address or a table.
#[must_use]
pub fn covers(rule: &str, prefix: Prefix, tables: &Tables) -> bool {
    let mut words = rule.split_whitespace();
    if words.next() != Some("nat") {
        return false;
    }
    if let Some(table) = translated_table(rule) {
        return tables.iter().any(|(name, entries)| name.as_str() == table && entries.iter().any(|e| e.covers(prefix)));
    }
    let Some(from) = words.skip_while(|w| *w != "from").nth(1) else {
        return rule.contains(" all ");
    };
    from == "any"
        || from.parse::<Prefix>().is_ok_and(|p| p.covers(prefix))
        || from.parse().is_ok_and(|a| Prefix::host(a).covers(prefix))
}

/// Does the main ruleset evaluate the anchors `jailferry/*` of that kind (`nat` or `rdr`)?
#[must_use]
pub fn references(rules: &[String], kind: &str, anchor: &str) -> bool {
    let names = ["\"jailferry/*\"".to_owned(), format!("\"{anchor}\""), "\"*\"".to_owned()];
    rules.iter().any(|rule| {
        let mut words = rule.split_whitespace();
        words.next() == Some(&format!("{kind}-anchor")) && words.next().is_some_and(|n| names.iter().any(|k| k == n))
    })
}

/// The rule by which a prefix leaves with the interface's own address, whatever that is at the time.
#[must_use]
pub fn nat(interface: &InterfaceName, prefix: Prefix) -> String {
    let from = if prefix.is_host() { prefix.network().to_string() } else { prefix.to_string() };
    format!("nat on {interface} {} from {from} to any -> ({interface}:0)", prefix.family())
}

/// A port forward, as read or to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The protocol.
    pub proto: Proto,
    /// The interface at which it arrives.
    pub interface: InterfaceName,
    /// To every address of the interface, or to one.
    pub on: Outside,
    /// The port outside.
    pub port: u16,
    /// The address inside.
    pub address: IpAddr,
    /// The port inside.
    pub to: u16,
}

impl Forward {
    /// The rule.
    #[must_use]
    pub fn rule(&self) -> String {
        let Forward { proto, interface, port, address, to, .. } = self;
        let on = match &self.on {
            Outside::Interface(name) => format!("({name})"),
            Outside::Address(address) => address.to_string(),
        };
        let family = Family::of(*address);
        format!("rdr on {interface} {family} proto {proto} from any to {on} port = {port} -> {address} port {to}")
    }

    /// Would that rule take this forward's packets? `rdr on IF inet proto P from X to Y port = N -> A port M`, with
    /// names for ports that pfctl(8) knows by name, in any order of conditions that it prints.
    #[must_use]
    pub fn taken_by(&self, rule: &str) -> bool {
        let words: Vec<&str> = rule.split_whitespace().collect();
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
        if words.first() != Some(&"rdr") {
            return false;
        }
        let family = Family::of(self.address).to_string();
        let others = |key: &str, own: &str| after(key).is_some_and(|v| v != own);
        if others("on", self.interface.as_str())
            || others("proto", &self.proto.to_string())
            || words.contains(&"inet") && family != "inet"
            || words.contains(&"inet6") && family != "inet6"
        {
            return false;
        }
        let to = words.iter().position(|w| *w == "to").map(|at| words.get(at + 1..).unwrap_or_default());
        let to = to.unwrap_or_default().split(|w| *w == "->").next().unwrap_or_default();
        let port = match to.iter().position(|w| *w == "port").map(|at| to.get(at + 1..).unwrap_or_default()) {
            None | Some([]) => true,
            Some(["=", name, ..]) => self.is_port(name),
            Some([range, ..]) => match range.split_once(':') {
                Some((low, high)) => {
                    low.parse().is_ok_and(|low: u16| low <= self.port)
                        && high.parse().is_ok_and(|high: u16| self.port <= high)
                }
                None => true,
            },
        };
        let address = match (to.first(), &self.on) {
            (Some(text), Outside::Address(own)) => match text.parse::<IpAddr>() {
                Ok(address) => address == *own,
                Err(_) => true,
            },
            _ => true,
        };
        port && address
    }

    /// Does that rule lead to where this forward leads?
    #[must_use]
    pub fn same_place(&self, rule: &str) -> bool {
        let Some((_, target)) = rule.split_once(" -> ") else { return false };
        let words: Vec<&str> = target.split_whitespace().collect();
        let [address, rest @ ..] = words.as_slice() else { return false };
        let port = match rest {
            ["port", port, ..] => port.parse() == Ok(self.to) || (*port == "http" && self.to == 80),
            _ => self.to == self.port,
        };
        address.parse() == Ok(self.address) && port
    }

    /// The number, or the name of services(5) for a few that are often forwarded: only pfctl(8) without -P prints those.
    fn is_port(&self, text: &str) -> bool {
        const NAMES: [(&str, u16); 10] = [
            ("ssh", 22),
            ("smtp", 25),
            ("domain", 53),
            ("http", 80),
            ("imap", 143),
            ("https", 443),
            ("submission", 587),
            ("imaps", 993),
            ("http-alt", 8080),
            ("https-alt", 8443),
        ];
        text.parse() == Ok(self.port) || NAMES.contains(&(text, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(on: &str, port: u16) -> Forward {
        Forward {
            proto: Proto::Tcp,
            interface: InterfaceName::new("vtnet0").unwrap(),
            on: on.parse().map_or_else(|_| Outside::Interface(InterfaceName::new(on).unwrap()), Outside::Address),
            port,
            address: "192.168.123.50".parse().unwrap(),
            to: 80,
        }
    }

    #[test]
    fn rules_are_spelled_as_pfctl_prints_them() {
        let vtnet0 = InterfaceName::new("vtnet0").unwrap();
        assert_eq!(
            nat(&vtnet0, "192.168.123.50/32".parse().unwrap()),
            "nat on vtnet0 inet from 192.168.123.50 to any -> (vtnet0:0)"
        );
        assert_eq!(
            nat(&vtnet0, "192.168.125.0/24".parse().unwrap()),
            "nat on vtnet0 inet from 192.168.125.0/24 to any -> (vtnet0:0)"
        );
        assert_eq!(
            forward("vtnet0", 8080).rule(),
            "rdr on vtnet0 inet proto tcp from any to (vtnet0) port = 8080 -> 192.168.123.50 port 80"
        );
        assert_eq!(
            forward("203.0.113.1", 8080).rule(),
            "rdr on vtnet0 inet proto tcp from any to 203.0.113.1 port = 8080 -> 192.168.123.50 port 80"
        );
    }

    #[test]
    fn a_port_is_taken_by_whatever_takes_its_packets() {
        let taken = [
            "rdr on vtnet0 inet proto tcp from any to any port = http-alt -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet proto tcp from any to 203.0.113.1 port = 8080 -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet proto tcp from any to (vtnet0) port 8000:8100 -> 192.168.123.51",
            "rdr inet from any to any -> 10.0.0.1",
            "rdr pass on vtnet0 inet proto tcp from 10.0.0.0/8 to (vtnet0:0) port = 8080 -> 10.0.0.1",
        ];
        for rule in taken {
            assert!(forward("vtnet0", 8080).taken_by(rule), "{rule}");
            assert!(!forward("vtnet0", 8080).same_place(rule), "{rule}");
        }
        let free = [
            "rdr on vtnet1 inet proto tcp from any to any port = 8080 -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet proto udp from any to any port = 8080 -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet6 proto tcp from any to any port = 8080 -> 2001:db8::1 port 80",
            "rdr on vtnet0 inet proto tcp from any to any port = 8081 -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet proto tcp from any port = 8080 to any port = 22 -> 192.168.123.51",
            "rdr on vtnet0 inet proto tcp from any to any port 8081:8090 -> 192.168.123.51",
            "no rdr on vtnet0 all",
            "nat on vtnet0 inet from any to any -> 203.0.113.1",
            "rdr-anchor \"jailferry/*\" all",
        ];
        for rule in free {
            assert!(!forward("vtnet0", 8080).taken_by(rule), "{rule}");
        }
        let other = "rdr on vtnet0 inet proto tcp from any to 203.0.113.2 port = 8080 -> 192.168.123.50 port http";
        assert!(forward("vtnet0", 8080).same_place(other) && !forward("203.0.113.1", 8080).taken_by(other));
        let own = forward("203.0.113.1", 8080);
        assert!(own.taken_by(&own.rule()) && own.same_place(&own.rule()));
    }

    #[test]
    fn an_anchor_counts_only_when_the_main_ruleset_evaluates_it() {
        let rules = ["nat-anchor \"jailferry/*\" all", "rdr-anchor \"jailferry/web\" all", "nat-anchor \"x\" all"];
        let rules = rules.map(str::to_owned);
        assert!(references(&rules, "nat", "jailferry/web") && references(&rules, "rdr", "jailferry/web"));
        assert!(!references(&rules, "rdr", "jailferry/db") && !references(&rules[2..], "nat", "jailferry/web"));
    }
}
