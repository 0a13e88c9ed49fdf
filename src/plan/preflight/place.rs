//! Room for the jail on the target: its name, addresses, files and mount point.

use crate::plan::finding::Findings;
use crate::plan::preflight::Subject;

/// Name, addresses, files and mount point are free on the target.
pub(super) fn free_place(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let jail = &s.situation.jail;
    if s.target.jails.iter().any(|j| j.name == jail.as_str()) {
        findings.error(
            "name-taken",
            node,
            format!("a jail {jail} exists on {node}, possibly dying"),
            format!("look at jls -d on {node}"),
        );
    }
    for running in &s.target.jails {
        for address in running.addresses.iter().map(ipnet::IpNet::addr) {
            if s.situation.prefixes.iter().any(|p| p.contains(address)) {
                findings.error(
                    "address-taken",
                    node,
                    format!("jail {} on {node} has {address}, which belongs to jail {jail}", running.name),
                    "give one of them another address",
                );
            }
        }
    }
    if let Some(existing) = s.target.jail_configuration(jail) {
        findings.error(
            "configuration-exists",
            node,
            format!("{} on {node} defines a jail {jail} already", existing.file),
            format!("if it is a leftover, move it aside: mv {f} {f}.old", f = existing.file),
        );
    } else if s.there.files.contains_key(&s.situation.target_file) {
        findings.error(
            "file-exists",
            node,
            format!("{} exists on {node}, though it defines no jail {jail}", s.situation.target_file),
            "move it aside",
        );
    }
    // Bare ones get a free unit instead.
    for interface in s.situation.target.interfaces.iter().filter(|i| s.target.interface(i).is_some()) {
        findings.error(
            "interface-taken",
            node,
            format!(
                "{node} has an interface {interface} already, which is what the jail's configuration calls its own"
            ),
            format!("if nothing uses it: ifconfig {interface} destroy; otherwise rename one of the two"),
        );
    }
    if let Some(dataset) = s.target.dataset_at(s.situation.path.as_str()) {
        findings.error(
            "path-taken",
            node,
            format!("{} is mounted at {} on {node}, where the jail's root shall be", dataset.name, s.situation.path),
            format!("give it another mount point: zfs set mountpoint=… {}", dataset.name),
        );
    }
}
