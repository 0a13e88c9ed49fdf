//! Properties of a jail's datasets that are changed between moves: they follow it, although an increment does not bring them.

use crate::bench::Fleet;

const WEB: &str = "jfpool/jails/web";

/// The values of their own that web's datasets have on a node, but for what tells copies apart.
fn own_values(fleet: &Fleet, node: &str) -> String {
    fleet.sh(
        node,
        &format!(
            "zfs get -Hp -r -t filesystem -s local,received -o name,property,value all {WEB} | grep -Ev '\t(mountpoint|canmount|readonly|org.jailferry:[a-z]*)\t' | sort"
        ),
    )
}

#[test]
fn properties_that_were_changed_meanwhile_come_home() {
    let Some(fleet) = Fleet::anew("properties_that_were_changed_meanwhile_come_home") else { return };
    fleet.sh("spare", &format!("zfs set exec=off quota=900m atime=off {WEB}/data"));
    let at_home = own_values(&fleet, "spare");
    fleet.jailferry(&["migrate", "web", "big", "--yes", "--verify", "sampled"]).exits(0).says("compared by content: ");
    assert_eq!(own_values(&fleet, "big"), at_home);

    let changes = format!(
        "zfs set atime=on quota=1g compression=off {WEB}/data\nzfs inherit exec {WEB}/data\nzfs set 'org.example:owner=it'\\''s $(hostname) \"x\"' {WEB}"
    );
    fleet.sh("big", &changes);
    let there = own_values(&fleet, "big");
    assert!(there != at_home && there.contains("it's $(hostname) \"x\""), "{there}");
    let plan = fleet.jailferry(&["plan", "web", "spare"]).exits(0);
    plan.says("quota of jfpool/jails/web/data on spare as on big")
        .says("atime, compression, exec of jfpool/jails/web/data on spare as on big")
        .says("org.example:owner of jfpool/jails/web on spare as on big");

    // Taken back, the older copy is as it was; each step is one that failed after its effect.
    let steps: &[&str] = &["zfs set quota=", "zfs set compression=", "zfs set 'org.example:owner="];
    for step in if fleet.has_lab() { steps } else { &[] } {
        let (lab, before) = (fleet.in_lab(), fleet.states());
        let fault =
            lab.fault("spare", &["--script", "--match", step, "--nth", "1", "--when", "after"], "fail:1:no more");
        let told = fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(4).says("jail web runs on big");
        assert_eq!(lab.fired(&fault), 1, "the fault did not strike\n{}", told.all);
        lab.clear_faults("spare");
        let failed = fleet.failed_steps();
        assert!(failed.len() == 1 && failed[0].0.contains("on spare as on big"), "{failed:?}\n{}", told.all);
        before.same(&fleet.states(), &told.all);
    }

    fleet
        .jailferry(&["migrate", "web", "spare", "--yes", "--verify", "sampled"])
        .exits(0)
        .says("compared by content: ");
    assert_eq!(own_values(&fleet, "spare"), there);
    fleet.answers_from("web", "spare");
    // Nothing is left to be changed on the way there again.
    let again = fleet.jailferry(&["plan", "web", "big"]).exits(0);
    assert!(!again.stdout.contains("on big as on spare"), "{}", again.stdout);
}
