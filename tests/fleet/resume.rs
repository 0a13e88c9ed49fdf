//! Transfers whose link, sender or receiver dies in the middle: they go on where they stopped, and what was sent in vain is
//! little.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;

use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::text;
use crate::client::Client;
use crate::lab::Lab;

/// Bytes that the jail holds besides its own.
const BLOB: u64 = 100 << 20;

/// Of that, bytes a try must have carried itself before it is struck: what went before it tells nothing about whether it runs.
const CARRIED: u64 = 4 << 20;

/// Moves through this machine, slow enough for a strike to come in time, which takes longer to get to a real host.
fn slowly(fleet: &Fleet) -> [&'static str; 7] {
    let rate = if fleet.has_lab() { "16MiB" } else { "4MiB" };
    ["migrate", "web", "big", "--yes", "--json", "--rate-limit", rate]
}

/// Moves in which a strike may come too late.
const MOST_TRIES: usize = 6;

/// zfs(8) itself, and not the lockf(1) and timeout(1) around it.
const RECEIVES: &str = "^zfs receive .*jfpool/jails/web@";
const SENDS: &str = "^zfs send .*";

fn fill(fleet: &Fleet) {
    let blob = "$(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob";
    fleet.sh("spare", &format!("dd if=/dev/urandom of={blob} bs=1048576 count={} 2>/dev/null", BLOB >> 20));
}

fn empty(fleet: &Fleet) {
    fleet.sh("spare", "rm $(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob");
}

/// A move that was struck.
struct Struck {
    events: Vec<Value>,
    status: i32,
    said: String,
    /// Strikes that hit something.
    hits: usize,
}

/// Runs a move and lets `strike` act when so many bytes of a copy have gone over, for each of `at`, and the try that is going on
/// has carried some of them; it tells whether it hit.
fn struck(fleet: &Fleet, args: &[&str], at: &[u64], mut strike: impl FnMut(usize) -> bool) -> Struck {
    let mut child: Child = fleet.start(args);
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let (mut events, mut next, mut hits, mut kept, mut broken) = (Vec::new(), 0, 0, 0, false);
    for line in out.lines() {
        let line = line.expect("text");
        let Ok(event) = serde_json::from_str::<Value>(&line) else { panic!("not an event: {line}") };
        if event["event"] == "transfer_resumed" {
            kept = event["kept"].as_u64().expect("a number");
            broken = false;
        }
        let far = at.get(next).map(|at| (*at).max(kept + CARRIED));
        // What was told before a strike may be heard behind it.
        if event["event"] == "transfer" && !broken && far.is_some() && event["bytes"].as_u64() >= far {
            broken = strike(next);
            hits += usize::from(broken);
            next += 1;
        }
        events.push(event);
    }
    let status = child.wait().expect("it ends").code().unwrap_or(-1);
    let said: Vec<String> = events.iter().filter(|e| e["event"] != "transfer").map(ToString::to_string).collect();
    Struck { events, status, said: said.join("\n"), hits }
}

fn sum(events: &[Value], event: &str, field: &str) -> u64 {
    events.iter().filter(|e| e["event"] == event).filter_map(|e| e[field].as_u64()).sum()
}

fn count(events: &[Value], event: &str) -> usize {
    events.iter().filter(|e| e["event"] == event).count()
}

/// Killed by what its command line is; false when nothing like that ran just then.
fn kill(fleet: &Fleet, host: &str, pattern: &str) -> bool {
    fleet.try_sh(host, &format!("pkill -KILL -f '{pattern}'")).status.success()
}

/// As [`struck`], again and again until every strike broke a transfer that then went on: how far it is when a strike lands is up
/// to the machine.
fn struck_in_time(fleet: &Fleet, args: &[&str], at: &[u64], mut strike: impl FnMut(usize) -> bool) -> Struck {
    let mut late = Vec::new();
    for _ in 0..MOST_TRIES {
        if fleet.runs_on("web") != ["spare"] {
            fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
            fill(fleet);
        }
        let told = struck(fleet, args, at, &mut strike);
        assert_eq!(told.status, 0, "{}", told.said);
        // A strike that came late broke the next transfer, which had hardly begun.
        let large = told.events.iter().max_by_key(|e| (e["event"] == "transfer", e["bytes"].as_u64()));
        let resumed = told.events.iter().filter(|e| e["event"] == "transfer_resumed");
        let right = resumed.filter(|e| large.is_some_and(|large| e["number"] == large["number"])).count();
        if told.hits == at.len() && right == at.len() {
            return told;
        }
        late.push(told.said);
    }
    panic!("{MOST_TRIES} transfers were over before they could be struck:\n{}", late.join("\n\n"));
}

