//! Snapshots that are not jailferry's: backups of the jail's administrator.

use crate::bench::Fleet;

const WEB: &str = "jfpool/jails/web";

/// Somebody's snapshots of the jail, with what identifies them.
fn theirs(fleet: &Fleet, node: &str) -> String {
    fleet.sh(
        node,
        &format!("zfs list -Hp -r -t snapshot -s createtxg -o name,guid {WEB} | grep -v @jailferry- | sort || :"),
    )
}

fn holds(fleet: &Fleet, node: &str) -> String {
    let all = format!("zfs list -Hp -r -t snapshot -o name {WEB} | grep -v @jailferry- | xargs -r zfs holds -H");
    fleet.sh(node, &all)
}

#[test]
fn snapshots_of_others_go_along() {
    let Some(fleet) = Fleet::anew("snapshots_of_others_go_along") else {
        return;
    };
    let write = |text: &str| fleet.sh("spare", &format!("echo {text} > /jf/jails/web/data/noted"));
    fleet.sh("spare", &format!("zfs snapshot -r {WEB}@daily-1"));
    write("two");
    fleet.sh("spare", &format!("zfs snapshot {WEB}/data@only-data"));
    write("three");
    fleet.sh("spare", &format!("zfs snapshot -r {WEB}@daily-2"));
    let at_home = theirs(&fleet, "spare");
    assert_eq!(at_home.lines().count(), 5, "{at_home}");

    if fleet.has_lab() {
        // The stream of several snapshots, of the second dataset, fails: all of it is taken back.
        let lab = fleet.in_lab();
        let fault = lab.fault("big", &["--match", "-x org.jailferry:jailferry-web-", "--when", "before"], "fail:1:no");
        let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4);
        assert!(lab.fired(&fault) > 0, "{}", told.all);
        assert_eq!(theirs(&fleet, "spare"), at_home, "{}", told.all);
        assert_eq!(holds(&fleet, "spare"), "", "{}", told.all);
        assert!(!fleet.try_sh("big", &format!("zfs list {WEB}")).status.success(), "{}", told.all);
        lab.clear_faults("big");
    }

    let file = fleet.state.path().join("web.plan").display().to_string();
    fleet.jailferry(&["plan", "web", "big"]).exits(0).says("5 snapshots of yours");
    fleet.jailferry(&["plan", "web", "big", "--out", &file]).exits(0);
    fleet.sh("spare", &format!("zfs snapshot {WEB}@hourly-7"));
    let told = fleet.jailferry(&["apply", &file, "--yes"]).exits(0);
    assert_eq!(theirs(&fleet, "big"), at_home, "{}", told.all);
    assert_eq!(holds(&fleet, "spare"), "", "{}", told.all);
    assert_eq!(holds(&fleet, "big"), "", "{}", told.all);
    fleet.answers_from("web", "big");

    // One was taken behind the plan's back, and is nowhere else; one shows what has been sent.
    fleet.sh("spare", &format!("zfs snapshot {WEB}@hourly-8"));
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    let moved = runs.as_array().and_then(|all| all.iter().find(|r| r["outcome"] == "moved"));
    let run = moved.and_then(|r| r["run"].as_str()).unwrap_or_else(|| panic!("no run moved: {runs}")).to_owned();
    let told = fleet.jailferry(&["finalize", &run, "--yes"]).exits(5).says(&format!("{WEB}@hourly-7"));
    assert!(!told.all.contains("hourly-8"), "{}", told.all);
    assert!(theirs(&fleet, "spare").contains("hourly-7"), "{}", told.all);
    fleet.jailferry(&["finalize", &run, "--discard-snapshots", "--yes"]).exits(0);
    assert!(!fleet.try_sh("spare", &format!("zfs list {WEB}")).status.success());

    // Home again, in full and straight from node to node, with one that was taken meanwhile.
    fleet.sh("big", &format!("zfs snapshot -r {WEB}@daily-3"));
    let there = theirs(&fleet, "big");
    let told = fleet.jailferry(&["migrate", "web", "spare", "--transfer", "direct", "--yes"]).exits(0);
    assert_eq!(theirs(&fleet, "spare"), there, "{}", told.all);
    fleet.answers_from("web", "spare");
}

/// What any run has left of its own on a node.
fn ours(fleet: &Fleet, node: &str) -> String {
    fleet.sh(node, "zfs list -H -t snapshot,bookmark -o name | grep jailferry- || :")
}

#[test]
fn whichever_of_three_nodes_is_next_gets_no_more_than_what_changed() {
    let Some(fleet) = Fleet::anew("whichever_of_three_nodes_is_next_gets_no_more_than_what_changed") else {
        return;
    };
    let first: Vec<String> = ["big", "small"].into_iter().map(|to| moved(&fleet, to)).collect();
    let mut runs = first;
    for to in ["spare", "big", "small"] {
        let plan = fleet.jailferry(&["plan", "web", to]).exits(0).says(&format!("send {WEB}@jailferry-web-"));
        assert!(!plan.all.contains("in full") && plan.all.contains("since @jailferry-web-"), "{}", plan.all);
        runs.push(moved(&fleet, to));
        // One for each copy elsewhere.
        assert_eq!(ours(&fleet, to).lines().count(), 2 * 2, "{}", ours(&fleet, to));
    }
    for run in &runs {
        fleet.jailferry(&["finalize", run, "--yes"]).exits(0);
    }
    for node in ["small", "spare", "big"] {
        assert_eq!(ours(&fleet, node), "", "{node}");
    }
    assert!(!fleet.try_sh("spare", &format!("zfs list {WEB}")).status.success());
    fleet.answers_from("web", "small");
}

/// Moves web; the run's name.
fn moved(fleet: &Fleet, to: &str) -> String {
    fleet.jailferry(&["migrate", "web", to, "--yes"]).exits(0);
    fleet.answers_from("web", to);
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    let last = runs.as_array().and_then(|all| all.last()).and_then(|r| r["run"].as_str());
    last.unwrap_or_else(|| panic!("no run: {runs}")).to_owned()
}
