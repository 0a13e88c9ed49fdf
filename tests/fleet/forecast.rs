//! What is expected of a blackout: from earlier moves, and by what the jail still writes.

use serde_json::Value;

use crate::bench::Fleet;
use crate::client::Client;

#[test]
fn a_move_is_predicted_by_those_before_it() {
    let Some(fleet) = Fleet::anew("a_move_is_predicted_by_those_before_it") else { return };
    let plan = || fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0).json()["forecast"].clone();
    assert_eq!(plan()["basis"]["of"], "elsewhere");
    fleet.jailferry(&["plan", "web", "big"]).exits(0).says("(no history of this pair yet)");
    let moved = fleet.jailferry(&["migrate", "web", "big", "--yes", "--json"]).exits(0);
    let finished: Value =
        moved.stdout.lines().rev().find_map(|line| serde_json::from_str(line).ok()).expect("an event");

    fleet.jailferry(&["plan", "web", "spare"]).exits(0).says("(as the last move of web the other way)");
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    let forecast = plan();
    assert_eq!(forecast["basis"], serde_json::json!({ "of": "this_jail", "moves": 1, "same_way": true }));
    assert_eq!(forecast["blackout"], finished["blackout_milliseconds"], "{finished}");
    fleet.jailferry(&["plan", "web", "big"]).exits(0).says("(as the last move of web)");

    // What was predicted and what was measured, part by part.
    let report = fleet.jailferry(&["report", "last", "--json"]).exits(0).json();
    let terms = report["terms"].as_array().unwrap_or_else(|| panic!("{report}"));
    let names: Vec<&str> = terms.iter().filter_map(|term| term["term"].as_str()).collect();
    assert_eq!(names, ["stop", "snapshot", "data", "start", "answer"]);
    let sum = |field: &str| -> u64 { terms.iter().map(|term| term[field].as_u64().expect("measured")).sum() };
    assert!(sum("predicted") > 0 && sum("measured") > 0, "{report}");
    // The other jails' moves tell something, too.
    fleet.jailferry(&["plan", "db", "big"]).exits(0).says("(as the last move of other jails)");
}

/// Its last round says that more would be left over than is accepted.
#[test]
fn a_jail_that_writes_too_fast_is_not_stopped() {
    let Some(fleet) = Fleet::lab("a_jail_that_writes_too_fast_is_not_stopped") else { return };
    let before = fleet.states();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            fleet.sh(
                "spare",
                "d=$(zfs get -Hp -o value mountpoint jfpool/jails/web); while [ ! -e /tmp/enough ]; do for n in 1 2 3 4 5 6 7 8; do dd if=/dev/urandom of=$d/blob$n bs=1048576 count=25 2>/dev/null; done; done; rm $d/blob? /tmp/enough",
            );
        });
        let told = fleet.jailferry(&["migrate", "web", "big", "--yes", "--accept-blackout", "3200ms"]);
        fleet.sh("spare", "touch /tmp/enough");
        told
    });
    let told =
        told.exits(4).says("The jail was not stopped").says("--accept-blackout").says("the last round still sent");
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    counting.lost_nothing(&fleet.urls("web")[0]);
    before.same(&fleet.states(), &told.all);
}