/// It moved all the same, and each time little was sent again.
fn went_on(fleet: &Fleet, Struck { events, status, said, hits }: &Struck) {
    assert_eq!(*status, 0, "{said}");
    assert_eq!(count(events, "transfer_resumed"), *hits, "{said}");
    let again = sum(events, "transfer_resumed", "again");
    assert!(again <= BLOB / 20, "{again} bytes were sent again\n{said}");
    for event in events.iter().filter(|e| e["event"] == "transfer_resumed") {
        assert!(event["kept"].as_u64() > Some(BLOB / 20), "{event}\n{said}");
    }
    assert_eq!(fleet.runs_on("web"), ["big"], "{said}");
    fleet.answers_from("web", "big");
}

/// The same GUIDs on both hosts, and the same blob.
fn the_same(fleet: &Fleet) {
    let last = "zfs list -Hp -r -t snapshot -o name,guid jfpool/jails/web | grep -e '-final'";
    assert_eq!(fleet.sh("spare", last), fleet.sh("big", last));
    let blob = "sha256 -q $(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob";
    let there = fleet.sh("big", blob);
    let here = fleet.sh(
        "spare",
        "mkdir -p /tmp/look; zfs set mountpoint=/tmp/look jfpool/jails/web; zfs mount jfpool/jails/web; sha256 -q /tmp/look/blob",
    );
    assert_eq!(here, there);
}

#[test]
fn a_relayed_transfer_goes_on_behind_every_kind_of_break() {
    let Some(fleet) = Fleet::anew("a_relayed_transfer_goes_on_behind_every_kind_of_break") else { return };
    fill(&fleet);
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let told = struck_in_time(&fleet, &slowly(&fleet), &[10 << 20, 25 << 20, 40 << 20], |strike| match strike {
        0 => kill(&fleet, "spare", SENDS),
        1 => kill(&fleet, "big", RECEIVES),
        // Every connection of big is cut, in the lab this one too; a new one is let in.
        _ => matches!(fleet.try_sh("big", "pkill -KILL -f '^sshd(-session)?: [^ ]+@'").status.code(), Some(0 | 255)),
    });
    went_on(&fleet, &told);
    counting.lost_nothing(&fleet.urls("web")[0]);
    the_same(&fleet);
}

#[test]
fn a_link_that_is_away_for_a_while_is_waited_for() {
    let Some(fleet) = Fleet::lab("a_link_that_is_away_for_a_while_is_waited_for") else { return };
    fill(&fleet);
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let lab = fleet.in_lab();
    let told = std::thread::scope(|scope| {
        struck(&fleet, &slowly(&fleet), &[40 << 20], |_| {
            let cut = lab.fault("big", &["--match", "hostname"], "cut");
            drop(fleet.try_sh("big", "hostname"));
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_secs(4));
                lab.clear_faults("big");
            });
            lab.fired(&cut) > 0
        })
    });
    assert_eq!(told.hits, 1, "{}", told.said);
    went_on(&fleet, &told);
    assert!(count(&told.events, "transfer_broken") >= 1, "{}", told.said);
    counting.lost_nothing(&fleet.urls("web")[0]);
    the_same(&fleet);
}

