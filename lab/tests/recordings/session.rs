//! The recorded session, in an order in which every question finds what the recorded host had.

/// Questions that one preparation serves.
pub struct Chapter {
    /// What has to be made or set before (sh); it must succeed.
    pub before: &'static str,
    /// The recordings, asked in this order.
    pub asked: &'static [&'static str],
    /// Those of them in whose answers numbers are ids.
    pub ids: &'static [&'static str],
    /// Texts that are something else here for a reason that stands beside them, and what both answers get in their place.
    pub differs: &'static [(&'static str, &'static str)],
}

/// The session.
pub const SESSION: &[Chapter] = &[
    Chapter {
        before: "hostname fbsd; umask 77; echo pass >/etc/pf.conf; mv /usr/local/bin/sudo /root/sudo",
        asked: &[
            "passwd-shell",
            "shell",
            "sha256",
            "stat",
            "install-S",
            "timeout",
            "lockf",
            "daemon",
            "fetch",
            "nc-z",
            "devfs-rule",
            "devfs-rule-b",
        ],
        ids: &["daemon", "stat"],
        differs: &[],
    },
    Chapter {
        before: "kldload -n pf if_wg; echo net.fibs=2 >/boot/loader.conf; sysctl net.fibs=2 net.inet.ip.forwarding=1 net.inet6.ip6.forwarding=1 >/dev/null; kldload -n if_bridge",
        asked: &[
            "kldstat",
            "sysctls",
            "proxyall",
            "proxyall-set",
            "sysctl-params",
            "sysctl-jail-param",
            "ping-df",
            "ping6",
            "setfib",
        ],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: r#"cat >/etc/rc.conf <<'END'
cleanvar_enable="NO"
clear_tmp_enable="NO"
cron_enable="NO"
defaultrouter="10.0.13.1"
dumpdev="NO"
gateway_enable="YES"
growfs_enable="NO"
hostname="fbsd"
ifconfig_vtnet0="inet 10.0.13.2/24"
ipv6_gateway_enable="YES"
jail_enable="NO"
ldconfig_insecure="NO"
savecore_enable="NO"
sendmail_enable="NONE"
sshd_ecdsa_enable="NO"
sshd_enable="YES"
sshd_rsa_enable="NO"
syslogd_enable="NO"
update_motd="NO"
zfs_enable="YES"
END"#,
        asked: &["sysrc", "sysrc-empty", "sysrc-f"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "ifconfig bridge0 create; ifconfig bridge0 inet 192.168.123.1/24 up; ifconfig epair create; ifconfig epair create",
        asked: &["ifconfig-list", "arp", "arp-pub", "ndp", "ifconfig-destroy"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "service routing start; for p in '-host 192.168.123.60' '-host 192.168.123.61'; do route -n add -inet $p -interface bridge0 -fib 1; done",
        asked: &["route-add-net", "route-change-if", "route-change-ifp"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "route -n add -inet6 -net 2001:db8:1::/72 -interface bridge0 -fib 1; route -n add -inet6 -host 2001:db8:1::50 -interface bridge0 -fib 1",
        asked: &["netstat-plain", "netstat-json-1-6", "route-delete6"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "route -n delete -inet -host 192.168.123.60 -fib 1; umask 77; wg genkey >/root/wg.key; echo 2gk18S9cYHKOIkhpOdTAQ2vkmP9KXAY8orx3/7wmjQc= >/root/ka; echo Hif0S/LOiYiKcUKsdLnhTI5gzGcqg1Jz4alUbm1XEy0= >/root/kb; rmdir /usr/local/etc/wireguard",
        asked: &[
            "wg-create",
            "wg-interfaces",
            "wg-set-peers",
            "wg-show-allowed",
            "wg-show-fields",
            "wg-move",
            "wg-move-whole",
            "wg-plus",
            "wg-hostbits",
            "wg-badip",
            "wg-nodev",
            "wg-routes",
        ],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "route -n delete -inet6 -net 2001:db8:1::/72 -fib 1 || :",
        asked: &["wg-route-add", "wg-syncconf-nokey"],
        ids: &[],
        // Without its key wireguard-go has no public key either; FreeBSD shows that of a private key of zeros.
        differs: &[("(none)\n", "KEY\n")],
    },
    Chapter {
        before: ":",
        asked: &[
            "netstat-json-default",
            "netstat-json-setfib0",
            "netstat-json-setfib1",
            "netstat-F1",
            "epair-rename",
            "epair-unit-taken-b",
            "static-routes",
        ],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "sysrc -x static_routes route_web; route -n delete -inet -host 192.168.123.50 -fib 1; ifconfig epair20 create; ifconfig epair20a inet 10.6.0.1/30 up; ifconfig epair20b up; route -n add -inet -host 192.168.123.77 -interface bridge0 -fib 1",
        asked: &[
            "epair-unit-taken",
            "route-change-interface",
            "route-change-interface-ifp",
            "route-add-other-interface",
            "route-add-gateway-mpath",
            "route-delete-connected",
        ],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: r#"cat >/etc/pf.conf <<'END'
table <private> const { 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 }
table <jailferry_nat> persist
nat on vtnet0 inet from 192.168.123.0/24 to ! <private> -> 10.0.13.2
nat on vtnet0 inet from <jailferry_nat> to ! <private> -> 10.0.13.2
nat-anchor "jailferry/*"
rdr-anchor "jailferry/*"
pass all
END"#,
        asked: &[
            "pf-disabled",
            "pf-check",
            "pf-enable",
            "pf-running",
            "pf-sA",
            "pf-sT",
            "pf-sn",
            "pf-sr",
            "pf-anchor-load",
            "pf-anchor-list",
            "pf-anchor-flush",
            "pf-kill",
        ],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: r#"truncate -s 640m /root/disk0; zpool create -m none zroot /root/disk0; zfs create -o mountpoint=/usr/jails zroot/jails; zfs create zroot/jails/web; zfs create zroot/jails/web/data
cd /usr/jails/web; mkdir -p bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec dev etc var/run tmp root
for d in bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec; do echo "/$d /usr/jails/web/$d nullfs ro 0 0"; done >/etc/jail.web.fstab
cat >/etc/jail.conf.d/web.conf <<'END'
web {
    path = "/usr/jails/web";
    host.hostname = "web.example.org";
    mount.fstab = "/etc/jail.web.fstab";
    mount.devfs;
    devfs_ruleset = 5;
    exec.clean;
    vnet;
    vnet.interface = "epair7b";
    exec.prestart = "ifconfig epair7 create", "ifconfig bridge0 addm epair7a", "ifconfig epair7a up fib 1", "ifconfig epair7b mtu 1380";
    exec.start = "ifconfig epair7b inet 192.168.123.50/24 up", "route add default 192.168.123.1", "/bin/sh /etc/rc";
    exec.stop = "/bin/sh /etc/rc.shutdown jail";
    exec.poststop = "ifconfig epair7a destroy";
    persist;
}
END
rm -f /etc/jail.conf"#,
        asked: &["jail-e", "jail-conf-d-and-main", "jail-syntax", "jail-unknown-param"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: r#"sed -i '' -e 's,"/bin/sh /etc/rc","/usr/sbin/daemon -f /bin/sleep 1000",' -e 's,"/bin/sh /etc/rc.shutdown jail",/usr/bin/true,' /etc/jail.conf.d/web.conf"#,
        asked: &[
            "jail-e-b",
            "jail-e-us",
            "jail-remove-absent",
            "jail-remove-absent-b",
            "jail-create-b",
            "jail-create-again",
            "jail-create-again-b",
            "freebsd-version",
            "freebsd-version-b",
            "jls-all",
            "jls-d",
            "jls-json",
            "jls-json-b",
            "jls-json-v",
            "jls-json-params",
            "jls-json-params-b",
            "jls-json-plain",
            "jls-names",
            "jls-names-b",
            "jls-plain",
            "jls-q",
            "jls-q-b",
            "jexec-ifconfig",
            "jexec-ifconfig-b",
            "jexec-netstat",
            "jexec-rc",
            "jexec-rc-b",
            "mount-p",
            "ifconfig-members",
            "ifconfig-member-fib",
            "service-start-again",
            "service-status",
            "jail-remove-b",
            "stop-and-unmount",
            "service-start",
            "service-stop",
            "service-absent",
        ],
        ids: &["jls-plain", "jls-q", "jls-q-b", "service-start", "jls-d"],
        differs: &[],
    },
    Chapter { before: "jail -f /etc/jail.conf.d/web.conf -c web", asked: &["jail-R"], ids: &[], differs: &[] },
    Chapter {
        before: "for d in dev usr/libexec usr/lib usr/sbin usr/bin libexec lib sbin bin; do umount /usr/jails/web/$d; done; ifconfig epair7a destroy; ifconfig epair20a destroy; cp /etc/jail.conf.d/web.conf /root/web.conf; sed 's,exec.start.*,exec.start = false;,' /root/web.conf >/etc/jail.conf.d/web.conf",
        asked: &["jail-start-fails"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "ifconfig epair7a destroy; ifconfig epair20 create; sed 's,exec.start.*,exec.start = /usr/bin/false;,' /root/web.conf >/etc/jail.conf.d/web.conf",
        asked: &["start-fails"],
        ids: &[],
        differs: &[],
    },
    Chapter {
        before: "ifconfig epair7a destroy; ifconfig epair20a destroy",
        asked: &["service-start-fails"],
        ids: &["service-start-fails"],
        differs: &[],
    },
    Chapter {
        before: "ifconfig epair7a destroy; sed 's,exec.stop .*,exec.stop = /usr/bin/false;,' /root/web.conf >/etc/jail.conf.d/web.conf; jail -f /etc/jail.conf.d/web.conf -c web",
        asked: &["stop-fails"],
        ids: &[],
        differs: &[],
    },
];
