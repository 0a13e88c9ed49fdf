//! Two hubs: the client, which is on the internet as small is, becomes the second one.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::bench::Fleet;
use crate::bench::wait_until;

/// The hubs first: a node greets them when it comes up, and again only after a while.
const HOSTS: [&str; 4] = ["small", "client", "spare", "big"];

const SPARE: &str = "192.168.123.0/24, 2001:db8:1:1::/72, 192.168.125.0/24, 2001:db8:1:3::/72";
const BIG: &str = "192.168.124.0/24, 2001:db8:1:2::/72";
const SMALL: &str = "192.168.122.0/24, 2001:db8:1::/72";

/// How `wg set` names what web owns, and nothing else does.
const PREFIXES: &str = "192.168.123.50/32,2001:db8:1:1::50/128";

/// What WireGuard's file and rc.conf of a host say of one interface, for the next boot.
fn interface(fleet: &Fleet, host: &str, name: &str, address: &str, peers: &[(String, String)]) {
    let file = format!("/usr/local/etc/wireguard/{name}.conf");
    let lists: String = peers.iter().map(|(key, rest)| format!("\n[Peer]\nPublicKey = {key}\n{rest}\n")).collect();
    fleet.sh(
        host,
        &format!(
            "printf '%s\\n' '{lists}' >>{file}\n\
             echo 'wg setconf {name} {file}' >/etc/start_if.{name}\n\
             sysrc ifconfig_{name}='inet {address} up' ifconfig_{name}_ipv6='inet6 -ifdisabled' >/dev/null\n\
             sysrc cloned_interfaces+=' {name}' >/dev/null"
        ),
    );
}

/// A new key in a file of that interface; the public one.
fn key(fleet: &Fleet, host: &str, name: &str) -> String {
    let file = format!("/usr/local/etc/wireguard/{name}.conf");
    let made = format!(
        "umask 077\nmkdir -p /usr/local/etc/wireguard\nwg genkey >/root/{name}.key\n\
         {{ echo '[Interface]'; echo \"PrivateKey = $(cat /root/{name}.key)\"; echo 'ListenPort = 51820'; }} >{file}\n\
         wg pubkey </root/{name}.key"
    );
    fleet.sh(host, &made).trim().to_owned()
}

/// Routes into a tunnel, for the next boot.
fn routes(fleet: &Fleet, host: &str, tunnel: &str, prefixes: &str, fib: u16) {
    let mut lines = String::new();
    for (number, prefix) in prefixes.split(", ").enumerate() {
        let (list, start) =
            if prefix.contains(':') { ("ipv6_static_routes", "ipv6_route") } else { ("static_routes", "route") };
        let name = format!("{tunnel}n{number}");
        lines += &format!(
            "sysrc {list}+=' {name}' {start}_{name}='-net {prefix} -interface {tunnel} -fib {fib}' >/dev/null\n"
        );
    }
    fleet.sh(host, &lines);
}

fn forwards(fleet: &Fleet) {
    fleet.sh(
        "client",
        "sysrc gateway_enable=YES ipv6_gateway_enable=YES >/dev/null\n\
         printf '%s\\n' net.inet.ip.redirect=0 net.inet6.ip6.redirect=0 >>/etc/sysctl.conf",
    );
}

/// fleet.yml with both hubs.
fn two_hubs(fleet: &Fleet) -> PathBuf {
    let text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    let text =
        text.replacen("hub: small\n", "hub: [small, client]\n", 1).replacen("nodes:\n", "nodes:\n  client:\n", 1);
    assert!(text.contains("[small, client]") && text.contains("  client:\n"), "{text}");
    let file = fleet.file.with_file_name("hubs.yml");
    fs::write(&file, text).expect("written");
    file
}

fn boot_all(fleet: &Fleet) {
    for host in HOSTS {
        fleet.reboot(host);
    }
}

fn answers(fleet: &Fleet, host: &str, command: &str) {
    wait_until(&format!("{command} on {host}"), || fleet.try_sh(host, command).status.success());
}