/// Lets 20 MB a second through the host's tunnel: what is told of a direct transfer comes once a second, by when a quick
/// machine would have sent all of it. Such a transfer has no `rate_limit`, and the hosts have no traffic control.
fn narrow(lab: &Lab, host: &str) {
    let process = format!("__host {} {host}", lab.dir.display());
    let found = Command::new("pgrep").args(["-o", "-f", &process]).output().expect("pgrep(1) runs");
    let process = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let limit = "qdisc add dev wg0 root tbf rate 160mbit burst 256kb latency 200ms".split(' ');
    let output = Command::new("nsenter").args(["-t", &process, "-n", "tc"]).args(limit).output();
    let output = output.expect("nsenter(1) runs");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_direct_transfer_goes_on_behind_every_kind_of_break() {
    let Some(fleet) = Fleet::lab("a_direct_transfer_goes_on_behind_every_kind_of_break") else { return };
    fill(&fleet);
    narrow(fleet.in_lab(), "spare");
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let args = ["migrate", "web", "big", "--transfer", "direct", "--yes", "--json"];
    let kinds = [("spare", SENDS), ("big", RECEIVES), ("spare", "^ssh -T -F /dev/null")];
    for (host, pattern) in kinds {
        let told = struck_in_time(&fleet, &args, &[1 << 20], |_| kill(&fleet, host, pattern));
        went_on(&fleet, &told);
    }
    counting.lost_nothing(&fleet.urls("web")[0]);
    the_same(&fleet);
}

/// Three of four snapshots are one stream, whose receive dies in the second of them and in the last: what has arrived whole
/// stays, the rest of the one that has not follows, and then what comes behind it.
#[test]
fn several_snapshots_in_one_stream_go_on_behind_the_last_that_arrived() {
    let Some(fleet) = Fleet::anew("several_snapshots_in_one_stream_go_on_behind_the_last_that_arrived") else { return };
    for (day, size) in [(1, 48), (2, 48), (3, 96), (4, 160)] {
        let part = format!("$(zfs get -Hp -o value mountpoint jfpool/jails/web)/part-{day}");
        fleet.sh(
            "spare",
            &format!(
                "dd if=/dev/urandom of={part} bs=1048576 count={size} 2>/dev/null; zfs snapshot jfpool/jails/web@daily-{day}"
            ),
        );
    }
    fleet.jailferry(&["plan", "web", "big"]).exits(0).says("@daily-2 to @daily-4, 3 snapshots");
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    // The first snapshot is a stream of its own, and smaller than that. So far as the second strike only the fourth comes.
    let receives = "^zfs receive .*jfpool/jails/web$";
    let told = struck(&fleet, &slowly(&fleet), &[60 << 20, 230 << 20], |_| kill(&fleet, "big", receives));
    assert_eq!((told.status, told.hits), (0, 2), "{}", told.said);
    let resumed: Vec<&Value> = told.events.iter().filter(|e| e["event"] == "transfer_resumed").collect();
    assert_eq!(resumed.len(), 2, "{}", told.said);
    assert_eq!(resumed[0]["arrived"], "daily-2", "{}", told.said);
    assert_eq!(resumed[1]["arrived"], "daily-3", "{}", told.said);
    let kept = |event: &Value| event["kept"].as_u64();
    assert!(kept(resumed[0]) > Some(8 << 20) && kept(resumed[1]) > Some(60 << 20), "{}", told.said);
    // The source was asked how much that is, so that one sees how far it is behind each break.
    let progress = told.events.iter().filter(|e| e["event"] == "transfer" && e["number"] == resumed[0]["number"]);
    let progress: Vec<(u64, Option<u64>)> =
        progress.map(|e| (e["bytes"].as_u64().expect("a number"), e["total"].as_u64())).collect();
    let (most, total) = progress.iter().max_by_key(|(bytes, _)| bytes).expect("it was told");
    let all = (304 << 20)..(308 << 20);
    assert!(total.is_some_and(|total| all.contains(&total)) && *most > 280 << 20 && *most < all.end, "{progress:?}");
    let all = "zfs list -Hp -d 1 -t snapshot -s createtxg -o name,guid jfpool/jails/web | grep -e @daily -e '-final'";
    assert_eq!(fleet.sh("spare", all), fleet.sh("big", all), "{}", told.said);
    assert_eq!(fleet.sh("big", all).lines().count(), 5, "{}", told.said);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.said);
    counting.lost_nothing(&fleet.urls("web")[0]);
    let sums = "cd $(zfs get -Hp -o value mountpoint jfpool/jails/web) && sha256 -q part-1 part-2 part-3 part-4";
    let there = fleet.sh("big", sums);
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    assert_eq!(fleet.sh("spare", sums), there);
}

/// Starts jailferry and ends it by these signals when so many bytes of a stream have gone over; what it told.
fn dies(fleet: &Fleet, args: &[&str], at: u64, signals: &[&str]) -> Vec<Value> {
    let mut child = fleet.start(args);
    let (mut events, mut left) = (Vec::new(), signals.iter());
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let event: Value = serde_json::from_str(&line.expect("text")).expect("an event");
        // One at each piece of progress: a second one comes when the first was heard.
        if event["event"] == "transfer"
            && event["bytes"].as_u64() >= Some(at)
            && let Some(signal) = left.next()
        {
            let killed = std::process::Command::new("kill").args([signal, &child.id().to_string()[..]]).status();
            assert!(killed.is_ok_and(|status| status.success()), "it runs");
        }
        events.push(event);
    }
    assert!(!child.wait().expect("it ends").success() && left.len() == 0, "it was over before: {events:?}");
    events
}

