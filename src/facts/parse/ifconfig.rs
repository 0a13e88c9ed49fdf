//! `ifconfig -a` (ifconfig(8), sbin/ifconfig/ifconfig.c `status`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::error::FactsError;
use super::error::line;
use crate::facts::Interface;
use crate::model::InterfaceName;

/// The interfaces. Lines of no interest and unknown ones are passed over; an interface whose name is not an
/// [`InterfaceName`] is left out, since nothing may be done with it.
///
/// # Errors
/// A head line without MTU, or an address that is none.
pub fn interfaces(question: &str, text: &str) -> Result<Vec<Interface>, FactsError> {
    let mut found: Vec<Interface> = Vec::new();
    let mut skipping = true;
    for (index, row) in text.lines().enumerate() {
        if row.is_empty() {
            continue;
        }
        if !row.starts_with(['\t', ' ']) {
            let interface = head(row).map_err(|problem| line(question, index, row, problem))?;
            skipping = interface.is_none();
            found.extend(interface);
            continue;
        }
        let Some(interface) = found.last_mut().filter(|_| !skipping) else { continue };
        detail(interface, row.trim()).map_err(|problem| line(question, index, row, problem))?;
    }
    Ok(found)
}

/// `bridge0: flags=8843<UP,BROADCAST> metric 0 mtu 1500`; `None` for a name that is not usable.
fn head(row: &str) -> Result<Option<Interface>, String> {
    let (name, rest) = row.split_once(": flags=").ok_or("no \": flags=\"")?;
    let flags = rest.split_once('<').and_then(|(_, r)| r.split_once('>')).map_or("", |(inside, _)| inside);
    let mtu = after(rest, "mtu").and_then(|w| w.parse().ok()).ok_or("no mtu")?;
    let Ok(name) = InterfaceName::new(name) else { return Ok(None) };
    let up = flags.split(',').any(|f| f == "UP");
    let (addresses, link_locals, members, groups) = (vec![], vec![], vec![], vec![]);
    Ok(Some(Interface { name, up, mtu, fib: 0, addresses, link_locals, members, groups }))
}

fn detail(interface: &mut Interface, row: &str) -> Result<(), String> {
    let mut words = row.split_whitespace();
    match words.next() {
        Some("inet" | "inet6") => {
            let word = words.next().ok_or("no address")?;
            let (plain, length) = word.split_at(word.find('/').unwrap_or(word.len()));
            let plain = plain.split('%').next().unwrap_or_default();
            if matches!(plain.parse(), Ok(IpAddr::V6(a)) if a.is_unicast_link_local()) {
                // Its zone is this interface.
                interface.link_locals.extend(address(&format!("{plain}{length}"), row)?);
            } else {
                interface.addresses.extend(address(word, row)?);
            }
        }
        Some("member:") => interface.members.extend(words.next().and_then(|w| InterfaceName::new(w).ok())),
        Some("groups:") => interface.groups = words.map(str::to_owned).collect(),
        Some("fib:") => interface.fib = words.next().and_then(|w| w.parse().ok()).ok_or("no number after fib:")?,
        _ => {}
    }
    Ok(())
}

/// The address with its length, in any of the forms of ifconfig's -f: `A/24`, `A netmask 0xffffff00`, `A prefixlen 64`.
/// A point-to-point interface has the length behind the other end's address: `A --> B/32` (af_inet.c, `in_status_nl`).
/// `None` for one that is bound to a scope.
fn address(word: &str, row: &str) -> Result<Option<IpNet>, String> {
    let wrong = || format!("{word:?} is not an address");
    let far = after(row, "-->").and_then(|far| far.split_once('/')).map(|(_, length)| (word, length));
    let (plain, length) = match word.split_once('/').or(far) {
        Some((plain, length)) => (plain, Some(length.parse::<u8>().map_err(|_| wrong())?)),
        None => (word, None),
    };
    if plain.contains('%') {
        return Ok(None);
    }
    let address: IpAddr = plain.parse().map_err(|_| wrong())?;
    let length = match (length, after(row, "netmask"), after(row, "prefixlen")) {
        (Some(length), _, _) => length,
        (None, Some(mask), _) => {
            let mask = mask
                .strip_prefix("0x")
                .and_then(|m| u32::from_str_radix(m, 16).ok())
                .ok_or("a netmask not in hexadecimal")?;
            let length = mask.leading_ones();
            if mask.count_ones() != length {
                return Err("a netmask with holes".to_owned());
            }
            u8::try_from(length).map_err(|_| wrong())?
        }
        (None, None, Some(length)) => length.parse().map_err(|_| wrong())?,
        (None, None, None) => return Err("an address without its length".to_owned()),
    };
    IpNet::new(address, length).map(Some).map_err(|_| wrong())
}

