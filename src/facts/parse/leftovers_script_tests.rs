//! The script that looks for traces, as a host answers it.

use std::fs;

use super::script_tests::FakeHost;
use super::*;
use crate::facts::questions;
use crate::facts::recordings::stdout;

/// A host with something of ours, and with names that mean harm.
fn host_with_leftovers() -> FakeHost {
    let host = FakeHost::new();
    let snapshots = "zroot/web@daily\t1700000000\nzroot/web@jailferry-web-0123abcd-final\t1700000001\n\
        zroot/$(reboot)@jailferry-x\t1700000002\nzroot/web#jailferry-web-0123abcd\t1700000003\n";
    let mark = |name: &str, property: &str, value: &str| format!("{name}\torg.jailferry:{property}\t{value}\n");
    let marks = [
        mark("zroot/web", "run", "web-0123abcd"),
        mark("zroot/web", "state", "web-0123abcd:parked:big"),
        mark("zroot/web", "owner", "anna@laptop-1"),
        mark("zroot/half", "run", "web-0123abcd"),
        mark("zroot/live", "state", "web-0123abcd:leaving:big"),
        mark("zroot/odd", "state", "$(reboot)"),
    ]
    .concat();
    host.answers("zfs", "version", &stdout("zfs-version"), 0)
        .answers("zfs", "'list -Hp -t snapshot,bookmark '*", snapshots, 0)
        .answers("zfs", "'list -Hp -t snapshot '*", "zroot/web@jailferry-web-0123abcd-final\t1\nzroot/a b@x\t1\n", 0)
        .answers("zfs", "'holds -H zroot/web@jailferry-web-0123abcd-final'", &stdout("zfs-holds"), 0)
        .answers("zfs", "'get '*", &marks, 0)
        .answers("zfs", "*' zroot/half'", "1700000005\tno\t1-abc\n", 0)
        .answers("zfs", "*' zroot/live'", "1700000006\tyes\t-\n", 0)
        .answers("zfs", "*' zroot/odd'", "1700000007\tyes\t-\n", 0)
        .answers("zfs", "*' zroot/web'", "1700000004\tno\t-\n", 0)
        .answers("sysrc", "-a", "route_jailferry_web_0: -host 192.168.123.50\nhostname: x\njail_list: jailferry_\n", 0)
        .answers("pfctl", "'-v -sA'", "  jailferry\n  jailferry/web\n  jailferry/old\n", 0)
        .answers("pfctl", "'-a jailferry/web '*", "pass all\n", 0)
        .answers("pfctl", "*", "", 0)
        .answers("jls", "*", "web\njailferry_canary\n", 0)
        .answers("ifconfig", "*", "lo0 bridge0 jailferry0\n", 0)
        .answers("ps", "*", " 1 /sbin/init\n 77 daemon: ping[78] -o /var/run/jailferry-web-0123abcd.watch\n", 0);
    host
}

#[test]
fn leftovers_are_found_by_their_names() {
    let answer = host_with_leftovers().ask(&questions::leftover_questions(None));
    let traces = parse_leftovers(&answer).unwrap();
    assert_eq!(traces.jails, ["web", "jailferry_canary"]);
    let found: Vec<String> = traces
        .traces
        .iter()
        .filter(|t| !t.name.starts_with('/'))
        .map(|t| format!("{} {} {}", t.kind.words(), t.name, t.run.as_ref().map_or("", |r| r.as_str())))
        .collect();
    assert_eq!(
        found,
        [
            "snapshot zroot/web@jailferry-web-0123abcd-final web-0123abcd",
            "snapshot zroot/$(reboot)@jailferry-x ",
            "bookmark zroot/web#jailferry-web-0123abcd web-0123abcd",
            "hold on zroot/jails/web@jailferry-r1-1 ",
            "parked copy zroot/web web-0123abcd",
            "half a copy zroot/half web-0123abcd",
            "note on dataset zroot/live web-0123abcd",
            "note on dataset zroot/odd ",
            "rc.conf variable route_jailferry_web_0: -host 192.168.123.50 ",
            "pf anchor jailferry/web ",
            "jail jailferry_canary ",
            "interface jailferry0 ",
            "process 77 daemon: ping[78] -o /var/run/jailferry-web-0123abcd.watch web-0123abcd",
        ]
    );
    assert_eq!(traces.traces[0].since, Some(1_700_000_001));
    assert_eq!(traces.traces[4].owner.as_ref().map(|o| o.as_str()), Some("anna@laptop-1"));
    assert_eq!(traces.traces[6].notice.as_ref().unwrap().told(), "run web-0123abcd moves it to big");
}

#[test]
fn a_tool_that_fails_is_not_taken_for_one_that_found_nothing() {
    for (command, arguments) in [("zfs", "version"), ("jls", "*"), ("ifconfig", "*"), ("ps", "*"), ("sysrc", "-a")] {
        let host = host_with_leftovers();
        fs::remove_file(host.0.path().join(command)).unwrap();
        if command == "zfs" {
            host.answers("zfs", arguments, &stdout("zfs-version"), 0).answers("zfs", "*", "", 1);
        } else {
            host.answers(command, arguments, "", 1);
        }
        assert!(parse_leftovers(&host.ask(&questions::leftover_questions(None))).is_err(), "{command}");
    }
}
