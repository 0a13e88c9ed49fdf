//! Jails move there and back while a client counts: nothing is lost, never two, everything as before.

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::client::Client;

/// What a jail owns, and what of the fleet stays different when it has come home.
struct Jail {
    name: &'static str,
    /// One of its prefixes, as the hub lists it while the jail is away.
    prefix: &'static str,
    /// What owns it while the jail is at home.
    home_prefix: &'static str,
    inside4: &'static str,
    inside6: &'static str,
}

const WEB: Jail = Jail {
    name: "web",
    prefix: "192.168.123.50/32",
    home_prefix: "192.168.123.0/24",
    inside4: "192.168.123.50",
    inside6: "2001:db8:1:1::50",
};

const DB: Jail = Jail {
    name: "db",
    prefix: "192.168.125.0/24",
    home_prefix: "192.168.125.0/24",
    inside4: "192.168.125.10",
    inside6: "2001:db8:1:3::10",
};

#[test]
fn web_moves_to_big_and_home_again() {
    let Some(fleet) = Fleet::any("web_moves_to_big_and_home_again") else { return };
    there_and_back(&fleet, &WEB);
}

#[test]
fn db_moves_to_big_and_home_again() {
    let Some(fleet) = Fleet::any("db_moves_to_big_and_home_again") else { return };
    there_and_back(&fleet, &DB);
}

fn there_and_back(fleet: &Fleet, jail: &Jail) {
    let before = fleet.states();
    moves(fleet, jail, "spare", "big");
    assert_eq!(fleet.sh("spare", "sysrc -n jail_list").split_whitespace().filter(|j| *j == jail.name).count(), 0);
    assert_eq!(fleet.sh("big", "sysrc -n jail_list").split_whitespace().filter(|j| *j == jail.name).count(), 1);
    moves(fleet, jail, "big", "spare");
    // Only the copy that big keeps, and what both need for the next move, is left.
    before.same_but(&fleet.states(), "after coming home", |line| kept(line, jail.name));
}

/// One move with everything that is asked of it.
fn moves(fleet: &Fleet, jail: &Jail, from: &str, to: &str) {
    let [url4, url6] = fleet.urls(jail.name);
    let [sib, _] = fleet.urls("sib");
    fleet.answers_from(jail.name, from);
    let watch = fleet.has_lab().then(|| fleet.in_lab().watch());
    let counting = Client::counting(fleet, &url4);
    let asking = Client::asking(fleet, &[&url6]);
    let neighbours = Client::neighbours(fleet, &[&sib]);

    let told = fleet.jailferry(&["migrate", "jail", jail.name, "to", "node", to, "--yes"]).exits(0).says("moved");

    let last = counting.lost_nothing(&url4);
    assert!(last > 0, "{}", told.all);
    let seen = asking.seen();
    let moved = &seen[&url6];
    println!("{}: the client was without it for {} ms", jail.name, moved.blackout_ms);
    let beside = neighbours.seen();
    let sibling = &beside[&sib];
    assert_eq!(sibling.hosts, "spare", "the sibling answers from where it always was: {beside:?}");
    assert_eq!(sibling.lost, 0, "the sibling of {} was not always there: {beside:?}\n{}", jail.name, told.all);
    assert_eq!(moved.hosts, format!("{from}>{to}"), "{seen:?}");
    if let Some(watch) = watch {
        let prefix = if from == "spare" { jail.home_prefix } else { jail.prefix };
        let other = if from == "spare" { jail.prefix } else { jail.home_prefix };
        let network = if prefix == other { prefix } else { jail.home_prefix };
        assert_eq!(watch.never_two(jail.name, network), [from, to]);
    }

    assert_eq!(fleet.runs_on(jail.name), [to]);
    fleet.answers_from(jail.name, to);
    fleet.answers_from("sib", "spare");
    fleet.sh("client", &format!("ping -6 -n -q -c 1 -t 5 {}", jail.inside6));
    // One whose answer came too late for the client may have been counted, too.
    let counted = |url: &str| fleet.fetch(&format!("{url}/count")).trim().parse::<u64>().expect("a number");
    let by_6 = counted(&url6);
    assert!(by_6 >= last && by_6 == counted(&url4), "{by_6} by IPv6, and {last} was the last that was acknowledged");
    // Its neighbours reach it, from the hub and from the node where its siblings stayed.
    for host in ["small", "spare"] {
        fleet.sh(host, &format!("ping -n -q -c 1 -t 5 {}", jail.inside4));
    }
    leaves_by_the_hub(fleet, jail, to);
    // The owner at the hub is the new one, and nobody else's.
    let key = fleet.sh(to, "wg show wg0 public-key");
    let owners = fleet.sh("small", "wg show wg0 allowed-ips");
    let line = owners.lines().find(|line| line.starts_with(key.trim())).unwrap_or_default();
    let owned = if to == "spare" { jail.home_prefix } else { jail.prefix };
    assert!(line.split_whitespace().any(|word| word == owned), "{to} owns {owned}: {owners}");
    assert_eq!(owners.split_whitespace().filter(|word| *word == owned).count(), 1, "{owners}");
}

