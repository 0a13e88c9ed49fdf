//! route(8), ifconfig(8), wg(8) and pfctl(8): contract sections 1, 3 and 4.

use std::net::IpAddr;

use crate::effect::RouteSpec;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::effect::commands::probe::ping;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;

pub(super) fn run(host: &NodeName, script: String) -> Work {
    // None of these tools leaves anything running.
    Work::Run(vec![Command::script(host, SHORT, script).whole()])
}

/// `-host A` or `-net P`; explicit masks everywhere (contract 1.1).
fn destination(prefix: Prefix) -> String {
    if prefix.is_host() {
        format!("-{} -host {}", prefix.family(), prefix.network())
    } else {
        format!("-{} -net {prefix}", prefix.family())
    }
}

/// How netstat(1) spells the destination: a host without length (contract 1.5).
fn as_listed(prefix: Prefix) -> String {
    if prefix.length() == 0 {
        "default".to_owned()
    } else if prefix.is_host() {
        prefix.network().to_string()
    } else {
        prefix.to_string()
    }
}

/// Prints `value` of the route to exactly `wanted` in the JSON of netstat(1), nothing when there is none. One awk(1), which
/// takes the entries apart at their braces and each at its quotes, since base has no JSON tool. A name is what has a colon
/// behind it: `gateway` is one of a route's flags, too.
fn entry(wanted: &str, value: &str) -> String {
    format!(
        "awk -v RS='{{' -F '\"' -v d={wanted} '{{ to = it = \"\"; for (i = 1; i < NF; i++) if ($(i + 1) == \":\") {{ if ($i == \"destination\") to = $(i + 2); if ($i == \"{value}\") it = $(i + 2) }} }} to == d && it != \"\" {{ print it }}'"
    )
}

/// Makes `seen` print the interface of the exact route. `netstat -F 0` is refused on 13.2, so FIB 0 is asked through
/// setfib(1).
fn read_back(route: &RouteSpec) -> String {
    format!(
        "seen() {{\n  setfib {fib} netstat --libxo json -rnW -f {family} | {entry}\n}}\n",
        fib = route.fib,
        family = route.prefix.family(),
        entry = entry(&as_listed(route.prefix), "interface-name"),
    )
}

/// Delete and add instead of change, which keeps the old interface on 13.x (contract 0.3); decided by the table, not by
/// exit statuses, which differ between releases (contract 1.2).
pub(super) fn add_route(route: &RouteSpec) -> Work {
    let RouteSpec { host, interface, fib, .. } = route;
    let to = destination(route.prefix);
    run(
        host,
        format!(
            "{seen}[ \"$(seen)\" != {interface} ] || exit 0\nroute -q -n delete {to} -fib {fib} >/dev/null 2>&1 || :\nroute -q -n add {to} -interface {interface} -fib {fib} || :\n[ \"$(seen)\" = {interface} ] || {{ echo 'the route to {prefix} in FIB {fib} did not take' >&2; exit 21; }}",
            seen = read_back(route),
            prefix = route.prefix,
        ),
    )
}

/// The variable of rc.conf that names the subnets to which jailferry has made a route into the tunnel for good.
pub const SUBNETS: &str = "jailferry_subnets";

/// Only the route out of that very interface goes.
pub(super) fn delete_route(route: &RouteSpec, unless_kept: bool) -> Work {
    let RouteSpec { host, interface, fib, .. } = route;
    let kept = if unless_kept {
        format!(
            "case \" $(sysrc -in {SUBNETS}) \" in *' {prefix} '*) echo 'the route to {prefix} stays: another jail needs it' >&2; exit 0 ;; esac\n",
            prefix = route.prefix
        )
    } else {
        String::new()
    };
    let to = destination(route.prefix);
    run(
        host,
        format!(
            "{kept}{seen}[ \"$(seen)\" = {interface} ] || exit 0\nroute -q -n delete {to} -fib {fib} || :\n[ \"$(seen)\" != {interface} ] || {{ echo 'the route to {prefix} in FIB {fib} is still there' >&2; exit 21; }}",
            seen = read_back(route),
            prefix = route.prefix,
        ),
    )
}

/// Succeeds when the address is there; compared as text, since `\|` is no alternative in a basic regular expression.
fn alias_check(interface: &InterfaceName, address: IpAddr, length: u8) -> String {
    let family = Family::of(address);
    // ifconfig(8) prints a link-local address with its interface.
    let zone = match address {
        IpAddr::V6(a) if a.is_unicast_link_local() => format!("%{interface}"),
        _ => String::new(),
    };
    format!(
        "ifconfig -f inet:cidr,inet6:cidr {interface} | awk -v family={family} -v address={address}{zone}/{length} '$1 == family && $2 == address {{ found = 1 }} END {{ exit !found }}'"
    )
}

