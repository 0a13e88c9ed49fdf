//! Jails that depend on each other (`depend`, jail(8)): on different hosts, neither is started or stopped without harm.

use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    others_on_it(s, &s.situation.source.node, s.source, findings);
    others_on_it(s, &s.situation.target.node, s.target, findings);
    it_on_others(s, findings);
}

fn needed(configuration: &JailConfiguration) -> Vec<String> {
    configuration.values("depend").unwrap_or_default()
}

/// Stopped with it, left like that, and unknown what they need when the host boots (usr.sbin/jail/state.c, `dep_check` and
/// `dep_setup`); where the jail's block is still in their file, a boot would even start it.
fn others_on_it(s: &Subject<'_>, node: &NodeName, facts: &HostFacts, findings: &mut Findings) {
    let jail = s.situation.jail.as_str();
    let mut others: Vec<&JailConfiguration> =
        facts.jail_configurations.iter().filter(|c| c.name != jail && needed(c).iter().any(|n| n == jail)).collect();
    others.dedup_by(|a, b| a.name == b.name);
    for other in others {
        let name = &other.name;
        findings.error(
            "depended-on",
            node,
            format!("jail {name} on {node} depends on jail {jail} (`depend` in {}): jail(8) would stop {name} with it, start {name} without it no more, or start {jail} there for its sake", other.file),
            Fix::new(format!("take `depend` out of the block of {name}: jail_list in rc.conf(5) tells rc.d/jail an order as well")),
        );
    }
}

/// A file that does not define it is refused by jail(8), for stopping as well (`dep_setup`). The jail's file is its own, but
/// for a block in the target's /etc/jail.conf that it comes home to.
fn it_on_others(s: &Subject<'_>, findings: &mut Findings) {
    let (situation, target) = (s.situation, &s.situation.target.node);
    let Some(configuration) = s.source.jail_configuration(&situation.jail) else { return };
    let defines = |facts: &HostFacts, file: &RemotePath, name: &str| {
        facts.jail_configurations.iter().any(|c| c.file == *file && c.name == name)
    };
    let missing = |name: &String| {
        !defines(s.target, &situation.target_file, name) || !defines(s.source, &situation.configuration_file, name)
    };
    let missing: Vec<String> = needed(configuration).into_iter().filter(missing).collect();
    if !missing.is_empty() {
        let (jail, missing) = (&situation.jail, missing.join(", "));
        findings.error(
            "depends",
            target,
            format!("jail {jail} depends on {missing} (`depend`), which its file on {target}, {}, will not define: jail(8) would not start it", situation.target_file),
            Fix::new(format!("take `depend` out of the block of {jail}: jail_list in rc.conf(5) tells rc.d/jail an order as well, and what {jail} asks of {missing} goes over the network")),
        );
    }
}
