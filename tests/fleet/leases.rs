//! The machine that drives a move is lost: what the hosts do by themselves, and `recover` from another machine.

use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::time::Duration;

use crate::bench::Fleet;
use crate::bench::wait_at_most;
use crate::bench::wait_until;
use crate::client::Client;
use crate::rollbacks::planned;
use crate::state::States;

/// How long the lab's hosts wait: the shortest lease there is.
const LEASE: &str = "5s";

const MOVE: [&str; 4] = ["migrate", "web", "big", "--yes"];

/// For real hosts to get somewhere.
const LONG: Duration = Duration::from_secs(600);

/// Starts the move of web to big and kills the machine that drives it while a command hangs on `host`, or, where nothing
/// can be made to hang, when that step has begun.
fn lost_at(fleet: &Fleet, host: &str, at: &[&str], begun: &str) {
    let fault = fleet.has_lab().then(|| fleet.in_lab().fault(host, at, "hang"));
    let mut child = fleet.start(&MOVE);
    match &fault {
        Some(fault) => wait_until(&format!("{at:?} hangs on {host}"), || fleet.in_lab().fired(fault) > 0),
        None => wait_at_most(LONG, begun, || fleet.has_begun(begun)),
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    if fleet.has_lab() {
        fleet.in_lab().clear_faults(host);
    }
}

/// Starts the move; the target compares GUIDs with the source, and does not come to an end.
fn hanging_comparison(fleet: &Fleet) -> Child {
    let lab = fleet.in_lab();
    let fault = lab.fault("big", &["--script", "--match", "zfs get -Hp -o name,value guid "], "hang");
    let child = fleet.start(&MOVE);
    wait_until("the comparison hangs", || lab.fired(&fault) > 0);
    child
}

/// Another machine: a state folder of its own.
fn elsewhere(fleet: &Fleet) -> PathBuf {
    fleet.state.path().join("elsewhere")
}

fn home_again(fleet: &Fleet, before: &States, counting: Client<'_>) {
    let [url, _] = fleet.urls("web");
    let told = fleet.jailferry_from(&elsewhere(fleet), &["recover"]).exits(0).says("jail web runs on spare");
    counting.lost_nothing(&url);
    assert_eq!(fleet.runs_on("web"), ["spare"]);
    fleet.answers_from("web", "spare");
    before.same(&fleet.states(), &told.all);
    // Twice is harmless, and the machine that was lost has nothing to say any more.
    fleet.jailferry_from(&elsewhere(fleet), &["recover"]).exits(0).says("nothing to recover");
    fleet.jailferry(&["recover"]).exits(5).says("somebody has put things right");
    before.same(&fleet.states(), "after the lost machine came back");
}

#[test]
fn the_source_starts_its_copy_again_when_nobody_is_heard() {
    let Some(mut fleet) = Fleet::anew("the_source_starts_its_copy_again_when_nobody_is_heard") else { return };
    fleet.short_lease(LEASE);
    let before = fleet.states();
    let watch = fleet.has_lab().then(|| fleet.in_lab().watch());
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    // The jail is stopped, its last increment on the way, the source has not let go.
    let send = planned(&fleet, "send the rest of jfpool/jails/web/data", 0).replace('\'', "");
    lost_at(&fleet, "spare", &["--match", &send], "stop jail web on spare");
    wait_until("nobody runs it", || fleet.runs_on("web").is_empty());
    wait_at_most(LONG, "the source starts its copy again", || fleet.runs_on("web") == ["spare"]);
    fleet.answers_from("web", "spare");
    home_again(&fleet, &before, counting);
    if let Some(watch) = watch {
        assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare"]);
    }
}

/// The source lets go while the target still compares. Nobody may start the jail then: not the source, which no longer
/// knows whether the target does, nor the target, which has not compared.
#[test]
fn a_source_that_has_let_go_waits_for_somebody_to_decide() {
    let Some(mut fleet) = Fleet::lab("a_source_that_has_let_go_waits_for_somebody_to_decide") else { return };
    fleet.short_lease(LEASE);
    let before = fleet.states();
    let lab = fleet.in_lab();
    let watch = lab.watch();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let mut child = hanging_comparison(&fleet);
    let there = |host: &str, mark: &str| {
        fleet.try_sh(host, &format!("ls /var/db/jailferry/web-*/lease/{mark}")).status.success()
    };
    wait_until("the source has let go", || there("spare", "released"));
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    lab.clear_faults("big");
    for host in ["small", "big"] {
        wait_until(&format!("{host} goes back by itself"), || there(host, "reverted"));
    }
    assert_eq!(fleet.runs_on("web"), [] as [&str; 0]);
    home_again(&fleet, &before, counting);
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare"]);
}

#[test]
fn a_jail_that_runs_at_the_target_stays_there_until_somebody_decides() {
    let Some(mut fleet) = Fleet::anew("a_jail_that_runs_at_the_target_stays_there_until_somebody_decides") else {
        return;
    };
    fleet.short_lease(LEASE);
    let before = fleet.states();
    let watch = fleet.has_lab().then(|| fleet.in_lab().watch());
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    // It runs there and is being proven.
    lost_at(&fleet, "small", &["--match", "-D -s 1352 -c 1 -t 1 192.168.123.50"], "small lets a fresh connection in");
    wait_at_most(LONG, "the hub's lease is over", || {
        fleet.try_sh("small", "ls /var/db/jailferry/web-*/lease/stayed").status.success()
    });
    wait_at_most(LONG, "the target's lease is over", || {
        fleet.try_sh("big", "ls /var/db/jailferry/web-*/lease/stayed").status.success()
    });
    assert_eq!(fleet.runs_on("web"), ["big"]);
    fleet.answers_from("web", "big");
    counting.waits_for(3);
    // As a source does that has lost power, or has its /var in memory: it no longer knows that it has let go.
    fleet.sh("spare", "rm /var/db/jailferry/web-*/lease/released");
    home_again(&fleet, &before, counting);
    if let Some(watch) = watch {
        assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare", "big", "spare"]);
    }
}

#[test]
fn an_accepted_move_goes_forward_from_another_machine() {
    let Some(mut fleet) = Fleet::anew("an_accepted_move_goes_forward_from_another_machine") else { return };
    fleet.short_lease(LEASE);
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    lost_at(&fleet, "spare", &["--match", "zfs hold"], "hold @jailferry-web-");
    let told = fleet.jailferry_from(&elsewhere(&fleet), &["recover"]).exits(0).says("jail web runs on big");
    counting.lost_nothing(&fleet.urls("web")[0]);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
    assert!(fleet.sh("big", "sysrc -n jail_list").split_whitespace().any(|j| j == "web"), "{}", told.all);
    for host in ["small", "spare", "big"] {
        assert!(!fleet.try_sh(host, "ls /var/db/jailferry").status.success(), "{host} remembers the run\n{}", told.all);
    }
}

#[test]
fn a_machine_that_was_taken_for_lost_is_refused_when_it_comes_back() {
    let Some(mut fleet) = Fleet::lab("a_machine_that_was_taken_for_lost_is_refused_when_it_comes_back") else { return };
    fleet.short_lease(LEASE);
    let before = fleet.states();
    let lab = fleet.in_lab();
    let watch = lab.watch();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let child = hanging_comparison(&fleet);
    // Somebody else asks meanwhile: refused, with the owner's name, as long as it is heard.
    fleet.jailferry_from(&elsewhere(&fleet), &MOVE).exits(3).says("is being moved by run");
    fleet.jailferry_from(&elsewhere(&fleet), &["recover"]).exits(3).says("is alive");
    signal(&child, "STOP");
    fleet.jailferry_from(&elsewhere(&fleet), &["recover"]).exits(0);
    lab.clear_faults("big");
    signal(&child, "CONT");
    let told = fleet.finished(child, &MOVE).exits(5);
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    counting.lost_nothing(&fleet.urls("web")[0]);
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare"]);
    before.same(&fleet.states(), &told.all);
}

fn signal(child: &Child, name: &str) {
    let sent =
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill(1) runs");
    assert!(sent.success());
}
