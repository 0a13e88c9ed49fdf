//! Trees that move to the other pool and home again, ten times: no leftovers, the same properties, the same content.

use jailferry::effect::Effect;
use jailferry::effect::Others;
use jailferry::model::RunId;

use crate::bench::Bench;
use crate::mover::KEY;
use crate::mover::Mover;
use crate::mover::dataset;
use crate::mover::last;
use crate::mover::node;

/// Values that move while nothing is being done.
const VOLATILE: &str = "available|compressratio|createtxg|creation|filesystem_count|logicalreferenced|logicalused|objsetid|refcompressratio|referenced|snapshot_count|snapshots_changed|used|usedbychildren|usedbydataset|usedbyrefreservation|usedbysnapshots|written";

/// All properties of a tree but those, and every file.
fn state(bench: &Bench, top: &str) -> String {
    let properties = bench.sh(&format!(
        "zfs get -Hp -r -t filesystem,volume -o name,property,value,source all {top} | grep -Ev '\t({VOLATILE})\t' | sort"
    ));
    let folder = bench.sh(&format!("zfs get -Hp -o value mountpoint {top}"));
    let files = bench.sh(&format!("cd {} && find . | sort && find . -type f | sort | xargs sha256sum", folder.trim()));
    properties + &files
}

/// What differs, a line each.
fn differ(before: &str, after: &str) -> Vec<String> {
    let only = |a: &str, b: &str, mark: &str| {
        let b: std::collections::BTreeSet<&str> = b.lines().collect();
        a.lines().filter(|line| !b.contains(line)).map(|line| format!("{mark} {line}")).collect::<Vec<_>>()
    };
    [only(before, after, "-"), only(after, before, "+")].concat()
}

fn write(bench: &Bench, top: &str, name: &str) {
    bench.sh(&format!(
        "for d in $(zfs list -Hp -r -t filesystem -o name {top}); do f=$(zfs get -Hp -o value mountpoint $d); dd if=/dev/urandom of=$f/{name} bs=1024 count=300 2>/dev/null; mkdir $f/dir-{name}; echo {name} >$f/dir-{name}/file; done"
    ));
}

/// How often there and back: `JAILFERRY_ROUND_TRIPS`, ten without it.
fn round_trips() -> u32 {
    match std::env::var("JAILFERRY_ROUND_TRIPS") {
        Ok(count) => count.parse().expect("JAILFERRY_ROUND_TRIPS is a number"),
        Err(_) => 10,
    }
}

/// Again and again to the target and home; what is written there comes along.
fn to_and_fro(bench: &Bench) {
    let (here, there) = (format!("{}/jails/web", bench.source), format!("{}/jails/web", bench.target));
    let before = state(bench, &here);
    let mut since: Option<RunId> = None;
    let mut written = Vec::new();
    for number in 1..=2 * round_trips() {
        let (from, to) = if number % 2 == 1 { (&here, &there) } else { (&there, &here) };
        let name = format!("written-{number}");
        write(bench, from, &name);
        written.push(name);
        let mover = Mover::new(bench, &format!("{number:02}"), from, to, since.as_ref());
        mover.all();
        let left = bench.sh(&format!("zfs get -Hp -r -s local,received -o name,value org.jailferry:run {to}"));
        assert_eq!(left, "", "marks on the live copy");
        let kept =
            bench.sh(&format!("zfs list -Hp -r -t snapshot,bookmark -o name {here} {there} | grep -v 'before$'"));
        let kept: Vec<&str> = kept.lines().collect();
        let only = format!("@{}", last(&mover.run));
        assert!(kept.iter().all(|name| name.ends_with(&only)), "{kept:#?}");
        assert_eq!(kept.len(), 2 * mover.parts.len(), "{kept:#?}");
        since = Some(mover.run.clone());
    }
    // Home again: finalize lets go of the other copy and of the last snapshot.
    let run = since.expect("it moved");
    let parts = Mover::new(bench, "99", &there, &here, Some(&run)).parts;
    let copies = parts.iter().map(|part| part.source.dataset.clone()).collect();
    let others = Others::Sent { last: last(&run), snapshots: Vec::new() };
    bench.does(&Effect::DestroyParked { host: node("b"), datasets: copies, run: run.clone(), others });
    bench.does(&Effect::DestroySnapshot {
        host: node("a"),
        dataset: parts[0].target.dataset.clone(),
        label: last(&run),
        held_by: Some(jailferry::plan::naming::bookmark(&run)),
    });
    assert_eq!(
        bench.sh(&format!("zfs list -Hp -r -o name {}/jails", bench.target)),
        format!("{}/jails\n", bench.target)
    );
    let left = bench.sh(&format!("zfs list -Hp -r -t snapshot,bookmark -o name {here} | grep -v 'before$' || :"));
    assert_eq!(left, "", "snapshots or bookmarks");
    for name in &written {
        bench.sh(&format!(
            "for d in $(zfs list -Hp -r -t filesystem -o name {here}); do f=$(zfs get -Hp -o value mountpoint $d); [ \"$(cat $f/dir-{name}/file)\" = {name} ]; rm -r $f/dir-{name} $f/{name}; done"
        ));
    }
    assert_eq!(differ(&before, &state(bench, &here)), Vec::<String>::new());
}

