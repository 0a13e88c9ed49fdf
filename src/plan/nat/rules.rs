//! pf's translation rules as text: reading those that `pfctl -s nat` shows, writing those of a jail's anchor.
//!
//! Written in the classic syntax, which every release reads (contract 4.4), and spelled as `pfctl -P -s nat` prints it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::facts::Interface;
use crate::facts::Pf;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::Prefix;
use crate::model::TableName;
use crate::playbook::Outside;
use crate::playbook::Proto;

type Tables = BTreeMap<TableName, BTreeSet<Prefix>>;

/// A rule taken apart: what kind of translation it is, its conditions, and what they lead to. 15.0 also has translation as
/// a part of filter rules, `match out on IF … nat-to Z` and `pass in on IF … rdr-to A port M` (pf.conf(5) of 15.0; spelled as
/// its `pfctl -P -s rules` prints them).
fn parts(rule: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (kind, (conditions, target)) = match (rule.split_once(" nat-to "), rule.split_once(" rdr-to ")) {
        (Some(parts), _) => ("nat", parts),
        (None, Some(parts)) => ("rdr", parts),
        (None, None) => (rule.split_whitespace().next()?, rule.split_once(" -> ").unwrap_or((rule, ""))),
    };
    Some((kind, conditions.split_whitespace().collect(), target))
}

/// The table that a rule `nat … from <T> …` translates on the way to everywhere.
#[must_use]
pub fn translated_table(rule: &str) -> Option<&str> {
    let words = general(rule)?;
    words.iter().skip_while(|w| **w != "from").nth(1)?.strip_prefix('<')?.strip_suffix('>')
}

/// The interface of a rule `nat on IF …` for packets to everywhere.
#[must_use]
pub fn translates_on(rule: &str) -> Option<&str> {
    let words = general(rule)?;
    words.iter().skip_while(|w| **w != "on").nth(1).copied()
}

/// The conditions of a `nat` rule for packets to everywhere, or to everywhere but some (`to ! X`). None for any other: what
/// is translated only on the way to some place, in one protocol or for some ports is a way out for nothing else, such as a
/// rule that lets jails reach each other by a public address.
fn general(rule: &str) -> Option<Vec<&str>> {
    let (kind, words, _) = parts(rule)?;
    let narrow = ["proto", "port", "os", "tagged", "probability", "user", "group"];
    if kind != "nat" || words.iter().any(|w| narrow.contains(w)) {
        return None;
    }
    let to = words.iter().skip_while(|w| **w != "to").nth(1);
    (to.is_some_and(|to| ["any", "!"].contains(to)) || words.contains(&"all")).then_some(words)
}

/// Does `nat on IF inet from X to Y -> Z` translate all of the prefix on its way out by that interface? X is any, a prefix,
/// an address or a table. Where the way out is not known, every interface counts.
#[must_use]
pub fn covers(rule: &str, prefix: Prefix, pf: &Pf, out: Option<&Interface>) -> bool {
    let Some(words) = general(rule) else { return false };
    let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1..)).unwrap_or_default();
    let is_out = |name: &str| out.is_none_or(|out| out.name.as_str() == name || out.groups.iter().any(|g| g == name));
    let leaves = match after("on") {
        ["!", name, ..] => out.is_none() || !is_out(name),
        [name, ..] => is_out(name),
        [] => true,
    };
    let other = if prefix.family() == Family::Inet { "inet6" } else { "inet" };
    if !leaves || words.contains(&other) {
        return false;
    }
    match after("from") {
        [] | ["any", ..] => true,
        ["!", from, ..] => match of_an_interface(from) {
            Some((name, networks)) => others(name, networks, prefix, out),
            None => spelled(from).is_some_and(|p| !p.overlaps(prefix)),
        },
        [from, ..] => match from.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
            Some(table) => in_table(pf, table, prefix),
            None => spelled(from).is_some_and(|p| p.covers(prefix)),
        },
    }
}

/// `(IF)`, `(IF:0)`, `(IF:network)`: the interface, and whether its networks are meant.
fn of_an_interface(text: &str) -> Option<(&str, bool)> {
    let inside = text.strip_prefix('(')?.strip_suffix(')')?;
    let (name, which) = inside.split_once(':').unwrap_or((inside, ""));
    Some((name, which == "network"))
}

/// Is nothing of the prefix an interface's own? Addresses of the host are no jail's; of networks only those of the way out
/// are known here.
fn others(name: &str, networks: bool, prefix: Prefix, out: Option<&Interface>) -> bool {
    if !networks {
        return true;
    }
    let known = out.filter(|out| out.name.as_str() == name);
    known.is_some_and(|out| !out.addresses.iter().any(|a| Prefix::truncate(*a).overlaps(prefix)))
}

