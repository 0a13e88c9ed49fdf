//! vxlan(4): Ethernet frames between two hosts, in UDP. The kernel here must have it.

use std::io;

use super::clone;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Notes;

/// What FreeBSD lets one say before or after the interface is there, the kernel here only while it is made.
const WORDS: [(&str, &str); 3] = [("vxlanid", "id"), ("vxlanlocal", "local"), ("vxlanremote", "remote")];

/// Makes it, to one remote host; the words about it are taken out of `words`.
pub fn make(name: &str, words: &mut Vec<String>) -> io::Result<()> {
    let seed = clone::seed(name);
    let mac = format!("58:9c:fc:{:02x}:{:02x}:{:02x}", seed[0], seed[1], seed[2]);
    let mut line: Vec<String> =
        ["link", "add", "name", name, "address", &mac, "mtu", "1500", "type", "vxlan", "dstport", "4789"]
            .map(str::to_string)
            .to_vec();
    for (word, own) in WORDS {
        let at = words.iter().position(|w| w == word).filter(|at| at + 1 < words.len());
        let at = at.ok_or_else(|| io::Error::other(format!("the lab wants {word} when a vxlan is created")))?;
        line.extend([own.to_string(), words.remove(at + 1)]);
        words.remove(at);
    }
    kernel::ip(&line.iter().map(String::as_str).collect::<Vec<_>>())?;
    kernel::set_notes(name, &Notes { cloner: "vxlan".into(), ..Notes::default() })?;
    clone::quiet_v6(name);
    Ok(())
}
