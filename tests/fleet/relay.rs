//! Two nodes behind NAT as peers of each other.

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
pub struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SPARE: &str = "10.77.0.2/32,192.168.123.0/24,2001:db8:1:1::/72,192.168.125.0/24,2001:db8:1:3::/72";
const BIG: &str = "10.77.0.3/32,192.168.124.0/24,2001:db8:1:2::/72";

/// Makes spare and big peers of each other, now and in their files.
pub fn connect(fleet: &Fleet) -> Relay {
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
