//! A move that fails is undone: the jail runs where it ran, every host is as it was, and the exit code says so.

use serde_json::Value;

use crate::bench::Fleet;
use crate::client::Client;

/// A fault and what is expected of it.
struct Case<'a> {
    fleet: &'a Fleet,
    /// The step that shall fail, by its title.
    step: &'a str,
    /// Hosts the jail runs on, in order.
    path: &'a [&'a str],
    /// More arguments of the move.
    more: &'a [&'a str],
}

#[test]
fn the_last_increment_cannot_be_sent() {
    let Some(fleet) = Fleet::lab("the_last_increment_cannot_be_sent") else { return };
    let case = Case { fleet: &fleet, step: "send the rest of jfpool/jails/web/data", path: &["spare"], more: &[] };
    let send = case.command(0).replace('\'', "");
    case.rolls_back("spare", &["--match", &send], "cannot send: I/O error");
}

#[test]
fn the_last_increment_cannot_be_received() {
    let Some(fleet) = Fleet::lab("the_last_increment_cannot_be_received") else { return };
    let case = Case { fleet: &fleet, step: "send the rest of jfpool/jails/web/data", path: &["spare"], more: &[] };
    // lockf(1) and timeout(1) have the same words on their command lines.
    let receive = case.command(1);
    case.rolls_back("big", &["--match", &receive, "--nth", "3"], "cannot receive incremental stream: out of space");
}

#[test]
fn the_hub_refuses_to_hand_over() {
    let Some(fleet) = Fleet::lab("the_hub_refuses_to_hand_over") else { return };
    let case = Case { fleet: &fleet, step: "small hands ", path: &["spare", "big", "spare"], more: &[] };
    // Its end, since what goes to the hub together with others contains it. The canary's hand-over is another script.
    let script = format!("main() {{\n{}\n}}\nmain </dev/null\nexit\n", case.command(0));
    case.rolls_back(
        "small",
        &["--script", "--at-end", "--match", &script, "--nth", "1"],
        "Unable to modify interface: Operation not permitted",
    );
}

/// The program that the script calls, not the script as a whole: what it looks at before and afterwards must not hide it.
#[test]
fn the_kernel_refuses_the_peer_that_the_hub_hands_over_to() {
    let Some(fleet) = Fleet::lab("the_kernel_refuses_the_peer_that_the_hub_hands_over_to") else { return };
    let case = Case { fleet: &fleet, step: "small hands ", path: &["spare", "big", "spare"], more: &[] };
    case.rolls_back(
        "small",
        &["--match", ",192.168.123.50/32,2001:db8:1:1::50/128", "--nth", "1"],
        "Unable to modify interface: Operation not permitted",
    );
}

#[test]
fn the_jail_does_not_start_at_the_target() {
    let Some(fleet) = Fleet::lab("the_jail_does_not_start_at_the_target") else { return };
    let case = Case { fleet: &fleet, step: "start jail web on big", path: &["spare"], more: &[] };
    case.rolls_back(
        "big",
        &["--match", "jail -f /etc/jail.conf.d/web.conf -c"],
        "jail: web: jail_set: Operation not permitted",
    );
}

#[test]
fn the_jail_does_not_answer_after_the_switch() {
    let Some(fleet) = Fleet::lab("the_jail_does_not_answer_after_the_switch") else { return };
    let case = Case {
        fleet: &fleet,
        step: "http://192.168.123.50/ answers small",
        path: &["spare", "big", "spare"],
        more: &["--no-check-first"],
    };
    // The hub asks with nc(1). The client counts on big for a moment, and what it is told there stays true.
    case.rolls_back("small", &["--match", "nc -w 5 192.168.123.50 80"], "nc: read failed: Connection reset by peer");
}

/// A check that nothing could pass costs nobody a moment.
#[test]
fn the_jail_does_not_pass_its_check_where_it_is() {
    let Some(fleet) = Fleet::lab("the_jail_does_not_pass_its_check_where_it_is") else { return };
    let step = "http://192.168.123.50/ answers small with status 200 and \"jail=web\", with the jail on spare";
    let case = Case { fleet: &fleet, step, path: &["spare"], more: &[] };
    case.rolls_back("small", &["--match", "nc -w 5 192.168.123.50 80"], "nc: read failed: Connection reset by peer");
    // Nor does a hub that answers no echo requests, whether fleet.yml asks for any or not.
    let step = "jail web reaches the hub (10.77.0.1), with the jail on spare";
    let case = Case { fleet: &fleet, step, path: &["spare"], more: &[] };
    case.rolls_back("spare", &["--match", "ping -n -q -c 1 -t 1 10.77.0.1"], "1 packets transmitted, 0 received");
}

