//! Text that means harm: never a panic, never a value together with an error, never a control character shown.

use jailferry::playbook::Kind;
use jailferry::playbook::Look;
use jailferry::playbook::Report;
use jailferry::playbook::kind_of;
use jailferry::playbook::read_fleet;
use jailferry::playbook::read_playbook;
use proptest::prelude::*;

/// What holds for every input.
fn check(report: &Report, taken: bool) -> Result<(), TestCaseError> {
    prop_assert_eq!(taken, report.errors() == 0, "a file is taken, or it is known why not");
    let shown = report.render(Look::default());
    prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", shown);
    prop_assert_eq!(shown.is_empty(), report.is_clean());
    prop_assert!(report.json().iter().all(|f| f.line > 0 && f.column > 0 && !f.message.is_empty()));
    Ok(())
}

fn check_both(bytes: &[u8]) -> Result<(), TestCaseError> {
    let fleet = read_fleet("fleet.yml", bytes);
    check(&fleet.report, fleet.value.is_some())?;
    let playbook = read_playbook("playbook.yml", bytes, fleet.value.as_ref());
    check(&playbook.report, playbook.value.is_some())?;
    prop_assert!([Kind::Fleet, Kind::Playbook].contains(&kind_of(bytes)));
    Ok(())
}

/// Lines that look like a fleet or a playbook, in any order and depth.
fn almost_yaml() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "hub",
        "nodes",
        "jails",
        "small",
        "web",
        "prefixes",
        "checks",
        "icmp",
        "tcp",
        "http",
        "command",
        "run",
        "port",
        "defaults",
        "precopy",
        "rounds",
        "until",
        "keep",
        "timeout",
        "ssh",
        "fib",
        "moves",
        "jail",
        "to",
        "<<",
        "null",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "::/0",
        "7 days",
        "16MiB",
        "9999999999999999999999d",
        "1e400GiB",
        "-1",
        "\"\\e[2J\"",
        "&a",
        "*a",
        "!!str",
        "[",
        "]",
        "{",
        "}",
        "- ",
        "? ",
        "|",
        ">",
        "'",
        "\u{202e}",
        "ü",
        "\t",
        "---",
        "%YAML 1.2",
    ]);
    let line = (0usize..4, prop::collection::vec(word, 1..4), prop::bool::ANY, prop::bool::ANY);
    prop::collection::vec(line, 0..25).prop_map(|lines| {
        let mut text = String::new();
        for (depth, words, item, key) in lines {
            text.push_str(&"  ".repeat(depth));
            text.push_str(if item { "- " } else { "" });
            text.push_str(&words.join(if key { ": " } else { " " }));
            text.push_str(if key { ":\n" } else { "\n" });
        }
        text
    })
}

proptest! {
    // Found failures become fixtures, not seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_both(&bytes)?;
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check_both(text.as_bytes())?;
    }

    #[test]
    fn anything_like_a_fleet(text in almost_yaml()) {
        check_both(text.as_bytes())?;
    }

    #[test]
    fn a_fleet_with_one_character_changed(at in 0usize..1200, c in any::<char>()) {
        let text = include_str!("../../fixtures/playbooks/valid/fleet-everything.yml");
        let mut chars: Vec<char> = text.chars().collect();
        if let Some(place) = chars.get_mut(at) {
            *place = c;
        }
        check_both(chars.into_iter().collect::<String>().as_bytes())?;
    }
}

/// Each of these would take a naive reader seconds, gigabytes or its stack.
#[test]
fn bombs_are_refused() {
    let megabyte = 1 << 20;
    let largest = jailferry::playbook::source::LONGEST_FILE;
    let fill = |unit: &str| unit.repeat(largest / unit.len());
    let numbered = |line: &dyn Fn(usize) -> String| {
        let mut text = String::from("hub: small\nnodes: {small: , big: }\njails:\n");
        for number in 0.. {
            let next = line(number);
            if text.len() + next.len() > largest {
                return text;
            }
            text.push_str(&next);
        }
        text
    };
    let bombs: Vec<(&str, Vec<u8>)> = vec![
        ("a megabyte of x", vec![b'x'; megabyte]),
        ("a megabyte of NUL", vec![0; megabyte]),
        ("as much x as is read", fill("x").into_bytes()),
        ("brackets", fill("[").into_bytes()),
        ("braces", fill("{a: ").into_bytes()),
        ("dashes", fill("- ").into_bytes()),
        ("one key again and again", fill("a: b\n").into_bytes()),
        ("list items", fill("- a\n").into_bytes()),
        ("quotes", fill("'\n").into_bytes()),
        ("anchors", fill("- &a a\n").into_bytes()),
        ("comments without a value", fill("# nothing\n").into_bytes()),
        ("unknown keys", numbered(&|n| format!("  j{n}: {{k{n}: 1}}\n")).into_bytes()),
        ("duplicate prefixes", numbered(&|n| format!("  j{n}: {{prefixes: [10.0.0.1/32]}}\n")).into_bytes()),
        ("bad names", numbered(&|n| format!("  \"{n}\\e[2J\":\n")).into_bytes()),
        (
            "one mapping merged by many",
            numbered(&|n| match n {
                0 => format!("  j0: &a {{{}}}\n", (0..5000).map(|k| format!("k{k}: 1")).collect::<Vec<_>>().join(", ")),
                _ => format!("  j{n}: {{<<: *a}}\n"),
            })
            .into_bytes(),
        ),
        (
            "one list by many aliases",
            numbered(&|n| match n {
                0 => format!("  j0: &a [{}]\n", "x, ".repeat(30_000)),
                _ => format!("  j{n}: *a\n"),
            })
            .into_bytes(),
        ),
    ];
    for (what, bomb) in bombs {
        let reading = read_fleet("bomb.yml", &bomb);
        assert!(reading.value.is_none(), "{what} was taken");
        let shown = reading.report.render(Look::default());
        assert!(!shown.is_empty() && shown.len() < 100_000, "{what}: {} bytes of findings", shown.len());
        assert_eq!(kind_of(&bomb), Kind::Fleet, "{what}");
    }
}
