//! jail.conf(5), and rc.d/jail with `jail_list`.

use crate::configuration::rc_conf::InvalidRc;
use crate::configuration::rc_conf::JailList;
use crate::configuration::rc_conf::or_refuse;
use crate::effect::Effect;
use crate::effect::meaning::Meaning;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::RcConf;
use crate::model::JailName;
use crate::model::RemotePath;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::assigned;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::manager::Manages;
use crate::plan::preflight::Subject;

/// The file of all jails that have none of their own.
pub const SHARED: &str = "/etc/jail.conf";

/// The jails of jail.conf, with those of files that it includes.
fn of_shared(facts: &HostFacts) -> Vec<&str> {
    let all = facts.jail_configurations.iter().filter(|c| c.file.as_str() == SHARED);
    all.map(|c| c.name.as_str()).collect()
}

/// Does an empty jail_list stand for all of them (contract 0.14)?
fn starts_all(facts: &HostFacts) -> bool {
    facts.rc.jail_enable && facts.rc.jail_list.is_empty() && !of_shared(facts).is_empty()
}

/// A jail that nobody but rc.d/jail starts.
pub(super) struct Plain;

impl Manages for Plain {
    /// A block that the target's jail.conf has of the jail already, since it came from there, is used again.
    fn file(&self, jail: &JailName, target: &HostFacts) -> Option<RemotePath> {
        let there = target.jail_configuration(jail).map(|c| &c.file).filter(|file| file.as_str() == SHARED);
        there.cloned().or_else(|| RemotePath::new(format!("/etc/jail.conf.d/{jail}.conf")).ok())
    }

    fn starts_at_boot(&self, facts: &HostFacts, jail: &JailName, configuration: &JailConfiguration) -> bool {
        let rc = &facts.rc;
        let listed = rc.jail_list.iter().any(|j| j == jail.as_str());
        rc.jail_enable && (listed || starts_all(facts) && of_shared(facts).contains(&configuration.name.as_str()))
    }

    fn autostart_off(&self, cast: &Cast<'_>) -> Vec<Step> {
        let situation = cast.situation;
        if !situation.autostart {
            return Vec::new();
        }
        let host = situation.source.node.clone();
        let list = jail_list(&cast.source.rc);
        let undo = or_refuse(list.clone().and_then(|list| list.undo_remove(&situation.jail)));
        let what = format!("jail {} no longer starts at boot on {host}", situation.jail);
        vec![
            Step::new(
                Phase::CutOver,
                what.clone(),
                Effect::Edit {
                    host: host.clone(),
                    what,
                    script: or_refuse(list.map(|list| list.remove(&situation.jail))),
                    meaning: Meaning::JailListRemove { jail: situation.jail.clone() },
                },
            )
            .undo(Effect::Edit {
                host: host.clone(),
                what: format!("jail {} starts at boot on {host} as before", situation.jail),
                script: undo,
                meaning: Meaning::JailListGiveBack {
                    jail: situation.jail.clone(),
                    list: cast.source.rc.jail_list_text.clone(),
                    enable: cast.source.rc.jail_enable_text.clone(),
                },
            })
            .change(Change::new(
                format!("jail_list on {host}"),
                cast.source.rc.jail_list.join(" "),
                without(&cast.source.rc.jail_list, &situation.jail),
            )),
        ]
    }

    fn autostart_on(&self, cast: &Cast<'_>) -> Vec<Step> {
        let situation = cast.situation;
        if !situation.autostart {
            return Vec::new();
        }
        let host = situation.target.node.clone();
        let rc = &cast.target.rc;
        let all: Vec<JailName> = cast
            .target
            .jail_configurations
            .iter()
            .filter(|c| c.file.as_str() == SHARED)
            .filter_map(|c| JailName::new(c.name.as_str()).ok())
            .collect();
        let script = or_refuse(jail_list(rc).map(|list| list.add(&situation.jail, &all)));
        let what = format!("jail {} starts at boot on {host}", situation.jail);
        let before = rc.jail_list.join(" ");
        let mut after =
            if starts_all(cast.target) { all.iter().map(ToString::to_string).collect() } else { rc.jail_list.clone() };
        if !after.iter().any(|name| name == situation.jail.as_str()) {
            after.push(situation.jail.to_string());
        }
        vec![
            Step::new(
                Phase::Persist,
                what.clone(),
                Effect::Edit {
                    host: host.clone(),
                    what,
                    script,
                    meaning: Meaning::JailListAdd { jail: situation.jail.clone(), all },
                },
            )
            .change(Change::new(format!("jail_list on {host}"), before, after.join(" "))),
        ]
    }

    /// The traps of jail_list (contract 0.14).
    fn examine(&self, s: &Subject<'_>, findings: &mut Findings) {
        // Without the whole list nobody knows whether the source would start it.
        assigned::whole_jail_list(&s.situation.source.node, s.source, findings);
        if !s.situation.autostart {
            return;
        }
        let (source, target) = (&s.situation.source.node, &s.situation.target.node);
        let all = |facts: &HostFacts| format!("sysrc jail_list=\"{}\"", of_shared(facts).join(" "));
        if starts_all(s.source) {
            findings.error(
                "empty-jail-list",
                source,
                format!("jail_list is empty on {source}, so every jail of {SHARED} starts at boot, and a reboot would start this one even when it has left"),
                Fix::new("list them").run(all(s.source)),
            );
        }
        if starts_all(s.target) {
            findings.warning(
                "empty-jail-list",
                target,
                format!("jail_list is empty on {target}, so every jail of {SHARED} starts at boot: all of them will be listed, and this one"),
                Fix::new("or list them yourself").run(all(s.target)),
            );
        }
        let others = jail_list(&s.target.rc).is_ok_and(|list| list.would_start_others(&s.situation.jail));
        if others {
            let names = without(&s.target.rc.jail_list, &s.situation.jail);
            findings.error(
                "jails-off",
                target,
                format!("jail {} starts at boot, but jail_enable is not YES on {target}, and with it {names} of jail_list would start as well", s.situation.jail),
                Fix::new("let rc(8) start jails, or take those that shall not start off the list (sysrc jail_list-=NAME)")
                    .run(format!("sysrc -f {} jail_enable=YES", s.target.rc.jail_enable_file)),
            );
        }
    }
}

fn without(list: &[String], jail: &JailName) -> String {
    list.iter().filter(|j| *j != jail.as_str()).cloned().collect::<Vec<_>>().join(" ")
}

/// `jail_list` and `jail_enable` as the host has them.
///
/// # Errors
/// [`InvalidRc`] for values that could not be restored exactly.
fn jail_list(rc: &RcConf) -> Result<JailList, InvalidRc> {
    JailList::new(
        (&rc.jail_list_file, rc.jail_list_text.as_deref()),
        (&rc.jail_enable_file, rc.jail_enable_text.as_deref()),
    )
}
