//! Two machines that move different jails behind one hub at the same time: one switches, the other waits.

use std::fs;
use std::path::Path;
use std::process::Child;

use crate::bench::Fleet;
use crate::bench::wait_until;

/// Another machine.
struct Other {
    state: tempfile::TempDir,
}

impl Other {
    fn new() -> Other {
        Other { state: tempfile::tempdir().expect("a temporary folder") }
    }

    fn log(&self) -> std::path::PathBuf {
        self.state.path().join("said")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn moves(&self, fleet: &Fleet, jail: &str, to: &str) -> Child {
        fleet.start_into(self.state.path(), &self.log(), &["migrate", jail, to, "--yes"])
    }
}

fn ends(mut child: Child, said: &dyn Fn() -> String) {
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}\n{}", said());
}

/// Web's run is in its cut-over, and stays there until the fault is cleared.
fn held(fleet: &Fleet, state: &Path, log: &Path) -> Child {
    let lab = fleet.in_lab();
    let fault = lab.fault("spare", &["--match", "jail -f /etc/jail.conf.d/web.conf -r web"], "hang");
    let child = fleet.start_into(state, log, &["migrate", "web", "big", "--yes"]);
    wait_until("web's run stops the jail", || lab.fired(&fault) > 0);
    child
}

#[test]
fn two_machines_that_move_two_jails_wait_for_each_other() {
    let Some(fleet) = Fleet::lab("two_machines_that_move_two_jails") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let (anna, berta) = (Other::new(), Other::new());
    let web = held(&fleet, anna.state.path(), &anna.log());
    let db = berta.moves(&fleet, "db", "big");
    wait_until("db's run waits", || berta.said().contains("this one waits until it is done"));
    assert!(berta.said().contains("run web-") && berta.said().contains("changes the network of small"));
    assert_eq!(fleet.runs_on("db"), ["spare"]);
    lab.clear_faults("spare");
    ends(web, &|| anna.said());
    ends(db, &|| berta.said());
    assert!(berta.said().contains("the hosts are asked again"), "{}", berta.said());
    for jail in ["web", "db"] {
        fleet.answers_from(jail, "big");
    }
    // Both come home, again at the same time, and nothing is left of either turn.
    let (web, db) = (anna.moves(&fleet, "web", "spare"), berta.moves(&fleet, "db", "spare"));
    ends(web, &|| anna.said());
    ends(db, &|| berta.said());
    for jail in ["web", "db"] {
        fleet.answers_from(jail, "spare");
    }
    assert_eq!(fleet.sh("small", "ls -A /var/db/jailferry 2>/dev/null || :"), "");
    before.same_but(&fleet.states(), "after both came home", |line| {
        line.contains("big: datasets: jfpool/jails/")
            || line.contains("@jailferry-")
            || line.contains("wg0.conf.jailferry-")
            || line.contains("rc.conf")
            || line.contains(".conf.jailferry")
            || line.contains(".fstab.jailferry")
    });
}

#[test]
fn the_turn_of_a_machine_that_is_gone_passes_to_the_next() {
    let Some(fleet) = Fleet::lab("the_turn_of_a_machine_that_is_gone") else { return };
    let lab = fleet.in_lab();
    let (anna, berta) = (Other::new(), Other::new());
    let mut web = held(&fleet, anna.state.path(), &anna.log());
    web.kill().expect("it can be killed");
    let _ = web.wait();
    lab.clear_faults("spare");
    let db = berta.moves(&fleet, "db", "big");
    ends(db, &|| berta.said());
    let said = berta.said();
    assert!(said.contains("has not been heard for 112 s") && said.contains("jailferry recover web-"), "{said}");
    fleet.answers_from("db", "big");
    // What the first one left is put right as ever.
    fleet.jailferry_from(anna.state.path(), &["recover"]).exits(0);
    fleet.answers_from("web", "spare");
    assert_eq!(fleet.sh("small", "ls -A /var/db/jailferry 2>/dev/null || :"), "");
}

/// Between the plan and the lock somebody else moves the jail: what stands at its old place is a copy, and stays one.
#[test]
fn a_jail_that_was_moved_before_the_lock_was_there_is_left_alone() {
    let Some(fleet) = Fleet::lab("a_jail_that_was_moved_before_the_lock") else { return };
    let lab = fleet.in_lab();
    let (anna, berta) = (Other::new(), Other::new());
    // Where she asks for the jail's turn, and has not got it yet.
    let fault = lab.fault("small", &["--match", "jailferry-web.turn", "--nth", "1"], "hang");
    let mut slow = anna.moves(&fleet, "web", "big");
    wait_until("Anna's run asks for the lock", || lab.fired(&fault) > 0);
    ends(berta.moves(&fleet, "web", "big"), &|| berta.said());
    let before = fleet.states();
    lab.clear_faults("small");
    let status = slow.wait().expect("it ends");
    let said = anna.said();
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(said.contains("it was stopped or moved since this was planned"), "{said}");
    assert_eq!(fleet.runs_on("web"), ["big"], "{said}");
    let waits = |line: &str| line.contains("own processes") && line.contains("jailferry-web.turn");
    before.same_but(&fleet.states(), "after the run that came too late", waits);
}
