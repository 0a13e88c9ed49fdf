//! Wrong set-ups: each is named before anything is touched.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::bench::Fleet;
use crate::bench::wait_until;

/// Something wrong on a host: how it comes about, how it goes away, and the finding that names it.
struct Wrong {
    host: &'static str,
    make: &'static str,
    unmake: &'static str,
    code: &'static str,
    /// A word of the message, so that the right thing is named.
    names: &'static str,
}

const HOSTS: [Wrong; 21] = [
    wrong(
        "big",
        "sysctl net.inet.ip.forwarding=0",
        "sysctl net.inet.ip.forwarding=1",
        "forwarding-off",
        "ip.forwarding",
    ),
    wrong(
        "small",
        "sysctl net.inet6.ip6.forwarding=0",
        "sysctl net.inet6.ip6.forwarding=1",
        "forwarding-off",
        "ip6.forwarding",
    ),
    wrong(
        "big",
        "route -n delete -inet default -fib 1",
        "route -n add -inet default -interface wg0 -fib 1",
        "egress",
        "FIB 1",
    ),
    wrong(
        "big",
        "route -n delete -inet6 -net 8000::/1 -fib 1",
        "route -n add -inet6 -net 8000::/1 -interface wg0 -fib 1",
        "egress",
        "FIB 1",
    ),
    wrong("big", "jail -c name=web persist path=/", "jail -r web", "runs-twice", "big and spare"),
    wrong(
        "big",
        "echo 'web { path = \"/x\"; }' >/etc/jail.conf.d/web.conf",
        "rm /etc/jail.conf.d/web.conf",
        "configuration-exists",
        "/etc/jail.conf.d/web.conf",
    ),
    wrong(
        "big",
        "echo '# mine' >/etc/jail.conf.d/web.conf",
        "rm /etc/jail.conf.d/web.conf",
        "file-exists",
        "/etc/jail.conf.d/web.conf",
    ),
    wrong("big", "echo '# mine' >/etc/jail.web.fstab", "rm /etc/jail.web.fstab", "fstab-exists", "/etc/jail.web.fstab"),
    wrong(
        "big",
        "zfs create -o mountpoint=/jf/jails/web jfpool/other",
        "zfs destroy jfpool/other; rmdir /jf/jails/web",
        "path-taken",
        "jfpool/other",
    ),
    wrong(
        "big",
        "zfs create jfpool/jails/web",
        "zfs destroy jfpool/jails/web; rmdir /jf/jails/web 2>/dev/null || :",
        "dataset-exists",
        "jfpool/jails/web",
    ),
    wrong("big", "zfs set exec=off jfpool/jails", "zfs inherit exec jfpool/jails", "given-exec", "exec=off"),
    wrong(
        "big",
        "zfs set readonly=on jfpool/jails",
        "zfs inherit readonly jfpool/jails",
        "given-readonly",
        "readonly=on",
    ),
    wrong("big", "zfs set quota=4M jfpool/jails", "zfs set quota=none jfpool/jails", "no-space", "jfpool"),
    wrong(
        "spare",
        "mkdir /root/only-here; cp -p /etc/jail.web.fstab /root/fstab; echo '/root/only-here /jf/jails/web/mnt nullfs ro 0 0' >>/etc/jail.web.fstab",
        "cp -p /root/fstab /etc/jail.web.fstab; rm /root/fstab; rmdir /root/only-here",
        "missing-source",
        "/root/only-here",
    ),
    wrong(
        "spare",
        "cp -p /etc/jail.conf.d/web.conf /root/web.conf; echo 'web_db { path = /jf/jails/web_db; }' >>/etc/jail.conf.d/web.conf",
        "cp -p /root/web.conf /etc/jail.conf.d/web.conf; rm /root/web.conf",
        "shared-file",
        "web_db",
    ),
    wrong(
        "spare",
        "mkdir -p /jf/jails/web/mnt /root/shown; mount -t nullfs /root/shown /jf/jails/web/mnt",
        "umount /jf/jails/web/mnt; rmdir /root/shown /jf/jails/web/mnt",
        "foreign-mount",
        "/jf/jails/web/mnt",
    ),
    wrong(
        "big",
        "echo 'ifconfig_bridge0_aliases=\"inet 10.9.9.9/32\"' >/etc/rc.conf.local",
        "rm /etc/rc.conf.local",
        "rc-elsewhere",
        "/etc/rc.conf.local",
    ),
    wrong(
        "spare",
        "echo 'jail_list=\"$jail_list web\"' >/etc/rc.conf.local",
        "rm /etc/rc.conf.local",
        "rc-refers",
        "/etc/rc.conf.local",
    ),
    wrong(
        "big",
        "route -q -n add -host 192.168.123.50 10.77.0.1",
        "route -q -n delete -host 192.168.123.50 10.77.0.1",
        "next-hop",
        "10.77.0.1",
    ),
    wrong("spare", "service jail onestop web", "service jail onestart web", "not-running", "web"),
    wrong(
        "small",
        "key=$(wg show wg0 allowed-ips | awk '/10.77.0.3/ { print $1 }'); wg set wg0 peer \"$key\" allowed-ips +192.168.123.50/32 2>/dev/null || wg set wg0 peer \"$key\" allowed-ips 10.77.0.3/32,192.168.124.0/24,2001:db8:1:2::/72,192.168.123.50/32",
        "wg syncconf wg0 /usr/local/etc/wireguard/wg0.conf",
        "owner",
        "192.168.123.50",
    ),
];

