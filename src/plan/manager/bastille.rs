//! `BastilleBSD` (0.9 to 1.4): a jail is a folder with jail.conf, fstab, settings and the root directory in it, and both
//! folder and root are datasets. So all of it travels with the datasets, and the rewritten jail.conf takes the place of
//! the old one once they are mounted.
//!
//! At boot its rc script starts whatever has a jail.conf (0.x: and is in `bastille_list`, ALL by default) unless its
//! settings say `boot=off` (1.0). What is not mounted has no jail.conf, so `canmount=noauto` of its datasets keeps
//! any version from starting the jail. Jails are started and stopped with jail(8), as Bastille does.

use crate::facts::Dataset;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::RcConf;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::manager::Manages;
use crate::plan::persist;
use crate::plan::preflight::Subject;

const LIST: &str = "bastille_list";

/// A jail of Bastille's.
pub(super) struct Bastille<'a> {
    /// `bastille_jailsdir`.
    pub(super) jails: &'a RemotePath,
}

/// The folder of jails, when the configuration is `FOLDER/JAIL/jail.conf` and the root lies beside it.
pub(super) fn jails_folder(jail: &JailName, configuration: &JailConfiguration) -> Option<RemotePath> {
    let folder = configuration.file.as_str().strip_suffix(&format!("/{jail}/jail.conf"))?;
    let root = configuration.value("path")?;
    let beside = root.strip_prefix(&format!("{folder}/{jail}/")).is_some_and(|rest| rest.trim_matches('/') == "root");
    beside.then(|| RemotePath::new(folder).ok())?
}

