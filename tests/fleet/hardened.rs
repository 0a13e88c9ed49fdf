//! Hosts that somebody has hardened.

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::client::Client;

/// Two sessions on a connection, as some guides have it (MaxSessions, sshd_config(5)), where a move would have ten.
#[test]
fn two_sessions_on_a_connection_are_enough_for_a_move() {
    let Some(fleet) = Fleet::lab("two_sessions_on_a_connection_are_enough") else { return };
    for node in NODES {
        fleet.sh(
            node,
            "{ echo 'MaxSessions 2'; cat /etc/ssh/sshd_config; } >/tmp/sshd_config\ncat /tmp/sshd_config >/etc/ssh/sshd_config\nrm /tmp/sshd_config",
        );
    }
    let before = fleet.states();
    let watch = fleet.in_lab().watch();
    for to in ["big", "spare"] {
        let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
        let told = fleet.jailferry(&["migrate", "web", to, "--yes"]).exits(0);
        assert!(!told.all.contains("MaxSessions"), "{}", told.all);
        counting.lost_nothing(&fleet.urls("web")[0]);
        fleet.answers_from("web", to);
    }
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare", "big", "spare"]);
    before.same_but(&fleet.states(), "after coming home", |line| crate::moving::kept(line, "web"));
}
