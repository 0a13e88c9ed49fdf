//! One row of the table: an arrangement of the network, a move in it, everything booted anew, the move back.

use std::fs;
use std::path::PathBuf;

use crate::bench::Fleet;
use crate::bench::text;
use crate::bench::wait_until;
use crate::client::Client;
use crate::state::States;

/// The hub first: a node greets it when it comes up, and again only after a while.
const HOSTS: [&str; 3] = ["small", "spare", "big"];

const BEFORE: &str = "before the move";

/// A jail with what it answers at.
#[derive(Clone, Copy)]
pub struct Jail {
    pub name: &'static str,
    /// Inside, without lengths.
    pub inet: &'static [&'static str],
    pub inet6: &'static [&'static str],
    /// The port of the hub's that leads to it.
    pub port: u16,
}

pub const WEB: Jail = Jail { name: "web", inet: &["192.168.123.50"], inet6: &["2001:db8:1:1::50"], port: 8080 };
pub const DB: Jail = Jail { name: "db", inet: &["192.168.125.10"], inet6: &["2001:db8:1:3::10"], port: 8081 };
pub const MAIL: Jail = Jail { name: "mail", inet: &["192.168.122.25"], inet6: &["2001:db8:1::25"], port: 8082 };
const SIB: Jail = Jail { name: "sib", inet: &["192.168.123.51"], inet6: &["2001:db8:1:1::51"], port: 8083 };

/// By whose NAT the jail's IPv4 leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    Hub,
    Node,
}

/// What a row is made of.
pub struct Row {
    pub jail: Jail,
    pub from: &'static str,
    pub to: &'static str,
    pub egress: Egress,
    /// Pages that `publish:` gives the jail at its first move and that it keeps: `http://…` as the client asks for it.
    pub pages: &'static [&'static str],
    /// fleet.yml: what is replaced by what.
    pub settings: &'static [(&'static str, &'static str)],
    /// Makes the arrangement, so that it is there after the next boot.
    pub arrange: Option<fn(&Fleet)>,
    /// Makes what the next boot would end and must go on.
    pub connect: fn(&Fleet) -> Option<crate::relay::Relay>,
}

/// The testbed as it is.
pub const PLAIN: Row = Row {
    jail: WEB,
    from: "spare",
    to: "big",
    egress: Egress::Hub,
    pages: &[],
    settings: &[],
    arrange: None,
    connect: |_| None,
};

impl Row {
    /// Carries the row out in a lab of its own.
    pub fn holds(&self, name: &str) {
        let Some(fleet) = Fleet::lab(&format!("net-{name}")) else { return };
        if let Some(arrange) = self.arrange {
            arrange(&fleet);
        }
        let _relay = (self.connect)(&fleet);
        let file = self.fleet_file(&fleet);
        let moves = |to: &str| fleet.jailferry_with(&file, &["migrate", self.jail.name, to, "--yes"]).exits(0);
        if self.arrange.is_some() {
            boot_all(&fleet);
        }
        self.works(&fleet, self.from, BEFORE);
        let before = fleet.states();

        let pages = self.pages(&fleet);
        let urls: Vec<&str> = pages.iter().map(String::as_str).collect();
        let asking = Client::asking(&fleet, &urls);
        let told = moves(self.to);
        for (url, seen) in asking.seen() {
            assert_eq!(seen.hosts, format!("{}>{}", self.from, self.to), "who answered at {url}\n{}", told.all);
        }
        self.works(&fleet, self.to, "where it went");
        let there = network(&fleet.states());
        boot_all(&fleet);
        self.works(&fleet, self.to, "where it went, after a reboot of every host");
        there.same(&network(&fleet.states()), "after a reboot of every host");

        moves(self.from);
        self.works(&fleet, self.from, "at home again");
        before.same_but(&fleet.states(), "after coming home", |line| self.kept(line));
    }

    fn fleet_file(&self, fleet: &Fleet) -> PathBuf {
        let mut text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
        for (from, to) in self.settings {
            assert!(text.contains(from), "fleet.yml has no {from:?}:\n{text}");
            text = text.replacen(from, to, 1);
        }
        let file = fleet.file.with_file_name("row.yml");
        fs::write(&file, text).expect("written");
        file
    }

    /// Where a client outside finds the jail.
    fn pages(&self, fleet: &Fleet) -> Vec<String> {
        let hub = format!("http://{}:{}/", fleet.public4, self.jail.port);
        // A forward of the hub's does not lead to a jail that answers by its node.
        let by_the_hub = self.egress == Egress::Hub && !self.jail.inet.is_empty();
        let own = self.jail.inet6.iter().map(|address| format!("http://[{address}]/"));
        by_the_hub.then_some(hub).into_iter().chain(own).collect()
    }

