//! Failures that people reported of `zfs send` and `zfs receive`, and of tools that drive them, each met by the product's
//! own effects.

use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Stdio;

use jailferry::effect::Base;
use jailferry::effect::Effect;
use jailferry::effect::Others;
use jailferry::effect::Transfer;
use jailferry::effect::Work;
use jailferry::effect::command::Become;
use jailferry::effect::resume::Kept;
use jailferry::effect::resume::Meaning;
use jailferry::effect::resume::Resume;
use jailferry::effect::resume::ResumeToken;
use jailferry::model::SnapshotLabel;
use jailferry::model::SnapshotName;
use jailferry::plan::naming;

use crate::bench::Bench;
use crate::mover::KEY;
use crate::mover::Mover;
use crate::mover::last;
use crate::mover::node;

/// Bytes of the file that makes streams long enough to break.
pub const BLOB: u64 = 4 << 20;

pub fn home(bench: &Bench) -> String {
    format!("{}/jails/web", bench.source)
}

pub fn there(bench: &Bench) -> String {
    format!("{}/jails/web", bench.target)
}

pub fn blob(bench: &Bench, name: &str) {
    let file = format!("$(zfs get -Hp -o value mountpoint {})/{name}", home(bench));
    bench.sh(&format!("dd if=/dev/urandom of={file} bs=65536 count={} 2>/dev/null", BLOB >> 16));
}

/// One dataset with a file.
pub fn plain(bench: &Bench, options: &str) {
    bench.sh(&format!("zfs create {options} {}", home(bench)));
    blob(bench, "blob");
}

pub fn encrypted(bench: &Bench) {
    let key = bench.path(KEY);
    bench.sh(&format!("echo 'correct horse battery' >{key}"));
    plain(bench, &format!("-o encryption=on -o keyformat=passphrase -o keylocation=file://{key}"));
}

pub fn mover<'a>(bench: &'a Bench, number: &str) -> Mover<'a> {
    Mover::new(bench, number, &home(bench), &there(bench), None)
}

/// The first transfer of a run, its snapshot taken.
fn first(mover: &Mover<'_>) -> Transfer {
    mover.snapshot("0");
    mover.transfer(&mover.parts[0], Base::Nothing, "0")
}

pub fn asked(bench: &Bench, resume: &Resume) -> Kept {
    let answer = bench.command(&resume.ask);
    assert_eq!(answer.status, 0, "{answer:?}");
    Resume::kept(&answer.out).unwrap_or_else(|| panic!("{answer:?}"))
}

pub fn token(bench: &Bench, resume: &Resume) -> ResumeToken {
    match asked(bench, resume) {
        Kept::Part(token) => token,
        other => panic!("{other:?}"),
    }
}

pub fn meaning(bench: &Bench, resume: &Resume) -> Meaning {
    let answer = bench.command(&resume.decode);
    assert_eq!(answer.status, 0, "{answer:?}");
    Resume::meaning(&answer.out)
}

/// Lets a broken transfer go on to its end.
fn goes_on(bench: &Bench, resume: &Resume) {
    let with = resume.with(&token(bench, resume));
    match meaning(bench, &with) {
        Meaning::Ours { kept, left } => {
            assert!(kept > 0 && left > 0 && kept + left < 3 * BLOB, "{kept} kept, {left} left of {BLOB}");
        }
        other => panic!("{other:?}"),
    }
    bench.pipe(&with.from, &with.to, None).expect("the rest");
    assert_eq!(asked(bench, resume), Kept::Everything);
}

/// Mounts the copy, read-only, and compares the files.
pub fn same_files(bench: &Bench) {
    let sums = |top: &str| {
        let folder = bench.sh(&format!("zfs get -Hp -o value mountpoint {top}"));
        bench.sh(&format!("cd {} && find . -type f | sort | xargs sha256sum", folder.trim()))
    };
    bench.sh(&format!("zfs mount {}", there(bench)));
    assert_eq!(sums(&home(bench)), sums(&there(bench)));
    bench.sh(&format!("zfs unmount {}", there(bench)));
}