/// The word after `key`.
fn after<'a>(row: &'a str, key: &str) -> Option<&'a str> {
    let mut words = row.split_whitespace();
    words.find(|w| *w == key)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    fn show(i: &Interface) -> String {
        let join = |v: Vec<String>| v.join(" ");
        format!(
            "{} up={} mtu={} fib={} [{}] members[{}] groups[{}]",
            i.name,
            i.up,
            i.mtu,
            i.fib,
            join(i.addresses.iter().map(ToString::to_string).collect()),
            join(i.members.iter().map(ToString::to_string).collect()),
            join(i.groups.clone()),
        )
    }

    #[test]
    fn a_bridge_with_a_member_in_fib_1() {
        let found = interfaces("ifconfig", &stdout("ifconfig-members")).unwrap();
        assert_eq!(
            found.iter().map(show).collect::<Vec<_>>(),
            [
                "epair7a up=true mtu=1500 fib=1 [] members[] groups[epair]",
                "bridge0 up=true mtu=1500 fib=0 [192.168.123.1/24] members[epair7a] groups[bridge]"
            ]
        );
    }

    #[test]
    fn inside_a_jail_and_a_tunnel() {
        let jail = interfaces("ifconfig", &stdout("jexec-ifconfig")).unwrap();
        assert_eq!(
            jail.iter().map(show).collect::<Vec<_>>(),
            ["epair7b up=true mtu=1380 fib=0 [192.168.123.50/24] members[] groups[epair]"]
        );
        let wg = interfaces("ifconfig", &stdout("wg-create")).unwrap();
        assert_eq!(
            wg.iter().map(show).collect::<Vec<_>>(),
            ["wg0 up=true mtu=1420 fib=0 [10.77.0.1/24] members[] groups[wg]"]
        );
        let down = interfaces("ifconfig", &stdout("ifconfig-epair-show")).unwrap();
        assert_eq!(
            down.iter().map(|i| (i.name.as_str(), i.up)).collect::<Vec<_>>(),
            [("epair0a", false), ("epair0b", false)]
        );
    }

    #[test]
    fn every_form_of_an_address() {
        let text = "lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> metric 0 mtu 16384\n\tinet6 ::1/128\n\tinet6 fe80::1%lo0/64 scopeid 0x3\n\tinet6 fe80::2/64\n\tinet6 2001:db8::1 prefixlen 72\n\tinet 10.5.0.1 --> 10.5.0.2 netmask 0xffffffff\n\ttunnelfib: 1\n\tnonsense: of a later release\n";
        let lo0 = interfaces("ifconfig", text).unwrap().remove(0);
        assert_eq!(lo0.link_locals, ["fe80::1/64".parse().unwrap(), "fe80::2/64".parse().unwrap()]);
        assert_eq!(show(&lo0), "lo0 up=true mtu=16384 fib=0 [::1/128 2001:db8::1/72 10.5.0.1/32] members[] groups[]");
    }

    /// tun, gif and gre in the form that the question asks for, of sbin/ifconfig/af_inet.c and af_inet6.c.
    #[test]
    fn the_other_end_of_a_point_to_point_interface_has_the_length() {
        let text = "tun0: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> metric 0 mtu 1500\n\toptions=80000<LINKSTATE>\n\tinet 10.5.0.1 --> 10.5.0.2/32\n\tinet 10.6.0.1 --> 10.6.0.1/24 vhid 7\n\tgroups: tun\n\tOpened by PID 812\ngif0: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> metric 0 mtu 1280\n\ttunnel inet 203.0.113.1 --> 203.0.113.2\n\tinet6 2001:db8:5::1 --> 2001:db8:5::2/128 tentative\n\tinet6 fe80::1%gif0 --> fe80::2%gif0/128 scopeid 0x4\n\tinet6 fe80::5054:ff:fe12:3456%gif0/64 scopeid 0x4\n\tinet6 2001:db8:6::1/64 deprecated pltime 0 vltime 60\n\tgroups: gif\n";
        let found = interfaces("ifconfig", text).unwrap();
        assert_eq!(
            found.iter().map(show).collect::<Vec<_>>(),
            [
                "tun0 up=true mtu=1500 fib=0 [10.5.0.1/32 10.6.0.1/24] members[] groups[tun]",
                "gif0 up=true mtu=1280 fib=0 [2001:db8:5::1/128 2001:db8:6::1/64] members[] groups[gif]"
            ]
        );
        let link_locals: Vec<String> = found[1].link_locals.iter().map(ToString::to_string).collect();
        assert_eq!(link_locals, ["fe80::1/128", "fe80::5054:ff:fe12:3456/64"]);
        let wrong = "tun0: flags=0<> metric 0 mtu 1500\n\tinet 10.5.0.1 --> 10.5.0.2/33\n";
        assert!(interfaces("ifconfig", wrong).is_err());
    }

    #[test]
    fn nonsense_is_named_with_its_line() {
        let error = interfaces("ifconfig", "wg0: flags=0<> metric 0 mtu 1420\n\tinet 10.0.0.256/24\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "ifconfig, line 2: \"10.0.0.256/24\" is not an address: \"\\tinet 10.0.0.256/24\""
        );
        assert!(interfaces("ifconfig", "ifconfig: illegal option").is_err());
        assert!(interfaces("ifconfig", "wg0: flags=0<> metric 0 mtu 1\n\tinet 10.0.0.1 netmask 0xff00ff00\n").is_err());
    }
}