const fn wrong(
    host: &'static str,
    make: &'static str,
    unmake: &'static str,
    code: &'static str,
    names: &'static str,
) -> Wrong {
    Wrong { host, make, unmake, code, names }
}

#[test]
fn wrong_hosts_are_refused_before_anything_changes() {
    let Some(fleet) = Fleet::anew("wrong_hosts_are_refused_before_anything_changes") else { return };
    let right = fleet.states();
    let mut failures = Vec::new();
    for case in HOSTS {
        fleet.sh(case.host, case.make);
        let before = fleet.states();
        assert_ne!(before.difference(&right), Vec::<String>::new(), "nothing is wrong after: {}", case.make);
        if let Err(reason) = refused(&fleet, &fleet.file, &case) {
            failures.push(format!("{} on {}: {reason}", case.make, case.host));
        }
        before.same(&fleet.states(), case.make);
        fleet.sh(case.host, case.unmake);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    fleet.answers_from("web", "spare");
    // The quota is none again, but ours.
    let ours = |line: &str| line.contains("big: datasets: jfpool/jails quota=0 ");
    right.same_but(&fleet.states(), "when every wrong thing is put right again", ours);
    assert!(fleet.journals().is_empty(), "a refusal is no run");
    fleet.jailferry(&["plan", "web", "big"]).exits(0);
}

#[test]
fn wrong_fleets_are_refused_before_anything_changes() {
    let Some(fleet) = Fleet::anew("wrong_fleets_are_refused_before_anything_changes") else { return };
    let text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let before = fleet.states();
    let mut failures = Vec::new();
    let big = text.find("\n  big:").expect("the fleet has big");
    let at_big = |from: &str, to: &str| {
        let (head, tail) = text.split_at(big);
        format!("{head}{}", tail.replacen(from, to, 1))
    };
    let cases = [
        ("no-fib", "FIB 5", at_big("fib: 1", "fib: 5")),
        ("same-host", "the same host", at_big("ssh: \"big\"", "ssh: \"root@spare\"")),
        ("no-such-tunnel", "wg7", at_big("wireguard: wg0", "wireguard: wg7")),
        ("no-parent", "jfpool/none", at_big("parent: jfpool/jails", "parent: jfpool/none")),
        ("no-such-bridge", "bridge7", at_big("bridge: bridge0", "bridge: bridge7")),
    ];
    for (code, names, text) in cases {
        let file: PathBuf = fleet.state.path().join(format!("{code}.yml"));
        fs::write(&file, text).expect("written");
        if let Err(reason) = refused(&fleet, &file, &wrong("big", "", "", code, names)) {
            failures.push(format!("{code}: {reason}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // A host that is not there has no code, only a sentence.
    let file = fleet.state.path().join("unreachable.yml");
    fs::write(&file, at_big("ssh: \"big\"", "ssh: \"root@127.0.0.1:9\"")).expect("written");
    fleet.jailferry_with(&file, &["migrate", "web", "big", "--yes"]).exits(3).says("big").says("nothing was changed");
    before.same(&fleet.states(), "after fleets that are wrong");
}

#[test]
fn a_hub_without_pf_is_reported() {
    let Some(fleet) = Fleet::anew("a_hub_without_pf_is_reported") else { return };
    fleet.sh("small", "pfctl -d");
    let plan = fleet.jailferry(&["plan", "web", "big", "--json"]).json();
    let found = plan["findings"].as_array().expect("a list").iter().find(|f| f["code"] == "pf-off");
    assert_eq!(found.unwrap_or_else(|| panic!("no pf-off in {}", plan["findings"]))["host"], "small");
    fleet.sh("small", "pfctl -e");
    wait_until("the hub forwards again", || fleet.fetch(&format!("{}/", fleet.urls("web")[0])).contains("jail=web"));
}

/// `plan` shows the finding, `migrate` ends with code 3 and says it. Err: what is not as it should be.
fn refused(fleet: &Fleet, file: &Path, case: &Wrong) -> Result<(), String> {
    let plan = fleet.jailferry_with(file, &["plan", "web", "big", "--json"]);
    if plan.status != 3 {
        return Err(format!("expected exit code 3, not {}: {}", plan.status, plan.stderr));
    }
    let json = plan.json();
    let findings = json["findings"].as_array().ok_or_else(|| plan.all.clone())?;
    let found = findings.iter().find(|f| f["code"] == case.code && f["severity"] == "error");
    let found = found.ok_or_else(|| format!("no finding {} in {findings:#?}", case.code))?;
    let (what, fix) = (found["what"].as_str().unwrap_or_default(), found["fix"].as_str().unwrap_or_default());
    if !what.contains(case.names) {
        return Err(format!("the finding does not name {}: {found}", case.names));
    }
    if fix.is_empty() {
        return Err(format!("no way to mend it: {found}"));
    }
    let told = fleet.jailferry_with(file, &["migrate", "web", "big", "--yes"]);
    let said = told.stderr.contains(what) && told.stderr.contains("nothing was changed");
    if told.status == 3 && said { Ok(()) } else { Err(format!("expected exit code 3 and the finding: {}", told.all)) }
}