fn property(bench: &Bench, name: &str, property: &str) -> String {
    bench.sh(&format!("zfs get -Hp -o value {property} {name}")).trim().to_owned()
}

#[test]
fn leftover_state_of_a_full_receive_is_gone_on_with_and_its_rest_is_reckoned_soberly() {
    let bench = Bench::make();
    plain(&bench, "");
    let mover = mover(&bench, "01");
    let transfer = first(&mover);
    mover.broken(&transfer, BLOB / 2);
    goes_on(&bench, &mover.resume(transfer));
    same_files(&bench);
}

#[test]
fn leftover_state_of_an_increment_keeps_nothing_busy_when_the_run_is_undone() {
    let bench = Bench::make();
    plain(&bench, "");
    let mover = mover(&bench, "01");
    mover.copy();
    blob(&bench, "more");
    mover.snapshot("1");
    let transfer = mover.transfer(&mover.parts[0], Base::Bookmark(naming::bookmark(&mover.run)), "1");
    mover.broken(&transfer, BLOB / 2);
    assert!(matches!(asked(&bench, &mover.resume(transfer)), Kept::Part(_)));
    bench.does(&Effect::DiscardReceived {
        host: node("b"),
        datasets: mover.targets(),
        run: mover.run.clone(),
        arriving: Vec::new(),
    });
    assert_ne!(bench.try_sh(&format!("zfs list {}", there(&bench))).status, 0);
}

#[test]
fn leftover_state_in_an_older_copy_goes_and_the_copy_stays() {
    let bench = Bench::make();
    plain(&bench, "");
    mover(&bench, "01").all();
    Mover::new(&bench, "02", &there(&bench), &home(&bench), Some(&mover_run("01"))).all();
    let mover = Mover::new(&bench, "03", &home(&bench), &there(&bench), Some(&mover_run("02")));
    blob(&bench, "more");
    mover.snapshot("0");
    let transfer = mover.transfer(&mover.parts[0], mover.parts[0].base.clone(), "0");
    mover.broken(&transfer, BLOB / 2);
    bench.does(&mover.rolled_back(&mover.parts[0]));
    assert_eq!(property(&bench, &there(&bench), "receive_resume_token"), "-");
    mover.copy();
    mover.catch_up("final");
    mover.compare();
}

fn mover_run(number: &str) -> jailferry::model::RunId {
    jailferry::model::RunId::new(format!("web-000000{number}")).expect("a run's name")
}

#[test]
fn a_token_of_a_snapshot_that_is_gone_is_recognised_and_given_up() {
    let bench = Bench::make();
    plain(&bench, "");
    let mover = mover(&bench, "01");
    let transfer = first(&mover);
    mover.broken(&transfer, BLOB / 2);
    let resume = mover.resume(transfer.clone());
    let with = resume.with(&token(&bench, &resume));
    // Its name comes back, it does not.
    for name in ["", &format!("zfs snapshot {}@{}", home(&bench), transfer.label)] {
        bench.sh(&format!("zfs destroy {}@{}\n{name}", home(&bench), transfer.label));
        match meaning(&bench, &with) {
            Meaning::Foreign(why) => assert!(why.contains(transfer.label.as_str()), "{why}"),
            other => panic!("{other:?}"),
        }
        if name.is_empty() {
            bench.sh(&format!("zfs snapshot {}@{}", home(&bench), transfer.label));
        }
    }
    assert_eq!(bench.command(&resume.abort).status, 0);
    assert_eq!(asked(&bench, &resume), Kept::Nothing);
    bench.does(&Effect::Transfer(transfer));
}

