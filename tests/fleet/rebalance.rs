//! Loads are levelled: what moves, what must not, what cannot, and that the next run finds nothing to do.

use std::fs;

use serde_json::Value;

use crate::batches::playbook;
use crate::bench::Fleet;
use crate::report::in_a_browser;

/// fleet.yml with what nodes have and jails use, so that nothing depends on how busy this machine is.
fn declared(fleet: &mut Fleet) {
    let text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let mut out = String::new();
    for line in text.lines() {
        out += &format!("{line}\n");
        out += match line {
            "  spare:" | "  big:" => "    capacity: {cpu: 4, memory: 8GiB}\n",
            "  web:" | "  sib:" => "    load: {cpu: 1, memory: 1GiB}\n",
            "  db:" => "    load: {cpu: 2, memory: 1GiB}\n    needs: [ssd]\n",
            _ => "",
        };
    }
    let out = out.replacen("    capacity", "    provides: [ssd]\n    capacity", 1);
    fleet.file = fleet.file.with_file_name("declared.yml");
    fs::write(&fleet.file, out).expect("the folder is writable");
}

/// `jail from to` of every move.
fn moves(outcome: &Value) -> Vec<String> {
    let word = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let all = outcome["moves"].as_array().expect("a list").iter();
    all.map(|m| format!("{} {} {}", word(m, "jail"), word(m, "from"), word(m, "to"))).collect()
}

#[test]
fn a_skewed_fleet_is_levelled_and_then_nothing_is_left_to_do() {
    let Some(mut fleet) = Fleet::lab("a_skewed_fleet_is_levelled_and_then_nothing_is_left_to_do") else { return };
    // What is measured, without anything declared: processes of three jails have some memory.
    let measured = playbook(&fleet, "measured.yml", "rebalance: {samples: 2, every: 1s, limit: 100%, band: 100%}\n");
    let outcome = fleet.jailferry(&["rebalance", &measured, "--dry-run", "--json"]).exits(0).json();
    let spare = outcome["before"].as_array().expect("a list").iter().find(|n| n["node"] == "spare").expect("spare");
    assert_eq!((moves(&outcome).len(), spare["jails"].as_u64()), (0, Some(3)), "{outcome}");
    assert!(spare["used"]["memory"].as_u64().is_some_and(|m| m > 0), "{outcome}");
    assert!(outcome["before"].as_array().is_some_and(|n| n.len() == 2), "the hub takes no part: {outcome}");

    declared(&mut fleet);
    let before = fleet.states();
    let text = "rebalance:\n  samples: 1\n  cooldown: 1s\n";
    // Somebody's file is in db's place on big: it is tried before it is shown, and another way is found.
    fleet.sh("big", "echo '# mine' >/etc/jail.conf.d/web.conf");
    let file = playbook(&fleet, "level.yml", text);
    let outcome = fleet.jailferry(&["rebalance", &file, "--dry-run", "--json"]).exits(0).json();
    assert!(!moves(&outcome).iter().any(|m| m.starts_with("web ")), "{outcome}");
    let told = fleet.jailferry(&["rebalance", &file, "--dry-run"]).exits(0).says("/etc/jail.conf.d/web.conf");
    fleet.sh("big", "rm /etc/jail.conf.d/web.conf");
    before.same(&fleet.states(), &told.all);

    // A rule that cannot be kept: db must leave, and no node has what it needs but its own.
    let rule = format!("{text}  rules:\n    - {{jails: [db], not: [spare, big]}}\n");
    let stuck = playbook(&fleet, "stuck.yml", &rule);
    let told = fleet.jailferry(&["rebalance", &stuck, "--dry-run"]).exits(3).says("db is where a rule forbids it");
    before.same(&fleet.states(), &told.all);
    // A node that is only taken for gone.
    let told = fleet.jailferry(&["rebalance", &file, "--what-if", "spare=down"]).exits(3).says("As if spare were down");
    let told = told.says("web: spare to big").says("db should leave spare: big lacks what it needs");
    before.same(&fleet.states(), &told.all);
    fleet.jailferry(&["rebalance", &file, "--what-if", "spare=up"]).exits(2).says("NODE=down");

    // A drain keeps to what jails need too.
    let told = fleet.jailferry(&["drain", "spare", "--dry-run"]).exits(3);
    let told = told.says("db CANNOT MOVE: to big: it needs ssd, which big does not provide");
    before.same(&fleet.states(), &told.all);

    // All of spare's four processors are used, none of big's: two jails of one processor each go.
    let watch = fleet.in_lab().watch();
    let told = fleet.jailferry(&["rebalance", &file, "--yes", "--json"]).exits(0);
    let events: Vec<Value> = told.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let decided = events.iter().find(|e| e["event"] == "rebalance").unwrap_or_else(|| panic!("{}", told.all));
    let mut decided = moves(&decided["outcome"]);
    decided.sort();
    assert_eq!(decided, ["sib spare big", "web spare big"], "{}", told.all);
    for (jail, host) in [("web", "big"), ("sib", "big"), ("db", "spare")] {
        assert_eq!(fleet.runs_on(jail), [host], "{}", told.all);
        fleet.answers_from(jail, host);
    }
    assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["spare", "big"]);

    // The report of a move tells of the whole.
    let page = fleet.state.path().join("rebalance.html");
    fleet.jailferry(&["report", "last", "--html", &page.display().to_string()]).exits(0);
    let report = fleet.jailferry(&["report", "last", "--json"]).exits(0).json();
    let used = |side: &str| {
        report["levels"][side]
            .as_array()
            .and_then(|n| n.iter().find(|n| n["node"] == "spare"))
            .map(|n| n["used"]["cpu"].clone())
    };
    assert_eq!((used("before"), used("after")), (Some(4000.into()), Some(2000.into())), "{report}");
    in_a_browser(&page, &fs::read_to_string(&page).expect("the page is text"));

    // Nothing to do, and no host is changed, whether jails may move again or not. `run` does the same.
    let before = fleet.states();
    let told = fleet.jailferry(&["rebalance", &file, "--yes"]).exits(0).says("Nothing to do");
    before.same(&fleet.states(), &told.all);
    let cool = playbook(&fleet, "cool.yml", "rebalance:\n  samples: 1\n  goal: consolidate\n");
    let told = fleet.jailferry(&["run", &cool, "--yes"]).exits(0).says("Nothing to do");
    before.same(&fleet.states(), &told.all);
}
