//! `jailferry schedule` without a host: what is refused, what is printed, and a look at which nothing is due.

use super::FLEET;
use super::Tool;

const NIGHTLY: &str =
    "fleet: fleet.yml\nschedule:\n  cron: \"30 2 * * *\"\n  time_zone: UTC\nmoves:\n  - {jail: web, to: big}\n";

fn tool() -> Tool {
    let tool = Tool::new();
    tool.file("fleet.yml", FLEET).file("nightly.yml", NIGHTLY);
    tool
}

#[test]
fn bad_input() {
    let tool = tool();
    tool.file("plain.yml", "fleet: fleet.yml\nmoves:\n  - {jail: web, to: big}\n");
    tool.file("zone.yml", &NIGHTLY.replace("UTC", "Europe/Atlantis"));
    let mut all = String::new();
    for args in [
        &["schedule"][..],
        &["schedule", "plain.yml"],
        &["schedule", "zone.yml"],
        &["check", "zone.yml"],
        &["schedule", "nightly.yml", "./nightly.yml"],
        &["schedule", "nightly.yml", "--listen", "192.0.2.1:80"],
        &["schedule", "nightly.yml", "--listen", "80"],
        &["schedule", "nightly.yml", "--quiet"],
        &["schedule", "nightly.yml", "--status", "--once"],
        &["report", "last"],
        &["report", "last", "--json"],
        &["report", "../x", "--html", "x.html"],
        &["report", "last", "--open"],
    ] {
        let said = tool.run(args);
        assert!(said.starts_with("exit 2\n"), "{args:?}: {said}");
        all.push_str(&format!("$ jailferry {}\n{said}\n", args.join(" ")));
    }
    insta::assert_snapshot!(all);
}

/// The program lies elsewhere on every machine.
fn printed(tool: &Tool, form: &str, playbook: &str) -> String {
    tool.run(&["schedule", "--print", form, playbook]).replace(env!("CARGO_BIN_EXE_jailferry"), "PROGRAM")
}

#[test]
fn printed_for_others() {
    let tool = tool();
    tool.file("often.yml", &NIGHTLY.replace("30 2 * * *", "*/5 * * * *"));
    let all: Vec<String> = ["crontab", "periodic", "systemd"].map(|form| printed(&tool, form, "nightly.yml")).to_vec();
    insta::assert_snapshot!(all.join("\n"));
    assert!(printed(&tool, "periodic", "often.yml").starts_with("exit 2\n"));
}

#[test]
fn one_look_at_which_nothing_is_due() {
    let tool = tool();
    insta::assert_snapshot!(tool.run(&["schedule", "--status"]), @"
    exit 0
    --- stdout
    No schedule has been looked after on this machine.
    ");
    let once = &["schedule", "--once", "nightly.yml", "--clock", "2030-01-01T12:00:00Z*1"];
    let said = tool.run(once);
    assert!(said.starts_with("exit 0\n--- stdout\n2030-01-01 12:00:0"), "{said}");
    assert!(said.contains(" nightly: nothing is due before 2030-01-02 02:30:00Z"), "{said}");
    let quiet = [once as &[&str], &["--quiet"]].concat();
    assert_eq!(tool.run(&quiet), "exit 0\n");
    let status = tool.run(&["schedule", "--status", "nightly.yml", "--clock", "2030-01-01T12:00:01Z*1"]);
    assert!(status.starts_with("exit 0\n") && status.contains("next        2030-01-02 02:30:00Z"), "{status}");
    // A time passed and nobody looked: a person should know.
    let late = tool.run(&["schedule", "--status", "nightly.yml", "--clock", "2030-01-02T12:00:00Z*1"]);
    assert!(
        late.starts_with("exit 5\n")
            && late.contains("the time 2030-01-02 02:30:00Z has passed, and no scheduler has looked"),
        "{late}"
    );
}

/// Hosts that cannot be reached: the run is refused, the look ends with its exit code, and the same time is not tried again.
#[test]
fn a_run_that_is_refused() {
    let tool = tool();
    let look = |clock: &str| tool.run(&["schedule", "--once", "nightly.yml", "--clock", clock]);
    let said = look("2030-01-02T02:30:01Z*1");
    assert!(said.starts_with("exit 3\n"), "{said}");
    for part in
        ["nightly: run, due 2030-01-02 02:30:00Z", "nightly | error: ", "exit code 3: refused, nothing was changed"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let again = look("2030-01-02T02:30:02Z*1");
    assert!(again.starts_with("exit 0\n") && again.contains("nothing is due before 2030-01-03 02:30:00Z"), "{again}");
    // The next night was missed, and nobody asked for more.
    let missed = look("2030-01-03T09:00:00Z*1");
    assert!(
        missed.starts_with("exit 0\n") && missed.contains("left out, due 2030-01-03 02:30:00Z: nobody was there"),
        "{missed}"
    );
    let json = tool.run(&["schedule", "--status", "--json", "--clock", "2030-01-03T09:00:01Z*1"]);
    for part in ["\"refused\": 1", "\"missed\": 1", "\"problems\": []"] {
        assert!(json.contains(part), "{part}: {json}");
    }
}