#[test]
fn a_mountpoint_of_the_source_is_not_used_at_the_target_and_nothing_is_mounted() {
    let bench = Bench::make();
    plain(&bench, &format!("-o mountpoint={}", bench.path("elsewhere")));
    mover(&bench, "01").copy();
    let parent = property(&bench, &format!("{}/jails", bench.target), "mountpoint");
    assert_eq!(property(&bench, &there(&bench), "mountpoint"), format!("{parent}/web"));
    assert_eq!(property(&bench, &there(&bench), "mounted"), "no");
    assert_eq!(property(&bench, &there(&bench), "canmount"), "noauto");
    assert_eq!(property(&bench, &there(&bench), "readonly"), "on");
}

/// An older copy, with a snapshot on it that is nobody's of ours and shows nothing new.
fn with_a_foreign_snapshot(bench: &Bench) -> (Mover<'_>, Effect) {
    mover(bench, "01").all();
    let run = mover_run("01");
    Mover::new(bench, "02", &there(bench), &home(bench), Some(&run)).all();
    bench.sh(&format!("zfs snapshot {}@daily", there(bench)));
    let mover = Mover::new(bench, "03", &home(bench), &there(bench), Some(&mover_run("02")));
    mover.snapshot("0");
    let transfer = Effect::Transfer(mover.transfer(&mover.parts[0], mover.parts[0].base.clone(), "0"));
    (mover, transfer)
}

/// OpenZFS only looks whether the files have changed since the base (dsl_dataset_modified_since_snap).
#[test]
fn a_foreign_snapshot_on_the_copy_that_shows_nothing_new_stays_and_is_passed() {
    let bench = Bench::make();
    plain(&bench, "");
    let (mover, transfer) = with_a_foreign_snapshot(&bench);
    bench.does(&mover.rolled_back(&mover.parts[0]));
    bench.does(&transfer);
    let names = bench.sh(&format!("zfs list -Hp -d 1 -t snapshot -o name -s createtxg {} | tail -n 2", there(&bench)));
    let label = |name: &str| name.split_once('@').map(|(_, label)| label.to_owned()).unwrap_or_default();
    let names: Vec<String> = names.lines().map(label).collect();
    assert_eq!(names, ["daily".to_owned(), jailferry::plan::naming::label(&mover.run, "0").to_string()]);
}

#[test]
fn a_foreign_snapshot_does_not_break_the_chain_of_raw_streams_for_good() {
    let bench = Bench::make();
    encrypted(&bench);
    let (mover, transfer) = with_a_foreign_snapshot(&bench);
    let refused = bench.tries(&mover.rolled_back(&mover.parts[0])).expect_err("somebody's snapshot is newer");
    assert!(refused.status == 22 && refused.err.contains("@daily is newer"), "{refused:?}");
    // Without that a raw stream is refused all the same.
    bench.tries(&transfer).expect_err("the most recent snapshot is another one");
    bench.sh(&format!("zfs list {there}@daily; zfs destroy {there}@daily", there = there(&bench)));
    bench.does(&mover.rolled_back(&mover.parts[0]));
    bench.does(&transfer);
}

/// An older copy that somebody mounted and wrote to.
fn foreign_changes_go_back_first(bench: &Bench) {
    mover(bench, "01").all();
    Mover::new(bench, "02", &there(bench), &home(bench), Some(&mover_run("01"))).all();
    bench.sh(&format!(
        "zfs set readonly=off {there}; zfs mount {there}; echo foreign >$(zfs get -Hp -o value mountpoint {there})/foreign; zfs unmount {there}",
        there = there(bench)
    ));
    let mover = Mover::new(bench, "03", &home(bench), &there(bench), Some(&mover_run("02")));
    mover.snapshot("0");
    let transfer = Effect::Transfer(mover.transfer(&mover.parts[0], mover.parts[0].base.clone(), "0"));
    let refused = bench.tries(&transfer).expect_err("it has been modified");
    assert!(refused.err.contains("has been modified"), "{refused:?}");
    mover.copy();
    mover.catch_up("final");
    mover.compare();
}

