//! Things that hang, run full, or come in each other's way: what is told, what goes on, and what is put right.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;

use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::client::Client;
use crate::lab::Fault;

/// The third process with a receive's words on its command line is zfs(8) itself, behind lockf(1) and timeout(1).
const RECEIVE: [&str; 4] = ["--match", "zfs receive -s -u -x mountpoint", "--nth", "3"];

/// Of a send, timeout(1) is the first.
const SEND: [&str; 4] = ["--match", "zfs send -L -e -c -p jfpool/jails/web@", "--nth", "2"];

fn started_until(fleet: &Fleet, fault: &Fault) -> Child {
    let child = fleet.start(&["migrate", "web", "big", "--yes"]);
    wait_until("the fault strikes", || fleet.in_lab().fired(fault) > 0);
    child
}

/// The command lines of a host's processes with these words, wrappers left out.
fn at_work(fleet: &Fleet, host: &str, words: &str) -> Vec<String> {
    let all = fleet.sh(host, "ps -axww -o command=");
    all.lines().filter(|l| l.starts_with("zfs ") && l.contains(words)).map(str::to_owned).collect()
}

fn killed(mut child: Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

/// The machine that drove the run is gone and its receive and send still hang: `leftovers` names them, `recover` ends
/// them and nothing else.
#[test]
fn transfers_that_outlive_their_machine_are_ended_by_recover() {
    let Some(fleet) = Fleet::lab("transfers_that_outlive_their_machine_are_ended_by_recover") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    // Somebody else receives on the same host, by the same options.
    let foreign = "zfs receive -s -u jfpool/other";
    fleet.sh("big", &format!("daemon -f -p /var/run/foreign.pid sh -c 'sleep 600 | {foreign}'"));
    for (host, at, words) in [("big", RECEIVE, "zfs receive"), ("spare", SEND, "zfs send")] {
        let fault = lab.fault(host, &at, "hang");
        killed(started_until(&fleet, &fault));
        let left = at_work(&fleet, host, "@jailferry-web-");
        assert!(left.iter().any(|l| l.starts_with(words)), "{left:?}");
        let told = fleet.jailferry(&["leftovers"]).exits(0).says("jailferry recover web-");
        assert!(told.stdout.lines().any(|l| l.contains("process ") && l.contains(words)), "{}", told.all);
        assert!(told.stdout.contains("note on dataset jfpool/jails/web"), "{}", told.all);

        // It still hangs, and so it does until somebody ends it.
        let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
        assert_eq!(at_work(&fleet, host, "@jailferry-web-"), Vec::<String>::new(), "{}", told.all);
        assert_eq!(at_work(&fleet, "big", foreign), [foreign], "{}", told.all);
        lab.clear_faults(host);
        assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
        before.same(&fleet.states(), &told.all);
    }
    counting.lost_nothing(&fleet.urls("web")[0]);
    fleet.sh("big", "pkill -f '^zfs receive -s -u jfpool/other$' || :; pkill -f '^sleep 600$' || :");
}

/// From node to node nothing ends when the machine is gone: the source goes on sending.
#[test]
fn a_direct_transfer_that_outlives_its_machine_is_ended_at_both_ends() {
    let Some(fleet) = Fleet::lab("a_direct_transfer_that_outlives_its_machine_is_ended_at_both_ends") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let blob = "$(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob";
    fleet.sh("spare", &format!("dd if=/dev/urandom of={blob} bs=1048576 count=24 2>/dev/null"));
    let fault = lab.fault("big", &RECEIVE, "hang");
    let child = fleet.start(&["migrate", "web", "big", "--transfer", "direct", "--yes"]);
    wait_until("the receive hangs", || lab.fired(&fault) > 0);
    wait_until("the source sends", || !at_work(&fleet, "spare", "@jailferry-web-").is_empty());
    killed(child);
    assert!(!at_work(&fleet, "spare", "@jailferry-web-").is_empty(), "the send has ended by itself");
    let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    for host in ["spare", "big"] {
        assert_eq!(at_work(&fleet, host, "@jailferry-web-"), Vec::<String>::new(), "{}", told.all);
    }
    lab.clear_faults("big");
    fleet.sh("spare", &format!("rm {blob}"));
    before.same(&fleet.states(), &told.all);
}

/// Whoever has only one of the hosts learns from it which run it was and whose.
#[test]
fn a_host_alone_tells_whose_a_run_is() {
    let Some(fleet) = Fleet::lab("a_host_alone_tells_whose_a_run_is") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let fault = lab.fault("spare", &SEND, "hang");
    killed(started_until(&fleet, &fault));
    lab.clear_faults("spare");
    // The hub has lost its disk, and another machine asks.
    fleet.sh("small", "mv /var/db/jailferry /var/db/lost");
    let elsewhere = fleet.state.path().join("elsewhere");
    let owner = fleet.sh("spare", "zfs get -Hp -o value org.jailferry:owner jfpool/jails/web");
    let told = fleet.jailferry_from(&elsewhere, &["leftovers"]).exits(0).says(owner.trim());
    assert!(told.stdout.contains("moves it to big"), "{}", told.all);
    fleet.jailferry_from(&elsewhere, &["recover"]).exits(5).says(owner.trim()).says("moves it to big");
    fleet.sh("small", "mv /var/db/lost /var/db/jailferry");
    let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    before.same(&fleet.states(), &told.all);
    fleet.jailferry_from(&elsewhere, &["recover"]).exits(0).says("nothing to recover");
}

/// One receive into a dataset at a time, whoever began the other.
#[test]
fn a_receive_waits_for_another_into_the_same_dataset() {
    let Some(fleet) = Fleet::lab("a_receive_waits_for_another_into_the_same_dataset") else { return };
    let before = fleet.states();
    fleet.sh("big", "daemon -f lockf -k '/var/run/jailferry-jfpool%jails%web.receive' sleep 600");
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4).says("jail web runs on spare");
    assert!(told.all.contains("waited 30 seconds in vain"), "{}", told.all);
    fleet.sh("big", "pkill -f '^sleep 600$'");
    before.same(&fleet.states(), &told.all);
}

