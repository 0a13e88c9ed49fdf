//! A jail that Bastille manages: thin, with a folder and a root that are datasets, on a bridge by an epair with a name.

use crate::bench::Fleet;
use crate::bench::text;
use crate::bench::wait_until;
use crate::state::States;

/// Bastille's place on a host: its settings, an rc script that starts jails as that of 1.4 does, and a release.
const INSTALL: &str = r#"
mkdir -p /usr/local/etc/bastille /usr/local/etc/rc.d /var/log/bastille
cat >/usr/local/etc/bastille/bastille.conf <<'END'
bastille_prefix="/jf/bastille"
bastille_jailsdir="${bastille_prefix}/jails"
bastille_logsdir="/var/log/bastille"
bastille_zfs_enable="YES"
END
cat >/usr/local/etc/rc.d/bastille <<'END'
#!/bin/sh
# PROVIDE: bastille
# REQUIRE: LOGIN
. /etc/rc.subr
name=bastille
rcvar=bastille_enable
start_cmd=bastille_start
bastille_start() {
	for conf in /jf/bastille/jails/*/jail.conf; do
		[ -f "$conf" ] || continue
		folder=${conf%/jail.conf}
		if grep -q '^boot="off"$' "$folder/settings.conf"; then continue; fi
		jail -f "$conf" -c "${folder##*/}"
	done
}
load_rc_config bastille
: ${bastille_enable:=NO}
run_rc_command "$1"
END
chmod 755 /usr/local/etc/rc.d/bastille
sysrc bastille_enable=YES >/dev/null
zfs create -o mountpoint=/jf/bastille jfpool/bastille
for name in jails releases releases/13.2-RELEASE; do zfs create jfpool/bastille/$name; done
cd /jf/bastille/releases/13.2-RELEASE
mkdir usr
for dir in bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec; do cp -R "/$dir" "$dir"; done
"#;

/// How Bastille before 1.0 makes the interfaces, and how it does since.
const OF_A_UNIT: &str = r#"
  exec.prestart += "ifconfig epair0 create";
  exec.prestart += "ifconfig bridge0 addm epair0a";
  exec.prestart += "ifconfig epair0a up name e0a_web";
  exec.prestart += "ifconfig epair0b up name e0b_web";
"#;
const OF_ANY_UNIT: &str = r#"
  exec.prestart += "epair0=\$(ifconfig epair create) && ifconfig \${epair0} up name e0a_web && ifconfig \${epair0%a}b up name e0b_web";
  exec.prestart += "ifconfig bridge0 addm e0a_web";
"#;

/// Makes web one of Bastille's.
const CONVERT: &str = r#"
jail -q -f /etc/jail.conf.d/web.conf -r web >/dev/null
rm -f /etc/jail.conf.d/web.conf /etc/jail.web.fstab /var/run/jail_web.id
sysrc jail_list="sib db" >/dev/null
folder=/jf/bastille/jails/web
zfs create jfpool/bastille/jails/web
zfs rename jfpool/jails/web jfpool/bastille/jails/web/root
chmod 700 $folder
mkdir $folder/root/.bastille
cd $folder/root
for dir in bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec; do
	rmdir $dir
	ln -s "/.bastille/$dir" "$dir"
done
echo "/jf/bastille/releases/13.2-RELEASE $folder/root/.bastille nullfs ro 0 0" >$folder/fstab
cat >$folder/settings.conf <<'END'
boot="on"
depend=""
priority="99"
END
cat >$folder/jail.conf <<'END'
web {
  enforce_statfs = 2;
  devfs_ruleset = 5;
  exec.clean;
  exec.consolelog = /var/log/bastille/web_console.log;
  host.hostname = web;
  mount.devfs;
  mount.fstab = /jf/bastille/jails/web/fstab;
  path = /jf/bastille/jails/web/root;
  persist;

  vnet;
  vnet.interface = e0b_web;
INTERFACES
  exec.prestart += "ifconfig e0a_web description \"vnet0 host interface for Bastille jail web\"";
  exec.prestart += "ifconfig e0a_web fib 1";
  exec.prestart += "cp /var/db/jailferry-testbed/name ${path}/var/run/host";
  exec.start  = "/sbin/ifconfig lo0 inet 127.0.0.1/8 up";
  exec.start += "/sbin/ifconfig e0b_web mtu 1380";
  exec.start += "/sbin/ifconfig e0b_web inet 192.168.123.50/24 up";
  exec.start += "/sbin/ifconfig e0b_web inet6 -ifdisabled no_dad";
  exec.start += "/sbin/ifconfig e0b_web inet6 2001:db8:1:1::50/72";
  exec.start += "/sbin/route -q -n add -inet default 192.168.123.1";
  exec.start += "/sbin/route -q -n add -inet6 default 2001:db8:1:1::1";
  exec.start += "/usr/sbin/inetd -R 0 -C 0 -s 0 -p /var/run/inetd.pid /etc/inetd.conf";
  exec.stop = '/bin/kill $(cat /var/run/inetd.pid) || true';
  exec.poststop += "ifconfig bridge0 deletem e0a_web";
  exec.poststop += "ifconfig e0a_web destroy";
}
END
jail -f $folder/jail.conf -c web
"#;