#[test]
fn foreign_changes_on_the_copy_go_back_before_it_is_brought_up_to_date() {
    let bench = Bench::make();
    plain(&bench, "");
    foreign_changes_go_back_first(&bench);
}

#[test]
fn foreign_changes_on_a_raw_copy_go_back_before_it_is_brought_up_to_date() {
    let bench = Bench::make();
    encrypted(&bench);
    foreign_changes_go_back_first(&bench);
}

#[test]
fn large_blocks_arrive_whole_in_full_incremental_and_resumed_streams() {
    let bench = Bench::make();
    plain(&bench, "-o recordsize=1m");
    let mover = mover(&bench, "01");
    let transfer = first(&mover);
    mover.broken(&transfer, BLOB / 2);
    goes_on(&bench, &mover.resume(transfer.clone()));
    let file = format!("{}/blob", property(&bench, &home(&bench), "mountpoint"));
    bench.sh(&format!("printf XX | dd of={file} bs=1 seek=1500000 conv=notrunc 2>/dev/null"));
    blob(&bench, "more");
    mover.snapshot("1");
    let transfer = mover.transfer(&mover.parts[0], Base::Snapshot(transfer.label), "1");
    mover.broken(&transfer, BLOB / 2);
    goes_on(&bench, &mover.resume(transfer));
    same_files(&bench);
}

#[test]
fn a_record_size_that_changes_between_streams_corrupts_nothing() {
    let bench = Bench::make();
    plain(&bench, "-o recordsize=128k");
    let mover = mover(&bench, "01");
    mover.copy();
    let file = format!("{}/blob", property(&bench, &home(&bench), "mountpoint"));
    for (round, size) in [("1", "1m"), ("2", "8k"), ("3", "128k")] {
        bench.sh(&format!(
            "zfs set recordsize={size} {}; printf {round} | dd of={file} bs=1 seek=700000 conv=notrunc 2>/dev/null; cp {file} {file}.{round}; truncate -s 1000 {file}.{round}; echo x >>{file}.{round}",
            home(&bench)
        ));
        mover.catch_up(round);
    }
    same_files(&bench);
}

#[test]
fn a_quota_neither_stops_the_copy_nor_gets_lost() {
    let bench = Bench::make();
    // Snapshots count for quota and not for refquota: the stream is larger than refquota.
    plain(&bench, "-o quota=40m -o refquota=6m");
    let mover = mover(&bench, "01");
    let transfer = first(&mover);
    mover.broken(&transfer, BLOB / 2);
    goes_on(&bench, &mover.resume(transfer.clone()));
    assert_eq!(property(&bench, &there(&bench), "quota"), (40 << 20).to_string());
    assert_eq!(property(&bench, &there(&bench), "refquota"), (6 << 20).to_string());
    let file = format!("{}/blob", property(&bench, &home(&bench), "mountpoint"));
    let mut base = transfer.label;
    for round in ["1", "2"] {
        bench.sh(&format!("rm {file}; sync"));
        blob(&bench, "blob");
        mover.snapshot(round);
        let transfer = mover.transfer(&mover.parts[0], Base::Snapshot(base), round);
        base = transfer.label.clone();
        bench.does(&Effect::Transfer(transfer));
    }
    same_files(&bench);
}

