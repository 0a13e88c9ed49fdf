//! Nodes with a tunnel straight to each other, beside the one to the hub: they route by AllowedIPs of their own.

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::relay::connect;

/// From that place and from the hub, in both families. Never from a gateway of web's, which every host of web has.
fn reached_by(fleet: &Fleet, host: &str, asks: &str) {
    for (from, asks) in [(host, asks), ("small", "")] {
        for ping in ["ping -n -q -c 1 -t 2 192.168.123.50", "ping -6 -n -q -c 1 -t 2 2001:db8:1:1::50"] {
            wait_until(&format!("{ping} on {from}"), || fleet.try_sh(from, &format!("{asks} {ping}")).status.success());
        }
    }
}

#[test]
fn a_jail_moves_between_nodes_that_are_peers_of_each_other() {
    let Some(fleet) = Fleet::lab("a_jail_moves_between_nodes_that_are_peers_of_each_other") else { return };
    let _relay = connect(&fleet);
    let lists = |fleet: &Fleet| {
        let ask = "wg show wg0 allowed-ips | sort; cat /usr/local/etc/wireguard/wg0.conf | grep AllowedIPs";
        [fleet.sh("spare", ask), fleet.sh("big", ask)]
    };
    let before = lists(&fleet);
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    fleet.answers_from("web", "big");
    reached_by(&fleet, "spare", "jexec -l db");
    let [spare, _] = lists(&fleet);
    assert_eq!(spare.matches("192.168.123.50/32").count(), 2, "on the interface and in the file: {spare}");
    // What the jail sends comes straight: the peer's counter tells.
    let key = fleet.sh("big", "wg show wg0 public-key");
    let received = |fleet: &Fleet| {
        let all = fleet.sh("spare", "wg show wg0 transfer");
        let line = all.lines().find(|l| l.starts_with(key.trim())).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default()
    };
    let so_far = received(&fleet);
    fleet.sh("spare", "jexec -l db ping -n -q -c 1 -t 2 -s 1200 192.168.123.50");
    assert!(received(&fleet) >= so_far + 1200, "the answer did not come by the nodes' own tunnel");
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    fleet.answers_from("web", "spare");
    reached_by(&fleet, "big", "setfib 1");
    assert_eq!(lists(&fleet), before, "left after coming home");
}
