//! Hosts as Bastille makes them, and web as one of its thin jails.

/// Bastille's place on a host: its settings, an rc script that starts jails as that of 1.4 does, and a release.
pub const INSTALL: &str = r#"
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
pub const OF_A_UNIT: &str = r#"
  exec.prestart += "ifconfig epair0 create";
  exec.prestart += "ifconfig bridge0 addm epair0a";
  exec.prestart += "ifconfig epair0a up name e0a_web";
  exec.prestart += "ifconfig epair0b up name e0b_web";
"#;
pub const OF_ANY_UNIT: &str = r#"
  exec.prestart += "epair0=\$(ifconfig epair create) && ifconfig \${epair0} up name e0a_web && ifconfig \${epair0%a}b up name e0b_web";
  exec.prestart += "ifconfig bridge0 addm e0a_web";
"#;

/// Makes web one of Bastille's.
pub const CONVERT: &str = r#"
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