#[test]
fn a_clone_stays_one_where_the_target_has_its_origin() {
    let bench = Bench::make();
    bench.sh(&format!(
        "zfs create {a}/jails/base; head -c 3000000 /dev/urandom >$(zfs get -Hp -o value mountpoint {a}/jails/base)/file; zfs snapshot {a}/jails/base@1; zfs send -p {a}/jails/base@1 | zfs receive -u {b}/jails/release; zfs clone {a}/jails/base@1 {web}",
        a = bench.source,
        b = bench.target,
        web = home(&bench)
    ));
    bench.sh(&format!("echo own >$(zfs get -Hp -o value mountpoint {})/own", home(&bench)));
    let mut mover = mover(&bench, "01");
    let name = |text: String| SnapshotName::new(&text).expect("a snapshot");
    mover.parts[0].base = Base::Origin {
        here: name(format!("{}/jails/base@1", bench.source)),
        there: name(format!("{}/jails/release@1", bench.target)),
    };
    mover.all();
    assert_eq!(property(&bench, &there(&bench), "origin"), format!("{}/jails/release@1", bench.target));
    let used: u64 = property(&bench, &there(&bench), "used").parse().expect("bytes");
    assert!(used < 1_000_000, "{used} bytes of its own");
    Mover::new(&bench, "02", &there(&bench), &home(&bench), Some(&mover_run("01"))).all();
    assert_eq!(property(&bench, &home(&bench), "origin"), format!("{}/jails/base@1", bench.source));
}

/// A receive that has half of its stream. It waits for more, and nobody is there to send it.
pub fn orphan(bench: &Bench, transfer: &Transfer) -> (Child, ChildStdin) {
    let Work::Pipe { from, to, .. } = Effect::Transfer(transfer.clone()).work() else { panic!("no stream") };
    let stream = bench.path("stream");
    bench.sh(&format!("{} >{stream}", from.text()));
    let mut orphan = std::process::Command::new("/bin/sh");
    orphan.args(["-c", &to.remote_line(Become::None)]).env("PATH", format!("{}:/usr/sbin:/usr/bin", bench.path("bin")));
    let mut orphan = orphan.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sh runs");
    let bytes = std::fs::read(&stream).expect("a stream");
    let mut input = orphan.stdin.take().expect("a pipe");
    input.write_all(&bytes[..bytes.len() / 2]).expect("it reads");
    (orphan, input)
}

#[test]
fn an_orphan_receive_is_ended_before_the_transfer_goes_on() {
    let bench = Bench::make();
    plain(&bench, "");
    let mover = mover(&bench, "01");
    let transfer = first(&mover);
    let (mut orphan, _input) = orphan(&bench, &transfer);
    goes_on(&bench, &mover.resume(transfer));
    assert!(!orphan.wait().expect("it has ended").success());
    same_files(&bench);
}

#[test]
fn no_hold_outlives_its_run() {
    let bench = Bench::make();
    plain(&bench, "");
    let first = mover(&bench, "01");
    first.all();
    Mover::new(&bench, "02", &there(&bench), &home(&bench), Some(&first.run)).all();
    let holds = format!(
        "for s in $(zfs list -Hp -r -t snapshot -o name {} {}); do zfs holds -H $s; done | cut -f 2 | sort -u",
        home(&bench),
        there(&bench)
    );
    let run = mover_run("02");
    assert_eq!(bench.sh(&holds).trim(), naming::bookmark(&run).as_str());
    let others = Others::Sent { last: last(&run), snapshots: Vec::new() };
    bench.does(&Effect::DestroyParked { host: node("b"), datasets: first.targets(), run: run.clone(), others });
    let (dataset, held_by) = (first.source().clone(), Some(naming::bookmark(&run)));
    bench.does(&Effect::DestroySnapshot { host: node("a"), dataset, label: last(&run), held_by });
    assert_eq!(bench.sh(&format!("zfs list -Hp -t snapshot -o name -r {}", home(&bench))), "");
}

