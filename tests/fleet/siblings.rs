//! Jails that share a subnet, a bridge or nothing: each reaches each, wherever one of them is.

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::moving::kept;
use crate::state::States;

/// Every jail with its addresses.
const JAILS: [(&str, &str, &str); 4] = [
    ("web", "192.168.123.50", "2001:db8:1:1::50"),
    ("sib", "192.168.123.51", "2001:db8:1:1::51"),
    ("db", "192.168.125.10", "2001:db8:1:3::10"),
    ("mail", "192.168.122.25", "2001:db8:1::25"),
];

#[test]
fn jails_of_one_subnet_reach_each_other_wherever_one_of_them_is() {
    let Some(fleet) = Fleet::any("jails_of_one_subnet_reach_each_other_wherever_one_of_them_is") else { return };
    everyone_pings_everyone(&fleet);
    let before = fleet.states();
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    everyone_pings_everyone(&fleet);
    assert_eq!(fleet.sh("spare", "sysctl -n net.link.ether.inet.proxyall").trim(), "1");
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    everyone_pings_everyone(&fleet);
    let ours =
        |line: &String| ["proxyall", "arpproxy", "inside sib", "routes fib"].iter().any(|part| line.contains(part));
    let left: Vec<String> = before.difference(&fleet.states()).into_iter().filter(ours).collect();
    assert!(left.is_empty(), "left after coming home: {left:#?}");
}

/// Two at a time, in both families and directions.
fn everyone_pings_everyone(fleet: &Fleet) {
    for (from, _, _) in JAILS {
        let host = fleet.runs_on(from).first().copied().unwrap_or_else(|| panic!("{from} runs nowhere"));
        for (to, inet, inet6) in JAILS.iter().filter(|(to, _, _)| *to != from) {
            for ping in [format!("ping -n -q -c 1 -t 2 {inet}"), format!("ping -6 -n -q -c 1 -t 2 {inet6}")] {
                wait_until(&format!("{from} on {host} reaches {to}: {ping}"), || {
                    fleet.try_sh(host, &format!("jexec -l {from} {ping}")).status.success()
                });
            }
        }
    }
}

/// What the hosts know of the network: what a restart of a jail or a host must not change.
fn network(states: &States) -> States {
    states.only(|line| {
        let section = line.split(": ").next().unwrap_or_default();
        let known = ["interfaces", "routes fib", "published arp", "wireguard", "sysctl", "inside", "jails", "pf"];
        known.iter().any(|start| section.starts_with(start))
    })
}

#[test]
fn what_lets_siblings_reach_each_other_lasts() {
    let Some(fleet) = Fleet::anew("what_lets_siblings_reach_each_other_lasts") else { return };
    let before = fleet.states();
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    everyone_pings_everyone(&fleet);
    let moved = fleet.states();
    let again = |what: &str| {
        everyone_pings_everyone(&fleet);
        network(&moved).same(&network(&fleet.states()), what);
    };
    let restart = |host: &str, jail: &str| {
        fleet.sh(host, &format!("service jail restart {jail} >/dev/null\njls -j {jail} jid"));
    };
    restart("spare", "sib");
    again("after a restart of the jail that stayed");
    restart("big", "web");
    again("after a restart of the jail that moved");
    for host in ["spare", "big", "small"] {
        fleet.reboot(host);
        again(&format!("after a reboot of {host}"));
    }

    // The one that stayed goes farther, and the moved one has its way there.
    fleet.jailferry(&["migrate", "sib", "small", "--yes"]).exits(0);
    everyone_pings_everyone(&fleet);
    fleet.jailferry(&["migrate", "sib", "spare", "--yes"]).exits(0);
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    everyone_pings_everyone(&fleet);
    before.same_but(&fleet.states(), "after coming home", |line| {
        kept(line, "web") || kept(line, "sib") || kept(&line.replace("+small", "+big"), "sib")
    });
}
