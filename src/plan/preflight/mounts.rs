//! What jail(8) mounts when the jail starts: directories of the host, and datasets that ZFS itself does not mount
//! (`mountpoint=legacy`, zfsprops(7)).

use crate::facts::JailConfiguration;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::mounts;
use crate::plan::mounts::JailMount;
use crate::plan::preflight::Subject;

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let configuration = s.source.jail_configuration(&s.situation.jail);
    // What cannot be read was told when the target was asked.
    let mounts = mounts::of(s.jail, configuration).unwrap_or_default();
    let named: Vec<(&JailMount, &str)> = mounts.iter().filter_map(|m| Some((m, dataset_of(m)?))).collect();
    for (mount, name) in &named {
        dataset(s, mount, name, findings);
    }
    mounted_by_nobody(s, configuration, &named, findings);
    for mount in mounts.iter().filter(|m| m.mount.shows_a_directory()) {
        directory(s, mount, findings);
    }
}

/// The dataset that a line mounts; one of its snapshots counts for it.
fn dataset_of(mount: &JailMount) -> Option<&str> {
    let source = mount.mount.source.as_str();
    (mount.mount.kind == "zfs").then(|| source.split_once('@').map_or(source, |(dataset, _)| dataset))
}

fn dataset(s: &Subject<'_>, mount: &JailMount, name: &str, findings: &mut Findings) {
    let (source, target, jail) = (&s.situation.source, &s.situation.target, &s.situation.jail);
    let file = &mount.file;
    match s.datasets.iter().find(|d| d.source.dataset.as_str() == name) {
        Some(moving) if moving.target.dataset != moving.source.dataset => findings.error(
            "mounted-name",
            &target.node,
            format!(
                "{file} mounts {name} for jail {jail}, which is called {} on {}: the jail would not start there",
                moving.target.dataset, target.node
            ),
            "keep the jails of both nodes below a dataset of the same name (`parent` in fleet.yml)",
        ),
        Some(_) => {}
        None if s.target.datasets.iter().any(|d| d.name.as_str() == name) => findings.warning(
            "mounted-elsewhere",
            &source.node,
            format!(
                "{file} mounts {name} for jail {jail}, which is not below {}: it stays behind, and the jail gets what {} has under that name",
                source.dataset, target.node
            ),
            format!("if the jail writes there, move the data into a dataset below {}, and name that in {file}", source.dataset),
        ),
        None => findings.error(
            "mounted-elsewhere",
            &source.node,
            format!(
                "{file} mounts {name} for jail {jail}, which is not below {}: it would stay behind, and the jail would not start on {}",
                source.dataset, target.node
            ),
            format!("move the data into a dataset below {}, and name that in {file}", source.dataset),
        ),
    }
}

/// Datasets of the jail that neither ZFS nor jail(8) mounts, but somebody has: the host's own fstab, or a person.
fn mounted_by_nobody(
    s: &Subject<'_>,
    configuration: Option<&JailConfiguration>,
    named: &[(&JailMount, &str)],
    findings: &mut Findings,
) {
    let node = &s.situation.source.node;
    let commands: Vec<String> = configuration
        .into_iter()
        .flat_map(|c| c.parameters.iter().filter(|(name, _)| name.starts_with("exec.")))
        .flat_map(|(_, value)| value.as_deref().unwrap_or_default().split([' ', '\t', '"', '\'', ';', ',']))
        .map(str::to_owned)
        .collect();
    for moving in s.datasets {
        let name = moving.source.dataset.as_str();
        let known = named.iter().any(|(_, n)| *n == name) || commands.iter().any(|word| word == name);
        if known || !s.source.dataset(&moving.source.dataset).is_some_and(|d| d.mounted && !d.jailed && d.is_legacy()) {
            continue;
        }
        findings.error(
            "legacy-mounted",
            node,
            format!(
                "{name} is mounted on {node}, though not by ZFS (mountpoint=legacy) and by no line of the jail's own fstab: nobody would unmount it when jail {} stops, nor mount it on {}",
                s.situation.jail, s.situation.target.node
            ),
            "take it out of /etc/fstab, and let jail(8) mount it by a line in the jail's fstab (mount.fstab), or ZFS (zfs set mountpoint=PATH)",
        );
    }
}

fn directory(s: &Subject<'_>, mount: &JailMount, findings: &mut Findings) {
    let (source, target, jail) = (&s.situation.source, &s.situation.target, &s.situation.jail);
    let JailMount { file, mount } = mount;
    let path = RemotePath::new(mount.source.as_str());
    if path.as_ref().is_ok_and(|path| s.arrives(path)) {
        return;
    }
    if path.is_err() {
        findings.warning(
            "odd-source",
            &target.node,
            format!(
                "whether {} has {:?}, which {file} mounts for jail {jail}, is not asked, for its characters: without it the jail would not start there",
                target.node, mount.source
            ),
            format!("look whether it is there; a name of letters, digits, '.', '_', '-' and '/' is asked for (strunvis(3) reads {file})"),
        );
    }
    if mount.writes_to_the_host() {
        findings.warning(
            "stays-behind",
            &source.node,
            format!(
                "jail {jail} can write to {:?} of its host ({file}), which is in none of its datasets: what it has written there stays on {}, and on {} it finds what that has there",
                mount.source, source.node, target.node
            ),
            Fix::new(format!(
                "if it is the jail's own, move it into a dataset below {}; if the jail only reads it, mount it `ro`; if both nodes have the same by other means, go on",
                source.dataset
            )),
        );
    }
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
