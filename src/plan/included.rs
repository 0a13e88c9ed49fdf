//! Hosts whose /etc/jail.conf includes /etc/jail.conf.d/*.conf (14.0 and later). rc.d/jail of 13.2 and 14 reads a jail's
//! own file alone, and jail.conf with all that it includes when `jail_list` is empty; later ones always do the latter. So
//! the jail's file must say the same either way, and nothing for other jails.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::configuration::jail_conf::include;
use crate::facts::HostFacts;
use crate::facts::JailFacts;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::persist;
use crate::plan::situation::Situation;

const SHARED: &str = "/etc/jail.conf";

/// The text of jail.conf, when it includes the file.
fn including<'a>(facts: Option<&'a HostFacts>, file: &RemotePath) -> Option<&'a str> {
    let facts = facts?;
    let (_, text) = facts.jail_files.iter().find(|(path, _)| path.as_str() == SHARED)?;
    include::patterns(text).iter().any(|pattern| include::covers(pattern, file.as_str())).then_some(text.as_str())
}

/// What no file that jail.conf includes says for all jails but this one.
fn lost_with(facts: Option<&HostFacts>, file: &RemotePath, shared: &str) -> BTreeSet<String> {
    let patterns = include::patterns(shared);
    let included = |path: &RemotePath| patterns.iter().any(|pattern| include::covers(pattern, path.as_str()));
    let Some(facts) = facts else { return BTreeSet::new() };
    let others = facts.jail_files.iter().filter(|(path, _)| *path != file && included(path));
    let mut said: BTreeSet<String> = others.flat_map(|(_, text)| include::for_all(text)).collect();
    said.extend(include::for_all(shared));
    let own = facts.jail_files.get(file).map(|text| include::for_all(text)).unwrap_or_default();
    own.difference(&said).cloned().collect()
}

/// `there` is the jail's file as the target gets it.
pub(super) fn examine(
    situation: &Situation,
    hosts: &BTreeMap<NodeName, HostFacts>,
    jail: &JailFacts,
    there: &str,
    findings: &mut Findings,
) {
    let (source, target, name) = (&situation.source.node, &situation.target.node, &situation.jail);
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    // What it includes itself stays behind.
    for pattern in include::patterns(&jail.configuration.text) {
        let files = hosts.get(source).into_iter().flat_map(|facts| &facts.jail_files);
        let all: BTreeSet<String> = files
            .filter(|(path, _)| **path != jail.configuration_file && include::covers(&pattern, path.as_str()))
            .flat_map(|(_, text)| include::for_all(text))
            .collect();
        if !all.is_empty() || !pattern.starts_with("/etc/jail.conf.d/") {
            findings.error(
                "included",
                source,
                format!(
                    "{} includes {pattern}, which may say more for jail {name}; that would stay behind",
                    jail.configuration_file
                ),
                format!("write all of it into the jail's own block in /etc/jail.conf.d/{name}.conf"),
            );
        }
    }
    if let Some(shared) = including(hosts.get(source), &jail.configuration_file) {
        let taken = include::taken_over(&jail.configuration.text, name, &include::for_all(shared));
        if !taken.is_empty() {
            findings.error(
                "included",
                source,
                format!(
                    "{SHARED} includes {}, and so may give jail {name} its own {}; that would stay behind",
                    jail.configuration_file,
                    list(taken)
                ),
                format!("set them by `=` in the jail's own block in {}", jail.configuration_file),
            );
        }
        let lost = lost_with(hosts.get(source), &jail.configuration_file, shared);
        let put_aside = persist::files_aside(situation).iter().any(|(file, _)| *file == jail.configuration_file);
        if put_aside && !lost.is_empty() {
            findings.warning(
                "included",
                source,
                format!(
                    "{SHARED} includes {}, so what that says for all jails holds for the others on {source} too, until it is put aside: {}",
                    jail.configuration_file,
                    list(lost)
                ),
                format!("write it into {SHARED}, if they need it"),
            );
        }
    }
    if let Some(shared) = including(hosts.get(target), &situation.target_file) {
        let others = include::for_all(there);
        if !others.is_empty() {
            findings.error(
                "included",
                target,
                format!(
                    "{SHARED} of {target} includes {}, so what {} says for all jails would hold for the others there: {}",
                    situation.target_file,
                    jail.configuration_file,
                    list(others)
                ),
                format!("write it into the block of {name} on {source}"),
            );
        }
        let taken = include::taken_over(there, name, &include::for_all(shared));
        if !taken.is_empty() {
            findings.error(
                "included",
                target,
                format!(
                    "{SHARED} of {target} includes {} and would give jail {name} more than it has now: {}",
                    situation.target_file,
                    list(taken)
                ),
                format!("set them by `=` in the jail's own block in {} on {source}", jail.configuration_file),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulate::World;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;

    const INCLUDING: &str = ".include \"/etc/jail.conf.d/*.conf\";\n";

    fn told(shared: [&str; 2], text: &str) -> Vec<String> {
        let shape = Shape::testbed();
        let world: World = shape.world();
        let (evidence, situation, _) = world.evidence(&shape.fleet(), &jail("web"), &node("big"));
        let (mut hosts, mut facts) = (evidence.hosts, evidence.jail.unwrap());
        for (name, shared) in ["spare", "big"].into_iter().zip(shared) {
            let files = &mut hosts.get_mut(&node(name)).unwrap().jail_files;
            files.insert(RemotePath::new("/etc/jail.conf.d/web.conf").unwrap(), text.to_owned());
            files.insert(RemotePath::new(SHARED).unwrap(), shared.to_owned());
        }
        facts.configuration_file = RemotePath::new("/etc/jail.conf.d/web.conf").unwrap();
        facts.configuration.text = text.to_owned();
        let mut findings = Findings::default();
        examine(&situation.unwrap(), &hosts, &facts, text, &mut findings);
        findings.into_sorted().into_iter().map(|f| f.what).collect()
    }

    #[test]
    fn a_file_that_says_the_same_alone_and_included_may_go_anywhere() {
        let own = "web { path = /jf/jails/web; exec.clean; exec.start = \"a\"; exec.start += \"b\"; }\n";
        let shared = format!("exec.clean;\nexec.start = \"/bin/sh /etc/rc\";\n{INCLUDING}");
        assert_eq!(told([&shared, &shared], own), Vec::<String>::new());
        assert_eq!(told(["exec.poststop = x;\n", "mount.devfs;\n"], own), Vec::<String>::new(), "not included");
    }

    #[test]
    fn what_would_leak_from_one_file_to_the_other_is_told() {
        let own = "exec.clean;\nweb { path = /jf/jails/web; exec.start += \"b\"; }\n";
        let shared = format!("exec.start = \"/bin/sh /etc/rc\";\n{INCLUDING}");
        let [leaks, takes] = told(["", &shared], own).try_into().unwrap();
        assert!(leaks.ends_with("would hold for the others there: exec.clean"), "{leaks}");
        assert!(takes.ends_with("would give jail web more than it has now: exec.start"), "{takes}");
        let [stays, goes] = told([&shared, ""], own).try_into().unwrap();
        assert!(stays.ends_with("may give jail web its own exec.start; that would stay behind"), "{stays}");
        assert!(goes.ends_with("holds for the others on spare too, until it is put aside: exec.clean"), "{goes}");
        let [stays] = told([&format!("exec.clean;\n{shared}"), ""], own).try_into().unwrap();
        assert!(stays.contains("exec.clean, exec.start; that would stay behind"), "{stays}");
    }
}
