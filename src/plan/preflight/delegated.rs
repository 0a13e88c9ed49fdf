//! Datasets that the jail mounts itself (`jailed=on`), and what its configuration says of them: zfs-jail(8), and the
//! parameter `zfs.dataset` of jail(8) since 15.0.

use std::collections::BTreeSet;

use crate::facts::JailConfiguration;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

/// Parameters whose commands run on the host when the jail starts.
const COMMANDS: [&str; 4] = ["exec.prepare", "exec.prestart", "exec.created", "exec.poststart"];

/// Datasets that the jail gets when it starts, as its configuration names them.
fn named(configuration: &JailConfiguration) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        configuration.values("zfs.dataset").unwrap_or_default().iter().flat_map(|v| split(v, ',')).collect();
    for command in COMMANDS.iter().flat_map(|parameter| configuration.values(parameter).unwrap_or_default()) {
        let words: Vec<&str> =
            command.split([' ', '\t', '\n', ';', '&', '|']).filter(|word| !word.is_empty()).collect();
        for four in words.windows(4) {
            if let [zfs, "jail", _, dataset] = four
                && zfs.rsplit('/').next() == Some("zfs")
            {
                names.insert(dataset.trim_matches(['"', '\'']).to_owned());
            }
        }
    }
    names
}

fn split(text: &str, by: char) -> Vec<String> {
    text.split(by).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub(super) fn datasets(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source, &s.situation.target);
    if s.source.dataset(&source.dataset).is_some_and(|root| root.jailed) {
        findings.error(
            "jailed-root",
            &source.node,
            format!("{} is delegated to the jail (jailed=on) and has its root: no host can mount that", source.dataset),
            Fix::new("let the host mount it, and delegate a dataset below it")
                .run(format!("zfs set jailed=off {}", source.dataset)),
        );
    }
    let Some(configuration) = s.source.jail_configuration(&s.situation.jail) else { return };
    for name in named(configuration) {
        let Some(moving) = s.datasets.iter().find(|d| d.source.dataset.as_str() == name) else {
            findings.error(
                "delegated-elsewhere",
                &source.node,
                format!(
                    "the jail's configuration gives it {name}, which is not below {}: it would stay behind, and the jail would not start on {}",
                    source.dataset, target.node
                ),
                format!("move the data into a dataset below {}, and name that in {}", source.dataset, s.situation.configuration_file),
            );
            continue;
        };
        if moving.target.dataset != moving.source.dataset {
            findings.error(
                "delegated-name",
                &target.node,
                format!(
                    "the jail's configuration gives it {name}, which is called {} on {}: the jail would not start there",
                    moving.target.dataset, target.node
                ),
                "keep the jails of both nodes below a dataset of the same name (`parent` in fleet.yml)",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_gives_to_its_jail() {
        let configuration = |parameters: &[(&str, &str)]| JailConfiguration {
            name: "web".into(),
            file: crate::plan::fixture::path("/etc/jail.conf.d/web.conf"),
            parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect(),
        };
        let found = |parameters: &[(&str, &str)]| named(&configuration(parameters)).into_iter().collect::<Vec<_>>();
        assert_eq!(found(&[("exec.created", "/sbin/zfs jail web zroot/jails/web/data")]), ["zroot/jails/web/data"]);
        assert_eq!(found(&[("exec.poststart", "sleep 1; zfs jail web 'z/a' && zfs jail web z/b;")]), ["z/a", "z/b"]);
        assert_eq!(found(&[("exec.poststop", "zfs unjail web z/a"), ("exec.start", "zfs jail web z/a")]), [""; 0]);
        assert_eq!(found(&[("exec.created", "zfs list jail web z/a")]), [""; 0]);
    }
}