/// An interface as part of a variable's name (get_if_var of network.subr).
#[must_use]
pub fn in_variables(interface: &InterfaceName) -> String {
    interface.as_str().replace(['.', '-', '/', '+'], "_")
}

/// The variable of rc.conf that names the addresses that jailferry has given to a bridge for good, `ADDRESS/LENGTH` each.
#[must_use]
pub fn alias_mark(bridge: &InterfaceName) -> String {
    format!("jailferry_{}_aliases", in_variables(bridge))
}

/// An anycast gateway (contract 10.1).
pub(super) fn add_alias(host: &NodeName, interface: &InterfaceName, address: IpAddr, length: u8) -> Work {
    let check = alias_check(interface, address, length);
    let family = Family::of(address);
    run(
        host,
        format!(
            "{check} || ifconfig {interface} {family} {address}/{length} alias\n{check} || {{ echo '{address}/{length} is not on {interface}' >&2; exit 21; }}"
        ),
    )
}

/// Where another run has written meanwhile that the address stays, a jail of its own is behind it: the mark in rc.conf is
/// this run's only once it is past going back. sysrc(8) with -i says nothing of what is not set.
pub(super) fn remove_alias(
    host: &NodeName,
    interface: &InterfaceName,
    (address, length): (IpAddr, u8),
    unless_kept: bool,
) -> Work {
    let kept = if unless_kept {
        format!(
            "case \" $(sysrc -in {}) \" in *' {address}/{length} '*) echo '{address}/{length} stays on {interface}: another jail is behind it' >&2; exit 0 ;; esac\n",
            alias_mark(interface)
        )
    } else {
        String::new()
    };
    let check = alias_check(interface, address, length);
    let family = Family::of(address);
    run(
        host,
        format!(
            "{kept}if {check}; then ifconfig {interface} {family} {address} -alias; fi\nif {check}; then echo '{address}/{length} is still on {interface}' >&2; exit 21; fi"
        ),
    )
}

/// Contract 6.4, 10.8.
pub(super) fn proxy_arp(host: &NodeName, on: bool, unless_kept: bool) -> Work {
    let value = u8::from(on);
    let kept = if unless_kept && !on {
        "case $(sysrc -in arpproxy_all) in [Yy][Ee][Ss]) echo 'proxy ARP stays on: other jails need it' >&2; exit 0 ;; esac\n"
    } else {
        ""
    };
    run(
        host,
        format!(
            "{kept}name=net.link.ether.inet.proxyall\n[ \"$(sysctl -n $name)\" = {value} ] || sysctl $name={value} >/dev/null\n[ \"$(sysctl -n $name)\" = {value} ] || {{ echo \"$name is not {value}\" >&2; exit 21; }}"
        ),
    )
}

/// Contract 10.9. A jail that does not run has no routes; with the tools of the jail itself, as at its own start.
pub(super) fn jail_route(host: &NodeName, jail: &JailName, to: IpAddr, gateway: IpAddr, there: bool) -> Work {
    let family = Family::of(to);
    if matches!(gateway, IpAddr::V6(a) if a.is_unicast_link_local()) {
        return link_local_route(host, jail, to, gateway, there);
    }
    let seen = format!(
        "jls -j {jail} jid >/dev/null 2>&1 || exit 0\nseen() {{ jexec -l {jail} netstat --libxo json -rnW -f {family} | {}; }}\n",
        entry(&to.to_string(), "gateway")
    );
    let change = if there {
        format!(
            "[ \"$(seen)\" != {gateway} ] || exit 0\njexec -l {jail} route -q -n add -{family} -host {to} {gateway} || :\n[ \"$(seen)\" = {gateway} ] || {{ echo 'the route to {to} in jail {jail} did not take' >&2; exit 21; }}"
        )
    } else {
        format!(
            "[ \"$(seen)\" = {gateway} ] || exit 0\njexec -l {jail} route -q -n delete -{family} -host {to} {gateway} || :\n[ \"$(seen)\" != {gateway} ] || {{ echo 'the route to {to} in jail {jail} is still there' >&2; exit 21; }}"
        )
    };
    run(host, format!("{seen}{change}"))
}