/// From both hubs, each by its own tunnel, in both families; and from its sibling.
fn reached(fleet: &Fleet, at: &str) {
    assert_eq!(fleet.runs_on("web"), [at]);
    for hub in ["small", "client"] {
        // Never from a gateway of web's, which every host of web has.
        let from = if hub == "small" { "-S 2001:db8:ff::1 " } else { "" };
        answers(fleet, hub, "ping -n -q -c 1 -t 2 192.168.123.50");
        answers(fleet, hub, &format!("ping -6 -n -q -c 1 -t 2 {from}2001:db8:1:1::50"));
        answers(fleet, hub, &format!("fetch -q -T 5 -o - http://192.168.123.50/ | grep -qxF host={at}"));
    }
    answers(fleet, "spare", "jexec -l sib ping -n -q -c 1 -t 2 192.168.123.50");
    answers(fleet, "spare", "jexec -l sib ping -6 -n -q -c 1 -t 2 2001:db8:1:1::50");
}

/// AllowedIPs and routes of every host, as they are and as its files have them.
fn network(fleet: &Fleet) -> Vec<String> {
    let ask = "wg show all allowed-ips | tr ' ' '\\n' | sort\n\
        cat /usr/local/etc/wireguard/*.conf | grep AllowedIPs | tr -d ' ' | tr ',' '\\n' | sort\n\
        for fib in 0 1; do netstat -rn -F $fib 2>/dev/null | awk 'NF >= 4 { print $1, $2, $4 }' | sort; done";
    HOSTS.iter().map(|host| format!("{host}\n{}", fleet.sh(host, ask))).collect()
}

/// There, every host boots anew, back.
fn there_and_back(fleet: &Fleet, file: &Path, up: fn(&Fleet)) {
    boot_all(fleet);
    up(fleet);
    reached(fleet, "spare");
    let before = network(fleet);
    let told = fleet.jailferry_with(file, &["migrate", "web", "big", "--yes"]).exits(0);
    for line in ["small reaches 192.168.123.50", "client reaches 192.168.123.50", "client reaches 2001:db8:1:1::50"] {
        assert!(told.all.contains(line), "nothing says that {line}:\n{}", told.all);
    }
    reached(fleet, "big");
    let moved = network(fleet);
    boot_all(fleet);
    up(fleet);
    reached(fleet, "big");
    assert_eq!(moved, network(fleet), "after a reboot of every host");
    fleet.jailferry_with(file, &["migrate", "web", "spare", "--yes"]).exits(0);
    reached(fleet, "spare");
    assert_eq!(before, network(fleet), "left after coming home");
}

/// Both nodes have a second tunnel, to the client.
fn redundant(fleet: &Fleet) {
    let (hub, spare, big) = (key(fleet, "client", "wg0"), key(fleet, "spare", "wg1"), key(fleet, "big", "wg1"));
    let nodes =
        [(spare, format!("AllowedIPs = 10.78.0.2/32, {SPARE}")), (big, format!("AllowedIPs = 10.78.0.3/32, {BIG}"))];
    interface(fleet, "client", "wg0", "10.78.0.1/24", &nodes);
    routes(fleet, "client", "wg0", &format!("{SPARE}, {BIG}"), 0);
    forwards(fleet);
    for (node, address) in [("spare", "10.78.0.2/24"), ("big", "10.78.0.3/24")] {
        let peer = "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 203.0.113.100:51820\nPersistentKeepalive = 1";
        interface(fleet, node, "wg1", address, &[(hub.clone(), peer.to_owned())]);
        // What the second hub asks is answered by its own tunnel.
        routes(fleet, node, "wg1", "10.78.0.0/24", 1);
        // Not the port of wg0.
        fleet.sh(node, "sed -i '' -e 's/^ListenPort = .*/ListenPort = 51821/' /usr/local/etc/wireguard/wg1.conf");
    }
}

fn both_tunnels(fleet: &Fleet) {
    for node in ["spare", "big"] {
        answers(fleet, node, "ping -n -q -c 1 -t 2 10.77.0.1");
        answers(fleet, node, "ping -n -q -c 1 -t 2 10.78.0.1");
    }
}

#[test]
fn a_jail_moves_between_nodes_that_have_two_hubs() {
    let Some(fleet) = Fleet::lab("a_jail_moves_between_nodes_that_have_two_hubs") else { return };
    redundant(&fleet);
    there_and_back(&fleet, &two_hubs(&fleet), both_tunnels);
}

