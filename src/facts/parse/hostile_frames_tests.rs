//! Whole answers whose frames are right and whose content is not: every reader of a round gives facts or an error without
//! control characters, never a panic.

use proptest::prelude::*;

use super::*;
use crate::facts::questions::JailQuestions;
use crate::facts::questions::TargetQuestions;
use crate::facts::recordings::stdout;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::RemotePath;

/// Every label of the questions, those of all rounds.
const LABELS: [&str; 64] = [
    "hostname",
    "machine",
    "kernel",
    "installed",
    "running",
    "userland",
    "clock",
    "uid",
    "commands",
    "modules",
    "sysctl",
    "ifconfig",
    "netstat",
    "wg-interfaces",
    "wg-public-key",
    "wg-listen-port",
    "wg-allowed-ips",
    "wg-latest-handshakes",
    "wg-endpoints",
    "wireguard-file",
    "wireguard-digest",
    "pf-status",
    "pf-nat",
    "pf-rules",
    "pf-tables",
    "pf-table",
    "jls",
    "jail-ifconfig",
    "jail-netstat",
    "jail-e",
    "sysrc",
    "rc-jail_enable",
    "rc-jail_list",
    "zfs-version",
    "zfs-list",
    "zfs-run",
    "zpool-list",
    "zpool-get",
    "path",
    "file",
    "digest",
    "mode",
    "mounts",
    "inner-interfaces",
    "datasets",
    "snapshots",
    "properties",
    "native",
    "received",
    "known",
    "parameter",
    "ruleset",
    "zfs",
    "holds",
    "marked",
    "files",
    "state",
    "locks",
    "keys",
    "rc",
    "hooks",
    "pf",
    "jails",
    "interfaces",
];

const SUBJECTS: [&str; 9] =
    ["", "0 inet", "1 inet6", "wg0", "/etc/jail.conf", "zroot/jails/web", "vnet", "4", "$(reboot)\n\u{1b}[2J'\""];

const TEXTS: [&str; 8] = [
    "jls-json-params",
    "netstat-F1",
    "zfs-list-snapshots",
    "ifconfig-members",
    "wg-show-allowed",
    "zfs-get-source",
    "zfs-version",
    "sysrc-f",
];

fn frame(label: &str, subject: &str, status: i32, output: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{label} {status} {} {}\n{subject}", subject.len(), output.len()).into_bytes();
    bytes.extend(output);
    bytes.extend(b"\n0\n\n");
    bytes
}

/// An answer with every label at least once, so that no reader stops at the first one that is missing.
fn whole(frames: &[(usize, usize, i32, Vec<u8>)]) -> Vec<u8> {
    let mut answer = b"jailferry facts 1\n".to_vec();
    for (label, subject, status, output) in frames {
        answer.extend(frame(LABELS[*label], SUBJECTS[*subject], *status, output));
    }
    for label in LABELS {
        let output: &[u8] = match label {
            "clock" | "uid" | "kernel" => b"1700000000\n",
            "zfs-version" => b"zfs-2.1.9\nzfs-kmod-2.1.9\n",
            "jls" => b"{\"jail-information\": {\"jail\": []}}",
            _ => b"",
        };
        answer.extend(frame(label, "", 0, output));
        answer.extend(frame(label, "zroot/jails/web", 0, output));
        answer.extend(frame(label, "/etc/jail.conf", 0, output));
    }
    answer.extend(frame("end", "", 0, b""));
    answer
}

/// All readers of a round; what they say of what is wrong.
fn read_all(answer: &[u8]) -> Vec<String> {
    let dataset = || DatasetName::new("zroot/jails/web").unwrap();
    let path = || RemotePath::new("/etc/jail.conf").unwrap();
    let jail = JailQuestions {
        jail: crate::model::JailName::new("web").unwrap(),
        configuration_file: path(),
        fstab: Some(path()),
        root: path(),
        dataset: dataset(),
        landmarks: Vec::new(),
        ruleset: Some(4),
        programs: Vec::new(),
    };
    let target = TargetQuestions {
        paths: vec![path()],
        files: vec![path()],
        jail: JailName::new("web").unwrap(),
        ruleset: Some(4),
        programs: Vec::new(),
        parameters: vec!["vnet".into()],
        dataset: dataset(),
        origins: vec![crate::model::Guid(7)],
    };
    let mut errors = parse_host(answer).err().unwrap_or_default();
    errors.extend(parse_jail(&JailName::new("web").unwrap(), &jail, answer).err().unwrap_or_default());
    errors.extend(parse_target(&target, answer).err().unwrap_or_default());
    errors.extend(parse_leftovers(answer).err());
    errors.extend(parse_loads(answer).err());
    errors.iter().map(ToString::to_string).collect()
}

fn output() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[a-z0-9:/.=<>{}\\[\\]\",%@#\t\n\u{1f}\u{fffd} -]{0,200}".prop_map(String::into_bytes),
        (0..TEXTS.len(), 0..1000usize, any::<u8>()).prop_map(|(which, place, value)| {
            let mut bytes = stdout(TEXTS[which]).into_bytes();
            let at = bytes.len() * place / 1000;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn right_frames_with_any_content(
        frames in proptest::collection::vec((0..LABELS.len(), 0..SUBJECTS.len(), 0..3i32, output()), 0..12)
    ) {
        for error in read_all(&whole(&frames)) {
            prop_assert!(!error.contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn any_bytes_for_every_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read_all(&bytes).len() >= 4, "no reader takes garbage");
        let framed = [b"jailferry facts 1\n".as_slice(), &bytes].concat();
        for error in read_all(&framed) {
            prop_assert!(!error.contains(char::is_control), "{error:?}");
        }
    }
}

/// A megabyte in one line, and deep JSON, in every answer at once.
#[test]
fn a_line_of_a_megabyte_ends_soon() {
    for text in ["a".repeat(1 << 20), "\u{1b}\u{202e}".repeat(1 << 17), "[".repeat(1 << 16), "a\t".repeat(1 << 16)] {
        for (label, name) in LABELS.iter().enumerate() {
            let errors = read_all(&whole(&[(label, 0, 0, text.clone().into_bytes())]));
            assert!(errors.iter().all(|e| e.len() < 2000), "a long error for {name}");
        }
    }
}