/// A prefix or a bare address.
fn spelled(text: &str) -> Option<Prefix> {
    text.parse().ok().or_else(|| text.parse().ok().map(Prefix::host))
}

/// By longest match: a negated entry takes its part out of a wider one (pf.conf(5), TABLES).
fn in_table(pf: &Pf, table: &str, prefix: Prefix) -> bool {
    let of = |all: &Tables| all.iter().find(|(name, _)| name.as_str() == table).map(|(_, entries)| entries.clone());
    let covering =
        of(&pf.tables).unwrap_or_default().into_iter().filter(|e| e.covers(prefix)).map(Prefix::length).max();
    let negated = of(&pf.negated).unwrap_or_default();
    covering.is_some_and(|length| !negated.iter().any(|n| prefix.covers(*n) || n.covers(prefix) && n.length() > length))
}

/// The entries by which a table leaves out a part of the prefix, even when the prefix itself is put into it.
#[must_use]
pub fn left_out(pf: &Pf, table: &TableName, prefix: Prefix) -> Vec<Prefix> {
    pf.negated.get(table).into_iter().flatten().copied().filter(|n| prefix.covers(*n)).collect()
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

    /// Would that rule take this forward's packets? `rdr on IF inet proto P from X to Y port = N -> A port M`, in
    /// any order of conditions that pfctl(8) prints.
    #[must_use]
    pub fn taken_by(&self, rule: &str) -> bool {
        let Some(("rdr", words, _)) = parts(rule) else { return false };
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
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
        let to = to.unwrap_or_default();
        let port = match to.iter().position(|w| *w == "port").map(|at| to.get(at + 1..).unwrap_or_default()) {
            None | Some([]) => true,
            Some(["=", port, ..]) => port.parse() == Ok(self.port),
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
        let Some((_, _, target)) = parts(rule) else { return false };
        let words: Vec<&str> = target.split_whitespace().collect();
        let [address, rest @ ..] = words.as_slice() else { return false };
        let port = match rest {
            ["port", port, ..] => port.parse() == Ok(self.to),
            _ => self.to == self.port,
        };
        address.parse() == Ok(self.address) && port
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
            "rdr on vtnet0 inet proto tcp from any to any port = 8080 -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet proto tcp from any to 203.0.113.1 port = 8080 -> 192.168.123.51 port 80",
            "rdr on vtnet0 inet proto tcp from any to (vtnet0) port 8000:8100 -> 192.168.123.51",
            "rdr inet from any to any -> 10.0.0.1",
            "rdr pass on vtnet0 inet proto tcp from 10.0.0.0/8 to (vtnet0:0) port = 8080 -> 10.0.0.1",
            // As 15.0 printed them.
            "pass in on vtnet0 inet proto tcp from any to (vtnet0) port = 8080 flags S/SA keep state rdr-to 192.168.123.51 port 80",
            "match in on vtnet0 inet proto tcp from any to 203.0.113.1 port = 8080 rdr-to 192.168.123.50",
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
            "pass in on vtnet0 inet proto tcp from any to (vtnet0) port = 8081 flags S/SA keep state rdr-to 192.168.123.51 port 80",
            "pass in on vtnet0 inet proto tcp from any to (vtnet0) port = 8080 flags S/SA keep state",
            "rdr-anchor \"jailferry/*\" all",
        ];
        for rule in free {
            assert!(!forward("vtnet0", 8080).taken_by(rule), "{rule}");
        }
        let other = "rdr on vtnet0 inet proto tcp from any to 203.0.113.2 port = 8080 -> 192.168.123.50 port 80";
        assert!(forward("vtnet0", 8080).same_place(other) && !forward("203.0.113.1", 8080).taken_by(other));
        let own = forward("203.0.113.1", 8080);
        assert!(own.taken_by(&own.rule()) && own.same_place(&own.rule()));
    }

    #[test]
    fn a_rule_covers_what_it_translates_on_the_way_out_and_to_everywhere() {
        let out = |name: &str, groups: &[&str]| Interface {
            name: InterfaceName::new(name).unwrap(),
            up: true,
            mtu: 1500,
            fib: 0,
            addresses: vec![],
            link_locals: vec![],
            members: vec![],
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        };
        let vtnet0 = out("vtnet0", &["egress"]);
        let (jail, pf) = ("192.168.122.25/32".parse().unwrap(), Pf::default());
        let whole = [
            "nat on vtnet0 inet from 192.168.0.0/16 to any -> (vtnet0:0)",
            "match out on vtnet0 inet from 192.168.0.0/16 to any nat-to (vtnet0:0)",
            "pass out on vtnet0 inet from 192.168.0.0/16 to any flags S/SA keep state nat-to (vtnet0) round-robin static-port",
            "nat on vtnet0 inet from 192.168.122.25 to ! <private> -> 10.0.2.15",
            "nat on egress inet from any to ! 10.0.0.0/8 -> (egress:0) round-robin",
            "nat on ! wg0 inet from 192.168.0.0/16 to any -> 203.0.113.1",
            "nat pass log on vtnet0 inet all -> 203.0.113.1",
            "nat on vtnet0 inet from ! 10.0.0.0/8 to any -> 203.0.113.1",
            "nat on vtnet0 inet from ! (vtnet0) to any -> (vtnet0:0)",
            "nat inet from 192.168.0.0/16 to any -> 203.0.113.1",
        ];
        for rule in whole {
            assert!(covers(rule, jail, &pf, Some(&vtnet0)), "{rule}");
        }
        let in_part = [
            "nat on wg0 inet from 192.168.0.0/16 to 192.168.122.25 -> 10.77.0.1",
            "nat on vtnet0 inet from 192.168.0.0/16 to 10.0.0.0/8 -> (vtnet0:0)",
            "nat on vtnet0 inet from 192.168.0.0/16 to <peers> -> (vtnet0:0)",
            "nat on vtnet0 inet proto udp from 192.168.0.0/16 to any -> (vtnet0:0)",
            "nat on vtnet0 inet proto tcp from 192.168.0.0/16 to any port = 25 -> (vtnet0:0)",
            "nat on vtnet0 inet from 192.168.0.0/16 to any tagged JAIL -> (vtnet0:0)",
            "nat on vtnet1 inet from 192.168.0.0/16 to any -> (vtnet1:0)",
            "nat on ! vtnet0 inet from 192.168.0.0/16 to any -> 10.77.0.1",
            "nat on vtnet0 inet6 from any to any -> 2001:db8::1",
            "nat on vtnet0 inet from ! 192.168.0.0/16 to any -> 203.0.113.1",
            "nat on vtnet0 inet from ! (em1:network) to any -> 203.0.113.1",
            "no nat on vtnet0 inet from 192.168.0.0/16 to any",
        ];
        for rule in in_part {
            assert!(!covers(rule, jail, &pf, Some(&vtnet0)), "{rule}");
        }
        assert_eq!((translates_on(in_part[0]), translates_on(whole[0])), (None, Some("vtnet0")));
    }

    #[test]
    fn a_negated_entry_of_a_table_takes_its_part_out_of_a_wider_one() {
        let table = TableName::new("jails").unwrap();
        let of = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<BTreeSet<Prefix>>();
        let mut pf = Pf { tables: Tables::from([(table.clone(), of(&["192.168.0.0/16"]))]), ..Pf::default() };
        let rule = "nat on vtnet0 inet from <jails> to any -> (vtnet0:0)";
        let translated = |pf: &Pf, prefix: &str| covers(rule, prefix.parse().unwrap(), pf, None);
        assert!(translated(&pf, "192.168.122.25/32"));
        pf.negated.insert(table.clone(), of(&["192.168.122.25/32", "192.168.130.0/24"]));
        assert!(!translated(&pf, "192.168.122.25/32") && !translated(&pf, "192.168.122.0/24"));
        assert!(!translated(&pf, "192.168.130.7/32") && translated(&pf, "192.168.122.26/32"));
        pf.tables.insert(table.clone(), of(&["192.168.0.0/16", "192.168.130.7/32"]));
        assert!(translated(&pf, "192.168.130.7/32"));
        assert_eq!(left_out(&pf, &table, "192.168.130.7/32".parse().unwrap()), []);
        assert_eq!(left_out(&pf, &table, "192.168.122.0/24".parse().unwrap()).len(), 1);
    }

    #[test]
    fn an_anchor_counts_only_when_the_main_ruleset_evaluates_it() {
        let rules = ["nat-anchor \"jailferry/*\" all", "rdr-anchor \"jailferry/web\" all", "nat-anchor \"x\" all"];
        let rules = rules.map(str::to_owned);
        assert!(references(&rules, "nat", "jailferry/web") && references(&rules, "rdr", "jailferry/web"));
        assert!(!references(&rules, "rdr", "jailferry/db") && !references(&rules[2..], "nat", "jailferry/web"));
    }
}
