//! `transfer: direct`: the data goes from node to node, and the key that opened the way is gone, however the move ended.

use serde_json::Value;

use crate::bench::Fleet;
use crate::lab::Lab;

const NODES: [&str; 2] = ["spare", "big"];

/// What a host holds that lets somebody in or remembers a key of ours, byte by byte.
fn keys(fleet: &Fleet) -> Vec<String> {
    let ask = "for f in /root/.ssh/* /home/*/.ssh/*; do [ ! -f $f ] || echo \"$(sha256 -q $f) $(stat -f '%Sp %u:%g' $f) $f\"; done\n\
               find /var/run /tmp -name '*.direct' -o -name 'jailferry*key*'";
    let all: Vec<String> = NODES.iter().map(|node| fleet.sh(node, ask)).collect();
    assert!(all.iter().all(|one| one.contains("authorized_keys")), "{all:?}");
    all
}

/// Strings that a host was given over ssh, as `lab log --ssh` has them.
fn commands_over_ssh(received: &[Value]) -> Vec<&str> {
    received.iter().filter_map(|entry| entry["command"].as_str()).collect()
}

#[test]
fn data_goes_from_node_to_node_and_the_key_is_gone() {
    let Some(fleet) = Fleet::anew("data_goes_from_node_to_node_and_the_key_is_gone") else { return };
    let before = keys(&fleet);
    for (from, to) in [("spare", "big"), ("big", "spare")] {
        let told = fleet.jailferry(&["migrate", "web", to, "--transfer", "direct", "--yes", "--json"]);
        let told = told.exits(0).says("\"moved\"");
        let sent: Vec<u64> = told
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("an event a line"))
            .filter(|event| event["event"] == "transfer_done")
            .filter_map(|event| event["bytes"].as_u64())
            .collect();
        assert!(sent.len() >= 4 && sent.iter().all(|bytes| *bytes > 0), "{sent:?}\n{}", told.all);
        fleet.answers_from("web", to);
        assert_eq!(fleet.runs_on("web"), [to]);
        assert_eq!(keys(&fleet), before, "after {from} to {to}\n{}", told.all);
    }
    if fleet.has_lab() {
        nothing_went_through_here(fleet.in_lab());
    }
}

fn nothing_went_through_here(lab: &Lab) {
    for node in NODES {
        // A relay would run both ends as commands of its own, with the data as their input and output.
        let received = lab.received(node);
        let commands = commands_over_ssh(&received);
        assert!(commands.iter().any(|c| c.contains("/receive \"$SSH_ORIGINAL_COMMAND\"")), "{node}: {commands:?}");
        // How much it will be is asked, without any data.
        let data = |c: &&&str| c.contains("zfs receive") || c.contains("zfs send") && !c.contains("zfs send -nvP ");
        let relayed: Vec<_> = commands.iter().filter(data).collect();
        assert!(relayed.is_empty(), "{node}: {relayed:?}");
        let ran = lab.commands(node);
        let ran = |verb: &str| ran.iter().filter(|c| c["argv"][0] == "zfs" && c["argv"][1] == verb).count();
        assert!(ran("send") >= 4 && ran("receive") >= 4, "{node}: {} {}", ran("send"), ran("receive"));
    }
}

#[test]
fn the_key_is_gone_after_a_failure_too() {
    let Some(fleet) = Fleet::lab("the_key_is_gone_after_a_failure_too") else { return };
    let (before, hosts) = (keys(&fleet), fleet.states());
    // An increment cannot be received; the copy cannot be mounted; the jail does not start; nothing can be sent.
    for (host, part) in [
        ("big", "zfs receive -s -u jfpool/jails/web/data"),
        ("big", "zfs mount"),
        ("big", "jail -f /etc/jail.conf.d/web.conf -c"),
        ("spare", "zfs send"),
    ] {
        let fault = fleet.in_lab().fail(host, part, None, "refused by the test");
        let told = fleet.jailferry(&["migrate", "web", "big", "--transfer", "direct", "--yes"]).exits(4);
        assert!(fleet.in_lab().fired(&fault) > 0, "{part} never ran\n{}", told.all);
        fleet.in_lab().clear_faults(host);
        assert_eq!(keys(&fleet), before, "{part}\n{}", told.all);
        assert_eq!(fleet.runs_on("web"), ["spare"], "{part}\n{}", told.all);
    }
    fleet.answers_from("web", "spare");
    hosts.same(&fleet.states(), "after four failures");
}

#[test]
fn an_unreachable_target_is_found_beforehand() {
    let Some(fleet) = Fleet::anew("an_unreachable_target_is_found_beforehand") else {
        return;
    };
    let before = fleet.states();
    // The hub hands big's tunnel address to nobody: sshd of big stays reachable for us, but not through the tunnel.
    fleet.sh(
        "small",
        "key=$(wg show wg0 allowed-ips | awk '/10[.]77[.]0[.]3/ { print $1 }')\n\
                       wg show wg0 allowed-ips | awk -v k=\"$key\" '$1 == k' >/tmp/was\n\
                       wg set wg0 peer \"$key\" allowed-ips 192.168.124.0/24,2001:db8:1:2::/72",
    );
    let told = fleet.jailferry(&["migrate", "web", "big", "--transfer", "direct", "--yes"]).exits(3);
    told.says("direct-unreachable").says("10.77.0.3 port 22");
    fleet.sh(
        "small",
        "read key all </tmp/was; rm /tmp/was\n\
                       wg set wg0 peer \"$key\" allowed-ips $(echo $all | tr ' ' ',')",
    );
    before.same(&fleet.states(), "nothing was touched");
}

#[test]
fn a_dry_run_for_machines_is_the_plan_and_nothing_else() {
    let Some(fleet) = Fleet::any("a_dry_run_for_machines_is_the_plan_and_nothing_else") else { return };
    let told = fleet.jailferry(&["migrate", "web", "big", "--transfer", "direct", "--dry-run", "--json"]).exits(0);
    let plan = told.json();
    let steps = plan["steps"].as_array().expect("steps");
    let with_key = |part: &str| steps.iter().filter(|s| s["commands"].to_string().contains(part)).count();
    assert_eq!(with_key("KEY-MADE-IN-THIS-RUN"), 1);
    assert!(plan["summary"].to_string().contains("KEY-MADE-IN-THIS-RUN"), "{}", plan["summary"]);
}
