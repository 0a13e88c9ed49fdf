//! What the jail brings with it: mounts, parameters, devices, its start at boot, its checks.

use crate::configuration::jail_conf::matching;
use crate::facts::JailConfiguration;
use crate::facts::PathKind;
use crate::facts::User;
use crate::facts::questions::OF_JAIL_8;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;
use crate::plan::preflight::own_files;
use crate::playbook;

/// fetch(1) tells success or failure, no status.
pub(super) fn tls(s: &Subject<'_>, findings: &mut Findings) {
    for check in s.checks {
        if let playbook::Probe::Http { target: playbook::HttpTarget::Url(url), status, .. } = &check.probe
            && url.starts_with("https://")
            && *status != 200
        {
            findings.error(
                "https-status",
                &s.situation.hub,
                format!(
                    "{url} shall answer with status {status}, but over TLS only 200 can be told with the base system"
                ),
                "check another URL, or plain HTTP",
            );
        }
    }
}

/// Who would keep its datasets from being unmounted behind the stop. No error: much of that is over by then, and the move asks
/// again before it stops the jail.
pub(super) fn users(s: &Subject<'_>, findings: &mut Findings) {
    if s.jail.users.is_empty() {
        return;
    }
    let told: Vec<String> = s.jail.users.iter().map(User::to_string).collect();
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    findings.warning(
        "in-use",
        node,
        format!(
            "{} has something of the datasets of jail {jail}, which could not be unmounted once it has stopped; the move waits for half a minute before it stops the jail, and is taken back if that is still so",
            told.join(", ")
        ),
        "end it (fstat -m -f on the mount points tells more); what ends by itself with the jail is no reason to stay: --no-check-first",
    );
}

/// Where the jail's console is logged; jail(8) makes the file, not its folder.
#[must_use]
pub fn log_folder(configuration: &JailConfiguration) -> Option<RemotePath> {
    let file = configuration.value("exec.consolelog")?;
    RemotePath::new(file.rsplit_once('/')?.0).ok()
}

/// What the jail's configuration names on the host: fstab sources, devfs ruleset, parameters.
pub(super) fn surroundings(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    if s.situation.fstab.is_some() && s.jail.fstab.is_none() {
        findings.error(
            "no-fstab",
            &s.situation.source.node,
            "the jail's configuration names an fstab that does not exist on the source: the jail could not be started again, here or there",
            "restore the file, or correct mount.fstab",
        );
    }
    let log_folder = s.source.jail_configuration(&s.situation.jail).and_then(log_folder);
    let of_keys = |path: &RemotePath| s.datasets.iter().any(|d| d.key.as_ref().is_some_and(|(file, _)| file == path));
    let places = own_files::needed_places(s.situation, s.source);
    // What arrives with the jail is not there yet.
    let of_mounts = |path: &RemotePath| !of_keys(path) && !places.contains(path) && !s.arrives(path);
    for (path, kind) in s.there.paths.iter().filter(|(path, _)| of_mounts(path)) {
        if Some(path) == log_folder.as_ref() {
            if *kind == PathKind::Absent {
                findings.error(
                    "no-log-folder",
                    node,
                    format!("exec.consolelog of the jail lies in {path}, which does not exist on {node}: jail(8) would not start the jail"),
                    Fix::new("make it").run(format!("mkdir -p {path}")),
                );
            }
            continue;
        }
        let written = *path == s.situation.target_file || s.situation.fstab.as_ref() == Some(path);
        if *kind == PathKind::Absent && !written {
            findings.error(
                "missing-source",
                node,
                format!("{path}, which the jail mounts, does not exist on {node}"),
                s.situation.manager.says().provide(path, node),
            );
        }
    }
    parameters(s, findings);
    for ruleset in &s.there.undefined_rulesets {
        findings.error(
            "no-ruleset",
            node,
            format!("devfs ruleset {ruleset} is not defined on {node}: the jail would see every device of the host"),
            Fix::new(format!("define it as on the source: a section [NAME={ruleset}] in /etc/devfs.rules (devfs.rules(5)); then load it"))
                .run("service devfs restart"),
        );
    }
    let follows =
        |name: &&String| s.situation.epair.is_some_and(|(unit, to)| unit != to && matching::units(name) == [unit]);
    let named: Vec<&str> = s.jail.inner_rc_interfaces.iter().filter(follows).map(String::as_str).collect();
    if !named.is_empty() {
        findings.error(
            "inner-interface",
            node,
            format!("the jail's own /etc/rc.conf names {}, but that unit is taken on {node}", named.join(", ")),
            "free the unit on the target, or rename the interface inside the jail to a name of its own",
        );
    }
}

