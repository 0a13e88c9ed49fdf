//! Cloned interfaces: `ifconfig NAME create` and `destroy`.

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;
use crate::freebsd::network::kernel::Notes;
use crate::freebsd::rc::kld;
use crate::net::fibs;
use crate::net::wg;

/// What `create` made.
pub struct Made {
    /// The interface's name (the a end of an epair).
    pub name: String,
    /// Is the name printed? Yes when it is not what was asked for.
    pub announce: bool,
}

const CLONERS: &[&str] = &["epair", "bridge", "wg", "tun", "tap", "lo", "vxlan"];

/// The module that a cloner's first use loads.
const MODULES: [(&str, &str); 4] =
    [("epair", "if_epair"), ("bridge", "if_bridge"), ("wg", "if_wg"), ("vxlan", "if_vxlan")];

/// `ifconfig NAME create`; NAME is a cloner (`epair`) or a cloner with a unit (`epair7`). Of `words`, what follows, those are
/// taken that the cloner itself needs.
pub fn create(ctx: &Context, name: &str, words: &mut Vec<String>) -> Result<Made, String> {
    let refused = |reason: &str| format!("SIOCIFCREATE2 ({name}): {reason}");
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if base.starts_with("epair") && base != "epair" && CLONERS.contains(&&base[..5]) {
        return Err(refused("Invalid argument"));
    }
    if !CLONERS.contains(&base) {
        // An interface that is there and cannot be cloned is "already there" all the same.
        return Err(match kernel::find(name) {
            Ok(Some(_)) => format!("interface {name} already exists"),
            _ => refused("Invalid argument"),
        });
    }
    let links = kernel::links().map_err(|e| e.to_string())?;
    let taken = |unit: u32| {
        let names = if base == "epair" {
            vec![format!("epair{unit}a"), format!("epair{unit}b")]
        } else {
            vec![format!("{base}{unit}")]
        };
        links.iter().any(|link| names.contains(&link.name) || names.contains(&link.device))
    };
    let digits = &name[base.len()..];
    let unit = if digits.is_empty() {
        (0..32767).find(|unit| !taken(*unit)).ok_or_else(|| refused("No space left on device"))?
    } else {
        let unit = digits.parse().map_err(|_| refused("Invalid argument"))?;
        if taken(unit) {
            return Err(format!("interface {name} already exists"));
        }
        unit
    };
    // The first use of a cloner loads its module.
    if let Some(module) = MODULES.iter().find(|m| m.0 == base) {
        kld::autoload(ctx, module.1).map_err(|e| refused(&e.to_string()))?;
    }
    if base == "vxlan" {
        super::vxlan::make(&format!("vxlan{unit}"), words).map_err(|e| refused(&e.to_string()))?;
    } else {
        make(base, unit).map_err(|e| refused(&e.to_string()))?;
    }
    let made = if base == "epair" { format!("epair{unit}a") } else { format!("{base}{unit}") };
    Ok(Made { announce: made != name, name: made })
}

