#!/bin/sh
# Prints what a FreeBSD host of the testbed looks like, in one fixed form and order, so that two prints can be compared:
#   ssh HOST /bin/sh -s < state.sh >before
# Left out is what changes by itself (sizes, counters, handshakes, jids, interface numbers, MAC addresses) and every secret.
# Base system only; run as root.
set -u
LC_ALL=C
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export LC_ALL PATH

section() { echo "== $1"; }

# Values that move while nothing is being done.
VOLATILE='available|compressratio|createtxg|creation|filesystem_count|logicalreferenced|logicalused|objsetid|refcompressratio|referenced|snapshot_count|snapshots_changed|used|usedbychildren|usedbydataset|usedbyrefreservation|usedbysnapshots|written'

zfs_state() {
	zpool list -H -o name jfpool >/dev/null 2>&1 || return 0
	section datasets
	zfs get -Hp -r -t filesystem,volume -o name,property,value,source all jfpool |
		awk -F '\t' -v volatile="^($VOLATILE)\$" '$2 !~ volatile { print $1 " " $2 "=" $3 " (" $4 ")" }' | sort
	section snapshots
	zfs list -Hp -r -t snapshot,bookmark -o name,guid jfpool | sort
	section holds
	zfs list -H -r -t snapshot -o name jfpool | while read -r snapshot; do zfs holds -H "$snapshot" </dev/null | awk -F '\t' '{ print $1 " " $2 }'; done | sort
}

wireguard_state() {
	for interface in $(wg show interfaces 2>/dev/null); do
		section "wireguard $interface"
		wg show "$interface" allowed-ips | awk '{ key = $1; for (i = 2; i <= NF; i++) print key " " $i }' | sort
	done
	for dir in /etc/wireguard /usr/local/etc/wireguard; do
		[ -d "$dir" ] || continue
		section "files $dir"
		find "$dir" -type f | sort | while read -r file; do
			stat -f '%Sp %Su:%Sg %N' "$file"
			sed -E '/^[[:space:]]*(PrivateKey|PresharedKey)[[:space:]]*=/d' "$file"
		done
	done
}

