//! The jail's files as the target needs them: its configuration rewritten token by token, its fstab.

use std::collections::BTreeMap;

use crate::configuration::jail_conf;
use crate::configuration::jail_conf::Edit;
use crate::configuration::jail_conf::Rewrite;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::JailFacts;
use crate::facts::TargetFacts;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::Change;
use crate::plan::finding::Findings;
use crate::plan::included;
use crate::plan::manager;
use crate::plan::shared;
use crate::plan::situation::Situation;
use crate::plan::ways;

/// A file to write at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// Where.
    pub path: RemotePath,
    /// Its text.
    pub text: String,
    /// Permission bits in octal.
    pub mode: String,
    /// What differs from the source's file.
    pub changes: Vec<Change>,
}

/// A configuration that arrives with the jail's datasets and is rewritten there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPlace {
    /// Where.
    pub path: RemotePath,
    /// As it arrives.
    pub before: String,
    /// As it must be before the jail starts.
    pub after: String,
    /// Permission bits in octal.
    pub mode: String,
    /// What differs.
    pub changes: Vec<Change>,
}

impl InPlace {
    /// Where jail(8) of the target reads it before it has arrived: under a name that no tool starts a jail by.
    #[must_use]
    pub fn trial(&self, situation: &Situation) -> Option<RemotePath> {
        RemotePath::new(format!("/etc/.jail.{}.conf.jailferry-stage", situation.jail)).ok()
    }

    /// The bytes that change, and the same backwards.
    #[must_use]
    pub fn edits(&self) -> (Edit, Edit) {
        let ends = |pairs: &mut dyn Iterator<Item = (char, char)>| {
            pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>()
        };
        let start = ends(&mut self.before.chars().zip(self.after.chars()));
        let rest = |text: &str| text.get(start..).unwrap_or_default().to_owned();
        let (old, new) = (rest(&self.before), rest(&self.after));
        let end = ends(&mut old.chars().rev().zip(new.chars().rev()));
        let middle = |text: &str| text.get(..text.len() - end).unwrap_or_default().to_owned();
        let (old, new) = (middle(&old), middle(&new));
        let to = Edit { range: start..start + old.len(), new: new.clone() };
        (to, Edit { range: start..start + new.len(), new: old })
    }
}

/// All of them, and what jail(8) must make of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Staged {
    /// The files, configuration last: it must not be there before what it names.
    pub files: Vec<StagedFile>,
    /// The configuration, when it is none of them.
    pub in_place: Option<InPlace>,
    /// Parameters as `jail -e` must print them.
    pub expected: Vec<(String, String)>,
}

