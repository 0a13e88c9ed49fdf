//! `wg show IF FIELD` (contrib/wireguard-tools/show.c, contract 3.1) and the filtered configuration files.

use std::collections::BTreeSet;

use super::error;
use super::error::FactsError;
use super::error::line;
use super::prefix::prefix;
use crate::facts::Peer;
use crate::facts::WireGuardFile;
use crate::model::InterfaceName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::RemotePath;

/// The peers of one interface.
///
/// # Errors
/// A line that is not a key and a value, or a value that is none of its kind.
pub fn peers(interface: &str, allowed: &str, handshakes: &str, endpoints: &str) -> Result<Vec<Peer>, FactsError> {
    let mut peers: Vec<Peer> = Vec::new();
    each(&format!("wg show {interface} allowed-ips"), allowed, |key, value| {
        let allowed = prefixes(value, ' ')?;
        peers.push(Peer { public_key: key, allowed, latest_handshake: 0, endpoint: None, keepalive: None });
        Ok(())
    })?;
    // A peer that came between two questions is in one of them only; the next look will show it whole.
    let mut with = |key: &PublicKey, change: &dyn Fn(&mut Peer)| {
        peers.iter_mut().filter(|p| p.public_key == *key).for_each(change);
    };
    each(&format!("wg show {interface} latest-handshakes"), handshakes, |key, value| {
        let seconds = value.trim().parse().map_err(|_| "not a number of seconds".to_owned())?;
        with(&key, &|p| p.latest_handshake = seconds);
        Ok(())
    })?;
    each(&format!("wg show {interface} endpoints"), endpoints, |key, value| {
        let endpoint = (value != "(none)").then(|| value.to_owned());
        with(&key, &|p| p.endpoint.clone_from(&endpoint));
        Ok(())
    })?;
    Ok(peers)
}

/// Adds what `wg show IF persistent-keepalive` says, `off` or seconds; a line that cannot be read adds nothing.
pub fn keepalives(peers: &mut [Peer], text: &str) {
    for (key, value) in text.lines().filter_map(|row| row.split_once('\t')) {
        let known = peers.iter_mut().filter(|p| p.public_key.to_string() == key);
        known.for_each(|p| p.keepalive = Some(value.trim() != "off"));
    }
}

/// Calls `take` with the key and the rest of each line.
fn each(
    question: &str,
    text: &str,
    mut take: impl FnMut(PublicKey, &str) -> Result<(), String>,
) -> Result<(), FactsError> {
    for (index, row) in text.lines().enumerate() {
        let done = row
            .split_once('\t')
            .ok_or_else(|| "no tab after the key".to_owned())
            .and_then(|(key, value)| Ok((PublicKey::new(key).map_err(|e| e.to_string())?, value)))
            .and_then(|(key, value)| take(key, value));
        done.map_err(|problem| line(question, index, row, problem))?;
    }
    Ok(())
}

/// Prefixes in a list; `(none)` and nothing are the empty list. Without a length it is a single address, and the host
/// bits of one in a file are cleared, as wg(8) does.
fn prefixes(list: &str, separator: char) -> Result<BTreeSet<Prefix>, String> {
    let items = list.split(separator).map(str::trim).filter(|i| !i.is_empty() && *i != "(none)");
    items.map(|item| prefix(item).ok_or_else(|| format!("{item:?} is not a prefix"))).collect()
}

/// A configuration file as `public_part` of `host.sh` lets it out.
///
/// # Errors
/// A path that is not usable, a peer's value that is none.
pub fn file(path: &str, text: &str, sha256: &str) -> Result<WireGuardFile, FactsError> {
    let fail = |problem: String| error::file(path, problem);
    let checked = RemotePath::new(path).map_err(|e| fail(e.to_string()))?;
    let stem = checked.file_name().strip_suffix(".conf").unwrap_or(checked.file_name());
    let interface = InterfaceName::new(stem).map_err(|e| fail(e.to_string()))?;
    let mut found = WireGuardFile {
        path: checked,
        interface,
        save_config: false,
        wg_quick: false,
        table: None,
        hooks: Vec::new(),
        sha256: super::files::digest(path, sha256)?,
        peers: Vec::new(),
    };
    let mut open: Option<(Option<PublicKey>, BTreeSet<Prefix>)> = None;
    for row in text.lines() {
        match row.split_once('=') {
            Some(("publickey", key)) => {
                let key = PublicKey::new(key).map_err(|e| fail(e.to_string()))?;
                if let Some((slot, _)) = &mut open {
                    *slot = Some(key);
                }
            }
            Some(("allowedips", list)) => {
                let more = prefixes(list, ',').map_err(fail)?;
                if let Some((_, allowed)) = &mut open {
                    allowed.extend(more);
                }
            }
            Some(("ours", line)) => {
                found.hooks.push(format!("PostUp = {line}"));
                found.wg_quick = true;
            }
            Some(("saveconfig", value)) => {
                found.save_config = value == "true";
                found.wg_quick = true;
            }
            Some(("table", value)) => {
                found.table = Some(value.to_owned());
                found.wg_quick = true;
            }
            None if row.starts_with('[') => {
                close(&mut found, open.take());
                open = (row == "[peer]").then(Default::default);
            }
            // The other keys that the filter lets out, by name only, are wg-quick's.
            _ => found.wg_quick = true,
        }
    }
    close(&mut found, open);
    Ok(found)
}

