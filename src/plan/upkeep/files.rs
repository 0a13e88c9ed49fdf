//! WireGuard files against their running interfaces.

use std::collections::BTreeSet;

use crate::facts::WireGuardFile;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::upkeep::Host;

fn file<'a>(host: &Host<'a>) -> Option<&'a WireGuardFile> {
    host.facts.wireguard_files.iter().find(|f| Some(&f.interface) == host.tunnel)
}

fn list(allowed: &BTreeSet<Prefix>) -> String {
    let texts: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

/// Peers whose AllowedIPs the next boot would set otherwise.
pub(super) fn differ(host: &Host<'_>, findings: &mut Findings) {
    let (Some(file), Some(running)) = (file(host), host.tunnel.and_then(|t| host.facts.wireguard(t))) else { return };
    let (node, path, interface) = (host.node, &file.path, &running.interface);
    let back = |words: &str| {
        let again = if file.wg_quick {
            format!("the file's are loaded by: wg-quick strip {interface} | wg syncconf {interface} /dev/stdin")
        } else {
            format!("the file's are loaded by: wg syncconf {interface} {path}")
        };
        Fix::new(format!("{words}; or, if the file is right, {again}"))
    };
    for peer in &running.peers {
        let key = &peer.public_key;
        match file.peers.iter().find(|(listed, _)| listed == key) {
            None => findings.warning(
                "peer-forgotten",
                node,
                format!("{interface} of {node} has a peer {} that {path} does not list: a reboot forgets it", key.short()),
                Fix::new("add it to the file, with its Endpoint and PresharedKey if it has any")
                    .write(path, "at its end", "[Peer]")
                    .write(path, "then", format!("PublicKey = {key}"))
                    .write(path, "then", format!("AllowedIPs = {}", list(&peer.allowed))),
            ),
            Some((_, allowed)) if *allowed != peer.allowed => findings.warning(
                "file-differs",
                node,
                format!("{path} of {node} gives peer {} {}, but {interface} gives it {}: a reboot would change who gets which packets", key.short(), list(allowed), list(&peer.allowed)),
                back("let the file say the same")
                    .write(path, format!("below [Peer] and PublicKey = {key}"), format!("AllowedIPs = {}", list(&peer.allowed))),
            ),
            Some(_) => {}
        }
    }
    for (key, allowed) in file.peers.iter().filter(|(key, _)| !running.peers.iter().any(|p| p.public_key == *key)) {
        findings.warning(
            "peer-missing",
            node,
            format!(
                "{path} of {node} lists a peer {} with {}, which {interface} does not have",
                key.short(),
                list(allowed)
            ),
            back("take its [Peer] section out of the file"),
        );
    }
}

/// wg-quick(8) makes routes of AllowedIPs, of everything too, unless it is told not to.
pub(super) fn makes_routes(host: &Host<'_>, findings: &mut Findings) {
    let Some(file) = file(host).filter(|f| f.wg_quick && !host.is_hub) else { return };
    let off = file.table.as_deref() == Some("off");
    let Some((key, _)) = file.peers.iter().find(|(_, allowed)| allowed.iter().any(|p| p.length() <= 1)) else { return };
    if !off {
        findings.warning(
            "table-not-off",
            host.node,
            format!(
                "{} of {} has no `Table = off`: wg-quick(8) would send everything of the host itself, ssh too, to peer {}",
                file.path,
                host.node,
                key.short()
            ),
            Fix::new("keep it from making routes; those that jails need are PostUp lines")
                .write(&file.path, "below [Interface]", "Table = off"),
        );
    }
}

/// A file that wg-quick(8) writes anew when the interface goes down.
pub(super) fn rewritten(host: &Host<'_>, findings: &mut Findings) {
    let Some(file) = file(host).filter(|f| f.save_config && !host.is_hub) else { return };
    findings.warning(
        "save-config",
        host.node,
        format!(
            "{} of {} has SaveConfig = true: wg-quick(8) writes it anew at down, whatever was written into it before",
            file.path, host.node
        ),
        without_save_config(&file.path),
    );
}

/// Takes the line out (sed(1): `-i ''` keeps no copy, which would hold the private key).
#[must_use]
pub fn without_save_config(path: &RemotePath) -> Fix {
    Fix::new("remove SaveConfig from the file").run(format!("sed -i '' '/^[[:space:]]*[Ss]ave[Cc]onfig/d' {path}"))
}