/// Rewrites what names the source's bridge, FIB and epair unit; everything else, comments included, stays.
#[must_use]
pub fn stage(
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
    jail: &JailFacts,
    there: &TargetFacts,
    findings: &mut Findings,
) -> Staged {
    let mut staged = Staged::default();
    let source = &situation.source.node;
    let configuration = hosts.get(source).and_then(|facts| facts.jail_configuration(&situation.jail));
    let travels = situation.manager.says().travels();
    let folder = situation.target_file.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    let arrives = |path: &RemotePath| {
        path.is_within(&situation.path) || travels && path.as_str().starts_with(&format!("{folder}/"))
    };
    if let Some((path, file)) = jail.fstab.as_ref().filter(|(path, _)| !arrives(path)) {
        match there.files.get(path) {
            Some(existing) if existing.sha256 != file.sha256 => findings.error(
                "fstab-exists",
                &situation.target.node,
                format!("{path} exists on {} with another content", situation.target.node),
                "move it aside if nothing needs it",
            ),
            Some(_) => {}
            None => staged.files.push(StagedFile {
                path: path.clone(),
                text: file.text.clone(),
                mode: file.mode.clone(),
                changes: vec![Change::new(path, "absent", "as on the source")],
            }),
        }
    }
    let refuse = |findings: &mut Findings, error: &jail_conf::SyntaxError| {
        findings.error(
            "configuration-syntax",
            source,
            format!("{} cannot be read: {error}", jail.configuration_file),
            "correct it; jail(8) would not read it either",
        );
    };
    let own = match jail_conf::extract(&jail.configuration.text, &situation.jail) {
        Ok(extracted) if extracted.defined => extracted.text,
        Ok(_) => {
            let fix = match jail_conf::include::patterns(&jail.configuration.text).as_slice() {
                [] => "write the jail's block there under its own name".to_owned(),
                patterns => format!(
                    "move the file with the jail's block (it includes {}) to /etc/jail.conf.d/{}.conf",
                    patterns.join(", "),
                    situation.jail
                ),
            };
            findings.error(
                "no-block",
                source,
                format!("{} has no block for jail {}", jail.configuration_file, situation.jail),
                fix,
            );
            return staged;
        }
        Err(error) => {
            refuse(findings, &error);
            return staged;
        }
    };
    let (own, routes) = without_ways(situation, own);
    let (from, to) = (&situation.source, &situation.target);
    let wanted = Rewrite {
        epair: situation.epair.filter(|(a, b)| a != b),
        bridge: (from.bridge != to.bridge).then(|| (from.bridge.clone(), to.bridge.clone())),
        fib: (from.fib != to.fib).then_some((from.fib, to.fib)),
        mtu: None,
        path: None,
        fstab: None,
    };
    let mut rewritten = match jail_conf::rewrite(&own, &situation.jail, &wanted) {
        Ok(rewritten) => rewritten,
        Err(error) => {
            refuse(findings, &error);
            return staged;
        }
    };
    // FIB 0 need not be written down: where the source's file does not name it, the target's FIB is added.
    let named =
        |text: &str| jail_conf::rewrite(text, &situation.jail, &Rewrite { fib: wanted.fib, ..Rewrite::default() });
    if from.fib == 0 && to.fib != 0 && named(&own).is_ok_and(|r| r.text == own) {
        let unit = situation.epair.map(|(_, unit)| unit);
        let [end] = to.interfaces.as_slice() else {
            findings.error(
                "configuration-rewrite",
                source,
                format!(
                    "{}: no place to set FIB {}, which the jail needs on {}: its configuration names {} epairs",
                    jail.configuration_file,
                    to.fib,
                    to.node,
                    to.interfaces.len()
                ),
                "name the FIB of the one on the bridge: exec.prestart += \"ifconfig epairNa fib 0\";",
            );
            return staged;
        };
        match jail_conf::add_fib(&rewritten.text, &situation.jail, unit, end, to.fib) {
            Ok(added) => {
                rewritten.text = added.text;
                rewritten.changes.extend(added.changes);
                rewritten.findings.extend(added.findings);
            }
            Err(error) => refuse(findings, &error),
        }
    }
    for finding in &rewritten.findings {
        let text = format!("{}: {finding}", jail.configuration_file);
        match finding {
            jail_conf::Finding::NotReached { .. } | jail_conf::Finding::FibNotAdded { .. } => {
                findings.error(
                    "configuration-rewrite",
                    source,
                    text,
                    "write bridge, FIB and epair names plainly in the jail's block",
                );
            }
            jail_conf::Finding::UnknownVariable { name, .. } => findings.error(
                "undefined-variable",
                source,
                format!(
                    "{text}: jail(8), which reads that file by itself to stop and to start the jail, would do neither"
                ),
                format!("write `${name} = …;` into the jail's block, whatever another file says"),
            ),
            jail_conf::Finding::OtherJails(_) => {}
            _ => findings.warning("configuration", source, text, "check the rewritten file in the plan"),
        }
    }
    let wanted = ways::of_the_moved(situation, hosts, &jail.configuration.text);
    if situation.target_file.as_str() == manager::SHARED {
        staged.in_place = shared::stage(situation, there, &rewritten.text, &wanted, findings);
        expect(configuration, situation, &mut staged);
        return staged;
    }
    let text = match jail_conf::ways::change(&rewritten.text, &situation.jail, &wanted) {
        Ok(edits) => jail_conf::apply(&rewritten.text, edits),
        Err(why) => {
            if !wanted.is_empty() {
                let why = format!("{}: {why}", jail.configuration_file);
                ways::warn(&to.node, &situation.jail, &why, findings);
            }
            rewritten.text
        }
    };
    if !travels {
        included::examine(situation, hosts, jail, &text, findings);
    }
    let changes = rewritten
        .changes
        .iter()
        .map(|c| {
            Change::new(
                format!("{} line {}", situation.target_file, c.line),
                c.before.as_deref().unwrap_or_default().trim(),
                c.after.trim(),
            )
        })
        .chain(ways::changes(&to.node, &situation.target_file, &situation.jail, &routes, &wanted))
        .collect();
    expect(configuration, situation, &mut staged);
    let (path, mode) = (situation.target_file.clone(), jail.configuration.mode.clone());
    if travels {
        let before = jail.configuration.text.clone();
        staged.in_place = Some(InPlace { path, before, after: text, mode, changes });
    } else {
        staged.files.push(StagedFile { path, text, mode, changes });
    }
    staged
}

/// What `jail -e` must print: what it prints at the source, but for the unit of the epair. jail(8) prints a path as it is
/// written, with links and slashes at its end.
fn expect(configuration: Option<&JailConfiguration>, situation: &Situation, staged: &mut Staged) {
    let value = |parameter: &str| {
        // What it prints in quotes is not looked for.
        configuration.and_then(|c| c.value(parameter)).filter(|v| !v.contains([' ', '\t', '\n', '"', '\'']))
    };
    staged.expected.extend(value("path").map(|path| ("path".to_owned(), path)));
    let inside = |name: String| match situation.epair {
        Some((from, to)) if name == format!("epair{from}b") => format!("epair{to}b"),
        _ => name,
    };
    staged.expected.extend(value("vnet.interface").map(|name| ("vnet.interface".to_owned(), inside(name))));
}

/// The text without the ways that the jail had at the source, which the target's take the place of, and those ways.
fn without_ways(situation: &Situation, text: String) -> (String, Vec<jail_conf::Way>) {
    let ways = jail_conf::ways::ways(&text, &situation.jail);
    match jail_conf::ways::change(&text, &situation.jail, &[]) {
        Ok(edits) => (jail_conf::apply(&text, edits), ways),
        Err(_) => (text, Vec::new()),
    }
}
