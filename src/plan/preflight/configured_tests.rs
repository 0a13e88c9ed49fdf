//! What a jail's configuration says, and what the target must have for it.

use super::sure_tests::found;
use super::sure_tests::host;
use super::sure_tests::severity;
use crate::effect::Effect;
use crate::facts::JailConfiguration;
use crate::facts::PathKind;
use crate::plan::Severity;
use crate::plan::fixture::path;
use crate::plan::situation::Evidence;

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);

/// Files that are put aside behind the stop, and in the end removed.
#[test]
fn a_file_that_others_need_does_not_go_with_the_jail() {
    let with = |text: &'static str| {
        severity("shared-file", move |e| e.jail.as_mut().unwrap().configuration.text.push_str(text))
    };
    assert_eq!(with("* { exec.clean; }\nmount.devfs;\n"), None);
    assert_eq!(with("web_db { path = /jf/jails/web_db; }\n"), ERROR);
    let fstab_of = |name: &'static str, file: &'static str| {
        severity("shared-file", move |e| {
            host(e, "spare").jail_configurations.push(JailConfiguration {
                name: name.into(),
                file: path("/etc/jail.conf.d/other.conf"),
                parameters: vec![("mount.fstab".into(), Some(file.into()))],
            });
        })
    };
    assert_eq!(fstab_of("web_db", "/etc/jail.web.fstab"), ERROR);
    assert_eq!(fstab_of("web_db", "/etc/jail.web_db.fstab"), None);
}

pub(super) fn set(e: &mut Evidence, parameter: &str, value: &str) {
    let web = host(e, "spare").jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
    web.parameters.retain(|(name, _)| name != parameter);
    web.parameters.push((parameter.to_owned(), Some(value.to_owned())));
}

#[test]
fn an_fstab_that_cannot_move_is_not_forgotten() {
    let of = |value: &'static str| severity("odd-fstab", move |e| set(e, "mount.fstab", value));
    assert_eq!(of("/etc/jail.web.fstab"), None);
    assert_eq!(of("/etc/jail.web.fstab,/etc/more.fstab"), ERROR);
    assert_eq!(of("\"/etc/jail web.fstab\""), ERROR);
}

#[test]
fn what_is_written_at_the_target_needs_a_folder_there() {
    let of = |folder: &'static str, kind: PathKind| {
        severity("no-folder", move |e| {
            set(e, "mount.fstab", "/usr/local/etc/jails/web.fstab");
            e.target.as_mut().unwrap().paths.insert(path(folder), kind);
        })
    };
    assert_eq!(of("/usr/local/etc/jails", PathKind::Absent), ERROR);
    assert_eq!(of("/usr/local/etc/jails", PathKind::Directory), None);
    assert_eq!(of("/etc/jail.conf.d", PathKind::Absent), ERROR);
    assert_eq!(
        severity("missing-source", |e| {
            e.target.as_mut().unwrap().paths.insert(path("/etc/jail.conf.d"), PathKind::Absent);
        }),
        None
    );
}

/// jls(8) tells where the link leads, `jail -e` what is written.
#[test]
fn a_root_behind_a_link_needs_the_link() {
    let of = |value: &'static str, above: PathKind, there: PathKind| {
        severity("linked-root", move |e| {
            set(e, "path", value);
            let paths = &mut e.target.as_mut().unwrap().paths;
            paths.extend([(path("/j"), above), (path("/j/web"), there)]);
        })
    };
    assert_eq!(of("/jf/jails/web/", PathKind::Absent, PathKind::Absent), None);
    assert_eq!(of("/j/web", PathKind::Absent, PathKind::Absent), ERROR);
    assert_eq!(of("/j/web", PathKind::Directory, PathKind::Absent), WARNING);
    assert_eq!(of("/j/web", PathKind::Directory, PathKind::Link), None);
}

/// `jail -e` prints what is written: trailing slashes, links, names given to an epair's ends.
#[test]
fn the_target_reads_what_the_source_reads() {
    let expected = |parameter: &'static str, value: &'static str| {
        let plan = found(move |e| set(e, parameter, value)).unwrap();
        let asked = plan.steps.iter().find_map(|s| match &s.effect {
            Effect::CheckJailConfiguration { expected, .. } => Some(expected.clone()),
            _ => None,
        });
        asked.unwrap().into_iter().find(|(name, _)| name == parameter).map(|(_, value)| value)
    };
    assert_eq!(expected("path", "/jf/jails/web/").unwrap(), "/jf/jails/web/");
    assert_eq!(expected("vnet.interface", "epair0b").unwrap(), "epair0b");
    assert_eq!(expected("vnet.interface", "e0b_kafka").unwrap(), "e0b_kafka");
    assert_eq!(expected("vnet.interface", "epair0b,epair9b"), None);
}

/// It is unmounted with the jail's dataset, and arrives with it.
#[test]
fn an_fstab_in_the_jails_own_dataset_is_left_there() {
    let plan = found(|e| {
        set(e, "mount.fstab", "/jf/jails/web/fstab.web");
        e.jail.as_mut().unwrap().fstab.as_mut().unwrap().0 = path("/jf/jails/web/fstab.web");
    });
    for step in plan.unwrap().steps {
        match &step.effect {
            Effect::WriteFile { path, .. } | Effect::MoveFile { from: path, .. } => {
                assert!(!path.as_str().contains("fstab"), "{}", step.title);
            }
            _ => {}
        }
    }
}

