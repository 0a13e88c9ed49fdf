//! Addresses and prefixes as FreeBSD's tools read and print them.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address, host bits and all.
    pub address: IpAddr,
    /// How many bits count.
    pub length: u8,
}

impl Prefix {
    /// The whole address.
    pub fn host(address: IpAddr) -> Prefix {
        Prefix { address, length: bits(address) }
    }

    /// Reads `A/len`, `A`, `a.b/len`, or `default`.
    pub fn parse(text: &str, v6: bool) -> Option<Prefix> {
        if text == "default" {
            let address = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
            return Some(Prefix { address, length: 0 });
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr =
            if v6 { address.split('%').next()?.parse::<Ipv6Addr>().ok()?.into() } else { short_v4(address)?.into() };
        let length = length.unwrap_or(bits(address));
        (length <= bits(address)).then_some(Prefix { address, length })
    }

    /// Without host bits.
    pub fn network(self) -> Prefix {
        let address = match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
            }
        };
        Prefix { address, length: self.length }
    }

    /// Is it one address only?
    pub fn is_host(self) -> bool {
        self.length == bits(self.address)
    }

    /// Does it hold `address`?
    pub fn contains(self, address: IpAddr) -> bool {
        bits(self.address) == bits(address) && Prefix { address, length: self.length }.network() == self.network()
    }

    /// `A/len`, for the kernel.
    pub fn cidr(self) -> String {
        format!("{}/{}", self.address, self.length)
    }
}

/// 32 or 128.
pub fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An IPv4 network's name may leave out trailing zero bytes (`10.6/16`).
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u8> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    if parts.is_empty() || parts.len() > 4 {
        return None;
    }
    let mut bytes = [0; 4];
    bytes[..parts.len()].copy_from_slice(&parts);
    Some(Ipv4Addr::from(bytes))
}

/// An IPv4 netmask as ifconfig prints it: `0xffffff00`.
pub fn hex_mask(length: u8) -> String {
    format!("0x{:08x}", u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0))
}

/// Reads a netmask: `255.255.255.0` or `0xffffff00`.
pub fn mask_length(text: &str) -> Option<u8> {
    let mask = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => text.parse::<Ipv4Addr>().ok()?.to_bits(),
    };
    (mask.leading_ones() + mask.trailing_zeros() >= 32).then(|| mask.leading_ones() as u8)
}

/// The broadcast address of an IPv4 network.
pub fn broadcast(prefix: Prefix) -> Option<Ipv4Addr> {
    match prefix.network().address {
        IpAddr::V4(a) => {
            let host = u32::MAX.checked_shr(u32::from(prefix.length)).unwrap_or(0);
            Some(Ipv4Addr::from_bits(a.to_bits() | host))
        }
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_both_ways() {
        for (length, hex) in [(0, "0x00000000"), (24, "0xffffff00"), (32, "0xffffffff")] {
            assert_eq!(hex_mask(length), hex);
            assert_eq!(mask_length(hex), Some(length));
        }
        assert_eq!(mask_length("255.0.255.0"), None);
    }

    #[test]
    fn host_bits_and_short_forms() {
        let p = Prefix::parse("192.168.123.5/24", false).expect("a prefix");
        assert_eq!(p.network().cidr(), "192.168.123.0/24");
        assert_eq!(Prefix::parse("10.6/16", false).map(Prefix::cidr), Some("10.6.0.0/16".into()));
        assert!(Prefix::parse("2001:db8::/129", true).is_none());
        assert_eq!(Prefix::parse("::/1", true).map(|p| p.length), Some(1));
    }
}
