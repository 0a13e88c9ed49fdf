//! Runs the scripts over small rc.conf files.

use super::*;
use crate::configuration::sh;
use crate::configuration::sh::Ran;
use crate::model::Family;
use crate::model::JailName;

struct Host(tempfile::TempDir);

impl Host {
    fn with(text: &str) -> Host {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rc.conf"), text).unwrap();
        Host(folder)
    }

    fn file(&self) -> RemotePath {
        RemotePath::new(self.0.path().join("rc.conf").to_str().unwrap()).unwrap()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.path().join("rc.conf")).unwrap()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.0.path().join("rc.conf"), text).unwrap();
    }

    fn run(&self, script: &str) -> Ran {
        sh::run(self.0.path(), script)
    }

    /// Twice, since every step may be repeated.
    fn succeeds(&self, script: &str) {
        for _ in 0..2 {
            assert_eq!(self.run(script), Ran { status: 0, stdout: String::new(), stderr: String::new() }, "{script}");
        }
    }

    /// The variables of jail_list as `sysrc -f` and grep tell them.
    fn jail_list(&self) -> JailList {
        let text = self.text();
        let value = |name: &str| {
            text.lines().find_map(|l| l.strip_prefix(&format!("{name}=\""))?.strip_suffix('"').map(str::to_owned))
        };
        let file = self.file();
        JailList::new((&file, value("jail_list").as_deref()), (&file, value("jail_enable").as_deref())).unwrap()
    }
}

fn web() -> JailName {
    JailName::new("web").unwrap()
}

fn names(names: &[&str]) -> Vec<JailName> {
    names.iter().map(|n| JailName::new(*n).unwrap()).collect()
}

