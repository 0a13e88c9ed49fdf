present() { for name in "$@"; do if command -v "$name" >/dev/null; then echo "$name"; fi; done; }
loaded() { command -v kldstat >/dev/null || return 127; for name in "$@"; do if kldstat -q -m "$name"; then echo "$name"; fi; done; }

ask hostname '' hostname
ask machine '' uname -m
ask kernel '' uname -K
ask installed '' freebsd-version -k
ask running '' freebsd-version -r
ask userland '' freebsd-version -u
ask clock '' date +%s
ask uid '' id -u
ask commands '' present fetch nc timeout lockf daemon sha256 wg wg-quick rctl
ask modules '' loaded if_bridge if_epair wg pf zfsctrl nullfs
ask sysctl '' sysctl -i kern.hostuuid kern.osreldate kern.securelevel kern.features.vimage kern.racct.enable hw.physmem hw.ncpu \
	net.fibs net.add_addr_allfibs net.route.multipath \
	net.inet.ip.forwarding net.inet6.ip6.forwarding net.inet.ip.redirect net.inet6.ip6.redirect \
	net.link.ether.inet.proxyall net.link.bridge.pfil_member net.link.bridge.pfil_bridge net.link.bridge.member_ifaddrs \
	security.jail.jailed vfs.zfs.max_recordsize

ask ifconfig '' ifconfig -f inet:cidr,inet6:cidr -a
fibs=$(sysctl -n net.fibs 2>/dev/null) || fibs=1
# FIB 0 cannot be named with -F, and without it netstat takes the caller's own.
ask netstat '0 inet' setfib 0 netstat --libxo json -rnW -f inet
ask netstat '0 inet6' setfib 0 netstat --libxo json -rnW -f inet6
fib=1
while [ "$fib" -lt "$fibs" ]; do
	ask netstat "$fib inet" netstat --libxo json -rnW -F "$fib" -f inet
	ask netstat "$fib inet6" netstat --libxo json -rnW -F "$fib" -f inet6
	fib=$((fib + 1))
done

# Single fields only: dump and showconf would print the private key.
ask wg-interfaces '' wg show interfaces
for interface in $(wg show interfaces 2>/dev/null); do
	for field in public-key listen-port allowed-ips latest-handshakes endpoints persistent-keepalive; do
		ask "wg-$field" "$interface" wg show "$interface" "$field"
	done
done
for file in /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf "$wireguard_config"; do
	[ -f "$file" ] || continue
	ask wireguard-file "$file" public_part "$file"
	ask wireguard-digest "$file" sha256 -q "$file"
done

ask pf-status '' pfctl -s Running
# Ports as numbers (-P), so that the rules read like those that a plan writes.
ask pf-nat '' pfctl -P -sn
ask pf-rules '' pfctl -P -sr
ask pf-tables '' pfctl -sT
pfctl -sT 2>/dev/null | while read -r table; do
	ask pf-table "$table" pfctl -t "$table" -T show
done
pfctl -a jailferry -sA 2>/dev/null | while read -r anchor; do
	ask pf-anchor "$anchor" pfctl -P -a "$anchor" -sn
done
pf_rules=$(sysrc -n pf_rules 2>/dev/null) || pf_rules=
: "${pf_rules:=/etc/pf.conf}"
if [ -f "$pf_rules" ]; then
	ask pf-file "$pf_rules" pf_declarations "$pf_rules"
	pf_declarations "$pf_rules" | pf_table_files | while read -r table file; do
		[ -f "$file" ] || continue
		ask pf-table-file "$table $file" pf_table_lines "$file"
		ask pf-table-digest "$table $file" sha256 -q "$file"
	done
fi

# A kernel without VIMAGE does not know the parameter vnet.
vnet=
if [ "$(sysctl -in kern.features.vimage 2>/dev/null)" = 1 ]; then vnet=vnet; fi
ask jls '' jls -d --libxo json name jid path dying $vnet
if [ -n "$vnet" ]; then
	jls -q jid vnet 2>/dev/null | while read -r jid stack; do
		[ "$stack" = new ] || continue
		ask jail-ifconfig "$jid" timeout 10 jexec "$jid" ifconfig -f inet:cidr,inet6:cidr -a
		ask jail-netstat "$jid inet" timeout 10 jexec "$jid" netstat --libxo json -rnW -f inet
		ask jail-netstat "$jid inet6" timeout 10 jexec "$jid" netstat --libxo json -rnW -f inet6
	done
fi
separator=$(printf '\037')
with_digest() { sha256 -q "$1" && cat "$1"; }
managed=$(bastille_jails)
for file in /etc/jail.*.conf /etc/jail.conf.d/*.conf /etc/jail.conf "$managed"/*/jail.conf; do
	[ -f "$file" ] || continue
	ask jail-e "$file" jail -f "$file" -e "$separator"
	ask jail-file "$file" with_digest "$file"
done

# boot.conf before 1.0.
for file in "$managed"/*/boot.conf "$managed"/*/settings.conf; do
	[ -f "$file" ] || continue
	ask bastille-boot "$file" sed -n 's/^boot="\{0,1\}\([a-z]*\)"\{0,1\}$/\1/p' "$file"
done

for file in /var/db/jailferry/*.lock; do
	[ -f "$file" ] || continue
	ask lock "$file" cat "$file"
done

ask sysrc '' rc_variables
ask rc-assignments '' rc_assignments
# In the order in which rc.d/jail reads them: the last one wins.
for file in /etc/rc.conf /etc/rc.conf.local /etc/rc.conf.d/jail /etc/rc.conf.d/jail/* \
	/usr/local/etc/rc.conf.d/jail /usr/local/etc/rc.conf.d/jail/*; do
	[ -f "$file" ] || continue
	for name in jail_enable jail_list; do
		if grep -q "^[[:space:]]*$name=" "$file"; then ask "rc-$name" "$file" sysrc -f "$file" -n "$name"; fi
	done
done

ask zfs-version '' zfs version
ask zfs-list '' zfs list -Hp -t filesystem,volume -o name,type,guid,used,referenced,available,mountpoint,canmount,mounted,origin,encryption,keystatus,jailed,readonly
ask zfs-run '' zfs get -Hp -t filesystem,volume -s local,received -o name,property,value \
	org.jailferry:run,org.jailferry:state,org.jailferry:owner
ask zpool-list '' zpool list -Hp -o name,size,alloc,free,health
zpool list -H -o name 2>/dev/null | while read -r pool; do
	ask zpool-get "$pool" zpool get -Hp -o property,value,source all "$pool"
done
