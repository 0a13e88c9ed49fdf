//! Datasets that a jail mounts itself: no host may change their mount point while they are delegated, and no copy is.

use crate::bench::Bench;
use crate::mover::Mover;

/// Name below the jail's, and what tells a live copy from a parked one.
fn seen(bench: &Bench, root: &str) -> Vec<String> {
    let said = bench.sh(&format!(
        "zfs get -Hp -r -t filesystem -o name,property,value mountpoint,canmount,readonly,zoned {root}/data"
    ));
    said.lines().map(|line| line.replacen(root, "", 1).replace('\t', " ")).collect()
}

#[test]
fn delegated_datasets_go_there_and_come_home() {
    let bench = Bench::make();
    let (here, there) = (format!("{}/jails/web", bench.source), format!("{}/jails/web", bench.target));
    bench.sh(&format!(
        "zfs create {here}
        zfs create -u -o mountpoint=/nowhere-on-the-host -o compression=zstd {here}/data
        zfs create -u -o mountpoint=/nowhere-on-the-host/else {here}/data/own
        zfs create -u {here}/data/pg
        zfs set zoned=on {here}/data"
    ));
    let refused = bench.try_sh(&format!("zfs set mountpoint=/elsewhere {here}/data"));
    assert!(refused.status != 0 && refused.err.contains("non-global zone"), "{refused:?}");
    let live = seen(&bench, &here);
    assert!(live.iter().filter(|line| line.ends_with(" zoned on")).count() == 3, "{live:?}");
    let parked: Vec<String> = live
        .iter()
        .map(|line| {
            line.replace("zoned on", "zoned off")
                .replace("canmount on", "canmount noauto")
                .replace("readonly off", "readonly on")
        })
        .collect();

    // Their paths are inside the jail, so they stay as they are (src/plan/datasets.rs); the jail's root is where the pool is.
    let mut out = Mover::new(&bench, "01", &here, &there, None);
    out.parts.iter_mut().for_each(|part| part.target.mountpoint = part.source.mountpoint.clone());
    out.all();
    assert_eq!((seen(&bench, &there), seen(&bench, &here)), (live.clone(), parked.clone()));
    let mut home = Mover::new(&bench, "02", &there, &here, Some(&out.run));
    home.parts.iter_mut().for_each(|part| part.target.mountpoint = part.source.mountpoint.clone());
    home.all();
    assert_eq!((seen(&bench, &here), seen(&bench, &there)), (live, parked));
}