#[test]
fn a_second_hub_that_fails_in_the_middle_is_as_it_was_afterwards() {
    let Some(fleet) = Fleet::lab("a_second_hub_that_fails") else { return };
    redundant(&fleet);
    boot_all(&fleet);
    both_tunnels(&fleet);
    let (file, lab) = (two_hubs(&fleet), fleet.in_lab());
    let before = network(&fleet);
    let moves = || fleet.jailferry_with(&file, &["migrate", "web", "big", "--yes"]);

    // It refuses: the first one, which had switched already, gets its own back.
    let fault = lab.fail("client", PREFIXES, Some(1), "a fault of the second hub");
    let told = moves().exits(4);
    assert_eq!(lab.fired(&fault), 1, "{}", told.all);
    assert!(told.all.contains("a fault of the second hub"), "{}", told.all);
    lab.clear_faults("client");
    reached(&fleet, "spare");
    assert_eq!(before, network(&fleet), "left after the second hub refused");

    // It loses its power when it has switched.
    let at = ["--match", PREFIXES, "--nth", "1", "--when", "after"];
    let fault = lab.fault("client", &at, "reboot");
    let told = moves();
    assert_eq!(lab.fired(&fault), 1, "{}", told.all);
    lab.clear_faults("client");
    wait_until("client is up", || fleet.try_sh("client", "jls name").status.success());
    both_tunnels(&fleet);
    let told = match told.status {
        5 => fleet.jailferry_with(&file, &["recover"]).exits(0),
        0 | 4 => told,
        _ => panic!("neither moved, rolled back nor in need of `recover`\n{}", told.all),
    };
    if fleet.runs_on("web") == ["big"] {
        reached(&fleet, "big");
        fleet.jailferry_with(&file, &["migrate", "web", "spare", "--yes"]).exits(0);
    }
    reached(&fleet, "spare");
    assert_eq!(before, network(&fleet), "left after the second hub was gone\n{}", told.all);
}

#[test]
fn a_jail_moves_from_the_region_of_one_hub_to_that_of_another() {
    let Some(fleet) = Fleet::lab("a_jail_moves_from_the_region_of_one_hub_to_that_of_another") else { return };
    let hub = key(&fleet, "client", "wg0");
    let public = |host: &str| fleet.sh(host, "wg show wg0 public-key").trim().to_owned();
    let (small, big) = (public("small"), public("big"));
    // big is behind the second hub only, and the hubs are peers of each other.
    let peers = [
        (big.clone(), format!("AllowedIPs = 10.77.0.3/32, {BIG}")),
        (
            small.clone(),
            format!(
                "AllowedIPs = 10.77.0.1/32, 10.77.0.2/32, 2001:db8:ff::1/128, {SMALL}, {SPARE}\nEndpoint = 203.0.113.1:51820\nPersistentKeepalive = 1"
            ),
        ),
    ];
    interface(&fleet, "client", "wg0", "10.77.0.4/24", &peers);
    routes(&fleet, "client", "wg0", &format!("{SMALL}, {SPARE}, {BIG}"), 0);
    forwards(&fleet);
    fleet.sh(
        "client",
        "printf '%s\\n' 'nat on vtnet0 inet from 192.168.0.0/16 to any -> (vtnet0:0)' 'pass all' >/etc/pf.conf\n\
         sysrc pf_enable=YES pf_rules=/etc/pf.conf >/dev/null",
    );
    let file = "/usr/local/etc/wireguard/wg0.conf";
    let edit = |host: &str, awk: &str| {
        fleet.sh(host, &format!("awk '{awk}' {file} >/root/edited\ncat /root/edited >{file}\nrm /root/edited"));
    };
    edit(
        "small",
        &format!(
            "$1 == \"PublicKey\" && $3 == \"{big}\" {{ print \"PublicKey = {hub}\"; print \"Endpoint = 203.0.113.100:51820\"; print \"PersistentKeepalive = 1\"; next }} \
             /^AllowedIPs/ && /10.77.0.3/ {{ print $0 \", 10.77.0.4/32, 2001:db8:ff::100/128\"; next }} {{ print }}"
        ),
    );
    edit(
        "big",
        &format!(
            "$1 == \"PublicKey\" {{ $3 = \"{hub}\" }} $1 == \"Endpoint\" {{ $3 = \"203.0.113.100:51820\" }} {{ print }}"
        ),
    );
    there_and_back(&fleet, &two_hubs(&fleet), |fleet| {
        for (node, hub) in
            [("spare", "10.77.0.1"), ("big", "10.77.0.4"), ("client", "10.77.0.1"), ("spare", "10.77.0.3")]
        {
            answers(fleet, node, &format!("ping -n -q -c 1 -t 2 {hub}"));
        }
    });
}
