//! What comes after a move: the way back, what is left where, and letting go.

use crate::bench::Fleet;
use crate::client::Client;

/// The run that ended last.
fn newest(fleet: &Fleet) -> String {
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    runs.as_array().and_then(|r| r.last()).and_then(|r| r["run"].as_str()).expect("a run").to_owned()
}

#[test]
fn an_accepted_run_goes_back_with_what_was_written_since() {
    let Some(fleet) = Fleet::any("an_accepted_run_goes_back_with_what_was_written_since") else { return };
    let [url, _] = fleet.urls("web");
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    let run = newest(&fleet);
    fleet.answers_from("web", "big");
    let watch = fleet.has_lab().then(|| fleet.in_lab().watch());
    let counting = Client::counting(&fleet, &url);
    counting.waits_for(5);

    // What would be sent is increments of what the run parked, and nothing is touched by looking.
    let before = fleet.states();
    let dry = fleet.jailferry(&["rollback", &run, "--dry-run", "--json"]).exits(0);
    let plan = dry.json();
    let sends: Vec<&str> = plan["steps"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|s| s["commands"].as_array().expect("a list"))
        .filter_map(|c| c["command"].as_str())
        .filter(|c| c.starts_with("zfs send"))
        .collect();
    assert!(sends.len() >= 4 && sends.iter().all(|c| c.contains(" -i ")), "{sends:#?}");
    before.same_but(&fleet.states(), &dry.all, |line| line.contains("client"));

    let told = fleet.jailferry(&["rollback", &run, "--yes"]).exits(0).says("moved");
    let back = newest(&fleet);
    assert_ne!(back, run);
    let last = counting.lost_nothing(&url);
    assert!(last > 5, "{}", told.all);
    fleet.answers_from("web", "spare");
    if let Some(watch) = watch {
        assert_eq!(watch.never_two("web", "192.168.123.0/24"), ["big", "spare"]);
        let sent = fleet.in_lab().commands("big").into_iter().map(|c| c.to_string());
        let in_full: Vec<String> = sent.filter(|c| c.contains("\"send\"") && c.contains("\"-p\"")).collect();
        assert!(in_full.is_empty(), "sent in full: {in_full:#?}");
    }

    // Once is enough; and the run that went back can go back as well, as long as its copy is there.
    fleet.jailferry(&["rollback", &run, "--yes"]).exits(3).says("rolled back already").says(&back);
    fleet.jailferry(&["finalize", &back, "--yes"]).exits(0);
    fleet.jailferry(&["rollback", &back, "--yes"]).exits(3).says("jailferry migrate web big");
    fleet.answers_from("web", "spare");
    for (args, code) in [(["rollback", "web-00000000"], 2), (["rollback", "../x"], 2)] {
        fleet.jailferry(&args).exits(code);
    }
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(2), "refusals are no runs: {runs}");
}
