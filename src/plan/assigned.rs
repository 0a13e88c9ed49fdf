//! Variables of rc.conf(5) that the steps edit and sysrc(8) could not, or that rc(8) would go on reading elsewhere: a step
//! would find that out when the jail stands still, or when it has moved; or nobody before the next boot.

use std::collections::BTreeMap;

use crate::configuration::rc_conf::default_file;
use crate::configuration::rc_conf::writable;
use crate::effect::Effect;
use crate::effect::meaning::Meaning;
use crate::facts::HostFacts;
use crate::facts::RcConf;
use crate::facts::RcForm;
use crate::model::Family;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::Step;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;

/// A variable that a step edits.
struct Edited<'a> {
    name: String,
    file: RemotePath,
    /// Its value before, and the one it is to have.
    values: Vec<Option<&'a str>>,
}

/// Each such variable once.
pub fn examine(steps: &[Step], hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    for step in steps {
        let Effect::Edit { host, meaning, .. } = &step.effect else { continue };
        let Some(rc) = hosts.get(host).map(|facts| &facts.rc) else { continue };
        for edited in edited(meaning, rc) {
            speaks_against(host, rc, &edited, findings);
        }
    }
}

/// `jail_list` of a host must be known whole: where a file adds to the one of an earlier file, the jails of both start.
pub fn whole_jail_list(node: &NodeName, facts: &HostFacts, findings: &mut Findings) {
    for edited in jails(&facts.rc) {
        refers(node, &facts.rc, &edited, findings);
    }
}

fn edited<'a>(meaning: &'a Meaning, rc: &'a RcConf) -> Vec<Edited<'a>> {
    let variable = |name: String, values: Vec<Option<&'a str>>| Edited { name, file: default_file(), values };
    match meaning {
        Meaning::JailListRemove { .. } | Meaning::JailListGiveBack { .. } | Meaning::JailListAdd { .. } => {
            jails(rc).into()
        }
        Meaning::Variable { name, old, new } => vec![variable(name.clone(), vec![old.as_deref(), new.as_deref()])],
        Meaning::StaticRouteAdd { family, name, arguments, .. }
        | Meaning::StaticRouteRemove { family, name, arguments } => {
            let (list, start) = match family {
                Family::Inet => ("static_routes", "route_"),
                Family::Inet6 => ("ipv6_static_routes", "ipv6_route_"),
            };
            let listed = rc.variables.get(list).map(String::as_str);
            vec![
                variable(list.to_owned(), vec![listed]),
                variable(format!("{start}{name}"), vec![Some(arguments.as_str())]),
            ]
        }
        Meaning::AllowedIps { .. } | Meaning::Hooks { .. } | Meaning::TableFile { .. } | Meaning::JailFile { .. } => {
            Vec::new()
        }
    }
}

/// Both are edited in the file that sets them last.
fn jails(rc: &RcConf) -> [Edited<'_>; 2] {
    let one = |name: &str, file: &RemotePath, value| Edited {
        name: name.to_owned(),
        file: file.clone(),
        values: vec![value],
    };
    [
        one("jail_list", &rc.jail_list_file, rc.jail_list_text.as_deref()),
        one("jail_enable", &rc.jail_enable_file, rc.jail_enable_text.as_deref()),
    ]
}

/// One finding: whatever is mended first, the next plan tells the next.
fn speaks_against(node: &NodeName, rc: &RcConf, edited: &Edited<'_>, findings: &mut Findings) {
    let _ = elsewhere(node, rc, edited, findings)
        || several_lines(node, rc, edited, findings)
        || refers(node, rc, edited, findings)
        || not_to_be_written(node, edited, findings);
}

fn form(rc: &RcConf, edited: &Edited<'_>) -> RcForm {
    let here = rc.assignments.iter().rev().find(|a| a.variable == edited.name && a.file == edited.file);
    here.map_or(RcForm::Plain, |a| a.form)
}

/// A value on one line, where the host has told it.
fn on_one_line(edited: &Edited<'_>, value: Option<&str>) -> Option<String> {
    let line = value.map(|v| v.split_whitespace().collect::<Vec<_>>().join(" "));
    line.filter(|line| writable(&edited.name, Some(line)).is_ok())
}

/// What sysrc(8) makes of all the files that it reads without -f: none of rc.conf.d.
fn of_all<'a>(rc: &'a RcConf, edited: &Edited<'_>) -> Option<&'a str> {
    rc.variables.get(&edited.name).map(String::as_str)
}

