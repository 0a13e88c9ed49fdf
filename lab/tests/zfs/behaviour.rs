//! What the recordings do not show: that the data itself is right.

use crate::sandbox::Sandbox;

fn host() -> Sandbox {
    let host = Sandbox::new();
    host.ok("truncate -s 640m /root/disk0; zpool create -m none -o cachefile=none zroot /root/disk0");
    host.ok("zfs create -o mountpoint=/usr/jails zroot/jails; zfs create zroot/jails/web; zfs create zroot/dst");
    host
}

/// Type, owner, mode, time, name and content of everything below.
fn listing(dir: &str) -> String {
    format!(
        "cd {dir} && find . -printf '%y %U:%G %m %T@ %p %l\\n' | sort -k5 && find . -type f | sort | xargs -r sha256sum"
    )
}

/// Where the live tree of an unmounted dataset lies.
fn live(host: &Sandbox, name: &str) -> String {
    let id = host.ok(&format!("zfs get -Hp -o value objsetid {name}"));
    host.path().join("state/zfs/fs").join(id.trim()).display().to_string()
}

fn same_trees(host: &Sandbox, from: &str, to: &str) {
    let (from, to) = (live(host, from), live(host, to));
    assert_eq!(host.ok(&listing(&from)), host.ok(&listing(&to)));
}

#[test]
fn increments_carry_every_kind_of_change() {
    let host = host();
    host.ok(
        "cd /usr/jails/web; mkdir -p a/b; echo one > a/b/one; head -c 3000000 /dev/urandom > big; ln -s big link; mkfifo pipe; echo gone > gone; mkdir dir; echo x > dir/x; echo y > turns; chmod 4750 a/b/one",
    );
    host.ok("zfs snapshot zroot/jails/web@1; zfs send zroot/jails/web@1 | zfs receive -u zroot/dst/web");
    same_trees(&host, "zroot/jails/web", "zroot/dst/web");
    host.ok(
        "cd /usr/jails/web; printf XX | dd of=big bs=1 seek=1500000 conv=notrunc status=none; rm -r gone dir turns; mkdir turns; echo z > turns/z; ln -sf a link; chmod 600 a/b/one; echo two >> a/b/one; truncate -s 10 a/b/one; echo file > dir",
    );
    host.ok("zfs snapshot zroot/jails/web@2; zfs send -i @1 zroot/jails/web@2 | zfs receive -u zroot/dst/web");
    same_trees(&host, "zroot/jails/web", "zroot/dst/web");
    let sent: u64 = host.ok("zfs send -nP -i @1 zroot/jails/web@2 | tail -1 | cut -f 2").trim().parse().unwrap();
    assert!(sent < 1_000_000, "only the changed record of the big file is sent, not {sent} bytes");
}

#[test]
fn a_snapshot_stays_what_it_was_and_rollback_brings_it_back() {
    let host = host();
    host.ok("cd /usr/jails/web; echo one > file; zfs snapshot zroot/jails/web@1; echo two > file; zfs snapshot zroot/jails/web@2; echo three > file");
    let refused = host.run("zfs rollback zroot/jails/web@1");
    assert!(refused.status == 1 && refused.err.contains("more recent snapshots or bookmarks exist"), "{refused:?}");
    host.ok("zfs rollback -r zroot/jails/web@1");
    assert_eq!(host.ok("cat /usr/jails/web/file"), "one\n");
    assert_eq!(host.ok("zfs list -Hp -t snapshot -o name -r zroot/jails"), "zroot/jails/web@1\n");
}

