//! Playbooks of many moves: side by side, one cut-over at a time, failures that hold back only what needs them.

use std::fs;

use jiff::Timestamp;
use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::tool::Told;

/// Writes a playbook for this fleet.
pub fn playbook(fleet: &Fleet, name: &str, text: &str) -> String {
    let path = fleet.state.path().join(name);
    fs::write(&path, format!("fleet: {}\n{text}", fleet.file.display())).expect("written");
    path.display().to_string()
}

/// The JSON lines that a verb told, and the last of them.
fn events(told: &Told) -> (Vec<Value>, Value) {
    let all: Vec<Value> = told.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let last = all.last().cloned().unwrap_or_else(|| panic!("nothing was told\n{}", told.all));
    (all, last)
}

/// From the first step of a run's cut-over to its end, by its journal.
fn cut_over(fleet: &Fleet, run: &str) -> Option<(Timestamp, Timestamp)> {
    let lines = fleet.jailferry(&["show", run, "--json"]).exits(0).json();
    let lines = lines.as_array().expect("a list").clone();
    let time = |line: &Value| line["at"].as_str().and_then(|t| t.parse::<Timestamp>().ok()).expect("a time");
    let plan = lines
        .iter()
        .rev()
        .map(|l| &l["what"]["plan"])
        .find(|p| p.is_object())
        .unwrap_or(&lines[0]["what"]["header"]["plan"]);
    let steps = plan["steps"].as_array().expect("steps");
    let arms = steps.iter().position(|s| s["phase"] == "arm").expect("it arms") as u64 + 1;
    let begin =
        lines.iter().find(|l| l["what"]["step"]["number"] == arms && l["what"]["step"]["phase"] == "intended")?;
    Some((time(begin), time(lines.last().expect("a line"))))
}