fn close(file: &mut WireGuardFile, section: Option<(Option<PublicKey>, BTreeSet<Prefix>)>) {
    if let Some((Some(key), allowed)) = section {
        file.peers.push((key, allowed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    const A: &str = "2gk18S9cYHKOIkhpOdTAQ2vkmP9KXAY8orx3/7wmjQc=";
    const B: &str = "Hif0S/LOiYiKcUKsdLnhTI5gzGcqg1Jz4alUbm1XEy0=";

    fn show(allowed: &BTreeSet<Prefix>) -> Vec<String> {
        allowed.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn peers_of_the_hub() {
        let fields = stdout("wg-show-fields");
        let rows: Vec<&str> = fields.lines().collect();
        let mut peers = peers("wg0", &stdout("wg-move"), &rows[3..5].join("\n"), &rows[5..7].join("\n")).unwrap();
        keepalives(&mut peers, &rows[7..9].join("\n"));
        assert_eq!(peers.iter().map(|p| p.keepalive).collect::<Vec<_>>(), [Some(true), Some(false)]);
        assert_eq!(peers[0].public_key.as_str(), A);
        assert_eq!(show(&peers[0].allowed), ["10.77.0.2/32", "192.168.123.0/24", "2001:db8:1::/72"]);
        assert_eq!(peers[0].endpoint.as_deref(), Some("127.0.0.1:51821"));
        assert_eq!(peers[0].latest_handshake, 0);
        assert_eq!(peers[1].public_key.as_str(), B);
        assert_eq!(show(&peers[1].allowed), ["10.77.0.3/32", "192.168.123.50/32", "2001:db8:1::50/128"]);
        assert_eq!(peers[1].endpoint, None);
    }

    #[test]
    fn a_peer_without_prefixes_and_one_that_shook_hands() {
        let peers = peers("wg0", &format!("{A}\t(none)\n"), &format!("{A}\t1795381912\n{B}\t7\n"), "").unwrap();
        assert_eq!((peers.len(), peers[0].allowed.len(), peers[0].latest_handshake), (1, 0, 1_795_381_912));
    }

    #[test]
    fn what_is_no_peer_is_named() {
        let error = peers("wg0", "nonsense\t10.0.0.0/8\n", "", "").unwrap_err().to_string();
        assert!(
            error.starts_with("wg show wg0 allowed-ips, line 1: \"nonsense\" is not a valid WireGuard public key"),
            "{error}"
        );
        assert!(peers("wg0", &format!("{A}\t300.1.1.1/32"), "", "").is_err());
    }

    #[test]
    fn a_filtered_file() {
        let digest = "f9ebfe703ec20793f9c642c5c1ba8773b9f2cc5ac3e4d1b4c420a3f2c9d53db9";
        let text = format!(
            "[interface]\naddress\ntable\n[peer]\npublickey={A}\nallowedips=10.77.0.2/32,192.168.123.7/24\nallowedips=2001:db8:1::/72\n[peer]\nallowedips=\npublickey={B}\n"
        );
        let file = file("/usr/local/etc/wireguard/wg0.conf", &text, digest).unwrap();
        assert_eq!(file.interface.as_str(), "wg0");
        assert!(file.wg_quick && !file.save_config);
        assert_eq!(file.sha256, digest);
        assert_eq!(file.peers[0].0.as_str(), A);
        assert_eq!(show(&file.peers[0].1), ["10.77.0.2/32", "192.168.123.0/24", "2001:db8:1::/72"]);
        assert_eq!((file.peers[1].0.as_str(), file.peers[1].1.len()), (B, 0));
    }

    #[test]
    fn lines_of_ours() {
        let digest = "f9ebfe703ec20793f9c642c5c1ba8773b9f2cc5ac3e4d1b4c420a3f2c9d53db9";
        let route = "route -q -n add -host 192.168.123.50 -interface wg0 -fib 0 # jailferry web";
        let file = file("/etc/wireguard/wg0.conf", &format!("[interface]\nours={route}\npostup\n"), digest).unwrap();
        assert_eq!((file.hooks, file.wg_quick), (vec![format!("PostUp = {route}")], true));
    }

    #[test]
    fn a_plain_file_for_setconf() {
        let digest = "f9ebfe703ec20793f9c642c5c1ba8773b9f2cc5ac3e4d1b4c420a3f2c9d53db9";
        let file = file("/etc/wireguard/wg0.conf", &format!("[interface]\n[peer]\npublickey={B}\n"), digest).unwrap();
        assert!(!file.wg_quick);
        assert_eq!(file.peers.len(), 1);
    }
}