#[test]
fn a_resumed_receive_equals_an_undisturbed_one() {
    let host = host();
    host.ok("cd /usr/jails/web; echo before > a; head -c 9000000 /dev/urandom > blob; echo after > z; zfs snapshot zroot/jails/web@1");
    // A copy with the same guid in the same pool is not what the token means.
    host.ok("zfs send zroot/jails/web@1 | zfs receive -u zroot/dst/copy");
    for bytes in [2_000, 3_000_000, 6_000_000] {
        let cut = host.run(&format!("zfs send zroot/jails/web@1 | head -c {bytes} | zfs receive -s -u zroot/dst/web"));
        assert!(cut.err.contains("Partially received snapshot is saved."), "{cut:?}");
        host.ok(
            "zfs send -t $(zfs get -Hp -o value receive_resume_token zroot/dst/web) | zfs receive -s -u zroot/dst/web",
        );
        same_trees(&host, "zroot/jails/web", "zroot/dst/web");
        let guids = host.ok("zfs get -Hp -o value guid zroot/jails/web@1 zroot/dst/web@1");
        let (source, target) = guids.trim().split_once('\n').unwrap();
        assert_eq!(source, target);
        host.ok("zfs destroy -r zroot/dst/web");
    }
}

#[test]
fn a_stream_changed_on_the_way_is_refused_and_leaves_nothing() {
    let host = host();
    host.ok("head -c 300000 /dev/zero > /usr/jails/web/blob; zfs snapshot zroot/jails/web@1; zfs send zroot/jails/web@1 > /root/s");
    host.ok("printf X | dd of=/root/s bs=1 seek=150000 conv=notrunc status=none");
    let refused = host.run("zfs receive -u zroot/dst/web < /root/s");
    assert_eq!(refused.err, "cannot receive new filesystem stream: checksum mismatch\n");
    assert_eq!(host.run("zfs list zroot/dst/web").status, 1);
}

#[test]
fn mounting_follows_canmount_readonly_and_the_tree() {
    let host = host();
    host.ok("zfs create zroot/jails/web/data; zfs create -o canmount=noauto zroot/jails/parked");
    assert_eq!(host.ok("zfs get -Hp -o value mounted zroot/jails/parked zroot/jails/web/data"), "no\nyes\n");
    host.ok("zfs set readonly=on zroot/jails/web");
    assert!(host.run("echo x > /usr/jails/web/data/x").status != 0);
    host.ok("zfs set readonly=off zroot/jails/web; echo x > /usr/jails/web/data/x; zfs unmount zroot/jails/web");
    assert_eq!(host.ok("ls -A /usr/jails/web; zfs get -Hp -o value mounted zroot/jails/web/data"), "no\n");
    host.ok("zfs mount -a");
    assert_eq!(host.ok("cat /usr/jails/web/data/x; zfs get -Hp -o value mounted zroot/jails/parked"), "x\nno\n");
    let twice = host.run("zfs mount zroot/jails/web");
    assert_eq!((twice.status, twice.err.as_str()), (1, "cannot mount 'zroot/jails/web': filesystem already mounted\n"));
}

#[test]
fn wrong_usage_exits_2() {
    let host = host();
    for (script, first) in [
        ("zfs send -Z zroot@1", "invalid option 'Z'"),
        ("zfs frobnicate", "unrecognized command 'frobnicate'"),
        ("zfs get", "missing property argument"),
        ("zpool list -Z", "invalid option 'Z'"),
        ("zfs receive", "missing snapshot argument"),
    ] {
        let answer = host.run(script);
        assert_eq!((answer.status, answer.err.lines().next()), (2, Some(first)), "{script}");
    }
}

#[test]
fn a_replicated_tree_follows_its_source_with_force() {
    let host = host();
    host.ok("zfs create zroot/jails/web/old; zfs snapshot -r zroot/jails/web@1; zfs send -R zroot/jails/web@1 | zfs receive -u zroot/dst/web");
    host.ok("zfs destroy -r zroot/jails/web/old; zfs create zroot/jails/web/new; echo x > /usr/jails/web/x; zfs snapshot -r zroot/jails/web@2");
    host.ok("zfs send -R -I @1 zroot/jails/web@2 | zfs receive -F -u zroot/dst/web");
    let names = host.ok("zfs list -H -o name -r -t all zroot/dst/web");
    let wanted = ["", "@1", "@2", "/new", "/new@2"].map(|tail| format!("zroot/dst/web{tail}\n")).concat();
    assert_eq!(names, wanted);
}