fn enabled(rc: &RcConf) -> bool {
    let value = rc.variables.get("bastille_enable").map_or("NO", String::as_str);
    ["yes", "true", "on", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// The jails that `bastille_list` names; `None` when it stands for all.
fn listed(rc: &RcConf) -> Option<Vec<&str>> {
    let names: Vec<&str> = rc.variables.get(LIST)?.split_whitespace().collect();
    (!names.is_empty() && !names.iter().any(|n| n.eq_ignore_ascii_case("all"))).then_some(names)
}

impl Bastille<'_> {
    fn folder(&self, jail: &JailName) -> String {
        format!("{}/{jail}", self.jails)
    }

    /// `bastille_list` of a host from one text to another.
    fn list(node: &NodeName, rc: &RcConf, new: &[&str]) -> Step {
        persist::edit_variable(node, LIST, rc.variables.get(LIST).map(String::as_str), Some(&new.join(" ")))
    }
}

impl Manages for Bastille<'_> {
    fn dataset<'a>(&self, facts: &'a HostFacts, jail: &JailName, _: &RemotePath) -> Option<&'a Dataset> {
        facts.dataset_at(&self.folder(jail))
    }

    fn no_dataset(&self, jail: &JailName, _: &RemotePath) -> (String, String) {
        let folder = self.folder(jail);
        (
            format!("{folder}, the folder of Bastille's jail {jail}, is not the mount point of a ZFS dataset"),
            "create jails with bastille_zfs_enable=YES in bastille.conf; this one: bastille export, set it, bastille import"
                .into(),
        )
    }

    fn parent(&self, node: &NodeName, target: &HostFacts) -> Result<Option<DatasetName>, (String, String)> {
        match target.dataset_at(self.jails.as_str()) {
            Some(parent) => Ok(Some(parent.name.clone())),
            None => Err((
                format!("{node} has no dataset mounted at {}, where Bastille keeps its jails", self.jails),
                format!(
                    "install Bastille on {node} with the same bastille_prefix, bastille_zfs_enable=YES and bastille_zfs_zpool in bastille.conf, then: bastille bootstrap RELEASE"
                ),
            )),
        }
    }

    fn file(&self, jail: &JailName, _: &HostFacts) -> Option<RemotePath> {
        RemotePath::new(format!("{}/jail.conf", self.folder(jail))).ok()
    }

    fn travels(&self) -> bool {
        true
    }

    fn starts_at_boot(&self, facts: &HostFacts, jail: &JailName, _: &JailConfiguration) -> bool {
        let off = facts.boot_off.iter().any(|folder| folder.as_str() == self.folder(jail));
        let listed = listed(&facts.rc).is_none_or(|names| names.contains(&jail.as_str()));
        enabled(&facts.rc) && listed && !off
    }

    /// What is put away is not mounted at boot, and Bastille starts what it finds. Not before the jail has stopped: what is
    /// mounted and in use cannot lose a canmount of its own again (libzfs_changelist.c: `zfs inherit` unmounts).
    fn autostart_off(&self, _: &Cast<'_>) -> Vec<Step> {
        Vec::new()
    }

    fn autostart_on(&self, cast: &Cast<'_>) -> Vec<Step> {
        let jail = cast.situation.jail.as_str();
        let mut steps = Vec::new();
        if let Some(mut names) =
            listed(&cast.target.rc).filter(|names| cast.situation.autostart && !names.contains(&jail))
        {
            names.push(jail);
            steps.push(Self::list(&cast.target(), &cast.target.rc, &names));
        }
        // An empty list would stand for all.
        if let Some(names) = listed(&cast.source.rc).filter(|names| names.contains(&jail) && names.len() > 1) {
            let left: Vec<&str> = names.into_iter().filter(|n| *n != jail).collect();
            steps.push(Self::list(&cast.source(), &cast.source.rc, &left));
        }
        steps
    }

    fn examine(&self, s: &Subject<'_>, findings: &mut Findings) {
        let (source, target, jail) = (&s.situation.source.node, &s.situation.target.node, &s.situation.jail);
        if s.situation.autostart && !enabled(&s.target.rc) {
            findings.warning(
                "bastille-off",
                target,
                format!(
                    "Bastille does not start jails at boot on {target}, so jail {jail} will not come up by itself there"
                ),
                "sysrc bastille_enable=YES",
            );
        }
        for (file, what) in
            [("rdr.conf", "port forwards"), ("rctl.conf", "resource limits"), ("cpuset.conf", "limits of processors")]
        {
            if s.jail.beside.contains(file) {
                findings.warning(
                    "bastille-settings",
                    source,
                    format!("the {what} in {file} of jail {jail} are set by `bastille start` only: on {target} they hold from its next start by Bastille"),
                    format!("when the jail has moved, on {target}: bastille restart {jail}"),
                );
            }
        }
        if s.jail.beside.contains("zfs.conf") {
            findings.error(
                "bastille-zfs",
                source,
                format!("jail {jail} has datasets of its own in zfs.conf, which lie outside the jail's folder and would stay behind"),
                format!("take them off before the move: bastille zfs {jail} unjail DATASET"),
            );
        }
        let Some(configuration) = s.source.jail_configuration(jail) else { return };
        for command in
            ["exec.prestart", "exec.created"].iter().flat_map(|p| configuration.values(p).unwrap_or_default())
        {
            let Some(tool) = command.split_whitespace().next().filter(|w| ["jib", "jng"].contains(w)) else { continue };
            findings.error(
                "bastille-vnet",
                source,
                format!("{tool} connects jail {jail} to the network card of {source}, past the bridge to which the tunnel leads: {command}"),
                format!("give it an interface on the bridge: bastille network {jail} add -B {} ADDRESS, or create it with -B", s.situation.source.bridge),
            );
        }
    }

    /// A release that was destroyed may leave its empty directory.
    fn needs(&self, source: String) -> Vec<String> {
        let shell = source.contains("/releases/").then(|| format!("{}/bin/sh", source.trim_end_matches('/')));
        std::iter::once(source).chain(shell).collect()
    }

    fn provide(&self, path: &RemotePath, node: &NodeName) -> String {
        match path.as_str().split_once("/releases/") {
            Some((_, release)) => {
                format!("on {node}: bastille bootstrap {}", release.split('/').next().unwrap_or_default())
            }
            None => format!("provide it on {node}"),
        }
    }
}
