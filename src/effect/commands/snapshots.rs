//! Somebody's snapshots that travel along are held until they are sent: zfs-hold(8). Whoever thins them out meanwhile is
//! told that they are busy, and the next one of the chain keeps its base.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::zfs;
use crate::model::NodeName;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;

/// Names on one command line: each waits for the pool's next transaction group, and all of them for one deadline.
const AT_ONCE: usize = 100;

/// `tag already exists` is success of an earlier try: decided by reading the holds back.
pub(super) fn hold(host: &NodeName, snapshots: &[SnapshotName], tag: &SnapshotLabel) -> Work {
    each(host, snapshots, |names, count| {
        format!(
            "zfs hold {tag} {names} 2>/dev/null || :\nheld=$(zfs holds -H {names} 2>/dev/null) || :\nif [ \"$(printf '%s\\n' \"$held\" | grep -c '\t{tag}\t')\" != {count} ]; then\n  for s in {names}; do\n    case $held in *\"$s\t{tag}\t\"*) ;; *) echo \"$s cannot be held: was it destroyed since this was planned?\" >&2 ;; esac\n  done\n  exit 21\nfi"
        )
    })
}

/// One that is gone is not held either.
pub(super) fn release(host: &NodeName, snapshots: &[SnapshotName], tag: &SnapshotLabel) -> Work {
    each(host, snapshots, |names, _| {
        format!(
            "zfs release {tag} {names} 2>/dev/null || :\nif zfs holds -H {names} 2>/dev/null | grep -q '\t{tag}\t'; then exit 21; fi"
        )
    })
}

fn each(host: &NodeName, snapshots: &[SnapshotName], script: impl Fn(&str, usize) -> String) -> Work {
    let one = |some: &[SnapshotName]| {
        let names: Vec<String> = some.iter().map(ToString::to_string).collect();
        Command::script(host, zfs::each(some.len()), script(&names.join(" "), some.len())).whole()
    };
    Work::Run(snapshots.chunks(AT_ONCE).map(one).collect())
}
