//! A jail that mounts datasets of its own (`jailed=on`), with one that it has made inside.

use std::fs;

use crate::bench::Fleet;
use crate::client::Client;

const OWN: &str = "jfpool/jails/web/data";

/// Hands the jail its `data`, which it mounts when it starts; nothing in it unmounts it when it stops.
fn hand_over(fleet: &Fleet) {
    fleet.stop("spare", "web");
    fleet.sh(
        "spare",
        &format!(
            "zfs unmount {OWN}
            zfs set mountpoint=/data {OWN}
            zfs create -o mountpoint=/data/pg {OWN}/pg
            zfs unmount {OWN}/pg 2>/dev/null || :
            zfs set jailed=on {OWN}
            sed -i '' -e 's~^    exec.start  = ~    enforce_statfs = 1;\\
    allow.mount;\\
    allow.mount.zfs;\\
    exec.created = \"/sbin/zfs jail web {OWN}\";\\
    exec.start = \"/sbin/zfs mount {OWN}\";\\
    exec.start += \"/sbin/zfs mount {OWN}/pg\";\\
    exec.start += ~' /etc/jail.conf.d/web.conf
            jail -q -f /etc/jail.conf.d/web.conf -c web >/dev/null
            jls -j web jid >/var/run/jail_web.id
            jexec web sh -c 'echo first >/data/pg/file'"
        ),
    );
    fleet.answers_from("web", "spare");
}

const LIVE: &str = "zfs list -Hp -r -o name,mountpoint,jailed,mounted,canmount,readonly jfpool/jails/web/data";

#[test]
fn a_jail_takes_its_own_datasets_along_and_brings_them_home() {
    let Some(fleet) = Fleet::anew("a_jail_takes_its_own_datasets_along_and_brings_them_home") else { return };
    hand_over(&fleet);
    let live = fleet.sh("spare", LIVE);
    assert_eq!(live, format!("{OWN}\t/data\ton\tyes\ton\toff\n{OWN}/pg\t/data/pg\ton\tyes\ton\toff\n"));
    // A jail whose mounts were left would be dying for as long, and nobody could change their mount point or name.
    assert!(!fleet.try_sh("spare", &format!("zfs set mountpoint=/elsewhere {OWN}")).status.success());

    if fleet.has_lab() {
        it_fails_there(&fleet, &live);
    }

    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    fleet.jailferry(&["migrate", "web", "big", "--yes", "--verify", "deep"]).exits(0);
    fleet.answers_from("web", "big");
    assert_eq!(fleet.sh("big", LIVE), live);
    assert_eq!(fleet.sh("spare", LIVE), live.replace("\ton\tyes\ton\toff", "\toff\tno\tnoauto\ton"));
    assert_eq!(fleet.sh("big", "jexec web sh -c 'cat /data/pg/file; echo second >>/data/pg/file'"), "first\n");

    fleet.jailferry(&["migrate", "web", "spare", "--yes", "--verify", "deep"]).exits(0);
    fleet.answers_from("web", "spare");
    assert_eq!(fleet.sh("spare", LIVE), live);
    assert_eq!(fleet.sh("spare", "jexec web cat /data/pg/file"), "first\nsecond\n");
    counting.lost_nothing(&fleet.urls("web")[0]);
}

/// It fails once everything is at the target, and all of it is put back.
fn it_fails_there(fleet: &Fleet, live: &str) {
    let start = ["--match", "jail -f /etc/jail.conf.d/web.conf -c web"];
    let fault = fleet.in_lab().fault("big", &start, "fail:1:no");
    let before = fleet.states();
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(4);
    assert!(fleet.in_lab().fired(&fault) > 0, "{}", told.all);
    let failed = fleet.failed_steps();
    assert!(failed.len() == 1 && failed[0].0 == "start jail web on big", "{failed:?}\n{}", told.all);
    before.same(&fleet.states(), &told.all);
    assert_eq!(fleet.sh("spare", LIVE), live);
    fleet.in_lab().clear_faults("big");
}

#[test]
fn a_dataset_that_appears_on_the_way_is_not_left_behind() {
    let Some(fleet) = Fleet::anew("a_dataset_that_appears_on_the_way_is_not_left_behind") else { return };
    let file = fleet.state.path().join("late.yml");
    let text = "hooks:\n  - when: before cut-over\n    on: source\n    script: zfs create -u jfpool/jails/web/late\nmoves:\n  - { jail: web, to: big }\n";
    fs::write(&file, text).expect("the test's own folder");
    let file = file.display().to_string();
    let told = fleet.jailferry(&["run", &file, "--yes"]).exits(4);
    assert!(told.all.contains("made since the plan was, and not part of it: jfpool/jails/web/late"), "{}", told.all);
    fleet.answers_from("web", "spare");
    // Planned again it travels.
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    fleet.answers_from("web", "big");
    fleet.sh("big", "zfs list jfpool/jails/web/late");
}

#[test]
fn what_a_jail_is_given_from_elsewhere_is_told_beforehand() {
    let Some(fleet) = Fleet::anew("what_a_jail_is_given_from_elsewhere_is_told_beforehand") else { return };
    fleet.sh(
        "spare",
        "zfs create -u jfpool/elsewhere
        sed -i '' -e 's~^    exec.start  = ~    exec.created = \"/sbin/zfs jail web jfpool/elsewhere\";\\
    exec.start = ~' /etc/jail.conf.d/web.conf",
    );
    let told = fleet.jailferry(&["plan", "web", "big"]).exits(3).says("error[delegated-elsewhere]");
    assert!(told.all.contains("jfpool/elsewhere"), "{}", told.all);
}
