//! `fabric: bridged`: nodes whose bridges are one layer-2 segment. The datasets move, nothing is re-routed, and everybody on
//! the segment learns the new place at once.

use std::fs;
use std::path::PathBuf;

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::client::Client;
use crate::moving::kept;

/// VXLAN between the nodes' addresses in the tunnel, a member of both bridges, until the next boot.
const SEGMENT: &str = "ifconfig vxlan0 create vxlanid 42 vxlanlocal LOCAL vxlanremote REMOTE\n\
    ifconfig vxlan0 fib 1 up\nifconfig bridge0 addm vxlan0";

/// The jails of spare's first network, and those beyond it.
const NEAR: [(&str, &str, &str); 2] =
    [("web", "192.168.123.50", "2001:db8:1:1::50"), ("sib", "192.168.123.51", "2001:db8:1:1::51")];
const FAR: [(&str, &str, &str); 2] =
    [("db", "192.168.125.10", "2001:db8:1:3::10"), ("mail", "192.168.122.25", "2001:db8:1::25")];

/// Makes the segment; fleet.yml says so of spare and big.
fn bridged(fleet: &Fleet) -> PathBuf {
    for (host, local, remote) in [("spare", "10.77.0.2", "10.77.0.3"), ("big", "10.77.0.3", "10.77.0.2")] {
        fleet.sh(host, &SEGMENT.replace("LOCAL", local).replace("REMOTE", remote));
    }
    let text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let (before, after) = ("    fib: 1\n    mtu: 1380\n", "    fib: 1\n    mtu: 1360\n    fabric: bridged\n");
    assert_eq!(text.matches(before).count(), 2, "{text}");
    // 1370 bytes of a jail have room in a packet of the tunnel, the frame around them included.
    let file = fleet.file.with_file_name("bridged.yml");
    fs::write(&file, text.replace(before, after)).expect("written");
    file
}

/// Each of the segment reaches every other jail, and every other jail reaches it, in both families.
fn everyone_pings_everyone(fleet: &Fleet) {
    for (from, _, _) in NEAR.iter().chain(&FAR) {
        let host = fleet.runs_on(from).first().copied().unwrap_or_else(|| panic!("{from} runs nowhere"));
        for (to, inet, inet6) in NEAR.iter().chain(&FAR).filter(|(to, _, _)| to != from) {
            for ping in [format!("ping -n -q -c 1 -t 2 {inet}"), format!("ping -6 -n -q -c 1 -t 2 {inet6}")] {
                wait_until(&format!("{from} on {host} reaches {to}: {ping}"), || {
                    fleet.try_sh(host, &format!("jexec -l {from} {ping}")).status.success()
                });
            }
        }
    }
}

#[test]
fn a_jail_moves_along_a_segment_and_nothing_is_re_routed() {
    let Some(fleet) = Fleet::lab("a_jail_moves_along_a_segment") else { return };
    let file = bridged(&fleet);
    let run = |args: &[&str]| fleet.jailferry_with(&file, args);
    everyone_pings_everyone(&fleet);
    let before = fleet.states();

    // What the plan does to the network: nothing but to tell the neighbours.
    let plan = run(&["plan", "web", "big", "--json"]).exits(0).json();
    let titles: Vec<&str> =
        plan["steps"].as_array().expect("a list").iter().filter_map(|s| s["title"].as_str()).collect();
    for word in [" hands ", " routes ", "answers for the jail's gateway", "proxy ARP", "wg0.conf"] {
        assert!(!titles.iter().any(|title| title.contains(word)), "{word}: {titles:#?}");
    }
    assert!(titles.iter().any(|title| title.contains("tells its neighbours")), "{titles:#?}");

    let [url, url6] = fleet.urls("web");
    for (to, from) in [("big", "spare"), ("spare", "big")] {
        let watch = fleet.in_lab().watch();
        let counting = Client::counting(&fleet, &url);
        let asking = Client::asking(&fleet, &[&url6]);
        let told = run(&["migrate", "web", to, "--yes"]).exits(0);
        // At once, without anybody waiting for an entry of the old place to end.
        for (ask, inside) in [("jexec -l sib", "sib"), ("", "its gateway")] {
            for ping in ["ping -n -q -c 1 -t 1 192.168.123.50", "ping -6 -n -q -c 1 -t 1 2001:db8:1:1::50"] {
                let answer = fleet.try_sh("spare", &format!("{ask} {ping}"));
                assert!(answer.status.success(), "{inside} does not reach web on {to}: {ping}\n{}", told.all);
            }
        }
        counting.lost_nothing(&url);
        assert_eq!(asking.seen()[&url6].hosts, format!("{from}>{to}"), "{}", told.all);
        assert_eq!(watch.never_two("web", "192.168.123.0/24"), [from, to]);
        everyone_pings_everyone(&fleet);
        fleet.answers_from("web", to);
        if to == "big" {
            // Its neighbour follows, and both are on one bridge again, away from their gateway.
            run(&["migrate", "sib", "big", "--yes"]).exits(0);
            everyone_pings_everyone(&fleet);
            run(&["migrate", "sib", "spare", "--yes"]).exits(0);
        }
    }
    before.same_but(&fleet.states(), "after coming home", |line| kept(line, "web") || kept(line, "sib"));
}