/// The steps of src/plan/migrate.rs for a dataset with snapshots of its administrator.
#[test]
fn snapshots_of_others_travel_and_none_is_destroyed_that_is_nowhere_else() {
    let bench = Bench::make();
    plain(&bench, "");
    bench.sh(&format!("zfs snapshot {}@daily-1", home(&bench)));
    blob(&bench, "more");
    bench.sh(&format!("zfs snapshot {}@daily-2", home(&bench)));
    let mover = mover(&bench, "01");
    let labels = ["daily-1", "daily-2"].map(|label| SnapshotLabel::new(label).expect("a label"));
    let name = |label: &SnapshotLabel| SnapshotName { dataset: mover.source().clone(), label: label.clone() };
    let snapshots: Vec<SnapshotName> = labels.iter().map(name).collect();
    let tag = naming::bookmark(&mover.run);
    let hold = Effect::HoldSnapshots { host: node("a"), snapshots: snapshots.clone(), tag: tag.clone() };
    let release = Effect::ReleaseSnapshots { host: node("a"), snapshots: snapshots.clone(), tag };
    bench.does(&hold);
    bench.does(&hold);
    assert_ne!(bench.try_sh(&format!("zfs destroy {}@daily-1", home(&bench))).status, 0, "it is held");
    mover.snapshot("0");
    let (part, [one, two]) = (&mover.parts[0], &labels);
    let send = |base: Base, label: SnapshotLabel| Transfer { label, ..mover.transfer(part, base, "0") };
    bench.does(&Effect::Transfer(send(Base::Nothing, one.clone())));
    bench.does(&Effect::Transfer(send(Base::Snapshot(one.clone()), two.clone())));
    bench.does(&Effect::Transfer(mover.transfer(part, Base::Snapshot(two.clone()), "0")));
    bench.does(&release);
    bench.does(&release);
    mover.remember("0");
    bench.sh(&format!("zfs snapshot {}@unsent", home(&bench)));
    mover.cut();
    mover.accept();
    let guids = |of: String| {
        bench.sh(&format!("zfs list -Hp -d 1 -t snapshot -s createtxg -o name,guid {of} | cut -d @ -f 2 | grep ^daily"))
    };
    assert_eq!(guids(home(&bench)), guids(there(&bench)));
    assert_eq!(guids(there(&bench)).lines().count(), 2);
    bench.sh(&format!("zfs snapshot {}@later", home(&bench)));
    let destroy =
        |others| Effect::DestroyParked { host: node("a"), datasets: mover.sources(), run: mover.run.clone(), others };
    let refused = bench.tries(&destroy(Others::Sent { last: last(&mover.run), snapshots })).expect_err("one is unsent");
    assert!(refused.err.contains("@unsent") && !refused.err.contains("@later"), "{refused:?}");
    bench.does(&destroy(Others::Discard));
    assert_ne!(bench.try_sh(&format!("zfs list {}", home(&bench))).status, 0);
}

#[test]
fn a_child_that_was_given_its_parent_s_key_takes_raw_increments_afterwards() {
    let bench = Bench::make();
    encrypted(&bench);
    bench.sh(&format!("zfs create {}/data", home(&bench)));
    let mover = mover(&bench, "01");
    mover.copy();
    bench.does(&Effect::LoadKeys { host: node("b"), keys: mover.keys() });
    let root = |name: String| property(&bench, &name, "encryptionroot");
    assert_eq!(root(format!("{}/data", there(&bench))), there(&bench));
    for round in ["1", "2"] {
        bench.sh(&format!("echo {round} >$(zfs get -Hp -o value mountpoint {}/data)/round", home(&bench)));
        mover.catch_up(round);
        assert_eq!(root(format!("{}/data", there(&bench))), there(&bench), "after round {round}");
        // The key is still right, and what came can be read with it.
        bench.does(&Effect::UnloadKeys { host: node("b"), datasets: mover.targets() });
        bench.does(&Effect::LoadKeys { host: node("b"), keys: mover.keys() });
        bench.sh(&format!(
            "zfs mount {there}; zfs mount {there}/data; [ \"$(cat $(zfs get -Hp -o value mountpoint {there}/data)/round)\" = {round} ]; zfs unmount {there}/data; zfs unmount {there}",
            there = there(&bench)
        ));
    }
}