#[test]
fn a_full_pool_leaves_nothing() {
    let Some(fleet) = Fleet::lab("a_full_pool_leaves_nothing") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);

    // The plan finds room enough; then somebody else takes it.
    let blob = "$(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob";
    fleet.sh("spare", &format!("dd if=/dev/urandom of={blob} bs=1048576 count=8 2>/dev/null"));
    let fault = lab.fault("big", &RECEIVE, "hang");
    let args = ["migrate", "web", "big", "--yes"];
    let child = started_until(&fleet, &fault);
    fleet.sh("big", "zfs set quota=$(($(zfs get -Hp -o value used jfpool/jails) + 2097152)) jfpool/jails");
    lab.clear_faults("big");
    let told = fleet.finished(child, &args).exits(4).says("jail web runs on spare").says("space");
    fleet.sh("big", "zfs set quota=none jfpool/jails");
    fleet.sh("spare", &format!("rm {blob}"));
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    before.same(&fleet.states(), &told.all);
    counting.lost_nothing(&fleet.urls("web")[0]);
}

/// Nothing can be undone on a host that is not there; `recover` does it when it is.
#[test]
fn a_target_that_boots_during_the_first_copy() {
    let Some(fleet) = Fleet::lab("a_target_that_boots_during_the_first_copy") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let fault = lab.fault("big", &RECEIVE, "reboot");
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]);
    assert!(lab.fired(&fault) > 0 && [0, 4, 5].contains(&told.status), "{}", told.all);
    lab.clear_faults("big");
    // One that is up again soon enough gets the rest of the copy.
    if told.status == 0 {
        assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
        assert!(told.all.contains("the stream broke"), "{}", told.all);
        counting.lost_nothing(&fleet.urls("web")[0]);
        return;
    }
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    wait_until("big is back", || fleet.try_sh("big", "true").status.success());
    if told.status == 5 {
        fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    }
    counting.lost_nothing(&fleet.urls("web")[0]);
    before.same(&fleet.states(), &told.all);
}

