//! `jailferry check`: what is said of good and bad files.

use super::FLEET;
use super::Tool;

const BAD: &str =
    "hub: smal\nnodes:\n  small:\n  big:\n    brige: bridge0\njails:\n  web:\n    prefixes: [192.168.123.51/24]\n";

#[test]
fn good_files() {
    let tool = Tool::new();
    tool.file("fleet.yml", FLEET).file("move.yml", "fleet: fleet.yml\nmoves:\n  - jail: web\n    to: big\n");
    insta::assert_snapshot!(tool.run(&["check"]), @"
    exit 0
    --- stdout
    fleet.yml: ok
    ");
    insta::assert_snapshot!(tool.run(&["check", "move.yml", "fleet.yml"]), @"
    exit 0
    --- stdout
    fleet.yml: ok
    move.yml: ok
    ");
}

#[test]
fn bad_files() {
    let tool = Tool::new();
    tool.file("bad.yml", BAD).file("move.yml", "fleet: fleet.yml\nmoves:\n  - jail: web\n    to: bgi\n");
    tool.file("fleet.yml", FLEET);
    insta::assert_snapshot!("check-bad", tool.run(&["check", "bad.yml", "move.yml", "absent.yml"]));
    insta::assert_snapshot!("check-bad-json", tool.run(&["check", "--json", "bad.yml"]));
}

/// A playbook is only right when the names in it could be checked.
#[test]
fn a_playbook_whose_fleet_cannot_be_read_is_not_ok() {
    let tool = Tool::new();
    tool.file("move.yml", "fleet: absent.yml\nmoves:\n  - jail: web\n    to: big\n");
    tool.file("nameless.yml", "moves:\n  - jail: web\n    to: big\n");
    insta::assert_snapshot!(tool.run(&["check", "move.yml"]), @"
    exit 2
    --- stderr
    error: move.yml: its jails and nodes cannot be checked: absent.yml cannot be read: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(tool.run(&["check", "move.yml", "--json"]), @r#"
    exit 2
    --- stdout
    [
      {
        "file": "move.yml",
        "message": "move.yml: its jails and nodes cannot be checked: absent.yml cannot be read: No such file or directory (os error 2)",
        "severity": "error"
      }
    ]
    "#);
    insta::assert_snapshot!(tool.run(&["check", "nameless.yml"]), @"
    exit 2
    --- stderr
    error: nameless.yml: its jails and nodes cannot be checked: no fleet.yml found; looked for fleet.yml, HOME/.config/jailferry/fleet.yml, /usr/local/etc/jailferry/fleet.yml, /etc/jailferry/fleet.yml
    write one (see playbooks/fleet.example.yml) or name it with --fleet
    ");
    // --fleet wins over the playbook's own, as in `run`.
    tool.file("other.yml", FLEET).file("bad.yml", BAD);
    assert_eq!(tool.run(&["check", "move.yml", "--fleet", "other.yml"]), "exit 0\n--- stdout\nmove.yml: ok\n");
    assert!(tool.run(&["check", "move.yml", "--fleet", "bad.yml"]).starts_with("exit 2\n"));
}

#[test]
fn a_file_too_long_is_refused_at_once() {
    let tool = Tool::new();
    tool.file("long.yml", &"# long\n".repeat(100_000));
    insta::assert_snapshot!(tool.run(&["check", "long.yml"]), @"
    exit 2
    --- stderr
    error: long.yml is longer than the 524288 bytes that are read: is this the right file?
    ");
}
