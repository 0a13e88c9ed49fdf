//! rc.conf(5) and WireGuard files: what library.sh and the edit frame do.

use crate::configuration::wireguard_conf::hooks::same;
use crate::effect::commands::sha256;
use crate::effect::meaning::Meaning;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::refused;
use crate::facts::RcConf;
use crate::facts::WireGuardFile;
use crate::model::Family;
use crate::model::JailName;
use crate::model::RemotePath;
use crate::model::RunId;

type Done = Result<(), SimulationError>;

impl Host {
    pub(super) fn edit(&mut self, meaning: &Meaning) -> Done {
        match meaning {
            Meaning::JailListRemove { jail } => {
                remove(&mut self.facts.rc, jail);
                Ok(())
            }
            Meaning::JailListGiveBack { jail, list, enable } => {
                give_back(&mut self.facts.rc, jail, list.as_deref(), enable.as_deref());
                Ok(())
            }
            Meaning::JailListAdd { jail, all } => add(&mut self.facts.rc, jail, all),
            Meaning::Variable { name, old, new } => self.change(name, old.as_deref(), new.as_deref()),
            Meaning::StaticRouteAdd { family, name, arguments, first } => {
                let (list, route) = names(*family, name);
                self.change(&route, None, Some(arguments))?;
                let old = self.facts.rc.variables.get(list).map(String::as_str);
                let new = match old.map(|old| without(old, name)).filter(|rest| *first && !rest.is_empty()) {
                    Some(rest) => format!("{name} {rest}"),
                    None => with(old, name),
                };
                self.facts.rc.variables.insert(list.to_owned(), new);
                Ok(())
            }
            Meaning::StaticRouteRemove { family, name, arguments } => {
                let (list, route) = names(*family, name);
                if let Some(old) = self.facts.rc.variables.get(list) {
                    match without(old, name) {
                        left if left.is_empty() => self.facts.rc.variables.remove(list),
                        left => self.facts.rc.variables.insert(list.to_owned(), left),
                    };
                }
                self.change(&route, Some(arguments), None)
            }
            Meaning::AllowedIps { path, sha256, run, peers } => self.edit_wireguard(path, sha256, run, |file, _| {
                for (key, wanted) in peers {
                    match file.peers.iter_mut().find(|(k, _)| k == key) {
                        Some((_, prefixes)) => prefixes.clone_from(wanted),
                        None => return refused(format!("{path} has no peer {key}")),
                    }
                }
                Ok(())
            }),
            Meaning::Hooks { path, sha256, run, remove, add } => self.edit_wireguard(path, sha256, run, |_, hooks| {
                hooks.retain(|line| !remove.iter().any(|gone| same(gone, line)));
                for line in add {
                    match hooks.iter_mut().find(|there| same(there, line)) {
                        Some(there) => there.clone_from(line),
                        None => hooks.push(line.clone()),
                    }
                }
                Ok(())
            }),
            Meaning::TableFile { path, sha256, add, remove } => self.edit_table_file(path, sha256, add, remove),
            Meaning::JailFile { path, before, after, edits } => self.edit_jail_file(path, before, after, edits),
        }
    }

    fn change(&mut self, name: &str, old: Option<&str>, new: Option<&str>) -> Done {
        let variables = &mut self.facts.rc.variables;
        let now = variables.get(name).map(String::as_str);
        if now != new && now != old {
            return Err(SimulationError::Changed(format!("rc.conf: {name}")));
        }
        match new {
            Some(value) => drop(variables.insert(name.to_owned(), value.to_owned())),
            None => drop(variables.remove(name)),
        }
        Ok(())
    }

