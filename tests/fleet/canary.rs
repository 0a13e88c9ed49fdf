//! The rehearsal: what no fact tells is found while the jail still runs at the source, and named.

use crate::bench::Fleet;
use crate::state::States;

/// Something wrong that only packets find.
struct Wrong {
    host: &'static str,
    make: &'static str,
    unmake: &'static str,
    /// Part of the title of the step that must fail.
    step: &'static str,
    /// The cause, as it must be named.
    cause: &'static str,
}

const WRONG: [Wrong; 5] = [
    Wrong {
        host: "small",
        make: "sed -e '/^nat-anchor/d' -e 's/^nat on .*/nat on $ext_if inet from 10.99.0.0\\/24 to any -> $ext_addr/' /etc/pf.jailferry-testbed.conf >/tmp/pf.wrong; pfctl -q -f /tmp/pf.wrong; rm /tmp/pf.wrong",
        unmake: "pfctl -q -f /etc/pf.jailferry-testbed.conf",
        step: "http://203.0.113.100/ answers the canary",
        cause: "small: no nat rule covers 192.168.123.10",
    },
    Wrong {
        host: "small",
        make: "(cat /etc/pf.jailferry-testbed.conf; echo 'block in quick on wg0 inet proto tcp from any to any port 80') >/tmp/pf.wrong; pfctl -q -f /tmp/pf.wrong; rm /tmp/pf.wrong",
        unmake: "pfctl -q -f /etc/pf.jailferry-testbed.conf",
        step: "http://203.0.113.100/ answers the canary",
        cause: "(pfctl -sr)",
    },
    Wrong {
        host: "big",
        make: "route -q -n add -inet -net 203.0.113.0/24 -interface bridge0 -fib 1",
        unmake: "route -q -n delete -inet -net 203.0.113.0/24 -fib 1",
        step: "http://203.0.113.100/ answers the canary",
        cause: "big: FIB 1 sends 203.0.113.100 out of bridge0, not of wg0",
    },
    Wrong {
        host: "small",
        make: "ifconfig wg0 mtu 1320",
        unmake: "ifconfig wg0 mtu 1420",
        step: "with packets of 1380 bytes",
        cause: "MTU",
    },
    Wrong {
        host: "big",
        make: "ifconfig wg0 mtu 1320",
        unmake: "ifconfig wg0 mtu 1420",
        step: "with packets of 1380 bytes",
        cause: "MTU",
    },
];

#[test]
fn a_wrong_way_is_found_while_the_jail_still_runs() {
    let Some(fleet) = Fleet::anew("a_wrong_way_is_found_while_the_jail_still_runs") else { return };
    let right = fleet.states();
    let mut failures = Vec::new();
    for case in WRONG {
        fleet.sh(case.host, case.make);
        let before = fleet.states();
        if let Err(reason) = rolls_back(&fleet, &case, &before) {
            failures.push(format!("{} on {}: {reason}", case.make, case.host));
        }
        fleet.sh(case.host, case.unmake);
        right.same(&fleet.states(), case.unmake);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // What the facts tell needs no packets: a target that takes less from the hub than the source does.
    let narrow = "hub=$(wg show wg0 peers); wg set wg0 peer $hub allowed-ips 10.77.0.0/24,192.168.0.0/16,::/0";
    fleet.sh("big", narrow);
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3).says("would no longer reach it there");
    fleet.sh("big", "hub=$(wg show wg0 peers); wg set wg0 peer $hub allowed-ips 0.0.0.0/0,::/0");
    right.same(&fleet.states(), "refused");
    fleet.answers_from("web", "spare");
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    fleet.answers_from("web", "big");
}

/// Exit code 4 with the cause, before the jail was stopped, and everything as before. Err: what is not so.
fn rolls_back(fleet: &Fleet, case: &Wrong, before: &States) -> Result<(), String> {
    let jid = fleet.sh("spare", "jls -j web jid");
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]);
    if told.status != 4 {
        return Err(format!("expected exit code 4: {}", told.all));
    }
    let failed = fleet.failed_steps();
    if !(told.stdout.contains(case.cause) || told.stderr.contains(case.cause))
        || !failed.iter().any(|(_, reason)| reason.contains(case.cause))
    {
        return Err(format!("expected to read {:?}: {failed:#?}", case.cause));
    }
    if failed.len() != 1 || !failed[0].0.contains(case.step) {
        return Err(format!("another step failed: {failed:?}"));
    }
    if fleet.sh("spare", "jls -j web jid") != jid {
        return Err("the jail was stopped".into());
    }
    before.same(&fleet.states(), &told.all);
    Ok(())
}

/// For half a minute and more a host would go on sending to whatever had the canary's addresses before it; the hub speaks first.
#[test]
fn the_hardware_address_of_an_earlier_canary_is_not_believed() {
    let Some(fleet) = Fleet::lab("the_hardware_address_of_an_earlier_canary_is_not_believed") else { return };
    // By the lab's own tool, since arp(8) and ndp(8) make entries that stay.
    for address in ["192.168.123.10", "2001:db8:1:1::a"] {
        let known =
            format!("/.lab/usr/bin/ip neigh replace {address} lladdr 02:00:00:00:00:99 dev bridge0 nud reachable");
        fleet.sh("small", &known);
    }
    fleet
        .jailferry(&["migrate", "web", "small", "--yes"])
        .exits(0)
        .says("the canary on small (2001:db8:1:1::a) answers");
}

#[test]
fn a_canary_that_somebody_else_has_is_refused() {
    let Some(fleet) = Fleet::anew("a_canary_that_somebody_else_has_is_refused") else { return };
    fleet.sh("spare", "ifconfig bridge0 inet 192.168.123.10/32 alias");
    let plan = fleet.jailferry(&["plan", "web", "big", "--json"]).exits(3).json();
    let findings = plan["findings"].as_array().expect("a list").clone();
    let found = findings.iter().find(|f| f["code"] == "canary-taken").unwrap_or_else(|| panic!("{findings:#?}"));
    assert_eq!(found["host"], "spare");
    fleet.sh("spare", "ifconfig bridge0 inet 192.168.123.10 -alias");
    fleet.jailferry(&["plan", "web", "big"]).exits(0);
}

#[test]
fn without_a_canary_the_plan_says_what_it_cannot_try_and_the_target_asks_outside() {
    let Some(fleet) = Fleet::anew("without_a_canary_the_plan_says_what_it_cannot_try") else { return };
    let text = std::fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let without: String = text.lines().filter(|l| !l.starts_with("canary:")).map(|l| format!("{l}\n")).collect();
    let file = fleet.state.path().join("without.yml");
    std::fs::write(&file, without).expect("written");
    let plan = fleet.jailferry_with(&file, &["plan", "web", "big", "--json"]).exits(0).json();
    let findings = plan["findings"].as_array().expect("a list");
    assert!(findings.iter().any(|f| f["code"] == "no-canary"), "{findings:#?}");
    fleet.jailferry_with(&file, &["migrate", "web", "big", "--yes"]).exits(0);
    fleet.answers_from("web", "big");
}
