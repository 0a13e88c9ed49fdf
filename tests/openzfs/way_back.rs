//! The jail ran at the target for a moment, and what it wrote there goes home: `BringBack` of a plan's way back.

use jailferry::effect::BringBack;
use jailferry::effect::Effect;
use jailferry::plan::naming;

use crate::bench::Bench;
use crate::mover::KEY;
use crate::mover::Mover;
use crate::mover::last;
use crate::mover::node;

fn back(mover: &Mover<'_>) -> Effect {
    Effect::BringBack(BringBack {
        from: node("b"),
        to: node("a"),
        pairs: mover.targets().into_iter().zip(mover.sources()).collect(),
        base: last(&mover.run),
        label: naming::label(&mover.run, "back"),
        raw: mover.parts.iter().any(|part| part.raw),
        run: Some(mover.run.clone()),
    })
}

fn park_target(mover: &Mover<'_>) {
    let datasets = mover.parts.iter().map(|part| part.target.clone()).collect();
    mover.bench.does(&Effect::Park { host: node("b"), datasets, run: mover.run.clone() });
}

/// Moves, writes at the target, and has it parked again.
fn there_for_a_moment<'a>(bench: &'a Bench, here: &str, there: &str) -> Mover<'a> {
    let mover = Mover::new(bench, "01", here, there, None);
    mover.copy();
    mover.catch_up("1");
    mover.cut();
    bench.sh(&format!(
        "for d in $(zfs list -Hp -r -t filesystem -o name {there}); do f=$(zfs get -Hp -o value mountpoint $d); echo away >$f/away; rm $f/first; done"
    ));
    park_target(&mover);
    mover
}

/// The source's copy is the jail's again.
fn at_home(mover: &Mover<'_>, here: &str) {
    let keys = mover.keys();
    if !keys.is_empty() {
        let datasets = mover.targets();
        mover.bench.does(&Effect::UnloadKeys { host: node("b"), datasets });
    }
    let live = mover.parts.iter().map(|part| part.source.clone()).collect();
    mover.bench.does(&Effect::Unpark { host: node("a"), datasets: live });
    mover.bench.sh(&format!(
        "for d in $(zfs list -Hp -r -t filesystem -o name {here}); do f=$(zfs get -Hp -o value mountpoint $d); [ \"$(cat $f/away)\" = away ]; [ ! -e $f/first ]; echo more >$f/more; done"
    ));
    let label = naming::label(&mover.run, "back");
    let kept = mover.bench.sh(&format!("zfs list -Hp -r -t snapshot -o name {here}"));
    assert!(!kept.contains(label.as_str()), "{kept}");
}

fn refused(mover: &Mover<'_>, words: &str) {
    let answer = mover.bench.tries(&back(mover)).expect_err("it was brought home");
    assert!(answer.status == 22 && answer.err.contains(words), "{answer:?}");
}

#[test]
fn what_was_written_at_the_target_comes_home_behind_a_snapshot_of_somebody_else() {
    let bench = Bench::make();
    let (here, there) = (format!("{}/jails/web", bench.source), format!("{}/jails/web", bench.target));
    bench.sh(&format!(
        "zfs create -o atime=off {here}; zfs create -o recordsize=16k {here}/data; for d in {here} {here}/data; do echo first >$(zfs get -Hp -o value mountpoint $d)/first; done"
    ));
    let mover = there_for_a_moment(&bench, &here, &there);
    // Of the parked copy, while nobody answered.
    bench.sh(&format!("zfs snapshot -r {here}@hourly"));
    bench.does(&back(&mover));
    // As far as the source knows, once more.
    bench.does(&back(&mover));
    assert_eq!(bench.sh(&format!("zfs list -Hp -r -t snapshot -o name {here} | grep -c @hourly")), "2\n");

    // Somebody mounts the target's copy again, and writes to it.
    let live = || mover.parts.iter().map(|part| part.target.clone()).collect();
    bench.does(&Effect::Unpark { host: node("b"), datasets: live() });
    refused(&mover, "is mounted");
    bench.sh(&format!("echo later >$(zfs get -Hp -o value mountpoint {there}/data)/later"));
    park_target(&mover);
    refused(&mover, &format!("{there}/data was written to behind @"));
    bench.sh(&format!("zfs destroy -r {there}@{}", naming::label(&mover.run, "back")));
    bench.does(&back(&mover));
    at_home(&mover, &here);
    assert_eq!(bench.sh(&format!("cat $(zfs get -Hp -o value mountpoint {here}/data)/later")), "later\n");
    // What the jail has written at home is not lost to another try.
    refused(&mover, "is in use");
}

#[test]
fn what_was_written_to_an_encrypted_tree_comes_home_raw() {
    let bench = Bench::make();
    let (here, there) = (format!("{}/jails/web", bench.source), format!("{}/jails/web", bench.target));
    let key = bench.path(KEY);
    bench.sh(&format!(
        "echo 'correct horse battery' >{key}; zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file://{key} {here}; zfs create {here}/data; for d in {here} {here}/data; do echo first >$(zfs get -Hp -o value mountpoint $d)/first; done"
    ));
    let mover = there_for_a_moment(&bench, &here, &there);
    bench.does(&back(&mover));
    at_home(&mover, &here);
    refused(&mover, "is in use");
}
