//! Arrangements of the network, each written down where a boot finds it.

use crate::bench::Fleet;
use crate::thin;

/// Replaces a file by what awk(1) makes of it; owner and mode stay.
fn edit(fleet: &Fleet, host: &str, file: &str, awk: &str) {
    fleet.sh(host, &format!("awk '{awk}' {file} >/root/edited\ncat /root/edited >{file}\nrm /root/edited"));
}

/// Sets variables of rc.conf, a line each, as sysrc(8) reads them.
fn rc(fleet: &Fleet, host: &str, lines: &str) {
    let words: String = lines.lines().map(|line| format!(" {}", line.trim())).collect();
    fleet.sh(host, &format!("sysrc{words} >/dev/null"));
}

/// Every FIB gets the networks of every interface.
pub fn networks_in_all_fibs(fleet: &Fleet) {
    for host in ["small", "spare", "big"] {
        fleet.sh(host, "echo net.add_addr_allfibs=1 >>/etc/sysctl.conf");
    }
}

/// big knows the network of db, which is spare's, in FIB 0: a static route of its owner's.
pub fn big_has_a_route_to_db(fleet: &Fleet) {
    rc(
        fleet,
        "big",
        "static_routes+=\" mine\"\nroute_mine=\"-net 192.168.125.0/24 -interface wg0 -fib 0\"\n\
         ipv6_static_routes+=\" mine6\"\nipv6_route_mine6=\"-net 2001:db8:1:3::/72 -interface wg0 -fib 0\"",
    );
}