/// A stream that would take minutes is cut off when somebody asks for it once, and nothing of it stays.
#[test]
fn a_first_interruption_does_not_wait_for_a_stream() {
    let Some(fleet) = Fleet::anew("a_first_interruption_does_not_wait_for_a_stream") else { return };
    fill(&fleet);
    let before = fleet.states();
    let args = ["migrate", "web", "big", "--yes", "--json", "--rate-limit", "1MiB"];
    let events = dies(&fleet, &args, 2 << 20, &["-INT"]);
    let said: Vec<String> = events.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    assert!(said.contains("asked to stop: before the jail is proven at the target, what was done is undone"), "{said}");
    let sent = events.iter().filter(|e| e["event"] == "transfer").filter_map(|e| e["bytes"].as_u64()).max();
    assert!(sent < Some(BLOB / 2), "{said}");
    let last = events.last().expect("it ended");
    assert_eq!(last["outcome"], "rolled-back", "{said}");
    assert!(last.to_string().contains("interrupted as asked"), "{said}");
    before.same(&fleet.states(), &said);
    empty(&fleet);
}

/// The machine that drives the move dies in the middle of its copy, and then a person stops it there by a second Ctrl-C:
/// each time the rest is sent, and little again.
#[test]
fn a_run_whose_machine_died_while_it_copied_goes_on() {
    let Some(fleet) = Fleet::anew("a_run_whose_machine_died_while_it_copied_goes_on") else { return };
    fill(&fleet);
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    dies(&fleet, &slowly(&fleet), 25 << 20, &["-KILL"]);
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3).says("jailferry recover");
    fleet.jailferry(&["recover", "--dry-run"]).exits(0).says("--continue");
    fleet.jailferry(&["recover", "--continue", "--dry-run"]).exits(0).says("was interrupted while it copied");
    let again = ["recover", "--continue", "--json"];
    let second = dies(&fleet, &again, 45 << 20, &["-INT", "-INT"]);
    let third = struck(&fleet, &again, &[], |_| false);
    assert_eq!(third.status, 0, "{}", third.said);
    let kept = |events: &[Value]| {
        let resumed = events.iter().find(|e| e["event"] == "transfer_resumed");
        resumed.and_then(|e| e["kept"].as_u64()).unwrap_or_else(|| panic!("nothing was gone on with: {events:?}"))
    };
    let (first_part, both_parts) = (kept(&second), kept(&third.events));
    // What was on its way is lost, and the last records of what the target had.
    assert!(first_part > (25 << 20) - BLOB / 20, "{first_part}");
    assert!(both_parts > (45 << 20) - BLOB / 20, "{both_parts}");
    let sent = |events: &[Value]| events.iter().filter(|e| e["event"] == "transfer_done").count();
    assert!(sent(&third.events) > 1, "{}", third.said);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", third.said);
    fleet.answers_from("web", "big");
    counting.lost_nothing(&fleet.urls("web")[0]);
    the_same(&fleet);
    // It is one run, from its beginning to its end, and nothing to recover is left.
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    let moves = runs.as_array().expect("a list").iter().filter(|run| run["outcome"] == "moved").count();
    assert_eq!(moves, 1, "{runs}");
    fleet.jailferry(&["recover", "--continue"]).exits(2);
}

/// Lets no connection of a host through from now on; false when it came too late.
fn cut_off(fleet: &Fleet, host: &str) -> bool {
    let cut = fleet.in_lab().fault(host, &["--match", "hostname"], "cut");
    drop(fleet.try_sh(host, "hostname"));
    fleet.in_lab().fired(&cut) > 0
}

/// The target is away for longer than anybody waits: nothing of the copy is lost, and the source keeps what the rest needs.
#[test]
fn what_was_copied_to_a_host_that_stays_away_is_kept() {
    let Some(fleet) = Fleet::lab("what_was_copied_to_a_host_that_stays_away_is_kept") else { return };
    fill(&fleet);
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let told = struck(&fleet, &slowly(&fleet), &[40 << 20], |_| cut_off(&fleet, "big"));
    assert_eq!((told.status, told.hits), (5, 1), "{}", told.said);
    assert!(told.said.contains("what has been copied to big is kept"), "{}", told.said);
    assert!(told.said.contains("recover --continue web-"), "{}", told.said);
    assert_eq!(count(&told.events, "unwinding"), 0, "{}", told.said);
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.said);
    // As long as it is away nothing changes.
    fleet.jailferry(&["recover", "--continue"]).exits(3);
    fleet.in_lab().clear_faults("big");
    let again = struck(&fleet, &["recover", "--continue", "--json"], &[], |_| false);
    assert_eq!(again.status, 0, "{}", again.said);
    let resumed = again.events.iter().find(|e| e["event"] == "transfer_resumed").expect("it goes on");
    assert!(resumed["kept"].as_u64() > Some((40 << 20) - BLOB / 20), "{}", again.said);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", again.said);
    counting.lost_nothing(&fleet.urls("web")[0]);
    the_same(&fleet);
}