#[test]
fn a_symbolic_link_stays_and_the_new_file_is_made_beside_the_old_one() {
    let host = Host::with("hostname=\"x\"\n");
    let real = host.0.path().join("real");
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("rc.conf"), "jail_enable=\"YES\"\njail_list=\"db web\"\n").unwrap();
    std::fs::remove_file(host.0.path().join("rc.conf")).unwrap();
    std::os::unix::fs::symlink("real/rc.conf", host.0.path().join("rc.conf")).unwrap();
    let elsewhere = "TMPDIR=/nowhere; export TMPDIR\n";
    host.succeeds(&format!("{elsewhere}{}", host.jail_list().remove(&web())));
    assert!(host.0.path().join("rc.conf").is_symlink());
    assert_eq!(host.text(), "jail_enable=\"YES\"\njail_list=\"db\"\n");
    assert_eq!(std::fs::read_dir(real).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_jail_leaves_the_list_and_returns_to_its_place() {
    for (before, after) in [
        ("jail_enable=\"YES\"\njail_list=\"db web mail\"\n", "jail_enable=\"YES\"\njail_list=\"db mail\"\n"),
        // The last one: an empty list would start every jail, so jail_enable goes too.
        ("jail_enable=\"YES\"\njail_list=\"web\"\n", "jail_enable=\"NO\"\njail_list=\"\"\n"),
        ("jail_enable=\"YES\"\njail_list=\"  web \"\n", "jail_enable=\"NO\"\njail_list=\"\"\n"),
        ("jail_list=\"web  webs\"\n", "jail_list=\"webs\"\n"),
        ("jail_enable=\"YES\"\njail_list=\"db\"\n", "jail_enable=\"YES\"\njail_list=\"db\"\n"),
        ("hostname=\"x\"\n", "hostname=\"x\"\n"),
    ] {
        let host = Host::with(before);
        let list = host.jail_list();
        host.succeeds(&list.remove(&web()));
        assert_eq!(host.text(), after);
        host.succeeds(&list.undo_remove(&web()).unwrap());
        assert_eq!(host.text(), before);
    }
}

#[test]
fn an_unset_jail_enable_is_unset_again() {
    let host = Host::with("jail_list=\"web\"\n");
    let list = host.jail_list();
    host.succeeds(&list.remove(&web()));
    assert_eq!(host.text(), "jail_list=\"\"\njail_enable=\"NO\"\n");
    host.succeeds(&list.undo_remove(&web()).unwrap());
    assert_eq!(host.text(), "jail_list=\"web\"\n");
}

#[test]
fn a_crash_between_the_two_variables_is_made_good() {
    let host = Host::with("jail_enable=\"YES\"\njail_list=\"web\"\n");
    let list = host.jail_list();
    host.write("jail_enable=\"NO\"\njail_list=\"web\"\n");
    host.succeeds(&list.undo_remove(&web()).unwrap());
    assert_eq!(host.text(), "jail_enable=\"YES\"\njail_list=\"web\"\n");
    host.write("jail_enable=\"NO\"\njail_list=\"web\"\n");
    host.succeeds(&list.remove(&web()));
    assert_eq!(host.text(), "jail_enable=\"NO\"\njail_list=\"\"\n");
}

#[test]
fn what_others_put_on_the_list_since_stays() {
    let host = Host::with("jail_enable=\"YES\"\njail_list=\"web db\"\n");
    let list = host.jail_list();
    host.succeeds(&list.remove(&web()));
    host.write("jail_enable=\"YES\"\njail_list=\"db new\"\n");
    host.succeeds(&list.undo_remove(&web()).unwrap());
    assert_eq!(host.text(), "jail_enable=\"YES\"\njail_list=\"db new web\"\n");
}

#[test]
fn a_jail_comes_on_the_list_without_touching_others() {
    for (before, after) in [
        ("jail_enable=\"YES\"\njail_list=\"db\"\n", "jail_enable=\"YES\"\njail_list=\"db web\"\n"),
        ("jail_enable=\"yes\"\njail_list=\"web\"\n", "jail_enable=\"yes\"\njail_list=\"web\"\n"),
        // All of jail.conf start now: they must go on doing so.
        ("jail_enable=\"YES\"\njail_list=\"\"\n", "jail_enable=\"YES\"\njail_list=\"db mail web\"\n"),
        ("jail_enable=\"YES\"\n", "jail_enable=\"YES\"\njail_list=\"db mail web\"\n"),
        ("jail_enable=\"NO\"\njail_list=\"\"\n", "jail_enable=\"YES\"\njail_list=\"web\"\n"),
        ("jail_enable=\"NO\"\njail_list=\"web\"\n", "jail_enable=\"YES\"\njail_list=\"web\"\n"),
        ("hostname=\"x\"\n", "hostname=\"x\"\njail_list=\"web\"\njail_enable=\"YES\"\n"),
    ] {
        let host = Host::with(before);
        let list = host.jail_list();
        let all = names(&["db", "mail"]);
        host.succeeds(&list.add(&web(), &all));
        assert_eq!(host.text(), after);
        host.succeeds(&list.undo_add(&web(), &all).unwrap());
        assert_eq!(host.text(), before);
    }
}

#[test]
fn switching_jails_on_is_refused_when_it_would_start_others() {
    let before = "jail_enable=\"NO\"\njail_list=\"db\"\n";
    let host = Host::with(before);
    assert!(host.jail_list().would_start_others(&web()));
    assert_eq!(host.run(&host.jail_list().add(&web(), &[])).status, 22);
    assert_eq!(host.text(), before);
    assert!(Host::with("jail_enable=\"YES\"\n").jail_list().starts_all());
}

#[test]
fn adding_is_taken_back_even_when_the_list_has_changed() {
    let host = Host::with("jail_enable=\"YES\"\njail_list=\"db\"\n");
    let list = host.jail_list();
    host.succeeds(&list.add(&web(), &[]));
    host.write("jail_enable=\"YES\"\njail_list=\"web new\"\n");
    host.succeeds(&list.undo_add(&web(), &[]).unwrap());
    assert_eq!(host.text(), "jail_enable=\"YES\"\njail_list=\"new\"\n");
}

#[test]
fn routes_come_and_go_with_their_place_in_the_list() {
    let before = "static_routes=\"a jf_web b\"\nroute_jf_web=\"-host 192.168.123.50 -interface wg0 -fib 0\"\n";
    let host = Host::with(before);
    let route =
        StaticRoute::new(&host.file(), Family::Inet, "jf_web", "-host 192.168.123.50 -interface wg0 -fib 0").unwrap();
    host.succeeds(&route.remove().unwrap());
    assert_eq!(host.text(), "static_routes=\"a b\"\n");
    host.succeeds(&route.undo_remove(Some("a jf_web b")).unwrap());
    assert_eq!(host.text(), before);

    let host = Host::with("hostname=\"x\"\n");
    let route =
        StaticRoute::new(&host.file(), Family::Inet6, "jf_web", "-host 2001:db8:1:1::50 -interface wg0").unwrap();
    host.succeeds(&route.add().unwrap());
    assert_eq!(
        host.text(),
        "hostname=\"x\"\nipv6_route_jf_web=\"-host 2001:db8:1:1::50 -interface wg0\"\nipv6_static_routes=\"jf_web\"\n"
    );
    host.succeeds(&route.undo_add(None).unwrap());
    assert_eq!(host.text(), "hostname=\"x\"\n");
}

#[test]
fn a_route_in_front_of_the_owners_goes_and_leaves_the_list_as_it_was() {
    let own = "static_routes=\"own  b\"\nroute_own=\"-host 192.168.123.50 -interface wg0 -fib 0\"\n";
    for (before, list) in [(own, "jf_web own  b"), ("", "jf_web"), ("static_routes=\"\"\n", "jf_web")] {
        let host = Host::with(before);
        let arguments = "-host 192.168.123.50 -interface bridge0 -fib 0";
        let route = StaticRoute::new(&host.file(), Family::Inet, "jf_web", arguments).unwrap();
        host.succeeds(&route.add_first().unwrap());
        assert!(host.text().contains(&format!("static_routes=\"{list}\"\n")), "{}", host.text());
        host.succeeds(&route.remove().unwrap());
        assert_eq!(host.text(), if before == own { own.replace("  ", " ") } else { String::new() });
    }
}

#[test]
fn a_route_of_another_meaning_is_not_overwritten() {
    let before = "static_routes=\"jf_web\"\nroute_jf_web=\"-net 10.0.0.0/8 10.1.1.1\"\n";
    let host = Host::with(before);
    let route = StaticRoute::new(&host.file(), Family::Inet, "jf_web", "-host 192.168.123.50 -interface wg0").unwrap();
    assert_eq!(host.run(&route.add().unwrap()).status, 20);
    assert_eq!(host.text(), before);
}

#[test]
fn whole_values_are_compared_and_swapped() {
    let before = "ifconfig_bridge0_aliases=\"inet 10.0.0.1/32 inet 10.0.0.2/32\"\n";
    let host = Host::with(before);
    let variable = Variable::new(&host.file(), "ifconfig_bridge0_aliases").unwrap();
    let old = "inet 10.0.0.1/32 inet 10.0.0.2/32";
    let new = "inet 10.0.0.1/32 inet 10.0.0.2/32 inet 192.168.123.1/32";
    host.succeeds(&variable.change(Some(old), Some(new)).unwrap());
    assert_eq!(host.text(), format!("ifconfig_bridge0_aliases=\"{new}\"\n"));
    host.succeeds(&variable.change(Some(new), Some(old)).unwrap());
    assert_eq!(host.text(), before);
    assert_eq!(host.run(&variable.change(Some("inet 10.9.9.9/32"), None).unwrap()).status, 20);
    host.succeeds(&variable.change(Some(old), None).unwrap());
    assert_eq!(host.text(), "");
    assert!(Variable::new(&host.file(), "a-b").is_err());
    assert!(variable.change(None, Some("$(id)")).is_err());
}

#[test]
fn yes_as_rc_subr_reads_it() {
    assert!(is_yes("YES") && is_yes("on") && !is_yes("NO") && !is_yes("NONE") && !is_yes(""));
}