/// Jails of big are in FIB 2.
pub fn big_uses_fib_2(fleet: &Fleet) {
    fleet.sh("big", "sysrc -f /boot/loader.conf net.fibs=3 >/dev/null");
    edit(fleet, "big", "/etc/rc.conf", r#"{ sub(/-fib 1"$/, "-fib 2\"") } 1"#);
}

/// spare and big have one FIB, in which everything goes into the tunnel but the tunnel itself.
pub fn one_fib(fleet: &Fleet) {
    for (host, router) in [("spare", "10.0.12.1"), ("big", "10.0.13.1")] {
        edit(fleet, host, "/boot/loader.conf", "!/^net.fibs/");
        edit(
            fleet,
            host,
            "/etc/rc.conf",
            r#"{ sub(/-net 0.0.0.0\/0 -interface wg0 -fib 1/, "-net 0.0.0.0/1 -interface wg0 -fib 0"); sub(/-fib 1"$/, "-fib 0\"") } 1"#,
        );
        rc(
            fleet,
            host,
            &format!(
                "static_routes=\"hub high $(sysrc -n static_routes)\"\nroute_hub=\"-host 203.0.113.1 {router}\"\n\
                 route_high=\"-net 128.0.0.0/1 -interface wg0 -fib 0\""
            ),
        );
    }
    for jail in ["web", "sib", "db"] {
        edit(fleet, "spare", &format!("/etc/jail.conf.d/{jail}.conf"), "!/ fib 1\"/");
    }
}

/// FIB 1 of big has a default route of its own past the tunnel, which the two halves win over.
pub fn big_has_halves_before_its_default(fleet: &Fleet) {
    edit(
        fleet,
        "big",
        "/etc/rc.conf",
        r#"{ sub(/-net 0.0.0.0\/0 -interface wg0 -fib 1/, "-net 0.0.0.0/1 -interface wg0 -fib 1") } 1"#,
    );
    let card = card(fleet, "big");
    rc(
        fleet,
        "big",
        &format!(
            "static_routes+=\" high link\"\nroute_high=\"-net 128.0.0.0/1 -interface wg0 -fib 1\"\n\
             route_link=\"-net 10.0.13.0/24 -interface {card} -fib 1\"\ndefaultrouter_fib1=\"10.0.13.1\""
        ),
    );
}

/// The interface to the host's router.
fn card(fleet: &Fleet, host: &str) -> String {
    fleet.sh(host, "route -n get -inet default | awk '/interface:/ { print $2 }'").trim().to_owned()
}

const INDEX: &str = "/etc/pf.jailferry.conf";
const HUB_CONF: &str = "/etc/pf.jailferry-testbed.conf";

/// The hub translates by a table that has everybody but web.
pub fn table(fleet: &Fleet) {
    fleet.sh(
        "small",
        "printf '%s\\n' 192.168.122.0/24 192.168.124.0/24 192.168.125.0/24 192.168.123.50 192.168.123.51 >/etc/pf.jf_nat.table",
    );
    let table = r#"/^nat-anchor/ { print "table <jf_nat> persist file \"/etc/pf.jf_nat.table\"" } /^nat on/ { sub(/\$jails/, "<jf_nat>") } { print }"#;
    edit(fleet, "small", HUB_CONF, table);
}

/// Anchors of the hub come back when its pf.conf is loaded.
pub fn anchors_last(fleet: &Fleet) {
    fleet.sh("small", &format!("umask 077\n: >{INDEX}"));
    edit(fleet, "small", HUB_CONF, &format!(r#"{{ print }} /^rdr-anchor/ {{ print "include \"{INDEX}\"" }}"#));
}

/// Both nodes translate themselves: FIB 1 leads out past the tunnel, but not to the hub, its jails and over IPv6.
pub fn nodes_translate(fleet: &Fleet) {
    for (host, router, net) in [("spare", "10.0.12.1", "10.0.12.0/24"), ("big", "10.0.13.1", "10.0.13.0/24")] {
        let card = card(fleet, host);
        edit(
            fleet,
            host,
            "/etc/rc.conf",
            r#"/^route_jffib1=/ { print "route_jffib1=\"-net 10.77.0.0/24 -interface wg0 -fib 1\""; next } 1"#,
        );
        rc(
            fleet,
            host,
            &format!(
                "static_routes+=\" link jails\"\nroute_link=\"-net {net} -interface {card} -fib 1\"\n\
                 route_jails=\"-net 192.168.0.0/16 -interface wg0 -fib 1\"\ndefaultrouter_fib1=\"{router}\"\npf_enable=\"YES\""
            ),
        );
        fleet.sh(
            host,
            &format!(
                "umask 077\n: >{INDEX}\n\
                 printf '%s\\n' 'nat-anchor \"jailferry/*\"' 'rdr-anchor \"jailferry/*\"' 'include \"{INDEX}\"' 'pass all' >/etc/pf.conf"
            ),
        );
    }
    // spare has web's rules, as an earlier move would have left them.
    let card = card(fleet, "spare");
    fleet.sh(
        "spare",
        &format!(
            "umask 077\nprintf '%s\\n' '# Written by jailferry whenever the jail moves.' \"nat on {card} inet from 192.168.123.50 to any -> ({card}:0)\" \
             >/etc/pf.jailferry.web.conf\necho 'load anchor \"jailferry/web\" from \"/etc/pf.jailferry.web.conf\"' >{INDEX}"
        ),
    );
}

/// The bridges of spare and big are one segment: VXLAN between their addresses in the tunnel, in which 1370 bytes of a jail
/// have room. What comes by it is looked up in FIB 1, as what jails of the host itself send.
pub fn one_segment(fleet: &Fleet) {
    for (host, local, remote) in [("spare", "10.77.0.2", "10.77.0.3"), ("big", "10.77.0.3", "10.77.0.2")] {
        rc(
            fleet,
            host,
            &format!(
                "cloned_interfaces+=\" vxlan0\"\ncreate_args_vxlan0=\"vxlanid 42 vxlanlocal {local} vxlanremote {remote}\"\n\
                 ifconfig_vxlan0=\"fib 1 up\""
            ),
        );
        edit(fleet, host, "/etc/rc.conf", r#"/^ifconfig_bridge0=/ { sub(/ up"$/, " addm vxlan0 up\"") } 1"#);
    }
    for jail in ["web", "sib", "db"] {
        edit(fleet, "spare", &format!("/etc/jail.conf.d/{jail}.conf"), "{ sub(/mtu 1380/, \"mtu 1360\") } 1");
    }
}

/// db has, besides its own networks, an address of each family out of the networks that web and sib are in.
pub fn db_has_more(fleet: &Fleet) {
    edit(
        fleet,
        "spare",
        "/etc/jail.conf.d/db.conf",
        r#"{ print } /inet6 2001:db8:1:3::10/ { print "    exec.start += \"/sbin/ifconfig epair3b inet 192.168.123.60/32 alias\";"; print "    exec.start += \"/sbin/ifconfig epair3b inet6 2001:db8:1:1::60/128 alias\";" }"#,
    );
}

/// web speaks IPv4 only.
pub fn web_without_inet6(fleet: &Fleet) {
    edit(fleet, "spare", "/etc/jail.conf.d/web.conf", "!/inet6/");
}

/// web speaks IPv6 only.
pub fn web_without_inet(fleet: &Fleet) {
    edit(fleet, "spare", "/etc/jail.conf.d/web.conf", "!/epair1b inet |-inet default/");
}

/// All jails of a host are in /etc/jail.conf, with what they share at its top.
pub fn one_jail_conf(fleet: &Fleet, host: &str) {
    fleet.sh(
        host,
        "{ printf 'exec.clean;\\nmount.devfs;\\n\\n'; cat /etc/jail.conf.d/*.conf | awk '!/^ *(exec.clean|mount.devfs);$/'; } >/etc/jail.conf\n\
         rm /etc/jail.conf.d/*.conf",
    );
}

/// spare and big have Bastille, and web is a thin jail of it.
pub fn bastille(fleet: &Fleet) {
    for host in ["spare", "big"] {
        fleet.sh(host, thin::INSTALL);
    }
    fleet.sh("spare", &thin::CONVERT.replace("INTERFACES", thin::OF_ANY_UNIT.trim()));
}