/// Set again in a file that rc(8) reads later.
fn elsewhere(node: &NodeName, rc: &RcConf, edited: &Edited<'_>, findings: &mut Findings) -> bool {
    let Edited { name, file, .. } = edited;
    let mut assignments = rc.assignments.iter().rev();
    let Some(there) = assignments.find(|a| a.variable == *name && a.file != default_file() && a.file != *file) else {
        return false;
    };
    // jail_list and jail_enable are followed to the file that sets them last.
    if name.starts_with("jail_") {
        return false;
    }
    let other = &there.file;
    let fix = Fix::new(format!("let {file} say it"));
    let fix = match (on_one_line(edited, of_all(rc, edited)), there.form) {
        (Some(value), _) => {
            fix.run(format!("sysrc -f {file} {name}=\"{value}\"")).run(format!("sysrc -f {other} -x {name}"))
        }
        (None, RcForm::Plain) => fix
            .run(format!("sysrc -f {file} {name}=\"`sysrc -f {other} -n {name}`\""))
            .run(format!("sysrc -f {other} -x {name}")),
        (None, _) => Fix::new(format!("let {file} say all of it, on one line, and {other} nothing of it")),
    };
    findings.error(
        "rc-elsewhere",
        node,
        format!("{other} on {node} sets {name}, which rc(8) reads after {file}: what the move writes there would be forgotten at the next boot"),
        fix,
    );
    true
}

/// sysrc(8) replaces the first of several lines and leaves the others.
fn several_lines(node: &NodeName, rc: &RcConf, edited: &Edited<'_>, findings: &mut Findings) -> bool {
    let Edited { name, file, .. } = edited;
    let newline = edited.values.iter().flatten().any(|value| value.contains('\n'));
    if form(rc, edited) != RcForm::Continued && !newline {
        return false;
    }
    let fix = Fix::new("write it on one line");
    findings.error(
        "rc-several-lines",
        node,
        format!("{name} in {file} on {node} goes over several lines, of which sysrc(8) changes only one: the move has to change it"),
        match on_one_line(edited, edited.values.first().copied().flatten()) {
            Some(value) => fix.write(file, "in the place of those lines", format!("{name}=\"{value}\"")),
            None => fix,
        },
    );
    true
}

/// In /etc/rc.conf, whatever it refers to is there or in the defaults, and sysrc(8) tells the value of all of it.
fn refers(node: &NodeName, rc: &RcConf, edited: &Edited<'_>, findings: &mut Findings) -> bool {
    let Edited { name, file, .. } = edited;
    if form(rc, edited) != RcForm::Refers || *file == default_file() {
        return false;
    }
    let fix = Fix::new(format!("let {file} name everything itself"));
    let whole = on_one_line(edited, of_all(rc, edited)).filter(|_| file.as_str() == "/etc/rc.conf.local");
    findings.error(
        "rc-refers",
        node,
        format!("{name} in {file} on {node} adds to what another file says (it holds a `$`): alone, as sysrc(8) reads and writes it, it is not all of it"),
        match whole {
            Some(value) => fix.run(format!("sysrc -f {file} {name}=\"{value}\"")),
            None => fix,
        },
    );
    true
}