/// A target whose pool does not write any more is refused; one that stops in the middle is waited for, then told.
#[test]
fn a_suspended_pool_is_told_and_put_right_later() {
    let Some(fleet) = Fleet::lab("a_suspended_pool_is_told_and_put_right_later") else { return };
    let lab = fleet.in_lab();
    let pool = |verb: &str| assert!(lab.verb(&["pool", "big", verb]).status.success());
    let before = fleet.states();
    pool("suspend");
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3).says("SUSPENDED");
    pool("resume");

    // More than the pipes in between hold.
    let blob = "$(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob";
    fleet.sh("spare", &format!("dd if=/dev/urandom of={blob} bs=1048576 count=24 2>/dev/null"));
    let fault = lab.fault("big", &RECEIVE, "hang");
    let args = ["migrate", "web", "big", "--yes"];
    let child = started_until(&fleet, &fault);
    pool("suspend");
    lab.clear_faults("big");
    let told = fleet.finished(child, &args).exits(5).says("for 120 seconds").says("jail web runs on spare again");
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    fleet.answers_from("web", "spare");
    pool("resume");
    let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    fleet.sh("spare", &format!("rm {blob}"));
    before.same(&fleet.states(), &told.all);
}

/// The hub is not to be reached from the switch on: the rest goes back, and the hub by itself or with `recover`.
#[test]
fn a_hub_that_is_away_from_the_switch_on() {
    let Some(mut fleet) = Fleet::lab("a_hub_that_is_away_from_the_switch_on") else { return };
    fleet.short_lease("5s");
    let lab = fleet.in_lab();
    let before = fleet.states();
    let watch = lab.watch();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let fault = lab.fault("small", &["--script", "--match", "AllowedIPs did not take", "--nth", "1"], "cut");
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(5).says("jail web runs on spare again");
    assert!(lab.fired(&fault) > 0, "{}", told.all);
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    lab.clear_faults("small");
    let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    counting.lost_nothing(&fleet.urls("web")[0]);
    fleet.answers_from("web", "spare");
    watch.never_two("web", "192.168.123.0/24");
    before.same(&fleet.states(), &told.all);
}

/// What was written at the target is only brought home to a source that is there: until then nobody runs the jail.
#[test]
fn a_source_that_is_away_after_the_switch() {
    let Some(fleet) = Fleet::lab("a_source_that_is_away_after_the_switch") else { return };
    let lab = fleet.in_lab();
    let before = fleet.states();
    let watch = lab.watch();
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    // The source lets a fresh connection in: asked when the jail runs at the target already.
    let gone = lab.fault("big", &["--match", "jail -f /etc/jail.conf.d/web.conf -c", "--when", "after"], "hang");
    let args = ["migrate", "web", "big", "--yes"];
    let child = started_until(&fleet, &gone);
    let cut = lab.fault("spare", &["--match", "cat /var/db/jailferry/web-"], "cut");
    wait_until("the source is cut off", || lab.fired(&cut) > 0);
    lab.clear_faults("big");
    wait_until("the jail has stopped at the target", || fleet.try_sh("big", "! jls -j web jid").status.success());
    lab.clear_faults("spare");
    let told = fleet.finished(child, &args).exits(4).says("jail web runs on spare");
    counting.lost_nothing(&fleet.urls("web")[0]);
    fleet.answers_from("web", "spare");
    watch.never_two("web", "192.168.123.0/24");
    before.same(&fleet.states(), &told.all);
}

