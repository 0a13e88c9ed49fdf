//! Signals in the middle of a move, and mistakes on the command line.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::bench::wait_at_most;
use crate::bench::wait_until;
use crate::client::Client;

/// For a step of a move on slow hosts to come.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn ctrl_c_during_the_copy_puts_everything_back() {
    let Some(fleet) = Fleet::anew("ctrl_c_during_the_copy_puts_everything_back") else { return };
    // In the first copy, and while the jail is stopped.
    interrupted(&fleet, "INT", "zfs send -L -e -c -p jfpool/jails/web/data@", "send jfpool/jails/web/data");
    interrupted(&fleet, "INT", "zfs snapshot -r jfpool/jails/web@jailferry-{run}-final", "stop jail web on spare");
}

#[test]
fn sigterm_during_the_copy_puts_everything_back() {
    let Some(fleet) = Fleet::anew("sigterm_during_the_copy_puts_everything_back") else { return };
    interrupted(&fleet, "TERM", "zfs receive -s -u -x mountpoint", "send jfpool/jails/web");
}

/// The signal comes while a command hangs on one of the nodes, or, where nothing can be made to hang, when that step has begun; the
/// step is finished, then everything undone.
fn interrupted(fleet: &Fleet, signal: &str, at: &str, begun: &str) {
    let [url, _] = fleet.urls("web");
    let run =
        fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0).json()["run"].as_str().expect("an id").to_owned();
    let at = at.replace("{run}", &run);
    let host = if at.contains("receive") { "big" } else { "spare" };
    let before = fleet.states();
    let watch = fleet.has_lab().then(|| fleet.in_lab().watch());
    let counting = Client::counting(fleet, &url);
    let fault = fleet.has_lab().then(|| fleet.in_lab().fault(host, &["--match", &at, "--nth", "1"], "hang"));

    let args = ["migrate", "web", "big", "--yes"];
    let runs = fleet.journals().len();
    let child = fleet.start(&args);
    match &fault {
        Some(fault) => wait_until(&format!("{at} hangs"), || fleet.in_lab().fired(fault) > 0),
        None => wait_at_most(LONG, begun, || fleet.journals().len() > runs && fleet.has_begun(begun)),
    }
    let sent =
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().expect("kill(1) runs");
    assert!(sent.success());
    if fleet.has_lab() {
        fleet.in_lab().clear_faults(host);
    }
    let told = fleet.finished(child, &args).exits(4).says("interrupted").says("jail web runs on spare");
    let noted = fleet.journal().iter().any(|line| line["what"]["note"]["text"] == "interrupted as asked");
    assert!(noted, "rebalance would take it for a failure: {}", told.all);

    counting.lost_nothing(&url);
    fleet.answers_from("web", "spare");
    if let Some(watch) = watch {
        assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare"], "{}", told.all);
    }
    before.same(&fleet.states(), &told.all);
}

#[test]
fn bad_input_is_refused_without_asking_any_host() {
    let Some(fleet) = Fleet::lab("bad_input_is_refused_without_asking_any_host") else { return };
    let lab = fleet.in_lab();
    let broken = fleet.state.path().join("broken.yml");
    let text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let logged = NODES.map(|node| lab.received(node).len());
    for args in [
        &["migrate"] as &[&str],
        &["migrate", "web"],
        &["migrate", "web", "big", "and", "more"],
        &["migrate", "web", "nowhere", "--yes"],
        &["migrate", "../web", "big", "--yes"],
        &["migrate", "web;reboot", "big", "--yes"],
        &["plan", "web", "$(reboot)"],
        &["migrate", "web", "big", "--unknown"],
        &["run", "/nonexistent.yml", "--yes"],
        &["show", "no-such-run"],
        &["facts", "nowhere"],
        &["nonsense"],
    ] {
        let told = fleet.jailferry(args).exits(2);
        assert!(!told.stderr.is_empty(), "no word of explanation\n{}", told.all);
    }
    for wrong in [
        text.replace("hub: small", "hub: tall"),
        text.replace("nodes:", "noodles:"),
        text.replace("192.168.125.0/24", "192.168.125.1/24"),
        text.replace("  sib:", "  web:"),
        String::from("\0\0\0"),
    ] {
        fs::write(&broken, &wrong).expect("written");
        let told = fleet.jailferry_with(&broken, &["migrate", "web", "big", "--yes"]).exits(2);
        assert!(told.stderr.contains("broken.yml"), "the file is not named\n{}", told.all);
    }
    for (node, before) in NODES.into_iter().zip(logged) {
        let after = lab.received(node);
        assert_eq!(after.len(), before, "{node} was asked: {:?}", after.last());
    }
}