/// Parameters that the target's kernel does not know. jail(8) itself loads the module that brings some of them
/// (lib/libjail/jail.c, kldload_param), unless the securelevel forbids it.
fn parameters(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let may_load = s.target.sysctl("kern.securelevel").is_none_or(|level| level <= 0);
    fixed_number(s, findings);
    for parameter in &s.there.unknown_parameters {
        let who = if OF_JAIL_8.contains(&parameter.as_str()) { "jail(8)" } else { "the kernel" };
        let what = format!("{who} of {node} does not know the jail parameter {parameter}");
        match module_of(parameter) {
            Some(module) if may_load => findings.warning(
                "unknown-parameter",
                node,
                format!("{what} yet: jail(8) will load module {module} for it, and refuse to start the jail if there is none"),
                Fix::new("load it beforehand, now and at each boot")
                    .run(format!("kldload -n {module}"))
                    .run(format!("sysrc kld_list+={module}")),
            ),
            Some(module) => findings.error(
                "unknown-parameter",
                node,
                format!("{what}, and its securelevel forbids to load module {module}, which brings it: jail(8) would refuse to start the jail"),
                Fix::new("load it at boot, before the securelevel is raised: then reboot")
                    .run(format!("sysrc kld_list+={module}")),
            ),
            // Which jail(8) does not load.
            None if parameter.starts_with("allow.vmm") => findings.error(
                "unknown-parameter",
                node,
                format!("{what}: jail(8) would refuse to start the jail"),
                Fix::new("load vmm(4), now and at each boot").run("kldload -n vmm").run("sysrc kld_list+=vmm"),
            ),
            None => findings.error(
                "unknown-parameter",
                node,
                format!("{what}: jail(8) would refuse to start the jail"),
                "remove it from the jail's configuration, or upgrade the target",
            ),
        }
    }
}

/// Another jail may have it at the target; and before 15.0 a jail of that number that is still dying keeps it from starting
/// again, here too (kern_jail.c, kern_jail_set).
fn fixed_number(s: &Subject<'_>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    if let Some(jid) = s.source.jail_configuration(jail).and_then(|c| c.value("jid")) {
        findings.error(
            "fixed-number",
            node,
            format!("jail {jail} has the fixed number {jid} (`jid`): while one of that number runs, or is still dying as after a stop, jail(8) starts it neither there nor here"),
            "take `jid` out of the jail's block: jail(8) numbers jails by itself",
        );
    }
}

/// The module that brings a jail parameter.
fn module_of(parameter: &str) -> Option<&str> {
    match parameter {
        "linux" => Some("linux"),
        "sysvmsg" | "sysvsem" | "sysvshm" => Some(parameter),
        _ if parameter.starts_with("linux.") => Some("linux"),
        _ => parameter.strip_prefix("allow.mount.").map(|name| name.strip_prefix("no").unwrap_or(name)),
    }
}

/// Whether it comes up by itself.
pub(super) fn boot(s: &Subject<'_>, findings: &mut Findings) {
    if !s.situation.autostart {
        findings.note(
            "no-autostart",
            &s.situation.source.node,
            format!(
                "jail {} does not start at boot on {}, and will not on {}",
                s.situation.jail, s.situation.source.node, s.situation.target.node
            ),
        );
    }
    s.situation.manager.says().examine(s, findings);
}