    /// The client sees it there, every jail reaches every other, and it leaves by whom it shall.
    fn works(&self, fleet: &Fleet, host: &str, when: &str) {
        assert_eq!(fleet.runs_on(self.jail.name), [host], "{when}");
        let says = format!("jail={}\nhost={host}\n", self.jail.name);
        let published = self.pages.iter().filter(|_| when != BEFORE).map(|page| (*page).to_owned());
        for page in self.pages(fleet).into_iter().chain(published) {
            wait_until(&format!("{page} answers from {host} {when}"), || fleet.fetch(&page).starts_with(&says));
        }
        self.everyone_pings_everyone(fleet, when);
        let asks = |url: &str, wanted: &str| {
            let command = format!("jexec -l {} fetch -q -T 5 -o - '{url}'", self.jail.name);
            wait_until(&format!("{} on {host} is {wanted} to {url} {when}", self.jail.name), || {
                String::from_utf8_lossy(&fleet.try_sh(host, &command).stdout).trim() == wanted
            });
        };
        let [client4, client6] = &fleet.client;
        if !self.jail.inet.is_empty() {
            let public = match (self.egress, host) {
                (Egress::Node, "spare") => "203.0.113.12",
                (Egress::Node, "big") => "203.0.113.13",
                _ => &fleet.public4,
            };
            asks(&format!("http://{client4}/"), public);
        }
        if let [.., last] = self.jail.inet6 {
            // The source address is one of the jail's own; with several, the kernel chooses.
            let wanted = if self.jail.inet6.len() == 1 { last } else { return };
            asks(&format!("http://[{client6}]/"), wanted);
        }
    }

    /// All jails, and the hub, which has all of them behind it.
    fn everyone_pings_everyone(&self, fleet: &Fleet, when: &str) {
        let own = |jail: &Jail| if jail.name == self.jail.name { self.jail } else { *jail };
        let all = [WEB, SIB, DB, MAIL].map(|jail| own(&jail));
        let ways = |inside: &str, me: Option<&Jail>| {
            let others = all.iter().filter(|other| me.is_none_or(|me| me.name != other.name));
            let speaks =
                |addresses: fn(&Jail) -> &'static [&'static str]| me.is_none_or(|me| !addresses(me).is_empty());
            let (inet, inet6) = (speaks(|jail| jail.inet), speaks(|jail| jail.inet6));
            let lines = others.flat_map(|other| {
                let four = other.inet.iter().filter(move |_| inet).map(|a| format!("ping -n -q -c 1 -t 2 {a}"));
                // A gateway's address is on every host of a jail that has it, so the hub asks from its public one.
                let from = if me.is_none() { "-S 2001:db8:ff::1 " } else { "" };
                let six = other.inet6.iter().filter(move |_| inet6);
                let six = six.map(|a| format!("ping -6 -n -q -c 1 -t 2 {from}{a}"));
                four.chain(six).collect::<Vec<_>>()
            });
            lines.map(|ping| format!("reaches {inside} {ping}\n")).collect::<String>()
        };
        for host in HOSTS {
            let here = fleet.sh(host, "jls name");
            let jails = all.iter().filter(|jail| here.lines().any(|name| name == jail.name));
            let mut script: String = jails.map(|jail| ways(&format!("jexec -l {}", jail.name), Some(jail))).collect();
            if host == "small" {
                script += &ways("", None);
            }
            // All of them, one after the other, each again until it gets an answer.
            let reaches = "reaches() { for i in 1 2 3 4 5 6 7 8 9 10; do \"$@\" >/dev/null 2>&1 && return; done; echo \"$*\"; }\n";
            let lost = fleet.sh(host, &format!("{reaches}{script}"));
            assert!(lost.is_empty(), "no answer on {host} {when}:\n{lost}");
        }
    }

    /// What may differ after the jail has come home: the copy that the other host keeps until `finalize`, the snapshot
    /// that both have for the next move, the hub's WireGuard file before each move, and the place in `jail_list`.
    fn kept(&self, line: &str) -> bool {
        let (jail, to) = (self.jail.name, self.to);
        let datasets = [format!("jfpool/jails/{jail}"), format!("jfpool/bastille/jails/{jail}")];
        let copy = datasets.iter().any(|d| line.starts_with(&format!("+{to}: datasets: {d}")));
        let aside = line.starts_with(&format!("+{to}: "))
            && (line.ends_with(&format!("/.{jail}.conf.jailferry"))
                || line.ends_with(&format!("/etc/.jail.{jail}.fstab.jailferry")));
        let base = line.contains(&format!("@jailferry-{jail}-")) && line.contains("-final");
        let backup = line.contains("wg0.conf.jailferry-");
        let boot = line.contains(": rc.conf: jail_list=") || line.contains(": rc.conf: jail_enable=\"NO\"");
        // What it is published by stays with it.
        let pf = ["pf: ", "/etc/pf.jailferry.conf", "/etc/pf.jailferry.web.conf"];
        let published = !self.pages.is_empty() && line.contains("small: ") && pf.iter().any(|part| line.contains(part));
        copy || aside
            || base
            || backup
            || boot
            || published
            || line.contains(": files: ") && line.ends_with(" /etc/rc.conf")
    }
}

/// What a boot must not change.
fn network(states: &States) -> States {
    states.only(|line| {
        let section = line.split(": ").next().unwrap_or_default();
        let known = ["interfaces", "routes fib", "published arp", "wireguard", "sysctl", "inside", "jails", "pf"];
        known.iter().any(|start| section.starts_with(start))
    })
}

/// Boots the hosts anew and waits until the tunnels are up and the jails run.
fn boot_all(fleet: &Fleet) {
    for host in HOSTS {
        let output = fleet.in_lab().verb(&["reboot", host]);
        assert!(output.status.success(), "lab reboot {host}: {}", text(&output));
        wait_until(&format!("{host} is up"), || fleet.try_sh(host, "jls name").status.success());
    }
    for host in ["spare", "big"] {
        wait_until(&format!("{host} reaches the hub"), || {
            fleet.try_sh(host, "ping -n -q -c 1 -t 2 10.77.0.1").status.success()
        });
    }
}
