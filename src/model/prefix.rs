//! Prefixes and longest match: who owns an address, the way WireGuard's AllowedIPs and a routing table decide it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

/// Address family, named as route(8) and netstat(1) do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::Inet } else { Family::Inet6 }
    }

    /// `inet` or `inet6`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::Inet6 => "inet6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// Not an address with a length.
    #[error("{0:?} is not an address with a prefix length, such as 192.168.123.50/32 or 2001:db8:1:1::/72")]
    Syntax(String),
    /// Bits are set behind the length; FreeBSD would mask them silently (contract 3.2), which hides a slip.
    #[error("{given} has host bits set; the network is {network}, the single address is {single}")]
    HostBits {
        /// What was written.
        given: String,
        /// The network it lies in.
        network: Prefix,
        /// The same address as a host prefix.
        single: Prefix,
    },
}

/// A network or a single address: 192.168.123.0/24, 192.168.123.50/32, 2001:db8:1:1::/72. Never has host bits set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

impl Prefix {
    /// The network that `net` lies in; host bits are cleared.
    #[must_use]
    pub fn truncate(net: IpNet) -> Prefix {
        Prefix(net.trunc())
    }

    /// The single address as /32 or /128.
    #[must_use]
    pub fn host(address: IpAddr) -> Prefix {
        Prefix(IpNet::from(address))
    }

    /// 0.0.0.0/0 or ::/0.
    #[must_use]
    pub fn default_route(family: Family) -> Prefix {
        match family {
            Family::Inet => Prefix(IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))).widen(0),
            Family::Inet6 => Prefix(IpNet::from(IpAddr::V6(Ipv6Addr::UNSPECIFIED))).widen(0),
        }
    }

    /// The covering prefix of `length` bits (or this one, when it is no longer than that).
    #[must_use]
    pub fn widen(self, length: u8) -> Prefix {
        match IpNet::new(self.0.addr(), length.min(self.0.prefix_len())) {
            Ok(net) => Prefix(net.trunc()),
            Err(_) => self,
        }
    }

    /// Length in bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// The first address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.0.network()
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub fn family(self) -> Family {
        Family::of(self.0.addr())
    }

    /// Is it a single address?
    #[must_use]
    pub fn is_host(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Does it hold `address`?
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Does it hold all of `other` (or is it the same)?
    #[must_use]
    pub fn covers(self, other: Prefix) -> bool {
        self.0.contains(&other.0)
    }

    /// Do they share an address?
    #[must_use]
    pub fn overlaps(self, other: Prefix) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The two halves, which win over this prefix by longest match; `None` for a single address.
    #[must_use]
    pub fn halves(self) -> Option<(Prefix, Prefix)> {
        let mut parts = self.0.subnets(self.0.prefix_len().checked_add(1)?).ok()?;
        Some((Prefix(parts.next()?), Prefix(parts.next()?)))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Prefix, InvalidPrefix> {
        let net: IpNet = text.parse().map_err(|_| InvalidPrefix::Syntax(text.chars().take(80).collect()))?;
        if net.trunc() == net {
            Ok(Prefix(net))
        } else {
            Err(InvalidPrefix::HostBits {
                given: text.to_owned(),
                network: Prefix::truncate(net),
                single: Prefix::host(net.addr()),
            })
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;
    fn try_from(text: String) -> Result<Prefix, InvalidPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

impl schemars::JsonSchema for Prefix {
    fn schema_name() -> Cow<'static, str> {
        "Prefix".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$",
            "description": "A network or a single address: 192.168.123.0/24, 192.168.123.50/32, 2001:db8:1:1::/72"
        })
    }
}

/// The entry whose prefix covers `wanted` and is the longest: what WireGuard and the routing table would pick for
/// every address of `wanted` (as long as no entry is more specific than `wanted` itself).
pub fn longest_match<T>(entries: impl IntoIterator<Item = (Prefix, T)>, wanted: Prefix) -> Option<(Prefix, T)> {
    entries.into_iter().filter(|(prefix, _)| prefix.covers(wanted)).max_by_key(|(prefix, _)| prefix.length())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_with_both_ways_out() {
        let error = "192.168.123.50/24".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "192.168.123.50/24 has host bits set; the network is 192.168.123.0/24, the single address is 192.168.123.50/32"
        );
        assert!("192.168.123.50".parse::<Prefix>().is_err());
        assert!("2001:db8:1:1::50/72".parse::<Prefix>().is_err());
    }

    #[test]
    fn a_host_prefix_wins_over_the_network() {
        let table =
            [(p("192.168.123.0/24"), "spare"), (p("192.168.123.50/32"), "big"), (p("2001:db8:1:1::/72"), "spare")];
        assert_eq!(longest_match(table, p("192.168.123.50/32")), Some((p("192.168.123.50/32"), "big")));
        assert_eq!(longest_match(table, p("192.168.123.51/32")), Some((p("192.168.123.0/24"), "spare")));
        assert_eq!(longest_match(table, p("10.0.0.0/8")), None);
    }

    #[test]
    fn halves_cover_the_whole() {
        assert_eq!(p("192.168.125.0/24").halves(), Some((p("192.168.125.0/25"), p("192.168.125.128/25"))));
        assert_eq!(p("2001:db8:1:3::/72").halves(), Some((p("2001:db8:1:3::/73"), p("2001:db8:1:3:80::/73"))));
        assert_eq!(p("10.0.0.1/32").halves(), None);
        assert_eq!(Prefix::default_route(Family::Inet6).halves(), Some((p("::/1"), p("8000::/1"))));
    }

    proptest! {
        #[test]
        fn printing_and_reading_agree(address in any::<u32>(), length in 0u8..=32) {
            let prefix = Prefix::truncate(IpNet::new(IpAddr::V4(address.into()), length).unwrap());
            prop_assert_eq!(prefix.to_string().parse::<Prefix>().unwrap(), prefix);
        }

        #[test]
        fn longest_match_agrees_with_counting_bits(entries in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..30), wanted in any::<u32>()) {
            let entries: Vec<(Prefix, usize)> = entries
                .iter()
                .enumerate()
                .map(|(i, (a, l))| (Prefix::truncate(IpNet::new(IpAddr::V4((*a).into()), *l).unwrap()), i))
                .collect();
            let found = longest_match(entries.iter().copied(), Prefix::host(IpAddr::V4(wanted.into()))).map(|(p, _)| p.length());
            let expected = entries
                .iter()
                .filter(|(p, _)| {
                    let IpAddr::V4(network) = p.network() else { return false };
                    p.length() == 0 || (u32::from(network) ^ wanted) >> (32 - u32::from(p.length())) == 0
                })
                .map(|(p, _)| p.length())
                .max();
            prop_assert_eq!(found, expected);
        }
    }
}
