//! Recordings of network, pf and jail commands, asked in a network namespace: no lab is needed for them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::mask::masked;
use crate::recording;
use crate::recording::Answer;
use crate::recording::Recording;

/// Recordings in an order in which each finds what the host that was recorded had, with what has to be made before (sh).
pub const CASES: &[(&str, &str)] = &[
    ("ifconfig-epair-create", ""),
    ("ifconfig-epair-show", ""),
    ("ifconfig-epair-fib-bad", ""),
    ("ifconfig-epair-fib", ""),
    ("ifconfig-bridge-create", ""),
    ("ifconfig-addm", ""),
    ("ifconfig-bridge-show", ""),
    ("ifconfig-addm-missing", ""),
    ("ifconfig-deletem", ""),
    ("ifconfig-addm-mtu", ""),
    ("epair-unit-taken-b", ""),
    ("route-add-host", ""),
    ("route-get", ""),
    ("route-add-host-again", ""),
    ("route-add-q-again", ""),
    ("route-add-prefix32", ""),
    ("route-add-host6", ""),
    ("route-add-net6", ""),
    ("route-add-badfib", ""),
    ("route-add-badif", ""),
    ("route-get-absent", ""),
    ("route-delete", ""),
    ("route-delete-absent", ""),
    ("route-fib-list", ""),
    ("netstat-F0-plain", ""),
    ("netstat-badfib", ""),
    ("netstat-json-0", ""),
    ("jls-absent", ""),
    ("jexec-absent", ""),
    ("jail-syntax-b", ""),
    ("jail-unknown", ""),
    ("include-132", ""),
    ("pf-disabled", "kldload -n pf"),
    ("pf-badfile", ""),
    ("pf-table-add", "pfctl -q -t jailferry_nat -T add 10.0.0.1; pfctl -q -t jailferry_nat -T flush"),
    ("pf-table-show", ""),
    ("pf-table-test", ""),
    ("pf-table-delete", ""),
    ("pf-table-replace", ""),
];

const COMMANDS: &[&str] = &[
    "ifconfig", "route", "netstat", "arp", "ndp", "pfctl", "setfib", "jail", "jls", "jexec", "kldload", "kldstat",
    "sysctl",
];

#[test]
fn answers_have_the_shape_of_a_real_freebsd() {
    if !crate::is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (bin, out) = (dir.path().join("bin"), dir.path().join("out"));
    for folder in [&bin, &out] {
        fs::create_dir_all(folder).expect("a folder");
    }
    for command in COMMANDS {
        symlink(env!("CARGO_BIN_EXE_lab"), bin.join(command)).expect("a link");
    }
    // Two FIBs, as the recorded host had; the marks are another test's matter, so the rules are left out.
    let state = dir.path().join("state");
    fs::create_dir_all(state.join("run/fibs/interface")).expect("a folder");
    fs::write(state.join("run/fibs/count"), "2").expect("a file");
    let mut script = String::from(
        "ip link set lo up\nnft -f - <<END\ntable inet fibs { map of { type ifname : mark; }; }\ntable bridge fibs { map of { type ifname : mark; }; }\nEND\n",
    );
    let recordings: Vec<(&str, Recording)> = CASES.iter().map(|(name, _)| (*name, recording::read(name))).collect();
    for ((name, recording), (_, before)) in recordings.iter().zip(CASES) {
        let at = out.join(name);
        fs::write(at.with_extension("sh"), &recording.command).expect("a script");
        script += &format!("{before}\nsh {0}.sh >{0}.out 2>{0}.err\necho $? >{0}.rc\n", at.display());
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let status = Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", &script])
        .env("LAB_STATE", &state)
        .env("PATH", path)
        .status()
        .expect("unshare runs");
    assert!(status.success(), "{status}");
    let mut wrong = String::new();
    for (name, recording) in &recordings {
        let got = |ending: &str| fs::read_to_string(out.join(name).with_extension(ending)).expect("an answer");
        let status = got("rc").trim().parse().expect("a number");
        let answer = masked(&Answer { out: got("out"), err: got("err"), status });
        let wanted = masked(&recording.answer);
        if answer != wanted {
            wrong += &format!("\n{name}: $ {}\n wanted {wanted:?}\n    got {answer:?}\n", recording.command);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
