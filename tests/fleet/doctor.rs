//! `jailferry doctor` on a fleet that was set up by hand and badly: it names every fault, and the lines it prints put
//! things right.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bench::Fleet;

/// What an administrator did on each host, all at once.
const WRONG: [(&str, &str); 3] = [
    (
        "small",
        "pfctl -d
sysctl net.inet6.ip6.forwarding=0
sysrc gateway_enable=NO jail_enable=NO
key=$(wg show wg0 allowed-ips | awk '/10.77.0.3/ { print $1 }')
wg set wg0 peer \"$key\" allowed-ips 10.77.0.3/32,192.168.124.0/24,2001:db8:1:2::/72,192.168.123.50/32
sed -i '' '/^net.fibs=/d' /boot/loader.conf
route -n add -inet -host 192.168.125.10 -interface bridge0 -fib 0",
    ),
    (
        "spare",
        "sysrc jail_enable=NO ipv6_gateway_enable=NO cloned_interfaces=wg0
sysrc -x ifconfig_bridge0
sysrc static_routes=jfhub
wg set wg0 peer \"$(wg show wg0 peers)\" allowed-ips 10.77.0.0/24,192.168.0.0/16,203.0.113.0/24,::/0
arp -s 192.168.125.10 02:00:00:00:00:01
jexec db ifconfig epair3b mtu 1500
ifconfig bridge7 create
mkdir /root/only-here
echo '/root/only-here /jf/jails/sib/mnt nullfs ro 0 0' >>/etc/jail.sib.fstab
sed -i '' 's|^ *exec.poststop = |exec.consolelog = \"/var/log/jails/db.log\"; exec.prestart += \"ifconfig bridge7 up\"; &|' /etc/jail.conf.d/db.conf
file=/usr/local/etc/wireguard/wg0.conf
awk '{ print } $1 == \"[Interface]\" { print \"SaveConfig = true\" }' $file >/root/wg0.conf
cat /root/wg0.conf >$file
rm /root/wg0.conf",
    ),
    (
        "big",
        "sysrc zfs_enable=NO
sysctl net.inet.ip.forwarding=0
sysctl net.inet.ip.redirect=1
route -n delete -inet default -fib 1
zfs create jfpool/jails/web
zfs set readonly=on jfpool/jails
zfs set quota=4M jfpool/jails
echo '# mine' >/etc/jail.conf.d/mail.conf
echo 'db { path = \"/x\"; }' >/etc/jail.conf.d/db.conf
jail -c name=twin vnet persist path=/
jexec twin ifconfig lo0 inet 192.168.123.51/32 alias
ifconfig bridge0 inet 192.168.125.10/32 alias
ifconfig bridge0 down",
    ),
];

/// The finding that names each, and what of it must be in the sentence.
const FAULTS: [(&str, &str, &str); 37] = [
    ("small", "pf-off", "pf is not running"),
    ("small", "forwarding-off", "net.inet6.ip6.forwarding"),
    ("small", "forwarding-forgotten", "net.inet.ip.forwarding"),
    ("small", "jails-off", "mail"),
    ("small", "owner", "192.168.123.50/32"),
    ("small", "file-differs", "192.168.123.50/32"),
    ("small", "fibs-forgotten", "net.fibs is 2"),
    ("small", "route-astray", "bridge0"),
    ("small", "no-log-folder", "/var/log/jails"),
    ("small", "missing-source", "/root/only-here"),
    ("small", "foreign-interface", "bridge7"),
    ("spare", "jails-off", "web"),
    ("spare", "forwarding-forgotten", "net.inet6.ip6.forwarding"),
    ("spare", "bridge-forgotten", "bridge0"),
    ("spare", "address-forgotten", "192.168.123.1/24"),
    ("spare", "route-forgotten", "0.0.0.0/0"),
    ("spare", "narrow-tunnel", "inet address"),
    ("spare", "file-differs", "192.168.0.0/16"),
    ("spare", "arp-fixed", "192.168.125.10"),
    ("spare", "mtu-large", "1500"),
    ("spare", "save-config", "SaveConfig"),
    ("spare", "table-not-off", "Table = off"),
    ("spare", "no-way-out", "203.0.113.100"),
    ("big", "zfs-forgotten", "zfs_enable"),
    ("big", "forwarding-off", "net.inet.ip.forwarding"),
    ("big", "redirects", "ICMP redirects"),
    ("big", "egress", "FIB 1"),
    ("big", "dataset-exists", "jfpool/jails/web"),
    ("big", "parent-read-only", "jfpool/jails"),
    ("big", "no-space", "jfpool"),
    ("big", "file-exists", "/etc/jail.conf.d/mail.conf"),
    ("big", "configuration-exists", "/etc/jail.conf.d/db.conf"),
    ("big", "no-configuration", "twin"),
    ("big", "address-taken", "192.168.123.51"),
    ("big", "address-of-host", "192.168.125.10"),
    ("big", "bridge-down", "bridge0"),
    ("big", "no-log-folder", "/var/log/jails"),
];

/// What no line can say, since it is for a person to choose; each as the words of the fix have it.
const BY_HAND: [(&str, &str, &str, &str); 6] = [
    ("no-space", "quota", "big", "zfs set quota=none jfpool/jails"),
    ("address-taken", "stop twin if it is a leftover", "big", "jail -r twin"),
    ("mtu-large", "set the MTU inside to 1420 or less", "spare", "jexec db ifconfig epair3b mtu 1380"),
    ("missing-source", "provide it on big", "big", "mkdir /root/only-here"),
    ("missing-source", "provide it on small", "small", "mkdir /root/only-here"),
    (
        "foreign-interface",
        "let the command stand without it",
        "spare",
        "sed -i '' 's| exec.prestart += \"ifconfig bridge7 up\";||' /etc/jail.conf.d/db.conf; ifconfig bridge7 destroy",
    ),
];