/// From inside the jail the outside sees the hub's address in IPv4 (NAT) and the jail's own in IPv6.
fn leaves_by_the_hub(fleet: &Fleet, jail: &Jail, host: &str) {
    let inside = |url: &str| {
        let mut said = String::new();
        wait_until(&format!("{url} answers from inside {}", jail.name), || {
            let output = fleet.try_sh(host, &format!("jexec -l {} fetch -q -T 5 -o - '{url}'", jail.name));
            said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success()
        });
        said
    };
    let [client4, client6] = &fleet.client;
    assert_eq!(inside(&format!("http://{client4}/")), fleet.public4, "NAT egress of {}", jail.name);
    assert_eq!(inside(&format!("http://[{client6}]/")), jail.inside6, "IPv6 egress of {}", jail.name);
}

/// What may differ after a jail has come home, and why.
pub fn kept(line: &str, jail: &str) -> bool {
    let any = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    // The copy that big keeps until `finalize`, parked: unmounted, read-only, held, its configuration put aside.
    let copy = [format!("big: datasets: jfpool/jails/{jail} "), format!("big: datasets: jfpool/jails/{jail}/data ")];
    // Where an earlier test left such a copy, it is this move's now: other marks in place of those.
    let copy = any(&copy.each_ref().map(String::as_str)) && (line.starts_with('+') || line.contains(" org.jailferry:"));
    let aside = line.starts_with("+big: ")
        && (line.ends_with(&format!("/etc/jail.conf.d/.{jail}.conf.jailferry"))
            || line.ends_with(&format!("/etc/.jail.{jail}.fstab.jailferry")));
    // The base that both hosts have in common, so that the next move sends only what changed.
    let base = any(&[
        &format!("jfpool/jails/{jail}@jailferry-{jail}-"),
        &format!("jfpool/jails/{jail}/data@jailferry-{jail}-"),
    ]) && line.contains("-final");
    // What the hub's WireGuard configuration was before each move.
    let backup = line.starts_with("+small: ") && line.contains(&format!("wg0.conf.jailferry-{jail}-"));
    // rc.conf of the two nodes: the jail comes back at the end of spare's jail_list, and big, which had none, is left
    // with an empty one and with jails switched off (empty and switched on would start every jail there is).
    let boot = any(&[
        "spare: rc.conf: jail_list=",
        "spare: files: ",
        "big: rc.conf: jail_list=\"\"",
        "big: rc.conf: jail_enable=\"NO\"",
        "big: files: ",
    ]) && (line.contains("rc.conf: jail_") || line.ends_with(" /etc/rc.conf"));
    copy || aside || base || backup || boot
}