#[test]
fn a_move_along_a_segment_that_fails_goes_back_and_the_neighbours_know() {
    let Some(fleet) = Fleet::lab("a_move_along_a_segment_that_fails_goes_back") else { return };
    let file = bridged(&fleet);
    let before = fleet.states();
    // The jail runs at the target when it is found wanting.
    let text = fs::read_to_string(&file).expect("fleet.yml is text");
    let strict = file.with_file_name("strict.yml");
    let check = "      - http: { body: \"jail=web\" }\n";
    assert!(text.contains(check), "{text}");
    let wanting = format!("{check}      - command: {{ run: \"grep -q spare /var/run/host\" }}\n");
    fs::write(&strict, text.replacen(check, &wanting, 1)).expect("written");
    fleet.jailferry_with(&strict, &["migrate", "web", "big", "--yes"]).exits(4);
    for ping in ["ping -n -q -c 1 -t 1 192.168.123.50", "ping -6 -n -q -c 1 -t 1 2001:db8:1:1::50"] {
        fleet.sh("spare", &format!("jexec -l sib {ping}"));
    }
    fleet.answers_from("web", "spare");
    before.same(&fleet.states(), "after going back");
}

#[test]
fn what_is_no_part_of_a_segment_is_refused_with_the_reason() {
    let Some(fleet) = Fleet::lab("what_is_no_part_of_a_segment_is_refused") else { return };
    let file = bridged(&fleet);
    let run = |args: &[&str]| fleet.jailferry_with(&file, args);
    let before = fleet.states();
    run(&["migrate", "web", "small", "--yes"]).exits(3).says("spare, where jail web runs, is `fabric: bridged`");
    run(&["migrate", "mail", "big", "--yes"]).exits(3).says("is `fabric: routed` and big is `fabric: bridged`");
    run(&["doctor"]).says("moves from spare (fabric: bridged) to small (fabric: routed)");

    fleet.sh("big", "ifconfig bridge0 deletem vxlan0");
    let told = run(&["migrate", "web", "big", "--yes"]).exits(3);
    told.says("ifconfig bridge0 addm vxlan0");
    run(&["doctor"]).says("ifconfig bridge0 addm vxlan0");
    fleet.sh("big", "ifconfig bridge0 addm vxlan0");

    // Members on both bridges, and no frame between them: only the canary finds that.
    fleet.sh("big", "ifconfig vxlan0 destroy\nifconfig vxlan0 create vxlanid 43 vxlanlocal 10.77.0.3 vxlanremote 10.77.0.2\nifconfig vxlan0 fib 1 up\nifconfig bridge0 addm vxlan0");
    let jid = fleet.sh("spare", "jls -j web jid");
    run(&["migrate", "web", "big", "--yes"]).exits(4).says("canary");
    assert_eq!(fleet.sh("spare", "jls -j web jid"), jid, "the jail was stopped");
    before.same(&fleet.states(), "refused or gone back before the jail stopped");
}
