//! Nodes with a tunnel straight to each other, beside the one to the hub: they route by AllowedIPs of their own.

use std::process::Child;

use crate::bench::Fleet;
use crate::bench::wait_until;

/// Both nodes are behind NAT, so the client passes their datagrams on. Perl is part of every Debian.
const RELAY: &str = r#"
use strict; use IO::Select; use IO::Socket::INET;
my ($a, $b) = map { IO::Socket::INET->new(Proto => "udp", LocalAddr => "ADDRESS", LocalPort => $_) or die $! } 40001, 40002;
my $all = IO::Select->new($a, $b);
my %from;
while (my @ready = $all->can_read) {
    for my $s (@ready) {
        defined($from{$s} = $s->recv(my $data, 65535)) or next;
        my $other = $s == $a ? $b : $a;
        $other->send($data, 0, $from{$other}) if $from{$other};
    }
}
"#;

/// Ends with the test.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SPARE: &str = "10.77.0.2/32,192.168.123.0/24,2001:db8:1:1::/72,192.168.125.0/24,2001:db8:1:3::/72";
const BIG: &str = "10.77.0.3/32,192.168.124.0/24,2001:db8:1:2::/72";

/// Makes spare and big peers of each other, now and in their files.
fn connect(fleet: &Fleet) -> Relay {
    let address = &fleet.client[0];
    let relay = RELAY.replace("ADDRESS", address);
    let relay = fleet.in_lab().command(&["client", "--", "perl", "-e", &relay]).spawn().expect("the relay runs");
    for (host, other, port, allowed) in [("spare", "big", 40001, BIG), ("big", "spare", 40002, SPARE)] {
        let key = fleet.sh(other, "wg show wg0 public-key");
        let key = key.trim();
        fleet.sh(
            host,
            &format!(
                "wg set wg0 peer '{key}' endpoint {address}:{port} persistent-keepalive 1 allowed-ips {allowed}\n\
                 printf '\\n[Peer]\\nPublicKey = %s\\nEndpoint = {address}:{port}\\nAllowedIPs = {}\\nPersistentKeepalive = 1\\n' \
                 '{key}' >>/usr/local/etc/wireguard/wg0.conf",
                allowed.replace(',', ", ")
            ),
        );
    }
    let relay = Relay(relay);
    wait_until("spare reaches big by their own tunnel", || {
        fleet.try_sh("spare", "ping -n -q -c 1 -t 2 10.77.0.3").status.success()
    });
    relay
}

/// From that place and from the hub, in both families. Never from a gateway of web's, which every host of web has.
fn reached_by(fleet: &Fleet, host: &str, asks: &str) {
    for (from, asks) in [(host, asks), ("small", "")] {
        for ping in ["ping -n -q -c 1 -t 2 192.168.123.50", "ping -6 -n -q -c 1 -t 2 2001:db8:1:1::50"] {
            wait_until(&format!("{ping} on {from}"), || fleet.try_sh(from, &format!("{asks} {ping}")).status.success());
        }
    }
}

#[test]
fn a_jail_moves_between_nodes_that_are_peers_of_each_other() {
    let Some(fleet) = Fleet::lab("a_jail_moves_between_nodes_that_are_peers_of_each_other") else { return };
    let _relay = connect(&fleet);
    let lists = |fleet: &Fleet| {
        let ask = "wg show wg0 allowed-ips | sort; cat /usr/local/etc/wireguard/wg0.conf | grep AllowedIPs";
        [fleet.sh("spare", ask), fleet.sh("big", ask)]
    };
    let before = lists(&fleet);
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    fleet.answers_from("web", "big");
    reached_by(&fleet, "spare", "jexec -l db");
    let [spare, _] = lists(&fleet);
    assert_eq!(spare.matches("192.168.123.50/32").count(), 2, "on the interface and in the file: {spare}");
    // What the jail sends comes straight: the peer's counter tells.
    let key = fleet.sh("big", "wg show wg0 public-key");
    let received = |fleet: &Fleet| {
        let all = fleet.sh("spare", "wg show wg0 transfer");
        let line = all.lines().find(|l| l.starts_with(key.trim())).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default()
    };
    let so_far = received(&fleet);
    fleet.sh("spare", "jexec -l db ping -n -q -c 1 -t 2 -s 1200 192.168.123.50");
    assert!(received(&fleet) >= so_far + 1200, "the answer did not come by the nodes' own tunnel");
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    fleet.answers_from("web", "spare");
    reached_by(&fleet, "big", "setfib 1");
    assert_eq!(lists(&fleet), before, "left after coming home");
}
