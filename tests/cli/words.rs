//! What was typed wrong is refused before any host is asked, with exit code 2.

use super::FLEET;
use super::Tool;

#[test]
fn bad_words() {
    let tool = Tool::new();
    tool.file("fleet.yml", FLEET);
    let mut all = String::new();
    for args in [
        &[][..],
        &["move", "web", "big"],
        &["migrate"],
        &["migrate", "web"],
        &["migrate", "jail", "web", "from", "big"],
        &["migrate", "web", "-big"],
        &["migrate", "we;b", "big"],
        &["migrate", "web", "big", "--now"],
        &["plan", "web", "to"],
        &["migrate", "web", "huge", "--yes"],
        &["show", "../../etc/passwd"],
        &["show", "web-12345678"],
        &["show", "last"],
        &["facts", "huge"],
        &["rollback"],
        &["rollback", "web-12345678"],
        &["rollback", "$(reboot)", "--yes"],
        &["run"],
        &["run", "absent.yml"],
    ] {
        let said = tool.run(args);
        assert!(said.starts_with("exit 2\n"), "{args:?}: {said}");
        all.push_str(&format!("$ jailferry {}\n{said}\n", args.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_fleet_that_is_not_there() {
    let tool = Tool::new();
    let mut all = String::new();
    for args in [
        &["migrate", "web", "big"][..],
        &["plan", "web", "big"],
        &["facts"],
        &["check"],
        &["migrate", "web", "big", "--fleet", "other.yml"],
    ] {
        let said = tool.run(args);
        assert!(said.starts_with("exit 2\n"), "{args:?}: {said}");
        all.push_str(&format!("$ jailferry {}\n{said}\n", args.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn no_runs_is_an_answer() {
    let tool = Tool::new();
    insta::assert_snapshot!(tool.run(&["runs"]), @"
    exit 0
    --- stdout
    No runs yet.
    ");
    insta::assert_snapshot!(tool.run(&["runs", "--json"]), @"
    exit 0
    --- stdout
    []
    ");
}

/// Hosts that cannot be reached: refused before any change, exit code 3, and every one of them is named.
#[test]
fn hosts_that_cannot_be_reached() {
    let tool = Tool::new();
    tool.file("fleet.yml", FLEET);
    for args in [&["migrate", "web", "big", "--yes"][..], &["plan", "web", "big"], &["facts"]] {
        let said = tool.run(args);
        assert!(said.starts_with("exit 3\n--- stderr\nerror: "), "{args:?}: {said}");
        assert!(said.contains("nothing was changed") && said.contains("small") && said.contains("big"), "{said}");
    }
}