# One table: destination, gateway (link#N of an interface route is only a number), flags, interface.
# Loopback, link-local, multicast and the reject routes of rc.d/routing are left out.
table() {
	awk '/^Internet/ { seen = 1; next } !seen || NF < 4 || $1 == "Destination" { next }
		$1 ~ /^(127\.|::1$|fe80:|ff0|::\/96|::ffff:)/ || $6 ~ /^lo/ { next }
		{ sub(/^link#[0-9]+$/, "link", $2); print $1 " " $2 " " $3 " " $6 }' | sort
}

route_state() {
	fibs=$(sysctl -n net.fibs)
	fib=0
	while [ "$fib" -lt "$fibs" ]; do
		for family in inet inet6; do
			section "routes fib $fib $family"
			# netstat refuses -F 0.
			if [ "$fib" -eq 0 ]; then netstat -rnW -f "$family"; else netstat -rnW -F "$fib" -f "$family"; fi | table
		done
		fib=$((fib + 1))
	done
	section 'published arp'
	arp -an | awk '/published/ { print $2, $4 }' | sort
}

# Addresses as ifconfig prints them, flags reduced to UP, members by name.
interfaces() {
	awk '/^[a-z]/ { sub(/:$/, "", $1); name = $1; up = ($2 ~ /[<,]UP[,>]/) ? "up" : "down"; mtu = ""
			for (i = 2; i < NF; i++) if ($i == "mtu") mtu = $(i + 1)
			print name " " up " mtu " mtu; next }
		$1 == "inet" { print name " inet " $2 " " $4 }
		$1 == "inet6" && $2 !~ /^fe80:/ { print name " inet6 " $2 "/" $4 }
		$1 == "member:" { print name " member " $2 }
		$1 == "fib:" { print name " fib " $2 }' | sort
}

jail_state() {
	section jails
	# Not those that are dying: they end by themselves, a minute after their last connection.
	jls name path | sort
	for jail in $(jls name | sort); do
		# The testbed's jails have a network stack of their own; others are not ours to look into.
		case $(jls -j "$jail" path) in /jf/*) ;; *) continue ;; esac
		section "inside $jail"
		jexec "$jail" ifconfig -a </dev/null | interfaces
		for family in inet inet6; do jexec "$jail" netstat -rnW -f "$family" </dev/null | table; done
	done
	section mounts
	mount -p | awk '$2 ~ "^/jf/" { print $1 " " $2 " " $3 " " $4 }' | sort
}

file_state() {
	section files
	for file in /etc/jail.conf /etc/jail.*.conf /etc/jail.*.fstab /etc/pf* /etc/start_if.* /etc/rc.conf /etc/rc.conf.local /etc/rc.local /etc/sysctl.conf \
		/etc/crontab /boot/loader.conf /root/.ssh/authorized_keys; do
		if [ -f "$file" ]; then echo "$(sha256 -q "$file") $(stat -f '%Sp %Su:%Sg' "$file") $file"; fi
	done
	for dir in /etc/jail.conf.d /etc/rc.conf.d /usr/local/etc/rc.conf.d /usr/local/etc/rc.d; do
		if [ -d "$dir" ]; then
			# Temporary files that were left behind are part of the picture.
			find "$dir" -type f | sort | while read -r file; do echo "$(sha256 -q "$file") $(stat -f '%Sp %Su:%Sg' "$file") $file"; done
		fi
	done
	section rc.conf
	ours='^(jail|jailferry|ifconfig|route|static|ipv6|pf|cloned|gateway|wireguard|arpproxy|zfs)[a-z0-9_]*='
	grep -hE "$ours" /etc/rc.conf /etc/rc.conf.local 2>/dev/null | sort
	section 'other lines of rc.conf'
	grep -hvE "$ours" /etc/rc.conf /etc/rc.conf.local 2>/dev/null | sort
	section sysctl
	for name in net.fibs net.inet.ip.forwarding net.inet6.ip6.forwarding net.inet.ip.redirect net.inet6.ip6.redirect net.link.ether.inet.proxyall; do
		echo "$name=$(sysctl -n "$name")"
	done
}

pf_runs() { pfctl -s info 2>/dev/null | grep -q '^Status: Enabled'; }

pf_state() {
	section pf
	if pf_runs; then echo enabled; else echo disabled && return 0; fi
	pfctl -sn 2>/dev/null
	pfctl -sr 2>/dev/null
	for anchor in $(pfctl -v -sA 2>/dev/null | sort); do
		rules=$(pfctl -a "$anchor" -sn 2>/dev/null && pfctl -a "$anchor" -sr 2>/dev/null)
		# An anchor that was emptied but whose name lingers is as good as none.
		if [ -n "$rules" ]; then echo "anchor $anchor" && echo "$rules"; fi
	done
	for table in $(pfctl -sT 2>/dev/null | sort); do
		echo "table $table"
		pfctl -t "$table" -T show 2>/dev/null | sort
	done
}

# What jailferry leaves while it works: nothing of it may stay.
own_state() {
	section 'own files'
	find /var/db /var/run /tmp /var/tmp /root -maxdepth 1 -name '*jailferry*' ! -name jailferry-testbed ! -name jailferry.lock ! -name 'jailferry-*.turn' ! -name 'jailferry-*.receive' ! -name 'jailferry-*.verify' 2>/dev/null | sort | while read -r path; do
		find "$path" | sort
	done
	find /etc /usr/local/etc -name '*jailferry*' ! -name '*jailferry[-_]testbed*' 2>/dev/null | sort
	section 'own processes'
	ps -axo command= | awk '/[j]ailferry/ && !/awk/ { print }' | sort
}

main() {
	section interfaces
	ifconfig -a | interfaces
	wireguard_state
	route_state
	pf_state
	jail_state
	zfs_state
	file_state
	own_state
}

main "$@" </dev/null
exit