fn make(cloner: &str, unit: u32) -> std::io::Result<()> {
    let name = format!("{cloner}{unit}");
    let notes = Notes { cloner: cloner.into(), ..Notes::default() };
    match cloner {
        "epair" => {
            let (a, b) = (format!("{name}a"), format!("{name}b"));
            // FreeBSD derives both ends' addresses from one seed and ends them in 0a and 0b.
            let seed = seed(&name);
            let mac = |end: &str| format!("02:{:02x}:{:02x}:{:02x}:{:02x}:{end}", seed[0], seed[1], seed[2], seed[3]);
            let (mac_a, mac_b) = (mac("0a"), mac("0b"));
            // Linux registers the peer first: the a end gets the lower index, as on FreeBSD.
            kernel::ip(&[
                "link", "add", "name", &b, "address", &mac_b, "mtu", "1500", "type", "veth", "peer", "name", &a,
                "address", &mac_a, "mtu", "1500",
            ])?;
            kernel::set_notes(&a, &notes)?;
            kernel::set_notes(&b, &notes)?;
            quiet_v6(&a);
            quiet_v6(&b);
        }
        "bridge" => {
            let seed = seed(&name);
            let mac = format!("58:9c:fc:{:02x}:{:02x}:{:02x}", seed[0], seed[1], seed[2]);
            kernel::ip(&[
                "link",
                "add",
                "name",
                &name,
                "address",
                &mac,
                "mtu",
                "1500",
                "type",
                "bridge",
                "stp_state",
                "0",
                "forward_delay",
                "0",
                // FreeBSD's bridge floods multicast; Linux's snooping would swallow neighbour solicitations.
                "mcast_snooping",
                "0",
            ])?;
            kernel::set_notes(&name, &notes)?;
            quiet_v6(&name);
            own_link_local(&name)?;
        }
        "wg" => {
            wg::create(&name)?;
            kernel::ip(&["link", "set", "dev", &name, "mtu", "1420"])?;
            kernel::set_notes(&name, &notes)?;
            quiet_v6(&name);
        }
        "lo" => {
            // Debian's kernels may lack dummy interfaces; a bridge without members behaves like a second loopback.
            kernel::ip(&["link", "add", "name", &name, "type", "bridge"])?;
            kernel::set_notes(&name, &notes)?;
        }
        _ => {
            kernel::ip(&["tuntap", "add", "dev", &name, "mode", if cloner == "tap" { "tap" } else { "tun" }])?;
            kernel::set_notes(&name, &notes)?;
        }
    }
    Ok(())
}

/// FreeBSD gives members of bridges and idle interfaces no link-local address (`IFDISABLED`), and duplicate address detection would lose the first pings after a move.
pub(super) fn quiet_v6(device: &str) {
    for (knob, value) in [("addr_gen_mode", "1"), ("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0")] {
        let path = format!("/proc/sys/net/ipv6/conf/{device}/{knob}");
        if let Err(error) = std::fs::write(&path, value)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("lab: {path}: {error}");
        }
    }
}

/// Linux asks for the neighbour of a packet that it forwards from a link-local address only; FreeBSD needs none. So a bridge has one that no command shows ([`kernel::addresses`]).
fn own_link_local(device: &str) -> std::io::Result<()> {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{device}/addr_gen_mode"), "0")
}

/// Bytes for a MAC address: from the host's name, the interface and the moment (an epair made again has another address).
pub(super) fn seed(name: &str) -> [u8; 4] {
    use sha2::Digest;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map(|d| d.as_nanos()).unwrap_or(0);
    let hash = sha2::Sha256::digest(format!("{name} {now} {}", std::process::id()));
    [hash[0], hash[1], hash[2], hash[3]]
}

/// `ifconfig NAME destroy`. Either end of an epair takes both with it, wherever the other one is.
pub fn destroy(ctx: &Context, link: &Link) -> Result<(), String> {
    if link.notes.cloner.is_empty() || link.name == "lo0" {
        return Err("SIOCIFDESTROY: Invalid argument".into());
    }
    forget(ctx, &link.device)?;
    if link.notes.cloner == "epair" {
        let end = link.name.chars().last();
        let other = match end {
            Some('a') => Some(format!("{}b", &link.name[..link.name.len() - 1])),
            Some('b') => Some(format!("{}a", &link.name[..link.name.len() - 1])),
            _ => None,
        };
        if let Some(other) = other {
            forget(ctx, &other)?;
        }
    }
    if link.notes.cloner == "wg" {
        wg::destroy(&link.device).map_err(|e| e.to_string())
    } else {
        kernel::ip(&["link", "del", "dev", &link.device]).map(drop).map_err(|e| e.to_string())
    }
}

fn forget(ctx: &Context, device: &str) -> Result<(), String> {
    fibs::forget_interface(ctx, device).map_err(|e| e.to_string())
}
