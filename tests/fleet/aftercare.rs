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

/// What `leftovers` lists of ours, as `HOST KIND NAME`, with its verdict and command; not the test bed's own.
fn leftovers(fleet: &Fleet) -> Vec<(String, String, String)> {
    let told = fleet.jailferry(&["leftovers", "--json"]).exits(0);
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = told.json().as_array().expect("a list").clone();
    list.iter()
        // Files of lockf(1) are told as in use, and go with the next boot.
        .filter(|l| !word(&l["name"]).contains("testbed") && word(&l["name"]) != "/var/run/jailferry.lock")
        .filter(|l| [".turn", ".receive", ".verify"].iter().all(|end| !word(&l["name"]).ends_with(end)))
        .map(|l| {
            let what = format!("{} {} {}", word(&l["host"]), word(&l["kind"]), word(&l["name"]));
            (what, word(&l["verdict"]), word(&l["command"]))
        })
        .collect()
}

#[test]
fn whatever_is_left_is_told_with_its_reason() {
    let Some(fleet) = Fleet::lab("whatever_is_left_is_told_with_its_reason") else { return };
    let lab = fleet.in_lab();
    assert_eq!(leftovers(&fleet), [], "before anything");

    // A run that was killed in the first copy: everything of it is recover's.
    let fault = lab.fault("spare", &["--match", "zfs send -L -e -c -p jfpool/jails/web/data@", "--nth", "1"], "hang");
    let mut child = fleet.start(&["migrate", "web", "big", "--yes"]);
    crate::bench::wait_until("the copy hangs", || lab.fired(&fault) > 0);
    let busy = leftovers(&fleet);
    assert!(busy.iter().any(|(w, v, _)| w.starts_with("small lock") && v == "in-use"), "{busy:#?}");
    child.kill().expect("killed");
    let _ = child.wait();
    lab.clear_faults("spare");
    let run = newest(&fleet);
    let killed = leftovers(&fleet);
    let recover = format!("jailferry recover {run}");
    for what in ["small lock /var/db/jailferry/web.lock", &format!("spare snapshot jfpool/jails/web@jailferry-{run}-0")]
    {
        let found = killed.iter().find(|(w, _, _)| w == what).unwrap_or_else(|| panic!("no {what} in {killed:#?}"));
        assert_eq!((found.1.as_str(), &found.2), ("interrupted", &recover), "{killed:#?}");
    }
    assert!(killed.iter().any(|(w, _, _)| w.starts_with("big ") && w.contains("copy jfpool/jails/web")), "{killed:#?}");
    fleet.jailferry(&["recover", &run]).exits(0);
    assert_eq!(leftovers(&fleet), [], "after recover");

    // After a move: what is kept for the way back, and what the network needs.
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    let run = newest(&fleet);
    let moved = leftovers(&fleet);
    let finalize = format!("jailferry finalize {run}");
    for (what, verdict, command) in &moved {
        assert!(
            verdict == "in-use" && command.is_empty() || verdict == "kept" && *command == finalize,
            "{what}: {moved:#?}"
        );
    }
    for part in [
        "spare copy jfpool/jails/web/data",
        "spare hold",
        "big hold",
        "big snapshot",
        "small backup",
        "spare file-aside",
    ] {
        assert!(moved.iter().any(|(w, v, _)| w.starts_with(part) && v == "kept"), "no {part} in {moved:#?}");
    }
    let text = fleet.jailferry(&["leftovers"]).exits(0).says("kept until finalize").says(&finalize);
    assert!(text.stdout.contains("since 20"), "{}", text.all);

    // After finalize: only what the network needs while the jail is away, in configuration for the next start.
    fleet.jailferry(&["finalize", &run, "--yes"]).exits(0);
    fleet.jailferry(&["finalize", &run, "--yes"]).exits(0).says("finalized already");
    let finalized = leftovers(&fleet);
    for (what, verdict, _) in &finalized {
        let boot = [" variable ", " hook ", " way "].iter().any(|kind| what.contains(kind));
        assert!(boot && verdict == "in-use", "{what}: {finalized:#?}");
    }
    // Strangers' things with such names, and a name that means harm.
    fleet.sh("big", "zfs snapshot jfpool@jailferry-web-00000000-x\nmkdir -p /var/run/'jailferry$(reboot)'");
    let strange = leftovers(&fleet);
    let of = |part: &str| strange.iter().find(|(w, _, _)| w.contains(part)).unwrap_or_else(|| panic!("{strange:#?}"));
    assert_eq!((of("web-00000000").1.as_str(), of("web-00000000").2.as_str()), ("unknown", ""));
    assert_eq!(of("$(reboot)").2, "rm -r '/var/run/jailferry$(reboot)'");
    fleet.sh("big", "zfs destroy jfpool@jailferry-web-00000000-x\nrmdir /var/run/'jailferry$(reboot)'");
    // Home again and finalized in any order: nothing at all.
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    fleet.jailferry(&["finalize", &newest(&fleet), "--yes"]).exits(0);
    assert_eq!(leftovers(&fleet), [], "at home");
    fleet.answers_from("web", "spare");
}