/// What could not be undone while the source was away is undone once it has come back, without anybody's help.
#[test]
fn a_source_that_comes_back_in_time() {
    let Some(fleet) = Fleet::lab("a_source_that_comes_back_in_time") else { return };
    let lab = fleet.in_lab();
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    let before = fleet.states();
    let handed = || fleet.sh("small", "wg show wg0 allowed-ips");
    let before_it = handed();
    // It is cut off as it gives up the jail's gateway, while the jail starts at home.
    let gives_up = lab.fault("big", &["--match", "ifconfig bridge0 inet 192.168.123.1 -alias"], "hang");
    let starts = lab.fault("spare", &["--match", "jail -f /etc/jail.conf.d/web.conf -c", "--when", "after"], "hang");
    let args = ["migrate", "web", "spare", "--yes"];
    let child = fleet.start(&args);
    wait_until("both are under way", || lab.fired(&gives_up) > 0 && lab.fired(&starts) > 0);
    let cut = lab.fault("big", &["--match", "cat /var/db/jailferry/web-"], "cut");
    wait_until("the source is cut off", || lab.fired(&cut) > 0);
    assert_ne!(handed(), before_it, "the hub has switched");
    lab.clear_faults("spare");
    // Behind what the source is to undo: that has been tried by now.
    wait_until("the hub has switched back", || handed() == before_it);
    lab.clear_faults("big");
    let told = fleet.finished(child, &args).exits(4).says("undo FAILED").says("jail web runs on big");
    before.same(&fleet.states(), &told.all);
    fleet.answers_from("web", "big");

    // The hub's network was another run's only when that had been tried once more.
    let journal = fleet.journal();
    let steps = journal[0]["what"]["header"]["plan"]["steps"].as_array().expect("a list");
    let titled = |part: &str| {
        let at = steps.iter().position(|step| step["title"].as_str().is_some_and(|title| title.contains(part)));
        at.unwrap_or_else(|| panic!("no step is called {part}")) + 1
    };
    let ended = |phase: &str| -> Vec<usize> {
        let steps = journal.iter().map(|line| &line["what"]["step"]).filter(|step| step["phase"] == phase);
        steps.map(|step| usize::try_from(step["number"].as_u64().expect("a number")).expect("few steps")).collect()
    };
    let (stuck, undone) = (ended("stuck"), ended("undone"));
    assert!(!stuck.is_empty(), "{}", told.all);
    let at = |number: usize| undone.iter().position(|step| *step == number);
    let turn = at(titled("the network of small is this run's to change"));
    assert!(turn.is_some() && stuck.iter().all(|step| at(*step).is_some() && at(*step) < turn), "{stuck:?} {undone:?}");
}

/// A target that lets nobody in any more takes a minute to say so: nobody waits for that once something else has failed.
#[test]
fn a_closed_door_is_not_waited_for() {
    let Some(mut fleet) = Fleet::lab("a_closed_door_is_not_waited_for") else { return };
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    let before = fleet.states();
    let closed = behind_a_door(&mut fleet, "spare");
    let lab = fleet.in_lab();
    let starts = lab.fault("spare", &["--match", "jail -f /etc/jail.conf.d/web.conf -c", "--when", "after"], "hang");
    let args = ["migrate", "web", "spare", "--yes"];
    let child = fleet.start(&args);
    wait_until("the jail starts", || lab.fired(&starts) > 0);
    fs::write(&closed, "").expect("the folder is writable");
    lab.fail("small", "ping -n -q", None, "no answer, says the test");
    lab.clear_faults("spare");
    let told = fleet.finished(child, &args).exits(4).says("jail web runs on big");
    let journal = fleet.journal();
    let left_out: Vec<&Value> =
        journal.iter().map(|line| &line["what"]["step"]).filter(|step| step["phase"] == "skipped").collect();
    let reason = "another step has failed meanwhile";
    assert!(left_out.iter().any(|step| step["reason"] == reason), "{left_out:?}\n{}", told.all);
    lab.clear_faults("small");
    before.same(&fleet.states(), &told.all);
}

/// jailferry's way to the host leads through a door: while the file that is given is there, new connections get a banner and
/// nothing else, as from a host that is shutting down (ssh(1) waits for more of it than ConnectTimeout says).
fn behind_a_door(fleet: &mut Fleet, host: &str) -> PathBuf {
    let folder = fleet.file.parent().expect("a folder").to_owned();
    let (closed, config, file) = (folder.join("closed"), folder.join("door_config"), folder.join("door.yml"));
    let ssh_config = folder.join("ssh_config").display().to_string();
    let at = closed.display();
    let door = format!(
        "if [ -e {at} ]; then echo SSH-2.0-door; while [ -e {at} ]; do sleep 0.2; done; exit 1; fi; exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; kill $!"
    );
    fs::write(&config, format!("Host {host}\n  ProxyCommand bash -c '{door}'\nMatch all\nInclude {ssh_config}\n"))
        .expect("the folder is writable");
    let text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    assert!(text.contains(&ssh_config), "{text}");
    fs::write(&file, text.replace(&ssh_config, &config.display().to_string())).expect("the folder is writable");
    fleet.file = file;
    closed
}

