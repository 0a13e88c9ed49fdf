//! What is mounted below the jail's root and is not the jail's: it neither moves nor comes back.
//!
//! A stopped jail's root is freed of whatever jail(8) did not unmount, and its datasets are unmounted. What the jail's
//! configuration mounts comes back with it; what the host has mounted there does not.

use crate::configuration::fstab;
use crate::facts::JailConfiguration;
use crate::facts::Mount;
use crate::model::DatasetName;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::mounts;
use crate::plan::preflight::Subject;
use crate::plan::preflight::own_files;

/// Parameters whose commands run on the host when the jail starts.
const COMMANDS: [&str; 4] = ["exec.prepare", "exec.prestart", "exec.created", "exec.poststart"];

/// Programs in them that mount nothing, unless the word says so.
const HARMLESS: [&str; 22] = [
    "arp", "chmod", "chown", "cp", "cpuset", "devfs", "echo", "false", "ifconfig", "jexec", "kldload", "logger",
    "mkdir", "ndp", "pfctl", "rctl", "rm", "route", "sleep", "sysctl", "true", "zfs",
];

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source, &s.situation.target.node);
    let Some(configuration) = s.source.jail_configuration(&s.situation.jail) else { return };
    // What cannot be read was told when the target was asked.
    let mounts = mounts::of(s.jail, Some(configuration)).unwrap_or_default();
    let mut own = own_places(configuration, s.situation.path.as_str(), mounts.iter().map(|m| &m.mount));
    let mut named = Vec::new();
    if let Some(link) = own_files::linked_root(s.situation, s.source) {
        // mount(8) lists where a link leads to; the fstab may name the places by the link.
        let below =
            |at: &String| at.strip_prefix(link.as_str()).filter(|rest| rest.starts_with('/')).map(str::to_owned);
        let real: Vec<String> =
            own.iter().filter_map(below).map(|rest| format!("{}{rest}", s.situation.path)).collect();
        own.extend(real);
        named.push(link);
    }
    // By what name a command may know a place.
    let spelled = |at: &str| {
        let rest = at.strip_prefix(s.situation.path.as_str()).map(str::to_owned);
        let by_link = named.iter().zip(rest).map(|(link, rest)| format!("{link}{rest}"));
        std::iter::once(at.to_owned()).chain(by_link).collect::<Vec<_>>()
    };
    let host_commands: Vec<String> =
        COMMANDS.iter().flat_map(|c| configuration.values(c).unwrap_or_default()).collect();
    let root = s.situation.path.as_str().trim_end_matches('/');
    for mount in s.jail.mounts.iter().filter(|m| m.path.trim_end_matches('/') != root) {
        if own.contains(&place(&mount.path))
            || moves(s, mount)
            || by_the_jail(s, configuration, mount)
            || spelled(&mount.path).iter().any(|at| host_commands.iter().any(|command| command.contains(at)))
        {
            continue;
        }
        let Mount { source: what, path, kind, .. } = mount;
        let (said, fix) = if kind == "zfs" {
            let said = format!(
                "{what} is mounted at {path} and does not move with {}: the jail's datasets could not be unmounted below it once the jail has stopped, and on {target} the jail would not find it",
                source.dataset
            );
            let fix = Fix::new(format!("put it below {}, so that it moves, or unmount it", source.dataset))
                .run(format!("zfs unmount {what}"));
            (said, fix)
        } else {
            let said = format!(
                "{what} ({kind}) is mounted at {path}, but not by the configuration of jail {}: it would be unmounted when the jail stops and nothing would mount it again, here or on {target}, where the jail would use an empty folder",
                s.situation.jail
            );
            let options = if mount.options.split(',').any(|o| o == "ro") { "ro" } else { "rw" };
            let fix = Fix::new("let the jail's configuration mount it, which moves with the jail, in the place of the host (/etc/fstab); or unmount it")
                .run(format!("umount {path}"))
                .write(
                    &s.situation.configuration_file,
                    format!("in the block of jail {}", s.situation.jail),
                    format!("mount += \"{what} {path} {kind} {options} 0 0\";"),
                );
            (said, fix)
        };
        // A script of the jail's start may have mounted it, and then does so again.
        if host_commands.iter().any(|command| may_mount(command)) {
            findings.warning("foreign-mount", &source.node, said, fix);
        } else {
            findings.error("foreign-mount", &source.node, said, fix);
        }
    }
}