#[test]
fn six_moves_of_which_two_fail() {
    let Some(fleet) = Fleet::lab("six_moves_of_which_two_fail") else { return };
    let lab = fleet.in_lab();
    let told_to = fleet.state.path().join("told.jsonl");
    let hooked = fleet.state.path().join("hooked");
    // db fails in its cut-over, mail is refused before anything is touched; sib comes home only after db has moved.
    lab.fault("big", &["--match", "jail -f /etc/jail.conf.d/db.conf -c db"], "fail:1:refused by the test");
    fleet.sh("spare", "echo '# mine' >/etc/jail.conf.d/mail.conf");
    let text = format!(
        "parallel: {{ moves: 3, per_node: 3, per_link: 3 }}
hooks:
  - when: before cut-over
    on: target
    script: |
      echo \"$JAILFERRY_JAIL from $JAILFERRY_SOURCE\" >>/root/hooked
  - when: after persist
    command: echo \"$JAILFERRY_JAIL $JAILFERRY_PREFIXES\" >>{}
notify:
  - command: cat >>{} && echo >>{}
moves:
  - {{ jail: web, to: big }}
  - {{ jail: db, to: big }}
  - {{ jail: sib, to: big }}
  - {{ jail: mail, to: spare }}
  - {{ jail: sib, to: spare, after: [db] }}
  - {{ jail: web, to: spare, after: [web] }}
",
        hooked.display(),
        told_to.display(),
        told_to.display()
    );
    // A move cannot wait for itself.
    let wrong = playbook(&fleet, "wrong.yml", &text);
    fleet.jailferry(&["run", &wrong, "--yes"]).exits(2).says("would wait for itself");
    let right = playbook(&fleet, "six.yml", &text.replace(", after: [web]", ""));
    let watch = lab.watch();
    let told = fleet.jailferry(&["run", &right, "--yes", "--json"]).exits(4);
    let (_, last) = events(&told);
    assert_eq!(last["event"], "finished", "{}", told.all);
    let moves = last["moves"].as_array().expect("a list");
    let ended: Vec<(&str, &str)> = moves
        .iter()
        .map(|m| (m["jail"].as_str().unwrap_or_default(), m["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        ended,
        [
            ("web", "moved"),
            ("db", "rolled-back"),
            ("sib", "moved"),
            ("mail", "refused"),
            ("sib", "not-tried"),
            ("web", "moved")
        ],
        "{}",
        told.all
    );
    assert!(moves[3]["summary"].as_str().is_some_and(|s| s.contains("/etc/jail.conf.d/mail.conf")), "{last}");
    assert!(moves[4]["summary"].as_str().is_some_and(|s| s.contains("comes after db")), "{last}");
    for (jail, host) in [("web", "spare"), ("db", "spare"), ("sib", "big"), ("mail", "small")] {
        assert_eq!(fleet.runs_on(jail), [host], "{jail}\n{}", told.all);
        fleet.answers_from(jail, host);
    }
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare", "big", "spare"]);

    // One cut-over at a time.
    let runs: Vec<&str> = moves.iter().filter_map(|m| m["run"].as_str()).collect();
    assert_eq!(runs.len(), 4, "{last}");
    let mut cuts: Vec<_> = runs.iter().filter_map(|run| cut_over(&fleet, run)).collect();
    assert_eq!(cuts.len(), 4);
    cuts.sort();
    assert!(cuts.windows(2).all(|two| two[0].1 <= two[1].0), "{cuts:?}");

    // Hooks of the moves that got there, with the facts of each.
    let on_big = fleet.sh("big", "cat /root/hooked");
    for jail in ["web", "db", "sib"] {
        assert!(on_big.contains(&format!("{jail} from spare")), "{on_big}");
    }
    let here = fs::read_to_string(&hooked).expect("the hook ran");
    assert!(here.contains("sib 192.168.123.51/32") && !here.contains("db "), "{here}");
    // Everybody was told of each, and of the end.
    let told_lines = fs::read_to_string(&told_to).expect("it was told");
    let told_lines: Vec<Value> =
        told_lines.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let count = |event: &str| told_lines.iter().filter(|l| l["event"] == event).count();
    assert_eq!((count("moved"), count("failed"), count("finished")), (3, 2, 1), "{told_lines:?}");

    // Once the causes are mended, the same playbook does what is left of it.
    lab.clear_faults("big");
    fleet.sh("spare", "rm /etc/jail.conf.d/mail.conf");
    // With mail on spare, that node has one of the hub's own addresses, as mail's gateway.
    let again = fleet.jailferry(&["run", &right, "--yes", "--json"]).exits(0);
    let (_, last) = events(&again);
    assert_eq!(last["moves"][1]["outcome"], "moved", "{}", again.all);
    assert_eq!(last["moves"][2]["outcome"], "already-there", "{}", again.all);
}

#[test]
fn after_one_failure_nothing_else_begins() {
    let Some(fleet) = Fleet::lab("after_one_failure_nothing_else_begins") else { return };
    fleet.sh("big", "echo '# mine' >/etc/jail.conf.d/db.conf");
    let before = fleet.states();
    let text = "stop_after: 1\nmoves:\n  - { jail: db, to: big }\n  - { jail: web, to: big }\n";
    let file = playbook(&fleet, "stop.yml", text);
    let told = fleet.jailferry(&["run", &file, "--yes"]).exits(3).says("not-tried").says("0 of 2 there, 1 failed");
    before.same(&fleet.states(), &told.all);
    // A hook that fails before the cut-over takes the move back.
    let text = "hooks:\n  - { when: before cut-over, command: [/bin/false] }\nmoves:\n  - { jail: web, to: big }\n";
    let file = playbook(&fleet, "hook.yml", text);
    let told = fleet.jailferry(&["run", &file, "--yes"]).exits(4).says("hook before cut-over");
    before.same(&fleet.states(), &told.all);
}

#[test]
fn a_node_is_emptied_but_for_a_jail_that_cannot_move_and_filled_again() {
    let Some(fleet) = Fleet::lab("a_node_is_emptied_but_for_a_jail_that_cannot_move_and_filled_again") else { return };
    // db cannot leave: somebody's file is in its place on the only node that may take it.
    fleet.sh("big", "echo '# mine' >/etc/jail.conf.d/db.conf");
    let before = fleet.states();
    let outlook = fleet.jailferry(&["drain", "node", "spare", "--dry-run", "--json"]).exits(3).json();
    let leaves: Vec<&str> =
        outlook["leaves"].as_array().expect("a list").iter().filter_map(|w| w["jail"].as_str()).collect();
    assert_eq!((leaves.len(), leaves.contains(&"web"), leaves.contains(&"sib")), (2, true, true), "{outlook}");
    assert!(outlook["leaves"].as_array().expect("a list").iter().all(|w| w["to"] == "big"), "{outlook}");
    assert_eq!(outlook["stays"][0]["jail"], "db", "{outlook}");
    assert!(outlook["stays"][0]["why"].as_str().is_some_and(|w| w.contains("/etc/jail.conf.d/db.conf")), "{outlook}");
    before.same(&fleet.states(), "after an outlook");

    // A deadline that has passed lets nothing begin.
    let told = fleet.jailferry(&["drain", "spare", "--deadline", "1ms", "--yes"]).exits(3).says("deadline");
    before.same(&fleet.states(), &told.all);

    let watch = fleet.in_lab().watch();
    let told = fleet.jailferry(&["drain", "spare", "--parallel", "2", "--yes"]).exits(3);
    let told = told.says("CANNOT MOVE").says("spare is not empty: db is still there");
    for (jail, host) in [("web", "big"), ("sib", "big"), ("db", "spare")] {
        assert_eq!(fleet.runs_on(jail), [host], "{}", told.all);
        fleet.answers_from(jail, host);
    }
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare", "big"]);

    // Mended, it goes on with what is left.
    fleet.sh("big", "rm /etc/jail.conf.d/db.conf");
    let told = fleet.jailferry(&["drain", "spare", "--yes"]).exits(0).says("spare is empty");
    assert_eq!(fleet.runs_on("db"), ["big"], "{}", told.all);
    let told = fleet.jailferry(&["undrain", "spare", "--yes"]).exits(0).says("spare takes jails again");
    for jail in ["web", "sib", "db"] {
        assert_eq!(fleet.runs_on(jail), ["spare"], "{}", told.all);
        fleet.answers_from(jail, "spare");
    }
    fleet.jailferry(&["undrain", "spare", "--yes"]).exits(2).says("not being drained");
}

#[test]
fn outside_the_window_a_move_copies_and_waits() {
    let Some(fleet) = Fleet::lab("outside_the_window_a_move_copies_and_waits") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    // An hour that is neither now nor soon, whatever the clock says.
    let hour = (jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).hour() + 12) % 24;
    let text =
        format!("windows: ['{hour:02}:00-{hour:02}:30']\ntime_zone: UTC\nmoves:\n  - {{ jail: web, to: big }}\n");
    let file = playbook(&fleet, "window.yml", &text);
    let args = ["run", &file, "--yes"];
    let watch = lab.watch();
    let child = fleet.start(&args);
    wait_until("the copy is there", || {
        let Some(journal) = fleet.journals().pop() else { return false };
        let text = fs::read_to_string(journal).expect("a journal is text");
        let lines: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let Some(header) = lines.first() else { return false };
        let steps = header["what"]["header"]["plan"]["steps"].as_array().expect("steps").clone();
        let seed = steps.iter().position(|s| s["effect"]["effect"] == "take_network").expect("there is a turn");
        lines.iter().any(|l| l["what"]["step"]["number"] == seed && l["what"]["step"]["phase"] == "done")
    });
    // The lock is held and the copy kept; nothing else has happened when somebody gives up.
    fleet.sh("big", "zfs list jfpool/jails/web");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill(1) runs").success());
    let told = fleet.finished(child, &args).exits(4).says("waits for the next window").says("interrupted as asked");
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare"]);
    before.same(&fleet.states(), &told.all);
}