/// jail(8) stops with a jail what depends on it, and starts none whose dependency its file does not define.
#[test]
fn jails_that_depend_on_each_other_stay_together() {
    let other = |node: &'static str, name: &'static str, needs: &'static str| {
        move |e: &mut Evidence| {
            let of_web = host(e, "spare").jail_configurations.iter().find(|c| c.name == "web").unwrap().file.clone();
            host(e, node).jail_configurations.push(JailConfiguration {
                name: name.into(),
                file: of_web,
                parameters: vec![("depend".into(), Some(needs.into()))],
            });
        }
    };
    assert_eq!(severity("depended-on", other("spare", "app", "db,web")), ERROR);
    assert_eq!(severity("depended-on", other("big", "app", "web")), ERROR);
    assert_eq!(severity("depended-on", other("spare", "app", "db")), None);
    assert_eq!(severity("depends", |e| set(e, "depend", "db")), ERROR);
    assert_eq!(severity("depends", |_| ()), None);
    assert_eq!(
        severity("depends", |e| {
            set(e, "depend", "app");
            other("spare", "app", "db")(e);
            other("big", "app", "db")(e);
        }),
        None
    );
}

fn rules(list: &[&str]) -> std::collections::BTreeSet<String> {
    list.iter().map(|rule| (*rule).to_owned()).collect()
}

/// A number stands for what the host's own devfs.rules say.
#[test]
fn a_ruleset_of_the_same_number_may_be_another() {
    let of = |here: &'static [&str], there: &'static [&str]| {
        severity("ruleset-differs", move |e| {
            set(e, "devfs_ruleset", "5");
            e.jail.as_mut().unwrap().of_the_host.devices = rules(here);
            e.target.as_mut().unwrap().of_the_host.devices = rules(there);
        })
    };
    assert_eq!(of(&["hide", "path bpf* unhide"], &["hide", "path bpf* unhide"]), None);
    assert_eq!(of(&["hide", "path bpf* unhide"], &["hide"]), WARNING);
    assert_eq!(of(&["hide"], &["hide", "path mem unhide"]), WARNING);
    assert_eq!(of(&[], &["hide"]), None, "an older jailferry did not ask");
}

#[test]
fn limits_that_stay_behind_are_told() {
    let of = |here: &'static [&str], there: &'static [&str], command: &'static str| {
        severity("limits-stay", move |e| {
            set(e, "exec.created", command);
            e.jail.as_mut().unwrap().of_the_host.limits = rules(here);
            e.target.as_mut().unwrap().of_the_host.limits = rules(there);
        })
    };
    let limit = &["jail:web:memoryuse:deny=536870912"];
    assert_eq!(of(limit, &[], "true"), WARNING);
    assert_eq!(of(limit, limit, "true"), None);
    assert_eq!(of(&[], &[], "true"), None);
    assert_eq!(of(limit, &[], "\"rctl -a jail:web:memoryuse:deny=512m\""), None);
}

#[test]
fn a_program_that_only_the_source_has_is_missing_at_the_target() {
    let of = |there: &'static [&str], command: &'static str| {
        severity("no-program", move |e| {
            set(e, "exec.prestart", command);
            e.jail.as_mut().unwrap().of_the_host.programs = rules(&["ifconfig", "/root/up.sh"]);
            e.target.as_mut().unwrap().of_the_host.programs = rules(there);
        })
    };
    let both = &["ifconfig", "/root/up.sh"];
    assert_eq!(of(both, "\"/root/up.sh web\""), None);
    assert_eq!(of(&["ifconfig"], "\"/root/up.sh web\""), ERROR);
    assert_eq!(of(&["ifconfig"], "\"/root/up.sh web || true\""), WARNING);
    assert_eq!(of(&["ifconfig"], "\"/root/nowhere.sh web\""), None);
}

/// On 13.x /home is a link to /usr/home.
#[test]
fn an_fstab_that_names_its_places_by_a_link_mounts_them() {
    let of = |named: &'static str| {
        severity("foreign-mount", move |e| {
            let web = host(e, "spare").jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
            web.parameters.iter_mut().filter(|(name, _)| name == "path").for_each(|p| p.1 = Some("/j/web".into()));
            let jail = e.jail.as_mut().unwrap();
            let (_, fstab) = jail.fstab.as_mut().unwrap();
            fstab.text = format!("/usr/base {named}/base nullfs ro 0 0\n");
            let base = |what: &str, path: &str| crate::facts::Mount {
                source: what.into(),
                path: path.into(),
                kind: "nullfs".into(),
                options: "ro".into(),
            };
            jail.mounts.push(base("/usr/base", "/jf/jails/web/base"));
        })
    };
    assert_eq!(of("/j/web"), None);
    assert_eq!(of("/jf/jails/web"), None);
    assert_eq!(of("/j/webs"), ERROR);
}
