//! A jail that Bastille manages: thin, with a folder and a root that are datasets, on a bridge by an epair with a name.

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::state::States;
use crate::thin::CONVERT;
use crate::thin::INSTALL;
use crate::thin::OF_A_UNIT;
use crate::thin::OF_ANY_UNIT;

const CONF: &str = "cat /jf/bastille/jails/web/jail.conf";

#[test]
fn a_thin_jail_of_bastille_moves_to_big_and_home_again() {
    let Some(fleet) = Fleet::lab("a_thin_jail_of_bastille_moves_to_big_and_home_again") else { return };
    fleet.sh("spare", INSTALL);
    fleet.sh("spare", &CONVERT.replace("INTERFACES", OF_A_UNIT.trim()));
    fleet.answers_from("web", "spare");

    // What big lacks is told before anything is touched, with what puts it right.
    let refused = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3);
    refused.says("big has no dataset mounted at /jf/bastille/jails").says("bastille bootstrap");
    fleet.sh("big", INSTALL);
    fleet.sh("big", "zfs destroy jfpool/bastille/releases/13.2-RELEASE\nrmdir /var/log/bastille");
    let refused = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3);
    refused.says("bastille bootstrap 13.2-RELEASE").says("mkdir -p /var/log/bastille");
    fleet.sh(
        "big",
        "zfs create jfpool/bastille/releases/13.2-RELEASE\ncd /jf/bastille/releases/13.2-RELEASE\nmkdir usr\nfor dir in bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec; do cp -R \"/$dir\" \"$dir\"; done\nmkdir /var/log/bastille",
    );
    // Unit 0 is taken there.
    fleet.sh("big", "ifconfig epair0 create >/dev/null");

    let (before, files) = (fleet.states(), fleet.sh("spare", CONF));
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    runs_on(&fleet, "big");
    let there = fleet.sh("big", CONF);
    assert!(there.contains("ifconfig epair1a up name e0a_web"), "{there}");
    assert!(there.contains("jailferry sib"), "{there}");
    fleet.sh("spare", "[ ! -e /jf/bastille/jails/web/jail.conf ]");

    for host in ["spare", "big"] {
        fleet.reboot(host);
        runs_on(&fleet, "big");
    }
    // Gone with the boot; the unit stays what it is.
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    runs_on(&fleet, "spare");
    let home = fleet.sh("spare", CONF);
    assert_eq!(home.replace("epair1", "epair0"), files, "{home}");
    fleet.reboot("spare");
    runs_on(&fleet, "spare");
    same(&before, &fleet.states());
}

#[test]
fn an_epair_of_whatever_unit_gets_the_fib_of_the_target() {
    let Some(fleet) = Fleet::lab("an_epair_of_whatever_unit_gets_the_fib_of_the_target") else { return };
    for host in ["spare", "big"] {
        fleet.sh(host, INSTALL);
    }
    fleet.sh("spare", &CONVERT.replace("INTERFACES", OF_ANY_UNIT.trim()));
    fleet.answers_from("web", "spare");
    let files = fleet.sh("spare", CONF);
    let before = fleet.states();
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    runs_on(&fleet, "big");
    assert!(fleet.sh("big", "ifconfig e0a_web").contains("fib: 1"));
    fleet.reboot("big");
    runs_on(&fleet, "big");
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    runs_on(&fleet, "spare");
    assert_eq!(fleet.sh("spare", CONF), files);
    same(&before, &fleet.states());
}

/// Home again, but for what every move leaves until `finalize`.
fn same(before: &States, after: &States) {
    before.same_but(after, "after coming home", |line| {
        let copy = line.starts_with("+big: datasets: jfpool/bastille/jails/web");
        let base = line.contains("jfpool/bastille/jails/web") && line.contains("@jailferry-web-");
        let log = line.contains("+small: ") && line.contains("/wireguard/") && line.contains(".jailferry-web-");
        let unit = line.contains("-big: interfaces: epair0");
        copy || base || log || unit || crate::moving::kept(line, "web")
    });
}

fn runs_on(fleet: &Fleet, host: &str) {
    fleet.answers_from("web", host);
    assert_eq!(fleet.runs_on("web"), [host]);
    for (from, to) in [("web", "2001:db8:1:1::51"), ("sib", "2001:db8:1:1::50")] {
        let at = if from == "web" { host } else { "spare" };
        wait_until(&format!("{from} reaches {to}"), || {
            fleet.try_sh(at, &format!("jexec -l {from} ping -6 -n -q -c 1 -t 2 {to}")).status.success()
        });
    }
}