/// As mount(8) lists it: cut at a blank.
fn place(path: &str) -> String {
    let path = path.split_whitespace().next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

/// Where jail(8) mounts something when it starts the jail.
fn own_places<'a>(
    configuration: &JailConfiguration,
    root: &str,
    mounts: impl Iterator<Item = &'a fstab::Mount>,
) -> Vec<String> {
    let mut places: Vec<String> = mounts.map(|mount| place(&mount.target)).collect();
    for (parameter, at) in [("mount.devfs", "dev"), ("mount.fdescfs", "dev/fd"), ("mount.procfs", "proc")] {
        if configuration.values(parameter).is_some() {
            places.push(place(&format!("{root}/{at}")));
        }
    }
    places
}

/// A dataset of the jail's, or a snapshot of one that was looked into.
fn moves(s: &Subject<'_>, mount: &Mount) -> bool {
    let dataset = mount.source.split('@').next().unwrap_or_default();
    mount.kind == "zfs" && s.datasets.iter().any(|d| d.source.dataset.as_str() == dataset)
}

/// What the jail may mount itself it can have mounted, and will again (`allow.mount.KIND`, jail(8)).
fn by_the_jail(s: &Subject<'_>, configuration: &JailConfiguration, mount: &Mount) -> bool {
    if mount.kind == "zfs" {
        let name = DatasetName::new(mount.source.as_str()).ok();
        return name.and_then(|name| s.source.dataset(&name)).is_some_and(|dataset| dataset.jailed);
    }
    // fusefs(5) has a second name behind a dot.
    let kind = mount.kind.split('.').next().unwrap_or_default();
    configuration.values(&format!("allow.mount.{kind}")).is_some()
}

/// May a command of the jail's start mount something that it does not name?
fn may_mount(command: &str) -> bool {
    let harmless = |part: &str| {
        let program = part.split_whitespace().next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        name.is_empty() || name.bytes().all(|b| b.is_ascii_digit()) || name == ":" || HARMLESS.contains(&name)
    };
    command.contains("mount") || command.contains(['`', '$']) || !command.split([';', '|', '&', '\n']).all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_mounts() {
        let parameters = [("mount.devfs", None)];
        let configuration = JailConfiguration {
            name: "web".into(),
            file: crate::plan::fixture::path("/etc/jail.conf.d/web.conf"),
            parameters: parameters.map(|(n, v): (&str, Option<&str>)| (n.to_owned(), v.map(str::to_owned))).into(),
        };
        let fstab = "/bin /j/web//bin/ nullfs ro 0 0\n/a\\040b /j/web/a\\040b nullfs rw 0 0\n";
        let mounts = fstab::mounts(fstab).unwrap();
        let expected = ["/j/web/bin", "/j/web/a", "/j/web/dev"];
        assert_eq!(own_places(&configuration, "/j/web/", mounts.iter()), expected);
    }

    #[test]
    fn what_may_mount_unseen() {
        for command in ["/sbin/ifconfig epair7 create 2>&1 || true", "zfs jail web z/data", "", ": >/dev/null; sleep 1"]
        {
            assert!(!may_mount(command), "{command}");
        }
        for command in ["/usr/local/bin/prepare web", "zfs mount -a", "sh -c 'x'", "echo `x`", "true && jng bridge web"]
        {
            assert!(may_mount(command), "{command}");
        }
    }
}
