//! What a jail has of its host: what of /dev it sees, the limits on it, what its commands run there. None of it travels.

use std::collections::BTreeSet;

use crate::facts::questions;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;
use crate::plan::programs;
use crate::plan::programs::Program;

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    devices(s, findings);
    limits(s, findings);
    programs(s, findings);
}

/// Of those that the source has: what it lacks itself is a word, or a shell's.
fn programs(s: &Subject<'_>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.target.node, &s.situation.jail);
    let Some(configuration) = s.source.jail_configuration(jail) else { return };
    let (here, there) = (&s.jail.of_the_host.programs, &s.there.of_the_host.programs);
    let arrives = |name: &str| RemotePath::new(name).is_ok_and(|path| s.arrives(&path));
    for Program { name, parameter, command, needed } in programs::of(configuration) {
        if !here.contains(&name) || there.contains(&name) || arrives(&name) {
            continue;
        }
        let what = format!("{parameter} of jail {jail} names {name}, which {node} does not have: `{command}`");
        let fix = format!("provide {name} on {node} as on {}", s.situation.source.node);
        if needed {
            findings.error("no-program", node, format!("{what} would fail, and the jail not start"), fix);
        } else {
            findings.warning("no-program", node, what, fix);
        }
    }
}

fn joined<'a>(rules: impl Iterator<Item = &'a String>) -> String {
    rules.map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
}

/// A ruleset is known by its number only, which may stand for another one elsewhere. One that is not there at all is told by
/// itself.
fn devices(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source.node, &s.situation.target.node);
    let ruleset = s.source.jail_configuration(&s.situation.jail).and_then(questions::ruleset);
    let (here, there) = (&s.jail.of_the_host.devices, &s.there.of_the_host.devices);
    let Some(ruleset) = ruleset.filter(|r| !s.there.undefined_rulesets.contains(r) && !here.is_empty()) else { return };
    let (lacks, more) = (joined(here.difference(there)), joined(there.difference(here)));
    let what = match (lacks.as_str(), more.as_str()) {
        ("", "") => return,
        (_, "") => format!("lacks {lacks}"),
        ("", _) => format!("has {more} besides"),
        _ => format!("lacks {lacks} and has {more} besides"),
    };
    findings.warning(
        "ruleset-differs",
        target,
        format!(
            "devfs ruleset {ruleset} on {target} {what}, compared with {source}: the jail sees other devices there"
        ),
        Fix::new(format!(
            "define it as on {source} (section [NAME={ruleset}] of /etc/devfs.rules, devfs.rules(5)); then load it"
        ))
        .run("service devfs restart"),
    );
}

fn limits(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target, jail) = (&s.situation.source.node, &s.situation.target.node, &s.situation.jail);
    let missing: BTreeSet<&String> = s.jail.of_the_host.limits.difference(&s.there.of_the_host.limits).collect();
    // Set at each start by the jail's own configuration, or by its manager, which is told by itself.
    let by_itself = s.source.jail_configuration(jail).is_some_and(|c| {
        let commands = c.parameters.iter().filter(|(name, _)| name.starts_with("exec."));
        commands.filter_map(|(_, value)| value.as_deref()).any(|command| command.contains("rctl"))
    });
    if missing.is_empty() || by_itself || s.jail.beside.contains("rctl.conf") {
        return;
    }
    let fix =
        if s.target.sysctl("kern.racct.enable").is_some_and(|on| on != 0) {
            let fix =
                Fix::new(format!("set them on {target} as well, now and at each boot (rctl_enable in rc.conf(5))"));
            missing.iter().fold(fix, |fix, rule| fix.run(format!("rctl -a {rule}")))
        } else {
            Fix::new(format!("let the kernel of {target} count from its next boot on, and set them there (rctl(8))"))
                .write("/boot/loader.conf", "at its end", "kern.racct.enable=1")
        };
    let fix = missing
        .iter()
        .fold(fix.run("sysrc rctl_enable=YES"), |fix, rule| fix.write("/etc/rctl.conf", "at its end", *rule));
    findings.warning(
        "limits-stay",
        target,
        format!(
            "{} limit jail {jail} on {source}, and are not on {target}: it would run there without",
            joined(missing.into_iter())
        ),
        fix,
    );
}
