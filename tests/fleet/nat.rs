//! NAT and port forwards follow the jail: by a pf table, by the jail's own anchor, from one node's pf to the other's.

use std::fs;
use std::path::PathBuf;

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::moving::kept;

const CONF: &str = "/etc/pf.jailferry-testbed.conf";
const INDEX: &str = "/etc/pf.jailferry.conf";

/// fleet.yml with other texts in it.
fn fleet_with(fleet: &Fleet, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(&fleet.file).expect("fleet.yml is text");
    for (from, to) in changes {
        assert!(text.contains(from), "fleet.yml has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    let file = fleet.file.with_file_name("nat.yml");
    fs::write(&file, text).expect("written");
    file
}

/// What web's outside sees as its address: a page of the client's that tells who asks.
fn leaves_as(fleet: &Fleet, host: &str, wanted: &str) {
    wait_until(&format!("web on {host} leaves as {wanted}"), || {
        let asked = fleet.try_sh(host, "jexec -l web fetch -q -T 5 -o - http://203.0.113.100/");
        String::from_utf8_lossy(&asked.stdout).trim() == wanted
    });
}

fn published_from(fleet: &Fleet, host: &str) {
    let url = format!("http://{}:8090/", fleet.public4);
    wait_until(&format!("{url} answers from {host}"), || {
        fleet.fetch(&url).starts_with(&format!("jail=web\nhost={host}\n"))
    });
}

#[test]
fn a_table_and_an_anchor_of_the_hub_follow_web_and_survive_a_restart_of_pf() {
    let Some(fleet) = Fleet::anew("a_table_and_an_anchor_of_the_hub") else { return };
    let web = "    prefixes: [\"192.168.123.50/32\", \"2001:db8:1:1::50/128\"]\n";
    let published = format!("{web}    publish: [{{ port: 8090, to: 80 }}]\n");
    let file = fleet_with(&fleet, &[("    fib: 0\n", "    fib: 0\n    pf_table: jf_nat\n"), (web, &published)]);
    // The table translates everybody but web; the forward of 8080 stays, as pf.conf has it.
    fleet.sh(
        "small",
        &format!(
            "printf '%s\\n' '# jails' 192.168.122.0/24 192.168.124.0/24 192.168.125.0/24 192.168.123.51 >/etc/pf.jf_nat.table\n\
             awk '/^nat-anchor/ {{ print \"table <jf_nat> persist file \\\"/etc/pf.jf_nat.table\\\"\" }} /^rdr-anchor/ {{ next }}\n\
             /^nat on/ {{ sub(/\\$jails/, \"<jf_nat>\") }} {{ print }}' {CONF} >/root/pf.new\ncp /root/pf.new {CONF}\npfctl -nf {CONF} && pfctl -f {CONF}"
        ),
    );
    let told = fleet.jailferry_with(&file, &["plan", "web", "big"]).exits(3).says("rdr-anchor \"jailferry/*\"");
    assert!(told.all.contains("does not include"), "{}", told.all);
    fleet.sh(
        "small",
        &format!(
            "touch {INDEX}\nawk '{{ print }} /^nat-anchor/ {{ print \"rdr-anchor \\\"jailferry/*\\\"\"; print \"include \\\"{INDEX}\\\"\" }}' /root/pf.new >{CONF}\nrm /root/pf.new\npfctl -nf {CONF} && pfctl -f {CONF}"
        ),
    );
    let before = fleet.states();
    let told = fleet.jailferry_with(&file, &["migrate", "web", "big", "--yes"]).exits(0);
    assert!(!told.all.contains("does not include"), "{}", told.all);
    leaves_as(&fleet, "big", &fleet.public4);
    published_from(&fleet, "big");
    fleet.answers_from("sib", "spare");
    // What a restart of pf forgets comes back from the files.
    fleet.sh(
        "small",
        &format!("pfctl -q -F all\npfctl -a jailferry/web -F nat\npfctl -t jf_nat -T flush || :\npfctl -f {CONF}"),
    );
    leaves_as(&fleet, "big", &fleet.public4);
    published_from(&fleet, "big");
    fleet.answers_from("web", "big");

    fleet.jailferry_with(&file, &["migrate", "web", "spare", "--yes"]).exits(0);
    leaves_as(&fleet, "spare", &fleet.public4);
    published_from(&fleet, "spare");
    fleet.answers_from("web", "spare");
    // The hub goes on translating web, with what it did not have before the first move.
    let new = ["pf: ", "/etc/pf.jailferry.conf", "/etc/pf.jailferry.web.conf", "/etc/pf.jf_nat.table"];
    let ours = |line: &str| line.contains("small: ") && new.iter().any(|n| line.contains(n));
    before.same_but(&fleet.states(), "after coming home", |line| kept(line, "web") || ours(line));
    assert_eq!(fleet.sh("small", "tail -n 1 /etc/pf.jf_nat.table").trim(), "192.168.123.50");
}

#[test]
fn nat_moves_from_one_node_s_pf_to_the_other_s_and_back() {
    let Some(fleet) = Fleet::lab("nat_moves_from_one_node_s_pf") else { return };
    // Both nodes translate themselves: FIB 1 leads out past the tunnel, but not to the hub and its jails.
    for (node, router) in [("spare", "10.0.12.1"), ("big", "10.0.13.1")] {
        fleet.sh(
            node,
            &format!(
                "if=$(route -n get -inet default | awk '/interface:/ {{ print $2 }}')\n\
                 route -q -n delete -inet default -fib 1\nroute -q -n add -inet -net {router}/24 -interface $if -fib 1\n\
                 route -q -n add -inet default {router} -fib 1\nroute -q -n add -inet -net 10.77.0.0/24 -interface wg0 -fib 1\n\
                 umask 077\n: >{INDEX}\n\
                 printf '%s\\n' 'nat-anchor \"jailferry/*\"' 'rdr-anchor \"jailferry/*\"' 'include \"{INDEX}\"' 'pass all' >/etc/pf.conf\n\
                 sysrc pf_enable=YES\nkldload -n pf\npfctl -f /etc/pf.conf\npfctl -e"
            ),
        );
    }
    // spare has web's rules, as an earlier move would have left them.
    fleet.sh(
        "spare",
        &format!(
            "if=$(route -n get -inet default | awk '/interface:/ {{ print $2 }}')\numask 077\n\
             printf '%s\\n' '# Written by jailferry whenever the jail moves.' \"nat on $if inet from 192.168.123.50 to any -> ($if:0)\" \\\n\
             \"rdr on $if inet proto tcp from any to ($if) port = 8090 -> 192.168.123.50 port 80\" >/etc/pf.jailferry.web.conf\n\
             echo 'load anchor \"jailferry/web\" from \"/etc/pf.jailferry.web.conf\"' >{INDEX}\npfctl -f /etc/pf.conf"
        ),
    );
    leaves_as(&fleet, "spare", "203.0.113.12");
    let web = "    prefixes: [\"192.168.123.50/32\", \"2001:db8:1:1::50/128\"]\n";
    let published = format!("{web}    publish: [{{ port: 8090, to: 80 }}]\n");
    let mut text = fs::read_to_string(&fleet.file).expect("fleet.yml is text").replacen(web, &published, 1);
    text = text.replace("    fib: 1\n", "    fib: 1\n    egress: node\n");
    let file = fleet.file.with_file_name("nat.yml");
    fs::write(&file, text).expect("written");
    let before = fleet.states();
    let anchor = |host: &str| fleet.sh(host, "pfctl -P -a jailferry/web -s nat 2>/dev/null || :").lines().count();

    fleet.jailferry_with(&file, &["migrate", "web", "big", "--yes"]).exits(0);
    leaves_as(&fleet, "big", "203.0.113.13");
    assert_eq!((anchor("big"), anchor("spare")), (2, 0));
    let files = "ls /etc/pf.jailferry.web.conf 2>/dev/null || :";
    assert_eq!((fleet.sh("spare", files), fleet.sh("big", files).lines().count()), (String::new(), 1));
    fleet.sh("big", "pfctl -q -a jailferry/web -F nat\npfctl -f /etc/pf.conf");
    leaves_as(&fleet, "big", "203.0.113.13");

    fleet.jailferry_with(&file, &["migrate", "web", "spare", "--yes"]).exits(0);
    leaves_as(&fleet, "spare", "203.0.113.12");
    before.same_but(&fleet.states(), "after coming home", |line| kept(line, "web"));
}