    fn edit_wireguard(
        &mut self,
        path: &RemotePath,
        expected: &str,
        run: &RunId,
        edit: impl FnOnce(&mut WireGuardFile, &mut Vec<String>) -> Done,
    ) -> Done {
        let Some(file) = self.facts.wireguard_files.iter_mut().find(|f| f.path == *path) else {
            return refused(format!("realpath: {path}: no such file"));
        };
        let hooks = self.hooks.get(path).cloned().unwrap_or_default();
        let (mut edited, mut new_hooks) = (file.clone(), hooks.clone());
        edit(&mut edited, &mut new_hooks)?;
        edited.hooks.clone_from(&new_hooks);
        if edited == *file && new_hooks == hooks {
            return Ok(());
        }
        let backup = self.backups.entry((path.clone(), run.clone())).or_insert_with(|| file.sha256.clone());
        if file.sha256 != expected && backup != expected {
            return Err(SimulationError::Changed(path.to_string()));
        }
        edited.sha256 = sum(&edited, &new_hooks);
        *file = edited;
        self.hooks.insert(path.clone(), new_hooks);
        self.hooks.retain(|_, lines| !lines.is_empty());
        Ok(())
    }
}

/// The checksum of a WireGuard file stands for what it says.
pub(super) fn sum(file: &WireGuardFile, hooks: &[String]) -> String {
    sha256(&format!("{} {} {:?} {hooks:?}", file.path, file.wg_quick, file.peers))
}

fn names(family: Family, name: &str) -> (&'static str, String) {
    match family {
        Family::Inet => ("static_routes", format!("route_{name}")),
        Family::Inet6 => ("ipv6_static_routes", format!("ipv6_route_{name}")),
    }
}

fn with(list: Option<&str>, word: &str) -> String {
    match list {
        Some(list) if list.split_whitespace().any(|w| w == word) => list.to_owned(),
        None | Some("") => word.to_owned(),
        Some(list) => format!("{list} {word}"),
    }
}

fn without(list: &str, word: &str) -> String {
    if list.split_whitespace().any(|w| w == word) {
        list.split_whitespace().filter(|w| *w != word).collect::<Vec<_>>().join(" ")
    } else {
        list.to_owned()
    }
}

fn enabled(rc: &RcConf) -> bool {
    let value = rc.jail_enable_text.as_deref().unwrap_or("NO");
    ["yes", "true", "on", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// What the texts mean.
pub(super) fn settle(rc: &mut RcConf) {
    rc.jail_enable = enabled(rc);
    rc.jail_list = rc.jail_list_text.iter().flat_map(|t| t.split_whitespace()).map(str::to_owned).collect();
}

fn remove(rc: &mut RcConf, jail: &JailName) {
    if let Some(list) = &rc.jail_list_text {
        let left = without(list, jail.as_str());
        if left.is_empty() && left != *list {
            rc.jail_enable_text = Some("NO".into());
        }
        rc.jail_list_text = Some(left);
    }
    settle(rc);
}

fn give_back(rc: &mut RcConf, jail: &JailName, list: Option<&str>, enable: Option<&str>) {
    let left = list.map(|l| without(l, jail.as_str()));
    if left.as_deref() == list {
        return;
    }
    if rc.jail_list_text == left {
        rc.jail_list_text = list.map(str::to_owned);
    } else {
        rc.jail_list_text = Some(with(rc.jail_list_text.as_deref(), jail.as_str()));
    }
    if left.is_some_and(|l| l.is_empty()) && rc.jail_enable_text.as_deref() == Some("NO") {
        rc.jail_enable_text = enable.map(str::to_owned);
    }
    settle(rc);
}

fn add(rc: &mut RcConf, jail: &JailName, all: &[JailName]) -> Done {
    let list = rc.jail_list_text.clone();
    if enabled(rc) {
        rc.jail_list_text = Some(match list.as_deref() {
            None | Some("") => {
                let every = all.iter().filter(|other| *other != jail).chain([jail]);
                every.map(JailName::as_str).collect::<Vec<_>>().join(" ")
            }
            Some(list) => with(Some(list), jail.as_str()),
        });
    } else {
        let others = list.as_deref().map(|l| without(l, jail.as_str())).unwrap_or_default();
        if !others.is_empty() {
            return Err(SimulationError::NotOurs(format!(
                "jail_enable is not YES, and setting it would start {others}"
            )));
        }
        rc.jail_list_text = Some(with(list.as_deref(), jail.as_str()));
        rc.jail_enable_text = Some("YES".into());
    }
    settle(rc);
    Ok(())
}