/// sh(1) would give a character of it a meaning.
fn not_to_be_written(node: &NodeName, edited: &Edited<'_>, findings: &mut Findings) -> bool {
    let Edited { name, file, values } = edited;
    let Some(why) = values.iter().find_map(|value| writable(name, *value).err()) else { return false };
    findings.error(
        "rc-value",
        node,
        format!("{name} in {file} on {node} cannot be changed: {why}"),
        "write it without such characters",
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::RcAssignment;
    use crate::plan::Finding;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::path;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    /// What is said when web goes from spare to big and one host's rc.conf is otherwise; and that no step is missing.
    fn told(host: &str, change: impl FnOnce(&mut RcConf)) -> Vec<Finding> {
        let shape = Shape::testbed();
        let made = |world: &crate::effect::simulate::World| {
            let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node("big"));
            let settings = Options::default().settle();
            assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
        };
        let mut world = shape.world();
        let plain = made(&world).steps.len();
        change(&mut world.hosts.get_mut(&node(host)).unwrap().facts.rc);
        let listed = world.hosts[&node("spare")].facts.rc.jail_list.contains(&"web".to_owned());
        let plan = made(&world);
        assert!(!listed || plan.steps.len() >= plain, "{} of {plain} steps", plan.steps.len());
        plan.findings.into_iter().filter(|f| f.code.starts_with("rc-")).collect()
    }

    fn set(rc: &mut RcConf, variable: &str, file: &str, form: RcForm) {
        rc.assignments.push(RcAssignment { variable: variable.into(), file: path(file), form });
    }

    fn lines(findings: &[Finding]) -> Vec<String> {
        let typed = |f: &Finding| f.commands.iter().map(|c| c.command.clone()).collect::<Vec<_>>();
        let written = |f: &Finding| f.lines.iter().map(|l| format!("{}: {}", l.file, l.line)).collect::<Vec<_>>();
        findings.iter().flat_map(|f| [vec![f.code.clone()], typed(f), written(f)].concat()).collect()
    }

    #[test]
    fn variables_that_the_move_does_not_edit_may_be_anywhere() {
        let other = told("big", |rc| {
            set(rc, "ifconfig_em0_aliases", "/etc/rc.conf", RcForm::Continued);
            set(rc, "ifconfig_em0_aliases", "/etc/rc.conf.local", RcForm::Plain);
        });
        assert_eq!(other, []);
        // Tabs are as good as blanks.
        let tabs = |rc: &mut RcConf| {
            drop(rc.variables.insert("ifconfig_bridge0_aliases".into(), "inet 10.9.9.9/32\tinet\t10.9.9.8/32".into()));
            rc.jail_list_text = Some("old\tolder".into());
            rc.jail_enable_text = Some("YES".into());
        };
        assert_eq!(told("big", tabs), []);
    }

    #[test]
    fn variables_over_several_lines_are_written_on_one() {
        for newline in ["\n\t", " \t "] {
            let aliases = told("big", |rc| {
                let value = format!("inet 10.9.9.9/32{newline}inet 10.9.9.8/32");
                rc.variables.insert("ifconfig_bridge0_aliases".into(), value);
                set(rc, "ifconfig_bridge0_aliases", "/etc/rc.conf", RcForm::Continued);
            });
            let line = "/etc/rc.conf: ifconfig_bridge0_aliases=\"inet 10.9.9.9/32 inet 10.9.9.8/32\"";
            assert_eq!(lines(&aliases), ["rc-several-lines", line]);
        }
        let list = told("spare", |rc| {
            rc.jail_list_text = Some("web sib\ndb".into());
            rc.variables.insert("jail_list".into(), "web sib\ndb".into());
        });
        assert_eq!(lines(&list), ["rc-several-lines", "/etc/rc.conf: jail_list=\"web sib db\""]);
        let routes = told("spare", |rc| {
            rc.variables.insert("static_routes".into(), "a    b".into());
            set(rc, "static_routes", "/etc/rc.conf", RcForm::Continued);
        });
        assert_eq!(lines(&routes), ["rc-several-lines", "/etc/rc.conf: static_routes=\"a b\""]);
    }

    #[test]
    fn variables_of_other_files_come_into_rc_conf() {
        let known = told("big", |rc| {
            rc.variables.insert("ifconfig_bridge0_aliases".into(), "inet 10.9.9.9/32".into());
            set(rc, "ifconfig_bridge0_aliases", "/etc/rc.conf.local", RcForm::Plain);
        });
        let typed = [
            "rc-elsewhere",
            "sysrc -f /etc/rc.conf ifconfig_bridge0_aliases=\"inet 10.9.9.9/32\"",
            "sysrc -f /etc/rc.conf.local -x ifconfig_bridge0_aliases",
        ];
        assert_eq!(lines(&known), typed);
        let unknown = told("spare", |rc| set(rc, "static_routes", "/etc/rc.conf.d/routing", RcForm::Plain));
        let typed = [
            "rc-elsewhere",
            "sysrc -f /etc/rc.conf static_routes=\"`sysrc -f /etc/rc.conf.d/routing -n static_routes`\"",
            "sysrc -f /etc/rc.conf.d/routing -x static_routes",
        ];
        assert_eq!(lines(&unknown), typed);
        let refers = told("spare", |rc| set(rc, "static_routes", "/etc/rc.conf.d/routing", RcForm::Refers));
        assert_eq!(lines(&refers), ["rc-elsewhere"]);
    }

    #[test]
    fn a_list_that_adds_to_another_files_is_not_the_whole_list() {
        let of = |text: &'static str, form| {
            told("spare", move |rc| {
                (rc.jail_list_file, rc.jail_list_text) = (path("/etc/rc.conf.local"), Some(text.into()));
                rc.jail_list = text.split_whitespace().map(str::to_owned).collect();
                rc.variables.insert("jail_list".into(), "sib db web".into());
                set(rc, "jail_list", "/etc/rc.conf.local", form);
            })
        };
        let whole = ["rc-refers", "sysrc -f /etc/rc.conf.local jail_list=\"sib db web\""];
        assert_eq!(lines(&of(" web", RcForm::Refers)), whole);
        // Not even named there, it may start.
        assert_eq!(lines(&of(" db", RcForm::Refers)), whole);
        assert_eq!(of("sib db web", RcForm::Plain), []);
        let quoted = told("spare", |rc| rc.jail_list_text = Some("web 'sib'".into()));
        assert_eq!(lines(&quoted), ["rc-value"]);
    }
}
