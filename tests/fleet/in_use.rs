//! Somebody on the host has something of the jail's datasets: told by the plan, and found before the jail stops, not behind.

use std::time::Duration;

use crate::bench::Fleet;
use crate::bench::wait_at_most;
use crate::client::Client;

const STEP: &str = "nobody on spare but jail web uses its datasets";

/// A shell that somebody has left in the jail's folder; ends it by its number.
fn stays_there(fleet: &Fleet) -> String {
    fleet
        .sh(
            "spare",
            "cd $(zfs get -Hp -o value mountpoint jfpool/jails/web/data)\nnohup sleep 3600 </dev/null >/dev/null 2>&1 &\necho $!",
        )
        .trim()
        .to_owned()
}

#[test]
fn a_shell_that_was_left_in_the_jail_s_folder_does_not_cost_the_jail_its_time() {
    let Some(fleet) = Fleet::any("a_shell_that_was_left_in_the_jail_s_folder") else { return };
    fleet.answers_from("web", "spare");
    let pid = stays_there(&fleet);
    let plan = fleet.jailferry(&["plan", "web", "big"]).exits(0).says("warning[in-use]");
    assert!(plan.all.contains(&format!("process {pid} (sleep of root)")), "{}", plan.all);
    let left_out = fleet.jailferry(&["plan", "web", "big", "--no-check-first"]).exits(0);
    assert!(plan.stdout.contains(STEP) && !left_out.stdout.contains(STEP), "{}", left_out.stdout);

    let (before, jid) = (fleet.states(), fleet.sh("spare", "jls -j web jid"));
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4).says(&format!("process {pid} sleep root"));
    let failed = fleet.failed_steps();
    assert!(failed.len() == 1 && failed[0].0 == STEP, "{failed:?}\n{}", told.all);
    assert_eq!(fleet.sh("spare", "jls -j web jid"), jid, "the jail was stopped\n{}", told.all);
    before.same(&fleet.states(), &told.all);

    // Who goes in time is waited for.
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let args = ["migrate", "web", "big", "--yes"];
    let runs = fleet.journals().len();
    let child = fleet.start(&args);
    wait_at_most(Duration::from_secs(600), STEP, || fleet.journals().len() > runs && fleet.has_begun(STEP));
    fleet.sh("spare", &format!("kill {pid}"));
    let told = fleet.finished(child, &args).exits(0);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
    fleet.answers_from("web", "big");
    counting.lost_nothing(&fleet.urls("web")[0]);
    // A socket is no open file, and keeps a dataset busy as well.
    let socket = "$(zfs get -Hp -o value mountpoint jfpool/jails/web)/tmp/jailferry.sock";
    let listens = format!("nohup nc -lU {socket} </dev/null >/dev/null 2>&1 &\necho $!");
    let pid = fleet.sh("big", &listens).trim().to_owned();
    fleet
        .jailferry(&["plan", "web", "spare"])
        .exits(0)
        .says("warning[in-use]")
        .says(&format!("process {pid} (nc of root)"));
    fleet.sh("big", &format!("kill {pid}; rm {socket}"));
    // Where nobody is, nothing is said.
    let plan = fleet.jailferry(&["plan", "web", "spare"]).exits(0);
    assert!(!plan.stdout.contains("in-use"), "{}", plan.stdout);
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
}