/// Leases count sleeps and deadlines are counted, so that a host's clock may be wrong by a day and may jump.
#[test]
fn clocks_may_be_wrong_and_jump() {
    let Some(fleet) = Fleet::lab("clocks_may_be_wrong_and_jump") else { return };
    let lab = fleet.in_lab();
    let clock = |host: &str, seconds: &str| assert!(lab.verb(&["clock", host, seconds]).status.success());
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    clock("spare", "86400");
    clock("big", "-86400");
    let fault = lab.fault("big", &["--match", "zfs mount jfpool/jails/web", "--nth", "1"], "hang");
    let args = ["migrate", "web", "big", "--yes"];
    let child = started_until(&fleet, &fault);
    clock("spare", "-86400");
    clock("big", "86400");
    lab.clear_faults("big");
    let told = fleet.finished(child, &args).exits(0);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
    counting.lost_nothing(&fleet.urls("web")[0]);
    let run = fleet.jailferry(&["runs", "--json"]).exits(0).json()[0]["run"].as_str().expect("an id").to_owned();
    fleet.jailferry(&["rollback", &run, "--yes"]).exits(0);
    assert_eq!(fleet.runs_on("web"), ["spare"]);
}

/// A folder of state on a disk of its own, that is full but for so many bytes.
struct Full<'a>(&'a Path);

impl Full<'_> {
    fn new(folder: &Path, left: u64) -> Full<'_> {
        std::fs::create_dir_all(folder).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder).status();
        assert!(mounted.expect("mount(8) runs").success());
        std::fs::write(folder.join("filler"), vec![0; usize::try_from((4 << 20) - left).expect("small")])
            .expect("room");
        Full(folder)
    }
}

impl Drop for Full<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Without a journal nothing could be recovered, so nothing goes on.
#[test]
fn a_full_disk_of_the_control_machine_stops_the_run() {
    let Some(fleet) = Fleet::lab("a_full_disk_of_the_control_machine_stops_the_run") else { return };
    let before = fleet.states();
    // How long a journal's first line is, with the plan in it.
    fleet.in_lab().fail("spare", "zfs snapshot -r", Some(1), "not yet");
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4);
    fleet.in_lab().clear_faults("spare");
    let journal = std::fs::read_to_string(fleet.journals().pop().expect("a journal")).expect("text");
    let plan = journal.lines().next().expect("a line").len() as u64;
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    // Not even the plan fits; or it does, and the first commands.
    for (left, code, says) in [(16 << 10, 70, "nothing was changed"), (plan + (48 << 10), 4, "jail web runs on spare")]
    {
        let folder = fleet.state.path().join(format!("full-{left}"));
        let full = Full::new(&folder, left);
        let told = fleet.jailferry_from(&folder, &["migrate", "web", "big", "--yes"]);
        let told = told.exits(code).says(says).says("No space left on device");
        assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
        before.same(&fleet.states(), &told.all);
        drop(full);
    }
    counting.lost_nothing(&fleet.urls("web")[0]);
}

/// A check of the user's that never ends at the target, and leaves something running besides, costs no more than its time.
#[test]
fn a_check_that_hangs_is_given_up() {
    let Some(fleet) = Fleet::lab("a_check_that_hangs_is_given_up") else { return };
    let before = fleet.states();
    let file = &fleet.file;
    let text = fs::read_to_string(file).expect("fleet.yml is text");
    let check = "      - http: { body: \"jail=web\" }\n";
    assert!(text.contains(check), "{text}");
    let hanging = "grep -q spare /var/run/host || { sleep 1000 & sleep 1000; }";
    let strict = file.with_file_name("hanging.yml");
    let more = format!("{check}      - command: {{ run: {hanging:?} }}\n");
    fs::write(&strict, text.replacen(check, &more, 1)).expect("written");
    let told = fleet.jailferry_with(&strict, &["migrate", "web", "big", "--yes"]).exits(4);
    told.says("fails inside jail web").says("jail web runs on spare");
    fleet.answers_from("web", "spare");
    before.same(&fleet.states(), "after a check that hung");
}
