//! The dress rehearsal: what a clone of the jail runs into at the target is told while the jail itself runs on.

use std::process::Command;

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::bench::wait_until;
use crate::client::Client;

/// A file of the host's own base that exec.start of web needs, and one that its check needs.
const NEEDED: [&str; 2] = ["/usr/libexec/needed-to-start", "/usr/libexec/needed-to-answer"];

const MOVE: [&str; 5] = ["migrate", "web", "big", "--yes", "--dress-rehearsal"];

#[test]
fn what_the_jail_misses_at_the_target_is_found_while_it_still_runs() {
    let Some(mut fleet) = Fleet::anew("what_the_jail_misses_at_the_target_is_found") else { return };
    prepared(&mut fleet);
    let plan = fleet.jailferry(&["plan", "web", "big", "--dress-rehearsal"]).exits(0);
    let plan = plan.says("starts on big, where nobody reaches it").says("zfs clone").says("persist vnet");
    assert!(!fleet.jailferry(&["plan", "web", "big"]).exits(0).stdout.contains("zfs clone"), "{}", plan.all);
    let [url, _] = fleet.urls("web");
    let counting = Client::counting(&fleet, &url);

    taken_back(&fleet, "the clone of jail web starts on big", "the clone of jail web does not start on big");
    fleet.sh("big", &format!("touch {}", NEEDED[0]));
    taken_back(&fleet, "needed-to-answer", "fails inside jail jailferry_dress_");
    fleet.sh("big", &format!("touch {}", NEEDED[1]));
    if fleet.has_lab() {
        killed(&fleet);
    }

    assert_eq!(counting.unanswered(), 0, "nobody outside may notice a rehearsal");
    counting.lost_nothing(&url);
    fleet.jailferry(&MOVE).exits(0).says("moved");
    fleet.answers_from("web", "big");
    nothing_is_left(&fleet);
    for node in ["spare", "big"] {
        fleet.sh(node, &format!("rm {}", NEEDED.join(" ")));
    }
}

/// Both files are on spare only, web needs them, and a check of fleet.yml asks for the second.
fn prepared(fleet: &mut Fleet) {
    let [start, check] = NEEDED;
    starts_with(fleet, start);
    fleet.sh("spare", &format!("touch {check}"));
    fleet.sh("big", &format!("rm -f {check}"));
    let text = std::fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let http = "      - http: { body: \"jail=web\" }\n";
    assert!(text.contains(http), "{text}");
    let more = format!("{http}      - command: {{ run: [ls, {check}] }}\n");
    fleet.file = fleet.state.path().join("dress.yml");
    std::fs::write(&fleet.file, text.replacen(http, &more, 1)).expect("the folder is writable");
}

/// Lets exec.start of web want a file, which is on spare and not on big.
pub fn starts_with(fleet: &Fleet, file: &str) {
    fleet.sh("big", &format!("rm -f {file}"));
    let line = format!("exec.start += \"/bin/ls {file}\";");
    fleet.sh(
        "spare",
        &format!(
            "touch {file}\nawk -v line='{line}' '/exec.stop/ {{ print \"    \" line }} {{ print }}' /etc/jail.conf.d/web.conf >/tmp/web.conf\ncat /tmp/web.conf >/etc/jail.conf.d/web.conf\nrm /tmp/web.conf"
        ),
    );
}

/// Exit code 4 with the cause; web was not stopped, and every host is as before.
fn taken_back(fleet: &Fleet, step: &str, cause: &str) {
    let before = fleet.states();
    let jid = fleet.sh("spare", "jls -j web jid");
    let told = fleet.jailferry(&MOVE).exits(4).says(cause).says("jail web runs on spare");
    let failed = fleet.failed_steps();
    assert!(failed.len() == 1 && failed[0].0.contains(step), "{failed:#?}\n{}", told.all);
    assert!(failed[0].1.contains("needed-to-"), "what it printed is not told: {failed:#?}");
    assert_eq!(fleet.sh("spare", "jls -j web jid"), jid, "{}", told.all);
    before.same(&fleet.states(), &told.all);
    nothing_is_left(fleet);
}

/// The machine dies while the clone starts; another call takes everything away.
fn killed(fleet: &Fleet) {
    let lab = fleet.in_lab();
    let before = fleet.states();
    let fault = lab.fault("big", &["--match", "jail -q -c name=jailferry_dress_", "--nth", "1"], "hang");
    let mut child = fleet.start(&MOVE);
    wait_until("the clone is about to start", || lab.fired(&fault) > 0);
    assert!(fleet.sh("big", "zfs list -H -o name,mounted").contains("-dress\tyes"));
    let _ = Command::new("kill").args(["-KILL", &child.id().to_string()]).status();
    let _ = child.wait();
    lab.clear_faults("big");
    let told = fleet.jailferry(&["recover"]).exits(0).says("jail web runs on spare");
    before.same(&fleet.states(), &told.all);
    nothing_is_left(fleet);
}

fn nothing_is_left(fleet: &Fleet) {
    for node in NODES {
        let all = fleet.sh(node, "zfs list -H -o name; jls name; mount -p; ls -A /etc /var/db /var/run; ifconfig -l");
        let left: Vec<&str> = all.lines().filter(|line| line.contains("dress")).collect();
        assert!(left.is_empty(), "{node}: {left:?}");
    }
}
