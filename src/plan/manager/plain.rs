//! jail.conf(5), and rc.d/jail with `jail_list`.

use crate::configuration::rc_conf::InvalidRc;
use crate::configuration::rc_conf::JailList;
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
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::manager::Manages;
use crate::plan::preflight::Subject;

/// A jail that nobody but rc.d/jail starts.
pub(super) struct Plain;

impl Manages for Plain {
    fn file(&self, jail: &JailName) -> Option<RemotePath> {
        RemotePath::new(format!("/etc/jail.conf.d/{jail}.conf")).ok()
    }

    fn starts_at_boot(&self, facts: &HostFacts, jail: &JailName, configuration: &JailConfiguration) -> bool {
        let rc = &facts.rc;
        let all = rc.jail_list.is_empty() && configuration.file.as_str() == "/etc/jail.conf";
        rc.jail_enable && (all || rc.jail_list.iter().any(|j| j == jail.as_str()))
    }

    fn autostart_off(&self, cast: &Cast<'_>) -> Vec<Step> {
        let situation = cast.situation;
        if !situation.autostart {
            return Vec::new();
        }
        let host = situation.source.node.clone();
        let Ok(list) = jail_list(&cast.source.rc) else { return Vec::new() };
        let Ok(undo) = list.undo_remove(&situation.jail) else { return Vec::new() };
        let what = format!("jail {} no longer starts at boot on {host}", situation.jail);
        vec![
            Step::new(
                Phase::CutOver,
                what.clone(),
                Effect::Edit {
                    host: host.clone(),
                    what,
                    script: list.remove(&situation.jail),
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
            .filter(|c| c.file.as_str() == "/etc/jail.conf")
            .filter_map(|c| JailName::new(c.name.as_str()).ok())
            .collect();
        let Ok(list) = jail_list(rc) else { return Vec::new() };
        let what = format!("jail {} starts at boot on {host}", situation.jail);
        let before = rc.jail_list.join(" ");
        vec![
            Step::new(
                Phase::Persist,
                what.clone(),
                Effect::Edit {
                    host: host.clone(),
                    what,
                    script: list.add(&situation.jail, &all),
                    meaning: Meaning::JailListAdd { jail: situation.jail.clone(), all },
                },
            )
            .change(Change::new(
                format!("jail_list on {host}"),
                &before,
                format!("{before} {}", situation.jail).trim(),
            )),
        ]
    }

    /// The traps of jail_list (contract 0.14).
    fn examine(&self, s: &Subject<'_>, findings: &mut Findings) {
        if !s.situation.autostart {
            return;
        }
        let rc = &s.target.rc;
        if rc.jail_enable
            && rc.jail_list.is_empty()
            && s.target.jail_configurations.iter().any(|c| c.file.as_str() == "/etc/jail.conf")
        {
            findings.error(
                "empty-jail-list",
                &s.situation.target.node,
                format!("jail_list is empty on {}, so every jail of /etc/jail.conf starts at boot; adding one name would stop the others from starting", s.situation.target.node),
                "list them: sysrc jail_list=\"a b c\"",
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