#[test]
fn a_bookmark_serves_as_base_after_its_snapshot_is_gone() {
    let host = host();
    host.ok("cd /usr/jails/web; echo 1 > f; zfs snapshot zroot/jails/web@1; zfs send zroot/jails/web@1 | zfs receive -u zroot/dst/web");
    host.ok("zfs bookmark zroot/jails/web@1 zroot/jails/web#b; zfs destroy zroot/jails/web@1; echo 2 > /usr/jails/web/f; zfs snapshot zroot/jails/web@2");
    host.ok("zfs send -i '#b' zroot/jails/web@2 | zfs receive -u zroot/dst/web");
    same_trees(&host, "zroot/jails/web", "zroot/dst/web");
}

#[test]
fn after_a_reboot_nothing_is_mounted_and_a_pool_without_cache_file_is_imported_again() {
    let host = host();
    host.ok(
        "echo kept > /usr/jails/web/f; umount /usr/jails/web /usr/jails; rm -r ${LAB_STATE}/run ${LAB_STATE}/mounts",
    );
    assert_eq!(host.run("zpool list -H -o name zroot").status, 1);
    host.ok("zpool import -d /root/ -o cachefile=none zroot");
    assert_eq!(host.ok("cat /usr/jails/web/f"), "kept\n");
}

#[test]
fn a_killed_receive_is_taken_up_where_it_was_and_a_second_one_is_refused() {
    let host = host();
    host.ok("head -c 30000000 /dev/urandom > /usr/jails/web/blob; zfs snapshot zroot/jails/web@1; zfs send zroot/jails/web@1 > /root/s; mkfifo /root/f");
    // The receive waits for more when its token tells that it has some; only then is it killed.
    let second = host.run(
        "(head -c 20000000 /root/s; exec sleep 100) > /root/f & feeder=$!
        zfs receive -s -u zroot/dst/web < /root/f & receiver=$!
        until zfs send -nvP -t \"$(zfs get -Hp -o value receive_resume_token zroot/dst/web 2>/dev/null)\" 2>/dev/null | grep -q 'bytes = 0x1[0-9a-f]\\{6\\}$'; do sleep 0.1; done
        zfs send -t $(zfs get -Hp -o value receive_resume_token zroot/dst/web) 2>/dev/null | zfs receive -s -u zroot/dst/web
        kill -9 $receiver; kill $feeder; wait $receiver",
    );
    let said: Vec<&str> = second.err.lines().filter(|line| line.starts_with("cannot")).collect();
    assert_eq!(said, ["cannot receive new filesystem stream: destination 'zroot/dst/web' is busy"]);
    host.ok("zfs send -t $(zfs get -Hp -o value receive_resume_token zroot/dst/web) | zfs receive -s -u zroot/dst/web");
    same_trees(&host, "zroot/jails/web", "zroot/dst/web");
}

#[test]
fn what_a_volume_does_not_have_cannot_be_set_on_it_by_a_receive() {
    let host = host();
    host.ok("zfs create -V 1m zroot/jails/web/disk; zfs snapshot -r zroot/jails/web@1");
    let receive = |send: &str, options: &str, into: &str| {
        host.run(&format!("zfs send {send} 2>/dev/null | zfs receive -u {options} zroot/dst/{into}"))
    };
    let refused = receive("-p zroot/jails/web/disk@1", "-o canmount=noauto", "disk@1");
    assert_eq!(refused.status, 1, "{refused:?}");
    assert_eq!(
        refused.err,
        "cannot receive new filesystem stream: property 'canmount' does not apply to datasets of this type\n"
    );
    let told = receive("-p zroot/jails/web/disk@1", "-x mountpoint -o readonly=on", "disk@1");
    assert_eq!(told.status, 0, "{told:?}");
    let warning = "Warning: zroot/dst/disk: property 'mountpoint' does not apply to datasets of this type\n";
    assert_eq!(told.err, warning);
    // The file systems of a tree get it, its volumes do not.
    let tree = receive("-R zroot/jails/web@1", "-o canmount=noauto", "web");
    assert_eq!((tree.status, tree.err.as_str()), (0, ""), "{tree:?}");
}
