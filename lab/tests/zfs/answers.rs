//! Every recording of zfs and zpool on FreeBSD 13.2, asked again: the same columns, texts and exit statuses, with numbers masked.

use crate::sandbox::Sandbox;

struct Recording {
    command: String,
    out: String,
    err: String,
    status: i32,
}

fn recording(name: &str) -> Recording {
    let path = format!("{}/../fixtures/freebsd-13.2/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (command, rest) = text.strip_prefix("$ ").unwrap().split_once("\n--- stdout\n").unwrap();
    let rest = format!("\n{rest}");
    let (out, rest) = rest.split_once("\n--- stderr\n").unwrap();
    let rest = format!("\n{rest}");
    let (err, status) = rest.split_once("\n--- exit ").unwrap();
    Recording {
        command: command.into(),
        out: out.trim_start().into(),
        err: err.trim_start().into(),
        status: status.trim().parse().unwrap(),
    }
}

/// Numbers, sizes, tokens and dates as `N`, `TOKEN`, `DATE`; lines sorted where two processes write them; without progress and the shell's own words.
fn masked(text: &str, sorted: bool) -> String {
    let progress = |line: &&str| line.as_bytes().get(2) == Some(&b':') && line.as_bytes().get(5) == Some(&b':');
    let lines = text.lines().filter(|line| !progress(line) && !line.contains("kill: "));
    let mut lines: Vec<String> = lines.map(mask_line).collect();
    if sorted {
        lines.retain(|line| !line.is_empty());
        lines.sort();
    }
    lines.join("\n")
}

fn mask_line(line: &str) -> String {
    const DAYS: [&str; 7] = ["Sun ", "Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat "];
    let line = match DAYS.iter().find_map(|day| line.find(day)) {
        Some(at) => format!("{}DATE", &line[..at]),
        None => line.to_string(),
    };
    let mut masked = String::new();
    for word in line.split_inclusive(|c: char| " \t(=:'/".contains(c)) {
        let end = word.trim_end_matches(|c: char| " \t(=:'/)s".contains(c));
        let number = end.trim_end_matches(['K', 'M', 'G', 'B']);
        let tail = &word[end.len()..];
        if end.starts_with("1-") && end.matches('-').count() == 3 {
            masked += &format!("TOKEN{tail}");
        } else if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            masked += &format!("N{tail}");
        } else if end.starts_with("0x") {
            masked += &format!("HEX{tail}");
        } else {
            masked += word;
        }
    }
    masked
}

/// Asks again and compares.
fn same(host: &Sandbox, name: &str) {
    let recorded = recording(name);
    let piped = recorded.command.contains('|');
    let mut answer = host.run(&recorded.command);
    // Whether the sender of a short stream still sees a receiver that refuses leave is up to the pipe.
    if piped && !recorded.err.contains("signal received") {
        answer.err =
            answer.err.lines().filter(|line| !line.ends_with("signal received")).map(|l| format!("{l}\n")).collect();
    }
    let show = |out: &str, err: &str, status: i32| {
        format!("{}\n--- stderr\n{}\n--- exit {status}", masked(out, false), masked(err, piped))
    };
    let wanted = show(&host.here(&recorded.out), &host.here(&recorded.err), recorded.status);
    assert_eq!(show(&answer.out, &answer.err, answer.status), wanted, "{name}: {}", recorded.command);
}

/// The recorded session, in its order.
#[test]
fn every_recording_is_answered_alike() {
    let host = Sandbox::new();
    let all = |names: &[&str]| names.iter().for_each(|name| same(&host, name));
    host.ok("truncate -s 640m /root/disk0");
    all(&["zpool-create", "zfs-create"]);
    host.ok("zfs create zroot/jails/web");
    all(&[
        "zfs-create-quiet",
        "zfs-create-exists",
        "zfs-version",
        "zfs-list-absent",
        "zfs-list-badprop",
        "zfs-set-user",
    ]);
    host.ok("head -c 20000000 /dev/urandom > /usr/jails/web/data/blob; zfs inherit org.jailferry:run zroot/jails/web");
    all(&["zfs-snapshot", "zfs-snapshot-exists", "zfs-list-snapshots", "zfs-list", "zfs-get-source", "zpool-list"]);
    all(&["zfs-hold", "zfs-hold-again", "zfs-holds", "zfs-destroy-held", "zfs-release", "zfs-bookmark"]);
    all(&["zpool-features", "zfs-send-dry", "zfs-send-dry-single", "zfs-send-progress"]);
    host.ok("zfs create zroot/dst");
    all(&["zfs-recv-full", "zfs-recv-full-child", "zfs-list-received", "zfs-recv-exists"]);
    host.ok("echo more > /usr/jails/web/data/more");
    same(&host, "zfs-written");
    host.ok("zfs snapshot -r zroot/jails/web@jailferry-r1-2");
    all(&["zfs-send-dry-incr", "zfs-send-dry-incr1", "zfs-recv-incr", "zfs-recv-incr-nobase", "zfs-recv-modified"]);
    all(&["zfs-recv-diverged", "zfs-recv-truncated", "zfs-resume-token", "zfs-recv-partial-busy"]);
    all(&["zfs-send-token-dry", "zfs-recv-resume", "zfs-recv-truncated2", "zfs-recv-abort-none", "zfs-destroy-dry"]);
    all(&["zfs-clone-origin", "zfs-send-clone-origin", "zfs-rename-unmount"]);
    host.ok("mkdir /usr/jails/web/bin; mount --bind /usr/bin /usr/jails/web/bin");
    same(&host, "zfs-umount-busy");
    host.ok("umount /usr/jails/web/bin");
    same(&host, "send-progress");
    all(&["send-R-dry-clone", "recv-no-space", "recv-killed", "recv-nested-props", "zfs-enc"]);
    host.ok("echo passw0rd1 > /root/pw; zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/pw zroot/enc2");
    host.ok("zfs snapshot zroot/enc2@jailferry-r1-1");
    all(&["zfs-enc-props", "zfs-send-enc-R", "zfs-send-enc-raw"]);
}
