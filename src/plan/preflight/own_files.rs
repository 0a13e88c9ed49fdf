//! The jail's own files: at the source they are put aside when it has left, and in the end removed, so nobody else may need
//! them; at the target they need a folder. And the links by which its configuration names its root.

use crate::configuration::jail_conf::tree::Document;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::PathKind;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::persist;
use crate::plan::preflight::Subject;
use crate::plan::situation::Situation;

/// What the target is asked about for them.
#[must_use]
pub fn needed_places(situation: &Situation, source: &HostFacts) -> Vec<RemotePath> {
    let mut places = folders(situation);
    if let Some(root) = linked_root(situation, source) {
        places.extend(folder(&root));
        places.push(root);
    }
    places
}

/// The folders of the files that are written at the target.
fn folders(situation: &Situation) -> Vec<RemotePath> {
    let written = (!situation.manager.says().travels()).then_some(&situation.target_file);
    let fstab = situation.fstab.iter().filter(|file| written.is_some() && !file.is_within(&situation.path));
    let mut folders: Vec<RemotePath> = written.into_iter().chain(fstab).filter_map(folder).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn folder(file: &RemotePath) -> Option<RemotePath> {
    let (folder, _) = file.as_str().rsplit_once('/')?;
    RemotePath::new(if folder.is_empty() { "/" } else { folder }).ok()
}

/// The root as the jail's configuration names it, where that leads through a link (jls(8) tells where it ends).
pub(super) fn linked_root(situation: &Situation, source: &HostFacts) -> Option<RemotePath> {
    let named = source.jail_configuration(&situation.jail)?.value("path")?;
    let named = RemotePath::new(named.trim_end_matches('/')).ok()?;
    (named != situation.path).then_some(named)
}

/// What the target must have for them.
pub(super) fn places(s: &Subject<'_>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.target.node, &s.situation.jail);
    let kind = |path: &RemotePath| s.there.paths.get(path).copied();
    for folder in folders(s.situation) {
        if matches!(kind(&folder), Some(PathKind::Absent | PathKind::Link)) {
            findings.error(
                "no-folder",
                node,
                format!("{folder} does not exist on {node}, so what configures jail {jail} could not be written there"),
                Fix::new("make it").run(format!("mkdir -p {folder}")),
            );
        }
    }
    let Some(named) = linked_root(s.situation, s.source) else { return };
    let (path, source) = (&s.situation.path, &s.situation.source.node);
    let what =
        format!("the configuration of jail {jail} names its root {named}, which is a link to {path} on {source}");
    let fix = || {
        Fix::new(format!(
            "write `path = \"{path}\";` into {} on {source}, or make the same link on {node}",
            s.situation.configuration_file
        ))
    };
    let above = folder(&named).and_then(|folder| kind(&folder));
    match (kind(&named), above) {
        // A link to a folder that is not there yet is none to anything.
        (None, _) | (Some(PathKind::Directory | PathKind::Link), _) => {}
        (Some(PathKind::Absent), Some(PathKind::Directory)) => findings.warning(
            "linked-root",
            node,
            format!("{what}; whether the folder above it is the same link on {node} is not known: if not, the jail would not start there"),
            fix(),
        ),
        (Some(_), _) => findings.error(
            "linked-root",
            node,
            format!("{what}; {node} has no such link: the jail would not start there"),
            fix(),
        ),
    }
}

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    let files = s.source.jail_configuration(jail).and_then(|c| c.values("mount.fstab")).unwrap_or_default();
    if s.situation.fstab.is_none() && !files.is_empty() {
        findings.error(
            "odd-fstab",
            node,
            format!("mount.fstab of jail {jail} is {:?}, of which jailferry can move no part: it would be missing at the target", files.join(", ")),
            "put all of it into one file with a name of letters, digits, '.', '_', '-' and '/'",
        );
    }
    for (file, _) in persist::files_aside(s.situation) {
        if file == s.situation.configuration_file {
            // What cannot be read is told where it is rewritten.
            let others = Document::parse(&s.jail.configuration.text).map(|d| d.other_jails(jail)).unwrap_or_default();
            if !others.is_empty() {
                let others = others.join(", ");
                findings.error(
                    "shared-file",
                    node,
                    format!("{file} defines {others} besides jail {jail}, and is put aside when that leaves: {others} could not be started on {node} any more"),
                    format!("give each jail a file of its own: write the block of {others} into another file of /etc/jail.conf.d, with what the file says for all jails"),
                );
            }
        }
        let named = |c: &&JailConfiguration| {
            c.name != jail.as_str() && c.value("mount.fstab").as_deref() == Some(file.as_str())
        };
        let others: Vec<&str> = s.source.jail_configurations.iter().filter(named).map(|c| c.name.as_str()).collect();
        if !others.is_empty() {
            let others = others.join(", ");
            findings.error(
                "shared-file",
                node,
                format!("{file} is the fstab of {others} besides jail {jail}, and is put aside when that leaves: {others} could not be started on {node} any more"),
                "give each jail an fstab of its own (mount.fstab)",
            );
        }
    }
}
