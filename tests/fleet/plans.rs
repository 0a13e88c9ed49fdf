//! Saved plans: applied once, as they stand, and only while what they rest on is as it was.

use std::fs;

use serde_json::Value;

use crate::bench::Fleet;
use crate::client::Client;

/// Something that changes between plan and apply: how, how it is put right, and the field that names it.
struct Change {
    host: &'static str,
    make: &'static str,
    unmake: &'static str,
    field: &'static str,
}

const fn change(host: &'static str, make: &'static str, unmake: &'static str, field: &'static str) -> Change {
    Change { host, make, unmake, field }
}

/// The key of big on the hub.
const BIG: &str = "key=$(wg show wg0 allowed-ips | awk '/10.77.0.3/ { print $1 }')";

const CHANGES: [Change; 14] = [
    change(
        "small",
        "KEY; wg set wg0 peer \"$key\" allowed-ips 10.77.0.3/32,192.168.124.0/24,2001:db8:1:2::/72,192.168.99.0/24",
        "KEY; wg set wg0 peer \"$key\" allowed-ips 10.77.0.3/32,192.168.124.0/24,2001:db8:1:2::/72",
        "small/wg0/prefixes of big",
    ),
    change(
        "small",
        "cp -p /usr/local/etc/wireguard/wg0.conf /root/wg0; echo '# seen' >>/usr/local/etc/wireguard/wg0.conf",
        "cp -p /root/wg0 /usr/local/etc/wireguard/wg0.conf; rm /root/wg0",
        "small//usr/local/etc/wireguard/wg0.conf",
    ),
    change("small", "pfctl -d", "pfctl -e", "small/pf"),
    change(
        "small",
        "echo 'rdr pass on vtnet0 inet proto tcp from any to 203.0.113.1 port 9999 -> 192.168.123.50 port 99' | pfctl -a jailferry/web -f -",
        "pfctl -a jailferry/web -F all",
        "small/pf anchor of web",
    ),
    change(
        "big",
        "route -n delete -inet default -fib 1",
        "route -n add -inet default -interface wg0 -fib 1",
        "big/routes in FIB 1",
    ),
    change(
        "big",
        "route -n add -inet -host 192.168.123.50 -interface wg0 -fib 0",
        "route -n delete -inet -host 192.168.123.50 -interface wg0 -fib 0",
        "big/routes in FIB 0",
    ),
    change(
        "spare",
        "cp -p /etc/jail.conf.d/web.conf /root/web; echo '# seen' >>/etc/jail.conf.d/web.conf",
        "cp -p /root/web /etc/jail.conf.d/web.conf; rm /root/web",
        "spare//etc/jail.conf.d/web.conf",
    ),
    change(
        "spare",
        "cp -p /etc/jail.web.fstab /root/fstab; echo '# seen' >>/etc/jail.web.fstab",
        "cp -p /root/fstab /etc/jail.web.fstab; rm /root/fstab",
        "spare//etc/jail.web.fstab",
    ),
    change("big", "zfs set quota=4M jfpool/jails", "zfs set quota=none jfpool/jails", "big/finding no-space"),
    change(
        "big",
        "sysctl net.inet.ip.forwarding=0",
        "sysctl net.inet.ip.forwarding=1",
        "big/sysctl net.inet.ip.forwarding",
    ),
    change("spare", "zfs set atime=off jfpool/jails/web", "zfs inherit atime jfpool/jails/web", "/properties"),
    change(
        "spare",
        "zfs create jfpool/jails/web/more",
        "zfs destroy jfpool/jails/web/more",
        "spare/dataset jfpool/jails/web/more",
    ),
    change("spare", "sysrc jail_list-=web", "sysrc jail_list+=web", "spare/rc.conf jail_list"),
    change(
        "big",
        "echo '# mine' >/etc/jail.conf.d/web.conf",
        "rm /etc/jail.conf.d/web.conf",
        "big//etc/jail.conf.d/web.conf",
    ),
];

#[test]
fn a_saved_plan_is_applied_once_and_only_while_it_holds() {
    let Some(fleet) = Fleet::anew("a_saved_plan_is_applied_once_and_only_while_it_holds") else { return };
    let file = fleet.state.path().join("web.plan").display().to_string();
    // The order of the list is not a plan's business; it is put back otherwise below.
    fleet.sh("spare", "sysrc jail_list-=web; sysrc jail_list+=web");
    fleet.jailferry(&["plan", "web", "big", "--out", &file]).exits(0).says("jailferry apply");
    fleet.jailferry(&["plan", "web", "big", "--out", &file]).exits(2).says("there already");
    fleet.jailferry(&["apply", &file, "--dry-run"]).exits(0).says("holds");
    let script = fleet.jailferry(&["plan", "web", "big", "--as-script"]).exits(0).stdout;
    for host in ["small", "spare", "big"] {
        assert!(script.contains(&format!("# ======== {host} ========")), "{script}");
    }

    let mut failures = Vec::new();
    for case in CHANGES {
        fleet.sh(case.host, &case.make.replace("KEY", BIG));
        let before = fleet.states();
        let told = fleet.jailferry(&["apply", &file, "--yes", "--json"]);
        // Events come before the verdict; it is the last value.
        let verdict = told.stdout.find("{\n").map(|at| &told.stdout[at..]).unwrap_or_default();
        let verdict: Value = serde_json::from_str(verdict).unwrap_or_default();
        let fields: Vec<&str> =
            verdict["stale"].as_array().into_iter().flatten().filter_map(|d| d["field"].as_str()).collect();
        if told.status != 3 || !fields.iter().any(|f| f.contains(case.field)) {
            failures.push(format!("{} on {}: {fields:?}\n{}", case.make, case.host, told.all));
        }
        before.same(&fleet.states(), case.make);
        fleet.sh(case.host, &case.unmake.replace("KEY", BIG));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(fleet.journals().is_empty(), "a refusal is no run");

    // What does not matter: somebody's snapshots, what clients write and ask, another user's file.
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let asking = Client::asking(&fleet, &[&fleet.urls("db")[0]]);
    fleet.sh("spare", "zfs snapshot -r jfpool/jails/db@daily; zfs snapshot jfpool/jails/web@daily");
    counting.waits_for(5);
    fleet.jailferry(&["apply", &file, "--dry-run"]).exits(0).says("holds");
    // Elsewhere nobody can tell whether it was used.
    let elsewhere = fleet.state.path().join("elsewhere");
    fleet.jailferry_from(&elsewhere, &["apply", &file, "--yes"]).exits(3).says("only there");
    fleet.jailferry(&["apply", &file]).exits(3).says("--yes");

    let told = fleet.jailferry(&["apply", &file, "--yes"]).exits(0).says("moved");
    counting.lost_nothing(&fleet.urls("web")[0]);
    drop(asking);
    fleet.answers_from("web", "big");
    // Exactly what the file says.
    let saved: Value = serde_json::from_str(&fs::read_to_string(&file).expect("readable")).expect("JSON");
    let journal = fleet.journal();
    assert_eq!(journal[0]["what"]["header"]["plan"], saved["plan"], "{}", told.all);
    fleet.jailferry(&["apply", &file, "--yes"]).exits(3).says("applied once");
    fleet.answers_from("web", "big");
}