const CONF: &str = "cat /jf/bastille/jails/web/jail.conf";

#[test]
fn a_thin_jail_of_bastille_moves_to_big_and_home_again() {
    let Some(fleet) = Fleet::lab("a_thin_jail_of_bastille_moves_to_big_and_home_again") else { return };
    fleet.sh("spare", INSTALL);
    fleet.sh("spare", &CONVERT.replace("INTERFACES", OF_A_UNIT.trim()));
    fleet.answers_from("web", "spare");

    // What big lacks is told before anything is touched, with what puts it right.
    let refused = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3);
    refused.says("big has no dataset mounted at /jf/bastille/jails").says("bastille bootstrap");
    fleet.sh("big", INSTALL);
    fleet.sh("big", "zfs destroy jfpool/bastille/releases/13.2-RELEASE\nrmdir /var/log/bastille");
    let refused = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3);
    refused.says("bastille bootstrap 13.2-RELEASE").says("mkdir -p /var/log/bastille");
    fleet.sh(
        "big",
        "zfs create jfpool/bastille/releases/13.2-RELEASE\ncd /jf/bastille/releases/13.2-RELEASE\nmkdir usr\nfor dir in bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec; do cp -R \"/$dir\" \"$dir\"; done\nmkdir /var/log/bastille",
    );
    // Unit 0 is taken there.
    fleet.sh("big", "ifconfig epair0 create >/dev/null");

    let (before, files) = (fleet.states(), fleet.sh("spare", CONF));
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    runs_on(&fleet, "big");
    let there = fleet.sh("big", CONF);
    assert!(there.contains("ifconfig epair1a up name e0a_web"), "{there}");
    assert!(there.contains("jailferry sib"), "{there}");
    fleet.sh("spare", "[ ! -e /jf/bastille/jails/web/jail.conf ]");

    for host in ["spare", "big"] {
        reboot(&fleet, host);
        runs_on(&fleet, "big");
    }
    // Gone with the boot; the unit stays what it is.
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    runs_on(&fleet, "spare");
    let home = fleet.sh("spare", CONF);
    assert_eq!(home.replace("epair1", "epair0"), files, "{home}");
    reboot(&fleet, "spare");
    runs_on(&fleet, "spare");
    same(&before, &fleet.states());
}

#[test]
fn an_epair_of_whatever_unit_gets_the_fib_of_the_target() {
    let Some(fleet) = Fleet::lab("an_epair_of_whatever_unit_gets_the_fib_of_the_target") else { return };
    for host in ["spare", "big"] {
        fleet.sh(host, INSTALL);
    }
    fleet.sh("spare", &CONVERT.replace("INTERFACES", OF_ANY_UNIT.trim()));
    fleet.answers_from("web", "spare");
    let files = fleet.sh("spare", CONF);
    let before = fleet.states();
    fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    runs_on(&fleet, "big");
    assert!(fleet.sh("big", "ifconfig e0a_web").contains("fib: 1"));
    reboot(&fleet, "big");
    runs_on(&fleet, "big");
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    runs_on(&fleet, "spare");
    assert_eq!(fleet.sh("spare", CONF), files);
    same(&before, &fleet.states());
}

/// Home again, but for what every move leaves until `finalize`.
fn same(before: &States, after: &States) {
    before.same_but(after, "after coming home", |line| {
        let copy = line.starts_with("+big: datasets: jfpool/bastille/jails/web");
        let base = line.contains("jfpool/bastille/jails/web") && line.contains("@jailferry-web-");
        let log = line.contains("+small: ") && line.contains("/wireguard/") && line.contains(".jailferry-web-");
        let unit = line.contains("-big: interfaces: epair0");
        copy || base || log || unit || crate::moving::kept(line, "web")
    });
}

fn runs_on(fleet: &Fleet, host: &str) {
    fleet.answers_from("web", host);
    assert_eq!(fleet.runs_on("web"), [host]);
    for (from, to) in [("web", "2001:db8:1:1::51"), ("sib", "2001:db8:1:1::50")] {
        let at = if from == "web" { host } else { "spare" };
        wait_until(&format!("{from} reaches {to}"), || {
            fleet.try_sh(at, &format!("jexec -l {from} ping -6 -n -q -c 1 -t 2 {to}")).status.success()
        });
    }
}

/// Boots a host anew.
fn reboot(fleet: &Fleet, host: &str) {
    let output = fleet.in_lab().verb(&["reboot", host]);
    assert!(output.status.success(), "lab reboot {host}: {}", text(&output));
    wait_until(&format!("{host} is up"), || fleet.try_sh(host, "jls name").status.success());
}