/// Between two streams a host is away, and is waited for as within one.
#[test]
fn a_host_that_is_away_between_two_streams_is_waited_for() {
    let Some(fleet) = Fleet::lab("a_host_that_is_away_between_two_streams_is_waited_for") else { return };
    let lab = fleet.in_lab();
    // With the whole of the first copy at the target.
    let cut = lab.fault("spare", &["--match", "zfs bookmark jfpool/jails/web@"], "cut");
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            crate::bench::wait_until("spare is cut off", || lab.fired(&cut) > 0);
            std::thread::sleep(std::time::Duration::from_secs(20));
            lab.clear_faults("spare");
        });
        fleet.jailferry(&["migrate", "web", "big", "--yes", "--json"])
    });
    let told = told.exits(0).says("trying again in");
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
    fleet.answers_from("web", "big");
}

/// Nobody is left to wait for the window: what was copied for it goes on.
#[test]
fn a_run_whose_machine_died_while_it_waited_for_its_turn_goes_on() {
    let Some(fleet) = Fleet::lab("a_run_whose_machine_died_while_it_waited_for_its_turn_goes_on") else { return };
    let hour = (jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).hour() + 12) % 24;
    let text =
        format!("windows: ['{hour:02}:00-{hour:02}:30']\ntime_zone: UTC\nmoves:\n  - {{ jail: web, to: big }}\n");
    let file = crate::batches::playbook(&fleet, "window.yml", &text);
    let mut child = fleet.start(&["run", &file, "--yes", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("text").contains("waits for the next window")), "it was over before");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let told = fleet.jailferry(&["recover", "--continue", "--json"]).exits(0);
    let sent = told.all.lines().filter(|line| line.contains("transfer_done")).count();
    // The last increment of both datasets, and what was written while it waited.
    assert!((2..=6).contains(&sent), "{}", told.all);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
    fleet.answers_from("web", "big");
}

/// What changed meanwhile stops it, before anything else is copied; it is taken back as ever.
#[test]
fn a_run_does_not_go_on_where_its_plan_holds_no_more() {
    let Some(fleet) = Fleet::anew("a_run_does_not_go_on_where_its_plan_holds_no_more") else { return };
    fill(&fleet);
    let before = fleet.states();
    dies(&fleet, &slowly(&fleet), 10 << 20, &["-KILL"]);
    fleet.sh("big", "printf 'somebody {\n}\n' >/etc/jail.conf.d/web.conf");
    let told = fleet.jailferry(&["recover", "--continue"]).exits(3).says("does not go on");
    assert!(told.all.contains("without --continue puts it right"), "{}", told.all);
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    fleet.sh("big", "rm /etc/jail.conf.d/web.conf");
    let told = fleet.jailferry(&["recover"]).exits(0);
    before.same(&fleet.states(), &told.all);
    empty(&fleet);
}

/// Each try is cut off at once: told, given up, and nothing of it is left at the target.
#[test]
fn what_is_given_up_leaves_nothing_at_the_target() {
    let Some(fleet) = Fleet::lab("what_is_given_up_leaves_nothing_at_the_target") else { return };
    fill(&fleet);
    let before = fleet.states();
    let lab = fleet.in_lab();
    let Struck { events, status, said, hits } = struck(&fleet, &slowly(&fleet), &[40 << 20], |_| {
        // From now on a receive that begins is killed before it has read anything.
        lab.fault("big", &["--match", "zfs receive -s -u jfpool/jails/web@"], "kill:zfs receive -s -u jfpool");
        kill(&fleet, "big", RECEIVES)
    });
    assert_eq!(hits, 1, "{said}");
    lab.clear_faults("big");
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("tried 6 times in vain") && said.contains("was ended by a signal"), "{said}");
    assert_eq!(count(&events, "transfer_broken"), 6, "{said}");
    assert_eq!(fleet.runs_on("web"), ["spare"], "{said}");
    before.same(&fleet.states(), &said);
    empty(&fleet);
}
