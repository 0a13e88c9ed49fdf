//! Whatever a host sends, the answer is facts or an error, never a panic, and never facts out of half an answer.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::facts::recordings::stdout;

/// A whole, good answer, made once.
fn answer() -> &'static [u8] {
    static ANSWER: OnceLock<Vec<u8>> = OnceLock::new();
    ANSWER.get_or_init(script_tests::answer_of_a_node)
}

/// Every parser of one tool's output, on any text.
fn feed(text: &str) {
    let _ = ifconfig::interfaces("ifconfig", text);
    let _ = netstat::routes("netstat", text, 0);
    let _ = wireguard::peers("wg0", text, text, text);
    let _ = wireguard::file("/etc/wireguard/wg0.conf", text, &"0".repeat(64));
    let _ = (pf::enabled(text), pf::anchors(text), pf::table_names(text), pf::entries("t", text));
    let _ = jails::running("jls", text);
    if let Ok(found) = jails::configured("/etc/jail.conf", text) {
        for jail in found {
            let names: Vec<String> = jail.parameters.iter().map(|(name, _)| name.clone()).collect();
            names.iter().for_each(|name| drop(jail.values(name)));
        }
    }
    let _ = (rc::variables(text), sysctl::values(text), mount::mounts_below(text, "/usr/jails/web"));
    let _ = (zfs::datasets(text), zfs::snapshots(text), zfs::properties(text), zfs::pools(text));
    let _ = (zfs::marks(text), zfs::features(text), zfs::version(text));
}

const RECORDINGS: [&str; 16] = [
    "ifconfig-members",
    "wg-create",
    "netstat-F1",
    "netstat-json-1-6",
    "wg-show-allowed",
    "wg-show-fields",
    "pf-sn",
    "pf-table-show",
    "jls-json-params",
    "jail-e-us",
    "sysrc-f",
    "sysctls",
    "zfs-list-snapshots",
    "zfs-get-source",
    "zpool-list",
    "mount-p",
];

/// One change to a text, at a place given in thousandths.
fn mutate(bytes: &mut Vec<u8>, place: usize, kind: u8, value: u8) {
    let at = bytes.len() * place / 1000;
    match kind {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, value),
        2 => {
            if at < bytes.len() {
                bytes.remove(at);
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), framed in any::<bool>()) {
        let mut answer = if framed { b"jailferry facts 1\n".to_vec() } else { vec![] };
        answer.extend(&bytes);
        prop_assert!(parse_host(&answer).is_err());
        feed(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_of_the_tools_own_characters(text in "[a-z0-9:/.=<>{}\\[\\]\",%@#\t\n\u{1f}\u{fffd} -]{0,300}") {
        feed(&text);
    }

    #[test]
    fn recordings_with_damage(
        which in 0..RECORDINGS.len(),
        changes in proptest::collection::vec((0usize..1001, 0u8..4, any::<u8>()), 1..6)
    ) {
        let mut bytes = stdout(RECORDINGS[which]).replace("^_", "\u{1f}").into_bytes();
        for (place, kind, value) in changes {
            mutate(&mut bytes, place, kind, value);
        }
        feed(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn whole_answers_with_damage(changes in proptest::collection::vec((0usize..1001, 0u8..4, any::<u8>()), 1..6)) {
        let mut bytes = answer().to_vec();
        for (place, kind, value) in changes {
            mutate(&mut bytes, place, kind, value);
        }
        let _ = parse_host(&bytes);
    }

    #[test]
    fn half_an_answer_is_never_taken_for_a_whole_one(place in 0usize..1000) {
        let end = answer().len() - "end 0 0 0\n\n0\n\n".len();
        prop_assert!(parse_host(&answer()[..end * place / 1000]).is_err());
    }

    #[test]
    fn login_noise_changes_nothing_else(noise in "\\PC{0,80}", newline in any::<bool>()) {
        let silent = noise.trim().is_empty();
        let mut bytes = noise.into_bytes();
        if newline {
            bytes.push(b'\n');
        }
        bytes.extend(answer());
        let mut heard = parse_host(&bytes).unwrap();
        prop_assert_eq!(heard.noise.take().is_none(), silent);
        prop_assert_eq!(heard, parse_host(answer()).unwrap());
    }
}

#[test]
fn long_lines_and_deep_json_end_soon() {
    let line = "a".repeat(200_000);
    feed(&line);
    feed(&"\n".repeat(200_000));
    feed(&"a\tb\n".repeat(50_000));
    feed(&"[".repeat(200_000));
    feed(&"{\"a\":".repeat(20_000));
}

#[test]
fn errors_hold_no_escape_sequences() {
    let evil = "\u{1b}]0;x\u{7}";
    let frame = |label: &str, subject: &str, status: i32, output: &str, errors: &str| {
        format!("{label} {status} {} {}\n{subject}{output}\n{}\n{errors}\n", subject.len(), output.len(), errors.len())
    };
    let mut answer = "jailferry facts 1\n".to_owned();
    answer += &frame("jls", "", 1, "", evil);
    answer += &frame("jail-e", &format!("/etc/{evil}.conf"), 0, "", "");
    answer += &frame("ifconfig", "", 0, evil, "");
    answer += &frame("netstat", &format!("0 {evil}"), 0, evil, "");
    answer += &frame("pf-status", "", 0, "Enabled\n", "");
    answer += &frame("pf-tables", "", 0, "t\n", "");
    answer += &frame("pf-table", "t", 0, evil, "");
    answer += &frame("zfs-version", "", 0, "zfs-1\nzfs-kmod-1\n", "");
    answer += &frame("zfs-list", "", 0, evil, "");
    answer += &frame(evil, "", 0, "", "");
    answer += &frame("end", "", 0, "", "");
    let errors = parse_host(answer.as_bytes()).unwrap_err();
    assert!(errors.len() > 8, "{errors:?}");
    for error in errors {
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}