/// The same by a link-local gateway, whose zone is the interface that the jail's default route has it on.
fn link_local_route(host: &NodeName, jail: &JailName, to: IpAddr, gateway: IpAddr, there: bool) -> Work {
    let mut script = format!(
        "jls -j {jail} jid >/dev/null 2>&1 || exit 0\ntable() {{ jexec -l {jail} netstat --libxo json -rnW -f inet6; }}\nseen() {{ table | {}; }}\n",
        entry(&to.to_string(), "gateway")
    );
    script += &if there {
        format!(
            "via=$(table | {default})\ncase \"$via\" in {gateway}%*) ;; *) echo 'jail {jail} has no default route by {gateway}' >&2; exit 21 ;; esac\n[ \"$(seen)\" != \"$via\" ] || exit 0\njexec -l {jail} route -q -n add -inet6 -host {to} \"$via\" || :\n[ \"$(seen)\" = \"$via\" ] || {{ echo 'the route to {to} in jail {jail} did not take' >&2; exit 21; }}",
            default = entry("default", "gateway"),
        )
    } else {
        format!(
            "via=$(seen)\ncase \"$via\" in {gateway}%*) ;; *) exit 0 ;; esac\njexec -l {jail} route -q -n delete -inet6 -host {to} \"$via\" || :\n[ \"$(seen)\" != \"$via\" ] || {{ echo 'the route to {to} in jail {jail} is still there' >&2; exit 21; }}"
        )
    };
    run(host, script)
}

/// After the switch, both directions, only this jail's addresses (contract 4.3). pf disabled or absent: nothing to kill.
pub(super) fn kill_states(host: &NodeName, prefixes: &[Prefix]) -> Work {
    let mut script = "pfctl -s Running >/dev/null 2>&1 || exit 0\n".to_owned();
    for prefix in prefixes {
        let any = Prefix::default_route(prefix.family());
        script.push_str(&format!("pfctl -q -M -k {prefix}\npfctl -q -M -k {any} -k {prefix}\n"));
    }
    run(host, script)
}

/// What lets a host look anew for who has an address; fails where it knows nobody.
pub(super) fn forget(address: IpAddr) -> String {
    match Family::of(address) {
        Family::Inet => format!("arp -n -d {address}"),
        Family::Inet6 => format!("ndp -n -d {address}"),
    }
}

/// A jail announces its IPv4 address when it starts, but nobody is told of an IPv6 address's new place (contract 6.4):
/// an old entry would be tried for about eight seconds. An entry that is not there is no failure.
pub(super) fn forget_neighbours(host: &NodeName, addresses: &[IpAddr], jails: &[JailName]) -> Work {
    let mut script = String::new();
    for address in addresses {
        let forget = forget(*address);
        script.push_str(&format!("{forget} >/dev/null 2>&1 || :\n"));
        for jail in jails {
            script.push_str(&format!("jexec -l {jail} {forget} >/dev/null 2>&1 || :\n"));
        }
    }
    run(host, script.trim_end().to_owned())
}

/// Seconds for which a jail tries to speak to a neighbour: duplicate address detection holds an IPv6 address back for
/// about one (sys/netinet6/nd6_nbr.c).
const ANNOUNCE: u32 = 3;