/// What exec.start needs is on spare only: the jail stops, goes over, does not start there, and comes back.
#[test]
fn a_jail_that_misses_something_of_the_target_comes_back() {
    let Some(fleet) = Fleet::anew("a_jail_that_misses_something_of_the_target") else { return };
    let needed = "/usr/libexec/needed-to-start";
    crate::dress::starts_with(&fleet, needed);
    let before = fleet.states();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4).says("jail web runs on spare");
    let failed = fleet.failed_steps();
    assert!(failed.len() == 1 && failed[0].0 == "start jail web on big", "{failed:?}\n{}", told.all);
    assert!(failed[0].1.contains("needed-to-start"), "what it printed is not told: {failed:?}");
    counting.lost_nothing(&fleet.urls("web")[0]);
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    fleet.answers_from("web", "spare");
    before.same(&fleet.states(), &told.all);
    fleet.sh("spare", &format!("rm {needed}"));
}

/// The nth command of that step of web's move to big, as the plan prints it.
pub fn planned(fleet: &Fleet, step: &str, nth: usize) -> String {
    let plan = fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0).json();
    let steps = plan["steps"].as_array().expect("a list");
    let found = steps.iter().find(|s| s["title"].as_str().is_some_and(|title| title.starts_with(step)));
    let found = found.unwrap_or_else(|| panic!("no step {step:?} in {steps:#?}"));
    found["commands"][nth]["command"].as_str().unwrap_or_else(|| panic!("no command {nth} in {found}")).to_owned()
}

impl Case<'_> {
    fn command(&self, nth: usize) -> String {
        planned(self.fleet, self.step, nth)
    }

    fn rolls_back(&self, host: &str, fault: &[&str], message: &str) {
        let (fleet, lab) = (self.fleet, self.fleet.in_lab());
        let [url, _] = fleet.urls("web");
        fleet.answers_from("web", "spare");
        let before = fleet.states();
        let watch = lab.watch();
        let counting = Client::counting(fleet, &url);
        let fault = lab.fault(host, fault, &format!("fail:1:{message}"));

        let args = [&["migrate", "web", "big", "--yes"], self.more].concat();
        let told = fleet.jailferry(&args).exits(4).says(message).says("jail web runs on spare");

        assert!(lab.fired(&fault) > 0, "the fault did not strike\n{}", told.all);
        let failed = fleet.failed_steps();
        assert_eq!(failed.len(), 1, "steps that failed: {failed:?}\n{}", told.all);
        assert!(failed[0].0.starts_with(self.step), "the fault hit another step: {failed:?}\n{}", told.all);
        assert!(failed[0].1.contains(message), "the journal says why: {failed:?}");
        lab.clear_faults(host);

        counting.lost_nothing(&url);
        assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
        fleet.answers_from("web", "spare");
        fleet.answers_from("sib", "spare");
        assert_eq!(watch.never_two("web", "192.168.123.0/24"), self.path, "where web ran\n{}", told.all);
        let after = fleet.states();
        before.same(&after, &told.all);
        for node in ["small", "spare", "big"] {
            let left: Vec<&str> =
                after.lines(node, "jailferry-web").chain(after.lines(node, "jailferry_web")).collect();
            assert!(left.is_empty(), "left on {node}: {left:?}");
        }
        let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
        assert_eq!(runs[0]["outcome"], Value::from("rolled-back"), "{runs}");
    }
}

/// The lock was taken, only its answer was lost: it may not stay and keep everybody from moving the jail.
#[test]
fn a_lock_whose_answer_is_lost_does_not_stay() {
    let Some(fleet) = Fleet::lab("a_lock_whose_answer_is_lost_does_not_stay") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let at = ["--script", "--match", "web.lock) 2>/dev/null; then exit 0", "--nth", "1", "--when", "after"];
    let fault = lab.fault("small", &at, "fail:1:answer lost");
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4);
    assert_eq!(lab.fired(&fault), 1, "the fault did not strike\n{}", told.all);
    lab.clear_faults("small");
    assert!(!fleet.try_sh("small", "ls /var/db/jailferry").status.success(), "the lock stayed\n{}", told.all);
    before.same(&fleet.states(), &told.all);
}