fn plain(bench: &Bench) -> String {
    let web = format!("{}/jails/web", bench.source);
    bench.sh(&format!("zfs create -o atime=off {web}; zfs create -o recordsize=16k -o quota=500m {web}/data"));
    write(bench, &web, "first");
    web
}

#[test]
fn a_plain_tree_goes_there_and_back() {
    let bench = Bench::make();
    plain(&bench);
    to_and_fro(&bench);
}

#[test]
fn a_tree_with_a_property_of_every_origin_goes_there_and_back() {
    let bench = Bench::make();
    let web = plain(&bench);
    // Both pools are of one host here, so away from home `data` is mounted below `web` (mover.rs), in a folder that comes
    // home with it.
    bench.sh(&format!(
        "zfs set mountpoint={} {web}/data; mkdir $(zfs get -Hp -o value mountpoint {web})/data; zfs set canmount=noauto exec=off {web}/data; zfs set org.example:owner='a b' {web}; zfs create -o readonly=on {web}/data/deep; zfs set refquota=400m reservation=10m {web}",
        bench.path("elsewhere")
    ));
    to_and_fro_but_for_deep(&bench);
}

/// What is read-only at home cannot be written there.
fn to_and_fro_but_for_deep(bench: &Bench) {
    bench.sh(&format!("zfs destroy {}/jails/web/data/deep", bench.source));
    to_and_fro(bench);
}

#[test]
fn an_encrypted_tree_whose_child_uses_the_same_key_goes_there_and_back() {
    let bench = Bench::make();
    let web = format!("{}/jails/web", bench.source);
    let key = bench.path(KEY);
    bench.sh(&format!(
        "echo 'correct horse battery' >{key}; zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file://{key} {web}; zfs create {web}/data; zfs create {web}/data/deep"
    ));
    write(&bench, &web, "first");
    to_and_fro(&bench);
}

#[test]
fn a_tree_with_a_clone_in_it_goes_there_and_back() {
    let bench = Bench::make();
    let web = plain(&bench);
    bench.sh(&format!("zfs snapshot {web}/data@before; zfs clone {web}/data@before {web}/clone"));
    to_and_fro_in_full(&bench);
}

/// A clone of a dataset that moves along arrives in full, and keeps its origin at home.
fn to_and_fro_in_full(bench: &Bench) {
    to_and_fro(bench);
    let origin = bench.sh(&format!("zfs get -Hp -o value origin {}/jails/web/clone", bench.source));
    assert_eq!(origin.trim(), format!("{}/jails/web/data@before", bench.source));
}

/// Sorted by name a clone may come before its origin or behind it.
#[test]
fn a_parked_tree_with_a_clone_in_it_goes_whatever_its_order() {
    let bench = Bench::make();
    let web = plain(&bench);
    for clone in ["a", "z"] {
        bench.sh(&format!("zfs snapshot {web}/data@{clone}; zfs clone {web}/data@{clone} {web}/{clone}"));
    }
    let run = RunId::new("web-00000001").expect("a run");
    let datasets: Vec<_> = bench.sh(&format!("zfs list -H -r -o name {web}")).lines().map(dataset).collect();
    for one in &datasets {
        bench.sh(&format!("zfs set org.jailferry:run={run} {one}; zfs unmount {one} 2>/dev/null || :"));
    }
    bench.sh(&format!("! zfs get -H -o value -r mounted {web} | grep -q yes"));
    bench.does(&Effect::DestroyParked { host: node("a"), datasets, run, others: Others::Discard });
    bench.sh(&format!("! zfs list {web} 2>/dev/null"));
}

#[test]
fn a_tree_with_a_volume_goes_there_and_back() {
    let bench = Bench::make();
    let web = plain(&bench);
    bench.sh(&format!("zfs create -s -V 8m -o volblocksize=16k {web}/disk"));
    to_and_fro(&bench);
}