/// All at once. Nobody need answer, since the question is what tells them: ping(8) ends with 2 when it was sent in vain.
pub(super) fn announce(host: &NodeName, jail: &JailName, neighbours: &[IpAddr]) -> Work {
    let mut script = format!(
        "jls -j {jail} jid >/dev/null 2>&1 || exit 0\ntell() {{\n  end=$(($(date +%s) + {ANNOUNCE}))\n  while :; do\n    rc=0\n    jexec -l {jail} \"$@\" >/dev/null 2>&1 || rc=$?\n    if [ $rc -eq 0 ] || [ $rc -eq 2 ] || [ \"$(date +%s)\" -ge $end ]; then return 0; fi\n    sleep 0.2\n  done\n}}\n"
    );
    for address in neighbours {
        script.push_str(&format!("tell {} &\n", ping(*address, None, None)));
    }
    script.push_str("wait");
    run(host, script)
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use super::*;
    use crate::configuration::sh;

    #[test]
    fn what_another_run_has_kept_meanwhile_stays() {
        let (host, bridge) = (NodeName::new("big").unwrap(), InterfaceName::new("bridge0.7").unwrap());
        let gateway = ("192.168.123.1".parse().unwrap(), 32);
        let ran = |work: Work, kept: &str| {
            let folder = tempfile::tempdir().unwrap();
            let tools = format!(
                "cd '{}'\ntouch there\nsysrc() {{ [ \"$1\" = -in ] || exit 64; case $2 in {kept}) ;; esac; }}\nifconfig() {{ case $* in *-alias) rm there ;; *) [ ! -e there ] || printf '\\tinet 192.168.123.1/32 broadcast x\\n' ;; esac; }}\nsysctl() {{ case $* in -n*) [ -e there ] && echo 1 || echo 0 ;; *) rm there ;; esac; }}\nsetfib() {{ [ ! -e there ] || echo '{{\"destination\":\"192.168.123.0/24\",\"interface-name\":\"wg0\"}}'; }}\nroute() {{ rm there; }}\n",
                folder.path().display()
            );
            let ran = sh::run(folder.path(), &format!("{tools}{}", work.commands()[0].text()));
            assert_eq!(ran.status, 0, "{ran:?}");
            folder.path().join("there").exists()
        };
        let says = |name: &str, value: &str| format!("{name}) echo '{value}' ;; none");
        let alias = |unless_kept| remove_alias(&host, &bridge, gateway, unless_kept);
        let name = "jailferry_bridge0_7_aliases";
        assert!(ran(alias(true), &says(name, "10.0.0.1/32 192.168.123.1/32")));
        assert!(!ran(alias(true), &says(name, "192.168.123.1/24 92.168.123.1/32")));
        assert!(!ran(alias(true), "none"));
        assert!(!ran(alias(false), &says(name, "192.168.123.1/32")));
        let route = RouteSpec {
            host: host.clone(),
            prefix: "192.168.123.0/24".parse().unwrap(),
            interface: InterfaceName::new("wg0").unwrap(),
            fib: 0,
        };
        assert!(ran(delete_route(&route, true), &says(SUBNETS, "10.0.0.0/8 192.168.123.0/24")));
        assert!(!ran(delete_route(&route, true), &says(SUBNETS, "192.168.123.0/25")));
        assert!(!ran(delete_route(&route, false), &says(SUBNETS, "192.168.123.0/24")));
        assert!(ran(proxy_arp(&host, false, true), &says("arpproxy_all", "YES")));
        assert!(!ran(proxy_arp(&host, false, true), &says("arpproxy_all", "NO")));
        assert!(!ran(proxy_arp(&host, false, false), &says("arpproxy_all", "YES")));
    }

    /// awk(1) of this machine finds in what FreeBSD said exactly the one route.
    #[test]
    fn a_route_is_found_by_its_whole_destination() {
        let said = |recording: &str, wanted: &str, value: &str| {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/freebsd-13.2");
            let line = format!("{} < {path}/{recording}.txt", entry(wanted, value));
            let output = Process::new("/bin/sh").args(["-c", &line]).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(said("netstat-json-setfib1", "192.168.123.61", "interface-name"), "bridge0\n");
        assert_eq!(said("netstat-json-setfib1", "default", "interface-name"), "wg0\n");
        assert_eq!(said("netstat-json-setfib1", "default", "gateway"), "link#8\n");
        assert_eq!(said("jexec-netstat", "default", "gateway"), "192.168.123.1\n", "a gateway, and the flag");
        assert_eq!(said("netstat-json-setfib0", "default", "interface-name"), "vtnet0\n");
        for other in ["192.168.123.6", "92.168.123.61", "192.168.123.0/24", "up"] {
            assert_eq!(said("netstat-json-setfib1", other, "interface-name"), "", "{other}");
        }
        let at_once = as_listed("0.0.0.0/0".parse().unwrap());
        assert_eq!(said("netstat-json-setfib1", &at_once, "interface-name"), "wg0\n");
    }

    /// With a jail whose table is a file, and whose route(8) takes a link-local gateway with its interface only.
    #[test]
    fn a_route_by_a_link_local_gateway_is_made_with_its_interface() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let stub = |name: &str, text: &str| {
            std::fs::write(path(name), format!("#!/bin/sh\ncd {}\n{text}", folder.path().display())).unwrap();
            std::fs::set_permissions(path(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        let entry =
            |to: &str, by: &str| format!("{{\"destination\":\"{to}\",\"gateway\":\"{by}\",\"flags\":\"UGS\"}}\n");
        stub("jls", "");
        stub(
            "jexec",
            "shift 2\ncase \"$*\" in\nnetstat*) cat table ;;\n*add*%epair7b) echo '{\"destination\":\"2001:db8::7\",\"gateway\":\"fe80::1%epair7b\"}' >>table ;;\n*delete*%epair7b) grep -v 2001:db8::7 table >rest; mv rest table ;;\n*) exit 1 ;;\nesac\n",
        );
        let (host, jail) = (NodeName::new("big").unwrap(), JailName::new("web").unwrap());
        let change = |there| {
            let work = jail_route(&host, &jail, "2001:db8::7".parse().unwrap(), "fe80::1".parse().unwrap(), there);
            let script = work.commands()[0].text();
            let line = format!("set -eu\nPATH={}:$PATH\n{script}", folder.path().display());
            let output = Process::new("/bin/sh").args(["-c", &line]).output().unwrap();
            (output.status.success(), std::fs::read_to_string(path("table")).unwrap())
        };
        let alone = entry("default", "fe80::1%epair7b");
        std::fs::write(path("table"), &alone).unwrap();
        for _ in 0..2 {
            let (well, table) = change(true);
            assert!(well && table.lines().count() == 2 && table.contains("2001:db8::7"), "{table}");
        }
        for _ in 0..2 {
            assert_eq!(change(false), (true, alone.clone()));
        }
        let other = entry("default", "fe80::9%epair7b");
        std::fs::write(path("table"), &other).unwrap();
        assert_eq!(change(true), (false, other));
    }
}