#[test]
fn the_doctor_names_every_fault_and_what_it_says_puts_things_right() {
    let Some(fleet) = Fleet::anew("the_doctor_names_every_fault_and_what_it_says_puts_things_right") else { return };
    is_well(&fleet);
    fleet.jailferry(&["doctor"]).exits(0).says("examined: big, small, spare");
    for (host, commands) in WRONG {
        fleet.sh(host, commands);
    }
    let before = fleet.states();
    let text = fleet.jailferry(&["doctor"]).exits(3).stdout;
    let told = fleet.jailferry(&["doctor", "--json"]).exits(3).json();
    before.same(&fleet.states(), "doctor");
    assert!(fleet.journals().is_empty(), "a question is no run");
    names_every_fault(&told);
    reads_well(&text, &told);

    let mut hand: Vec<_> = BY_HAND.to_vec();
    for round in 0..5 {
        let told = fleet.jailferry(&["doctor", "--json"]).json();
        let faults: Vec<Value> = list(&told["faults"]).into_iter().filter(|f| !is_of_releases(f)).collect();
        if faults.is_empty() {
            break;
        }
        assert!(round < 4, "still wrong: {faults:#?}");
        let mut done = BTreeSet::new();
        for fault in faults {
            for remedy in list(&fault["commands"]) {
                let (host, command) = (word(&remedy["host"]), word(&remedy["command"]));
                if done.insert((host.clone(), command.clone())) {
                    fleet.sh(&host, &command);
                }
            }
            let (code, fix) = (word(&fault["code"]), word(&fault["fix"]));
            let (now, later): (Vec<_>, Vec<_>) = hand.into_iter().partition(|h| h.0 == code && fix.contains(h.1));
            hand = later;
            for (_, _, host, commands) in now {
                fleet.sh(host, commands);
            }
        }
    }
    assert!(hand.is_empty(), "nobody said so: {hand:?}");
    is_well(&fleet);
    fleet.answers_from("web", "spare");
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    fleet.answers_from("web", "big");
}

#[test]
fn the_doctor_examines_the_others_when_a_host_is_away() {
    let Some(fleet) = Fleet::anew("the_doctor_examines_the_others_when_a_host_is_away") else { return };
    let text = std::fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let file = fleet.state.path().join("unreachable.yml");
    std::fs::write(&file, text.replacen("ssh: \"big\"", "ssh: \"root@127.0.0.1:9\"", 1)).expect("written");
    fleet.sh("spare", "sysrc gateway_enable=NO");
    let told = fleet.jailferry_with(&file, &["doctor"]).exits(3);
    told.says("error[unreachable]").says("warning[forwarding-forgotten]").says("not examined: big");
    // One node alone, and a node that nobody knows.
    let told = fleet.jailferry(&["doctor", "small", "--json"]).exits(0).json();
    assert!(list(&told["faults"]).iter().all(|f| f["host"] != "spare" || !list(&f["moves"]).is_empty()), "{told}");
    fleet.jailferry(&["doctor", "nobody"]).exits(2).says("fleet.yml has no node nobody");
}

/// That its hosts have different releases is no fault of a fleet, and no line puts it right.
fn is_of_releases(fault: &Value) -> bool {
    fault["code"] == "base-of-host"
}

fn is_well(fleet: &Fleet) {
    let told = fleet.jailferry(&["doctor", "--json"]).exits(0).json();
    let (releases, others): (Vec<_>, Vec<_>) = list(&told["faults"]).into_iter().partition(is_of_releases);
    assert!(others.is_empty(), "{others:#?}");
    fleet.jailferry(&["doctor"]).exits(0).says(if releases.is_empty() { "all is well" } else { "no error" });
}

fn names_every_fault(told: &Value) {
    let faults = list(&told["faults"]);
    let mut missing = Vec::new();
    for (host, code, names) in FAULTS {
        let is_it = |f: &&Value| f["host"] == host && f["code"] == code && word(&f["what"]).contains(names);
        match faults.iter().find(is_it) {
            Some(fault) if word(&fault["fix"]).is_empty() => missing.push(format!("no fix of {fault}")),
            Some(_) => {}
            None => missing.push(format!("{code} of {host}, with {names}")),
        }
    }
    assert!(missing.is_empty(), "not found:\n{}\nin {faults:#?}", missing.join("\n"));
    let codes: BTreeSet<&str> = FAULTS.iter().map(|(_, code, _)| *code).collect();
    assert!(codes.len() >= 25, "{}", codes.len());
}

/// Every line to type or to write is in the text as it is, and whatever else there is fits a terminal.
fn reads_well(text: &str, told: &Value) {
    let mut whole = BTreeSet::new();
    for fault in list(&told["faults"]) {
        assert!(text.contains(&format!("[{}]", word(&fault["code"]))), "{fault}");
        for remedy in list(&fault["commands"]) {
            let line = format!("      {}# {}\n", word(&remedy["host"]), word(&remedy["command"]));
            assert!(text.contains(&line), "{line}");
            whole.insert(line.trim_end().to_owned());
        }
        for line in list(&fault["lines"]) {
            let place = format!("      {}:{}, {}:", word(&line["host"]), word(&line["file"]), word(&line["place"]));
            let what = format!("        {}", word(&line["line"]));
            assert!(text.contains(&format!("{place}\n{what}\n")), "{line}");
            whole.extend([place, what]);
        }
    }
    let wide = |line: &&str| line.chars().count() > 80 && !whole.contains(*line);
    assert_eq!(text.lines().filter(wide).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!text.contains('\x1b'), "colours where no terminal is");
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
