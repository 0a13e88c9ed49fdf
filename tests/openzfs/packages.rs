//! Several snapshots in one stream: broken in the middle, gone on with, rolled back, sent again.

use jailferry::effect::Base;
use jailferry::effect::Effect;
use jailferry::effect::Transfer;
use jailferry::effect::resume::Kept;
use jailferry::effect::resume::Meaning;
use jailferry::effect::resume::Resume;
use jailferry::model::SnapshotLabel;

use crate::bench::Bench;
use crate::mover::Mover;
use crate::mover::node;
use crate::reports::BLOB;
use crate::reports::asked;
use crate::reports::blob;
use crate::reports::encrypted;
use crate::reports::home;
use crate::reports::meaning;
use crate::reports::mover;
use crate::reports::orphan;
use crate::reports::plain;
use crate::reports::same_files;
use crate::reports::there;
use crate::reports::token;

fn daily(day: u32) -> SnapshotLabel {
    SnapshotLabel::new(format!("daily-{day}")).expect("a label")
}

/// Four snapshots, a file more in each.
fn days(bench: &Bench) {
    for day in 1..=4 {
        blob(bench, &format!("part-{day}"));
        bench.sh(&format!("zfs snapshot {}@daily-{day}", home(bench)));
    }
}

/// The stream of the first, and that of the others.
fn streams(mover: &Mover<'_>) -> (Transfer, Transfer) {
    let send = |base: Base, label: SnapshotLabel| Transfer { label, ..mover.transfer(&mover.parts[0], base, "0") };
    let others = send(Base::Snapshot(daily(1)), daily(4));
    (send(Base::Nothing, daily(1)), Transfer { through: vec![daily(2), daily(3)], ..others })
}

fn arrived(bench: &Bench, resume: &Resume) -> Option<SnapshotLabel> {
    resume.arrived(&bench.command(&resume.ask).out).cloned()
}

/// What the product does behind a break in the third: its rest, then the fourth.
fn goes_on_in_the_third(bench: &Bench, resume: &Resume) {
    let rest = resume.with(&token(bench, resume));
    assert_eq!(arrived(bench, resume), Some(daily(2)));
    let meant = meaning(bench, &rest);
    assert!(matches!(meant, Meaning::Ours { kept, .. } if kept > 0), "{meant:?}");
    bench.pipe(&rest.from, &rest.to, None).expect("the rest of the third");
    assert_eq!((asked(bench, resume), arrived(bench, resume)), (Kept::Nothing, Some(daily(3))));
    let onward = resume.onward.as_ref().expect("more behind it").behind(&daily(3));
    bench.pipe(&onward.from, &resume.to, None).expect("the fourth");
    assert_eq!(asked(bench, resume), Kept::Everything);
}

fn same_snapshots(bench: &Bench) {
    let list = |of: String| {
        bench.sh(&format!("zfs list -Hp -d 1 -t snapshot -s createtxg -o name,guid {of} | sed -n 's/.*@daily/daily/p'"))
    };
    assert_eq!(list(home(bench)), list(there(bench)));
    assert_eq!(list(there(bench)).lines().count(), 4);
    let left = bench.sh(&format!("zfs get -Hp -o property all {} | grep jailferry-web || :", there(bench)));
    assert_eq!(left, "", "what told the receive by is no property");
}

/// Then what the run itself adds.
fn ends(bench: &Bench, mover: &Mover<'_>) {
    bench.does(&Effect::Transfer(mover.transfer(&mover.parts[0], Base::Snapshot(daily(4)), "0")));
    same_snapshots(bench);
}

#[test]
fn an_orphan_receive_of_several_snapshots_is_ended_before_they_go_on() {
    let bench = Bench::make();
    plain(&bench, "");
    days(&bench);
    let mover = mover(&bench, "01");
    mover.snapshot("0");
    let (first, others) = streams(&mover);
    bench.does(&Effect::Transfer(first));
    let (mut orphan, _input) = orphan(&bench, &others);
    goes_on_in_the_third(&bench, &mover.resume(others.clone()));
    assert!(!orphan.wait().expect("it has ended").success());
    // Once more, as after a lost answer: read and forgotten.
    bench.does(&Effect::Transfer(others));
    ends(&bench, &mover);
    same_files(&bench);
}

#[test]
fn several_raw_snapshots_break_go_on_go_back_and_come_again() {
    let bench = Bench::make();
    encrypted(&bench);
    days(&bench);
    let mover = mover(&bench, "01");
    mover.snapshot("0");
    let (first, others) = streams(&mover);
    bench.does(&Effect::Transfer(first));
    let back = Effect::RollBackReceived {
        host: node("b"),
        dataset: mover.target().clone(),
        base: daily(1),
        run: mover.run.clone(),
        arriving: vec![daily(2), daily(3), daily(4)],
        newer: jailferry::effect::Newer::Keeps,
    };
    let names = || bench.sh(&format!("zfs list -Hp -t snapshot -o name {} | sed 's/.*@//'", there(&bench)));
    mover.broken(&others, BLOB * 3 / 2);
    bench.does(&back);
    assert_eq!(names(), "daily-1\n");
    mover.broken(&others, BLOB * 3 / 2);
    goes_on_in_the_third(&bench, &mover.resume(others.clone()));
    bench.does(&back);
    assert_eq!(names(), "daily-1\n");
    bench.does(&Effect::Transfer(others));
    ends(&bench, &mover);
}
