//! Comparing by content: what is not the same at the target is found while the jail still runs at the source.

use std::process::Command;

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::bench::wait_until;

/// A name that shells, awk and mtree(8) each might stumble over.
const NAME: &str = "an odd 'name' \"here\"\n#\\*";

const DEEP: [&str; 6] = ["migrate", "web", "big", "--yes", "--verify", "deep"];

#[test]
fn a_copy_is_compared_by_content_before_the_jail_stops() {
    let Some(fleet) = Fleet::anew("a_copy_is_compared_by_content") else { return };
    fleet.sh("spare", &files());
    assert!(!fleet.jailferry(&["plan", "web", "big"]).exits(0).stdout.contains("mtree"));
    let plan = fleet.jailferry(&["plan", "web", "big", "--verify", "deep"]).exits(0);
    plan.says("reads every file").says("mount -t zfs -o ro");

    if fleet.has_lab() {
        killed(&fleet);
        what_is_not_the_same_is_found(&fleet);
    }

    let told = fleet.jailferry(&DEEP).exits(0).says("compared by content: ").says("are the same on spare and big");
    assert!(!told.all.contains(" 0 files"), "{}", told.all);
    fleet.answers_from("web", "big");
    nothing_is_left(&fleet);
    let back = fleet.jailferry(&["migrate", "web", "spare", "--yes", "--verify", "sampled"]).exits(0);
    back.says("compared by content: ");
    nothing_is_left(&fleet);
}

/// Files of the jail: many, so that some of them are in a sample, and one with that name.
fn files() -> String {
    let quoted = NAME.replace('\'', r"'\''");
    format!(
        "root=$(jls -j web path)\nmkdir -p $root/srv/data\ncd $root/srv/data\nn=0\nwhile [ $n -lt 100 ]; do echo $n >$n; n=$((n + 1)); done\necho odd >'{quoted}'\nln -s /a/b\\ c a-link"
    )
}

fn what_is_not_the_same_is_found(fleet: &Fleet) {
    found(fleet, "deep", "printf y | dd of=$f bs=1 conv=notrunc 2>/dev/null", "./srv/data/0 differs in content");
    found(fleet, "sampled", "chmod 600 $f", "./srv/data/0 differs in mode");
    found(fleet, "deep", "rm $f", "./srv/data/0 is only on spare");
    let other = "zfs set org.example:other=x jfpool/jails/web/data";
    found(fleet, "sampled", other, "jfpool/jails/web/data differs in the property org.example:other");
}

/// Changes the file srv/data/0 in the snapshot that has arrived on big, once it has and before it is read; the move is
/// taken back, and says so.
fn found(fleet: &Fleet, way: &str, change: &str, cause: &str) {
    let lab = fleet.in_lab();
    let before = fleet.states();
    let jid = fleet.sh("spare", "jls -j web jid");
    let fault = lab.fault("big", &["--match", "mtree -c", "--nth", "1"], "hang");
    let args = ["migrate", "web", "big", "--yes", "--verify", way];
    let child = fleet.start(&args);
    wait_until("the copy on big is about to be read", || lab.fired(&fault) > 0);
    // Behind the back of the emulated ZFS, as a bad disk would: the snapshot is mounted read-only, what it lies in is not.
    fleet.sh("big", &format!("f=$(echo /.lab/zfs/snap/*/srv/data/0)\ntouch -r $f /tmp/stamp\n{change}\n[ ! -e $f ] || touch -r /tmp/stamp $f\nrm /tmp/stamp"));
    lab.clear_faults("big");
    let told = fleet.finished(child, &args).exits(4).says(cause).says("Jail web still runs on spare");
    let failed = fleet.failed_steps();
    assert!(failed.len() == 1 && failed[0].0.contains("by content"), "{failed:#?}\n{}", told.all);
    assert_eq!(fleet.sh("spare", "jls -j web jid"), jid, "{}", told.all);
    before.same(&fleet.states(), &told.all);
    nothing_is_left(fleet);
}

/// The machine dies while big is being read; another call ends what reads, and takes everything away.
fn killed(fleet: &Fleet) {
    let lab = fleet.in_lab();
    let before = fleet.states();
    let fault = lab.fault("big", &["--match", "mtree -c", "--nth", "1"], "hang");
    let mut child = fleet.start(&DEEP);
    wait_until("the copy on big is about to be read", || lab.fired(&fault) > 0);
    assert!(fleet.sh("big", "mount -p").contains(".listing/at"), "no snapshot is mounted");
    let _ = Command::new("kill").args(["-KILL", &child.id().to_string()]).status();
    let _ = child.wait();
    let seen = fleet.jailferry(&["leftovers"]);
    let strange = ["nobody's any more", "to be looked at"].iter().any(|heading| seen.stdout.contains(heading));
    assert!(seen.stdout.contains(".listing") && !strange, "{}", seen.all);
    let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    lab.clear_faults("big");
    before.same(&fleet.states(), &told.all);
    nothing_is_left(fleet);
}

fn nothing_is_left(fleet: &Fleet) {
    for node in NODES {
        let all = fleet.sh(node, "mount -p; ls -A /var/db /var/db/jailferry 2>/dev/null || :; ps -axww -o command=");
        let left: Vec<&str> =
            all.lines().filter(|line| line.contains("listing") || line.contains("mtree -c")).collect();
        assert!(left.is_empty(), "{node}: {left:?}");
    }
}
