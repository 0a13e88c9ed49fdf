//! Properties of an older copy are brought in line with the source, and back, where they are local, received or neither.

use jailferry::effect::Effect;
use jailferry::effect::PropertyChange;
use jailferry::effect::PropertyState;

use crate::bench::Bench;
use crate::mover::Mover;
use crate::mover::node;

/// Value and source of each.
fn seen(bench: &Bench, dataset: &str) -> Vec<String> {
    let names = "compression,exec,quota,refquota,snapshot_limit,org.example:owner";
    let said = bench.sh(&format!("zfs get -Hp -o property,value,source {names} {dataset}"));
    said.lines().map(|line| line.replace('\t', " ")).collect()
}

#[test]
fn properties_of_an_older_copy_follow_the_source_and_go_back() {
    let bench = Bench::make();
    let (here, there) = (format!("{}/jails/web", bench.source), format!("{}/jails/web", bench.target));
    bench.sh(&format!("zfs create -o compression=lz4 -o exec=off -o quota=500m -o refquota=400m {here}"));
    let mover = Mover::new(&bench, "01", &here, &there, None);
    mover.copy();
    // Set on the copy afterwards, over what it received.
    bench.sh(&format!("zfs set exec=on {there}"));
    let before = seen(&bench, &there);
    assert!(before[0].starts_with("compression lz4 received") && before[1] == "exec on local", "{before:?}");

    let local = |value: &str| PropertyState::Local(value.to_owned());
    let set = |changes: Vec<(&str, PropertyState)>| {
        let changes = changes.into_iter().map(|(name, state)| PropertyChange { name: name.to_owned(), state });
        bench.does(&Effect::SetProperties {
            host: node("b"),
            dataset: mover.target().clone(),
            changes: changes.collect(),
        });
    };
    set(vec![
        ("compression", PropertyState::Inherited),
        ("exec", local("off")),
        ("quota", local("none")),
        ("refquota", local("104857600")),
        ("snapshot_limit", local("9")),
        ("org.example:owner", local("it's $(hostname) \"x\"")),
    ]);
    let after = seen(&bench, &there);
    assert_ne!(after[0], before[0]);
    assert!(!after[0].contains("received") && !after[0].contains("local"), "{after:?}");
    assert_eq!(
        after[1..],
        [
            "exec off local",
            "quota 0 local",
            "refquota 104857600 local",
            "snapshot_limit 9 local",
            "org.example:owner it's $(hostname) \"x\" local"
        ]
    );

    set(vec![
        ("compression", PropertyState::Received),
        ("exec", local("on")),
        ("quota", PropertyState::Received),
        ("refquota", PropertyState::Received),
        ("snapshot_limit", PropertyState::Inherited),
        ("org.example:owner", PropertyState::Inherited),
    ]);
    assert_eq!(seen(&bench, &there), before);
}
