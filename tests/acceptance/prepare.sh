#!/bin/sh
# Makes the testbed of docs/testbed.md on one FreeBSD host (13.2 or later), with the base system only, and takes it away again.
# It touches nothing that it did not make: it refuses hosts that already have a wg0, a bridge0, a jfpool or a running pf,
# writes its lines of rc.conf, loader.conf and sysctl.conf between two marks, and notes every change in
# /var/db/jailferry-testbed/undo before making it. Running it twice does nothing the second time.
#
#   ssh HOST /bin/sh -s -- key                                    < prepare.sh    makes the WireGuard key, prints the public half
#   ssh HOST /bin/sh -s -- hub    --public-if IF --public-address A/LEN [--public-address6 A/LEN]
#                                 --peer spare=KEY --peer big=KEY [--manage IF]   < prepare.sh
#   ssh HOST /bin/sh -s -- node NAME --hub-endpoint A:PORT --hub-key KEY
#                                 [--underlay-if IF --underlay-address A/LEN]     < prepare.sh    NAME is spare or big
#   ssh HOST /bin/sh -s -- client [--if IF --address A/LEN --address6 A/LEN] [--hub6 A]  < prepare.sh
#   ssh HOST /bin/sh -s -- status                                 < prepare.sh
#   ssh HOST /bin/sh -s -- --undo                                 < prepare.sh
# hub and node take --size SIZE, the size of the pool's file (1G).
set -eu
LC_ALL=C
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export LC_ALL PATH
umask 022

ST=/var/db/jailferry-testbed
WG=/usr/local/etc/wireguard
PF=/etc/pf.jailferry-testbed.conf
RC=/usr/local/etc/rc.d/jailferry_testbed
MARK='jailferry testbed'
JAILS='web sib db mail'

die() { echo "prepare.sh: $*" >&2; exit 1; }

# ---------------------------------------------------------------- remembering

# The undo list is written before the change it undoes, so that an interrupted run can be undone too.
record() { grep -qxF -e "$1" "$ST/undo" 2>/dev/null || printf '%s\n' "$1" >>"$ST/undo"; }

# step NAME FUNCTION ARGS: once per host; a step that failed half way is done again.
step() {
	step_name=$1
	shift
	if grep -qxF -e "$step_name" "$ST/done" 2>/dev/null; then return 0; fi
	"$@"
	printf '%s\n' "$step_name" >>"$ST/done"
}

state_dir() {
	[ "$(id -u)" -eq 0 ] || die "must run as root"
	mkdir -p "$ST"
	chmod 700 "$ST"
}

# put FILE MODE: a whole file of ours from standard input; never over a file that was there.
put() {
	if [ -e "$1" ] && ! grep -qxF -e "rm -f $1" "$ST/undo" 2>/dev/null; then die "$1 exists and is not of this testbed"; fi
	record "rm -f $1"
	(umask 077 && cat >"$1.jf$$")
	chmod "$2" "$1.jf$$"
	mv -f "$1.jf$$" "$1"
}

# made_dir DIR: the folder and its missing parents, each taken away again if then empty.
made_dir() {
	[ -d "$1" ] && return 0
	made_dir "$(dirname "$1")"
	record "rmdir $1 2>/dev/null || :"
	mkdir "$1"
}

without_block() { awk -v m="$MARK" '$0 == "# BEGIN " m { skip = 1 } !skip { print } $0 == "# END " m { skip = 0 }' "$1"; }

# block FILE: our lines at the end of a file of the host, between two marks; owner and mode stay.
block() {
	file=$(realpath "$1" 2>/dev/null) || file=$1
	saved=$ST/before$(echo "$file" | tr / _)
	if [ -e "$file" ]; then
		[ -e "$saved" ] || cp -p "$file" "$saved"
		record "block_gone $file $saved"
		cp -p "$file" "$file.jf$$"
	else
		record "block_gone $file -"
		: >"$file.jf$$"
	fi
	{
		if [ -e "$file" ]; then without_block "$file"; fi
		echo "# BEGIN $MARK"
		cat
		echo "# END $MARK"
	} >"$file.jf$$"
	mv -f "$file.jf$$" "$file"
}

# block_gone FILE SAVED: the host's own lines as they are now; the very same file as before when nobody else changed it.
block_gone() {
	[ -e "$1" ] || return 0
	cp -p "$1" "$1.jf$$" && without_block "$1" >"$1.jf$$" || return 1
	if [ "$2" != - ] && awk 1 "$2" | cmp -s - "$1.jf$$"; then cp -p "$2" "$1.jf$$"; fi
	if [ "$2" = - ] && [ ! -s "$1.jf$$" ]; then rm -f "$1" "$1.jf$$"; else mv -f "$1.jf$$" "$1"; fi
}

# knob NAME VALUE: a sysctl now; the old value comes back with undo.
knob() {
	knob_old=$(sysctl -n "$1")
	if [ "$knob_old" = "$2" ]; then return 0; fi
	record "sysctl $1=$knob_old >/dev/null"
	sysctl "$1=$2" >/dev/null
}

# listed VARIABLE ITEMS: the rc.conf line that adds to what the host already lists there.
listed() {
	listed_old=$(sysrc -n "$1" 2>/dev/null) || listed_old=
	case $listed_old in *[![:space:]]*) echo "$1=\"$listed_old $2\"" ;; *) echo "$1=\"$2\"" ;; esac
}

# ---------------------------------------------------------------- the layout (docs/testbed.md)

# host_layout NAME: tunnel address, bridge addresses (the first of each family, then aliases), jails.
host_layout() {
	B4_MORE= B6_MORE=
	case $1 in
	small) WG4=10.77.0.1/24 B4=192.168.122.1/24 B6=2001:db8:1::1/72 HERE=mail FIB=0 ;;
	spare) WG4=10.77.0.2/24 B4=192.168.123.1/24 B6=2001:db8:1:1::1/72 HERE='web sib db' FIB=1
		# Two networks with IPv6 on one bridge: without a link-local address the host would ask for neighbours of the
		# second from an address of the first, which they do not answer (nd6_nbr.c; seen on 15.0).
		B4_MORE=192.168.125.1/24 B6_MORE='2001:db8:1:3::1/72 fe80::1/64' ;;
	big) WG4=10.77.0.3/24 B4=192.168.124.1/24 B6=2001:db8:1:2::1/72 HERE= FIB=1 ;;
	*) die "unknown host '$1': spare or big" ;;
	esac
	# route(8) of 14.0, the first that speaks netlink(4), takes no IPv6 route through an interface without an IPv6 address
	# (finalize_nhop() in sys/netlink/route/rt.c; seen on 14.0-STABLE). Those before and 15.0 do.
	WG6=
	tunnel4=${WG4%/*}
	case $(uname -r) in 14.*) WG6=fe80::${tunnel4##*.}/64 ;; esac
}

peer_prefixes() {
	case $1 in
	spare) echo '10.77.0.2/32, 192.168.123.0/24, 2001:db8:1:1::/72, 192.168.125.0/24, 2001:db8:1:3::/72' ;;
	big) echo '10.77.0.3/32, 192.168.124.0/24, 2001:db8:1:2::/72' ;;
	*) die "unknown peer '$1': spare or big" ;;
	esac
}

jail_layout() {
	case $1 in
	web) UNIT=1 IP4=192.168.123.50/24 GW4=192.168.123.1 IP6=2001:db8:1:1::50/72 GW6=2001:db8:1:1::1 ;;
	sib) UNIT=2 IP4=192.168.123.51/24 GW4=192.168.123.1 IP6=2001:db8:1:1::51/72 GW6=2001:db8:1:1::1 ;;
	db) UNIT=3 IP4=192.168.125.10/24 GW4=192.168.125.1 IP6=2001:db8:1:3::10/72 GW6=2001:db8:1:3::1 ;;
	mail) UNIT=4 IP4=192.168.122.25/24 GW4=192.168.122.1 IP6=2001:db8:1::25/72 GW6=2001:db8:1::1 ;;
	esac
}

# The routes of a host, one a line: rc name, family, prefix, FIB; all of them through wg0.
host_routes() {
	case $1 in
	small)
		for net in 3 4 5; do echo "jf12$net inet 192.168.12$net.0/24 0"; done
		for net in 1 2 3; do echo "jf6$net inet6 2001:db8:1:$net::/72 0"; done
		;;
	*)
		echo "jfhub inet 192.168.122.0/24 0"
		echo "jfhub6 inet6 2001:db8:1::/72 0"
		echo "jffib1 inet 0.0.0.0/0 1"
		echo "jffib1low inet6 ::/1 1"
		echo "jffib1high inet6 8000::/1 1"
		;;
	esac
}

# ---------------------------------------------------------------- steps

refuse_strangers() {
	for interface in wg0 bridge0; do
		if ifconfig "$interface" >/dev/null 2>&1; then die "$interface exists on this host"; fi
	done
	if zpool list -H -o name jfpool >/dev/null 2>&1; then die "a pool jfpool exists on this host"; fi
	for name in $JAILS; do
		if jls -j "$name" jid >/dev/null 2>&1; then die "a jail $name runs on this host"; fi
		for file in "/etc/jail.$name.conf" "/etc/jail.conf.d/$name.conf" "/etc/jail.$name.fstab"; do
			if [ -e "$file" ]; then die "$file exists on this host"; fi
		done
	done
	if [ "$(sysctl -in kern.features.vimage)" != 1 ]; then die "this kernel has no VIMAGE"; fi
	case $(sysrc -n jail_enable 2>/dev/null) in
	[Yy][Ee][Ss])
		# An empty list means all jails of /etc/jail.conf; our names would end that.
		if [ -z "$(sysrc -n jail_list 2>/dev/null | tr -d ' ')" ]; then die "this host starts all its jails at boot: name them in jail_list first"; fi
		;;
	esac
}

# The name that a jail's page shows as its host: the jail's configuration moves with the jail, this file does not.
host_name() { echo "$1" | put "$ST/name" 644; }

# address IF inet|inet6 A/LEN: on a second interface, now and at boot (see rc_conf); nothing if it is there already.
address() {
	if ifconfig "$1" "$2" | awk -v a="${3%/*}" '$2 == a { found = 1 } END { exit !found }'; then return 0; fi
	if [ "$2" = inet6 ]; then
		record "ifconfig $1 inet6 ${3%/*} -alias || :"
		ifconfig "$1" inet6 -ifdisabled
		ifconfig "$1" inet6 "$3" alias
		rc_address=_ipv6
	else
		record "ifconfig $1 inet ${3%/*} -alias || :"
		ifconfig "$1" inet "$3" alias
		rc_address=
	fi
	ifconfig "$1" up
	if sysrc -n "ifconfig_$1$rc_address" >/dev/null 2>&1; then
		n=0
		while sysrc -n "ifconfig_$1_alias$n" >/dev/null 2>&1 || grep -q "^ifconfig_$1_alias$n=" "$ST/rc.addresses" 2>/dev/null; do n=$((n + 1)); done
		rc_address=_alias$n
	fi
	echo "ifconfig_$1$rc_address=\"$2 $3\"" >>"$ST/rc.addresses"
}

# rc_conf NAME: everything again at the next boot.
rc_conf() {
	# Computed once: what the host lists already must not include ours.
	if [ ! -e "$ST/rc.lines" ]; then rc_lines "$1" >"$ST/rc.lines.new" && mv "$ST/rc.lines.new" "$ST/rc.lines"; fi
	block /etc/rc.conf <"$ST/rc.lines"
	block /etc/sysctl.conf <<-END
		net.inet.ip.redirect=0
		net.inet6.ip6.redirect=0
	END
}

rc_lines() {
	if [ -e "$ST/rc.addresses" ]; then cat "$ST/rc.addresses"; fi
	echo 'zfs_enable="YES"'
	echo 'gateway_enable="YES"'
	echo 'ipv6_gateway_enable="YES"'
	listed cloned_interfaces 'bridge0 wg0'
	echo "ifconfig_wg0=\"inet $WG4 up\""
	echo "ifconfig_wg0_ipv6=\"inet6 ${WG6:--ifdisabled}\""
	echo "ifconfig_bridge0=\"inet $B4 up\""
	echo "ifconfig_bridge0_ipv6=\"inet6 $B6 no_dad\""
	n=0
	for more in $B4_MORE; do echo "ifconfig_bridge0_alias$n=\"inet $more\"" && n=$((n + 1)); done
	for more in $B6_MORE; do echo "ifconfig_bridge0_alias$n=\"inet6 $more\"" && n=$((n + 1)); done
	listed static_routes "$(host_routes "$1" | awk '$2 == "inet" { printf "%s%s", s, $1; s = " " }')"
	host_routes "$1" | awk '$2 == "inet" { printf "route_%s=\"-net %s -interface wg0 -fib %s\"\n", $1, $3, $4 }'
	listed ipv6_static_routes "$(host_routes "$1" | awk '$2 == "inet6" { printf "%s%s", s, $1; s = " " }')"
	host_routes "$1" | awk '$2 == "inet6" { printf "ipv6_route_%s=\"-net %s -interface wg0 -fib %s\"\n", $1, $3, $4 }'
	if [ "$1" = small ]; then
		echo 'pf_enable="YES"'
		echo "pf_rules=\"$PF\""
	fi
	if [ -n "$HERE" ]; then
		echo 'jail_enable="YES"'
		listed jail_list "$HERE"
	fi
}

forwarding() {
	knob net.inet.ip.forwarding 1
	knob net.inet6.ip6.forwarding 1
	# What comes out of the tunnel often goes back into it: no redirects.
	knob net.inet.ip.redirect 0
	knob net.inet6.ip6.redirect 0
}

# The number of FIBs only grows until the next boot: undo takes the line away, not the FIB.
fibs() {
	if [ "$(sysctl -n net.fibs)" -lt 2 ]; then sysctl net.fibs=2 >/dev/null; fi
	echo "net.fibs=\"$(sysctl -n net.fibs)\"" | block /boot/loader.conf
}

pool() {
	made_dir /jf/jails
	record pool_gone
	if ! zpool list -H -o name jfpool >/dev/null 2>&1; then
		truncate -s "$1" "$ST/jfpool.img"
		# Not in the pool cache: at boot a pool in a file can be read only once the file systems are mounted (see boot_pool).
		zpool create -m none -o ashift=12 -o cachefile=none jfpool "$ST/jfpool.img"
	fi
	if ! zfs list -H -o name jfpool/jails >/dev/null 2>&1; then
		zfs create -o mountpoint=/jf/jails -o atime=off -o compression=lz4 jfpool/jails
	fi
}

boot_pool() {
	made_dir "${RC%/*}"
	put "$RC" 755 <<-END
		#!/bin/sh
		# PROVIDE: jailferry_testbed
		# REQUIRE: FILESYSTEMS
		# BEFORE: jail
		# KEYWORD: nojail shutdown
		# Brings in the testbed's pool, which lives in a file and so is not there when rc.d/zpool runs.
		case \$1 in
		*start) zpool list -H -o name jfpool >/dev/null 2>&1 || zpool import -d $ST -o cachefile=none jfpool ;;
		# After the jails (rc.shutdown goes backwards), before the file system under the file goes away.
		*stop) zpool export jfpool ;;
		esac
	END
}

bridge() {
	record "ifconfig bridge0 destroy 2>/dev/null || :"
	ifconfig bridge0 >/dev/null 2>&1 || ifconfig bridge0 create >/dev/null
	ifconfig bridge0 inet "$B4" up
	ifconfig bridge0 inet6 -ifdisabled no_dad
	ifconfig bridge0 inet6 "$B6"
	for more in $B4_MORE; do ifconfig bridge0 inet "$more" alias; done
	for more in $B6_MORE; do ifconfig bridge0 inet6 "$more" alias; done
}

# tunnel: standard input is the configuration without the key, which never leaves the host.
tunnel() {
	made_dir "$WG"
	{
		echo '[Interface]'
		echo "PrivateKey = $(cat "$ST/wg0.key")"
		cat
	} | put "$WG/wg0.conf" 600
	put /etc/start_if.wg0 644 <<-END
		wg setconf wg0 $WG/wg0.conf
	END
	record "ifconfig wg0 destroy 2>/dev/null || :"
	ifconfig wg0 >/dev/null 2>&1 || ifconfig wg0 create >/dev/null
	wg setconf wg0 "$WG/wg0.conf"
	ifconfig wg0 inet "$WG4" up
	ifconfig wg0 inet6 -ifdisabled
	if [ -n "$WG6" ]; then ifconfig wg0 inet6 "$WG6"; fi
}

routes() {
	# They end with wg0.
	host_routes "$1" >"$ST/routes"
	while read -r _ family prefix fib; do
		# Exit 1 may only mean that it is there already, from a run that was cut short.
		route -q -n add "-$family" -net "$prefix" -interface wg0 -fib "$fib" && continue
		route -q -n delete "-$family" -net "$prefix" -interface wg0 -fib "$fib" || :
		route -q -n add "-$family" -net "$prefix" -interface wg0 -fib "$fib" || die "cannot add the route $prefix in FIB $fib"
	done <"$ST/routes"
}

pf_runs() { pfctl -s info 2>/dev/null | grep -q '^Status: Enabled'; }

# packet_filter PUBLIC_IF PUBLIC_ADDRESS MANAGE_IF: the hub's, in a file of its own, never over a filter that runs.
packet_filter() {
	kldstat -q -m pf || kldload -n pf
	if pf_runs && ! grep -qx pf_gone "$ST/undo"; then die "pf runs on this host with rules of its own"; fi
	{
		echo '# NAT and port forwards of the jailferry testbed.'
		echo "ext_if = \"$1\""
		echo "ext_addr = \"${2%/*}\""
		echo 'jails = "{ 192.168.122.0/23, 192.168.124.0/23 }"'
		if [ -n "$3" ]; then echo "set skip on $3"; fi
		echo 'nat-anchor "jailferry/*"'
		echo 'rdr-anchor "jailferry/*"'
		# shellcheck disable=SC2016 # pf's macros, not the shell's variables
		echo 'nat on $ext_if inet from $jails to any -> $ext_addr'
		for forward in 8080:web 8081:db 8082:mail 8083:sib; do
			jail_layout "${forward#*:}"
			echo "rdr on \$ext_if inet proto tcp from any to \$ext_addr port ${forward%:*} -> ${IP4%/*} port 80"
		done
		echo 'anchor "jailferry/*"'
		echo 'pass all'
	} | put "$PF" 600
	pfctl -nf "$PF"
	record pf_gone
	pfctl -q -f "$PF"
	pf_runs || pfctl -q -e
}

# ---------------------------------------------------------------- jails

jail_dataset() {
	if zfs list -H -o name "jfpool/jails/$1" >/dev/null 2>&1; then zfs destroy -r "jfpool/jails/$1"; fi # half made by an interrupted run
	zfs create "jfpool/jails/$1"
	zfs create "jfpool/jails/$1/data"
	root=/jf/jails/$1
	for dir in bin sbin lib libexec usr usr/bin usr/sbin usr/lib usr/libexec dev etc root tmp var var/run var/log var/db var/tmp www; do
		mkdir "$root/$dir"
	done
	chmod 1777 "$root/tmp" "$root/var/tmp"

	# Accounts without any password; the host's own stay on the host.
	cat >"$root/etc/master.passwd" <<-'END'
		root:*:0:0::0:0:Charlie &:/root:/bin/sh
		nobody:*:65534:65534::0:0:Unprivileged user:/nonexistent:/usr/sbin/nologin
	END
	chmod 600 "$root/etc/master.passwd"
	pwd_mkdb -p -d "$root/etc" "$root/etc/master.passwd"
	printf 'wheel:*:0:root\nnobody:*:65534:\n' >"$root/etc/group"
	printf 'hosts: files dns\npasswd: files\ngroup: files\nservices: files\nprotocols: files\n' >"$root/etc/nsswitch.conf"
	printf 'http\t\t80/tcp\n' >"$root/etc/services"
	printf 'tcp\t6\tTCP\n' >"$root/etc/protocols"
	# inetd(8) ends at once without the transports of RPC (inetd.c: getnetconfigent), whether or not it serves any.
	cat >"$root/etc/netconfig" <<-'END'
		udp6	tpi_clts	v	inet6	udp	-	-
		tcp6	tpi_cots_ord	v	inet6	tcp	-	-
		udp	tpi_clts	v	inet	udp	-	-
		tcp	tpi_cots_ord	v	inet	tcp	-	-
	END
	printf '127.0.0.1\tlocalhost %s\n::1\tlocalhost %s\n' "$1" "$1" >"$root/etc/hosts"
	# Rates unlimited: a client that counts must never be turned away.
	cat >"$root/etc/inetd.conf" <<-'END'
		http	stream	tcp4	nowait/0/0/0	root	/bin/sh	sh /www/http.sh
		http	stream	tcp6	nowait/0/0/0	root	/bin/sh	sh /www/http.sh
	END

	echo "$1" >"$root/www/name"
	echo 0 >"$root/data/count"
	cat >"$root/www/http.sh" <<-'END'
		#!/bin/sh
		# One HTTP/1.0 request on standard input, started by inetd(8).
		#   GET /         jail=NAME, host=HOST (who runs this copy), count=N
		#   GET /count    the counter
		#   POST /count, GET /increment    adds one; answers the new value once it is on disk
		LC_ALL=C PATH=/bin:/usr/bin:/sbin:/usr/sbin
		export LC_ALL PATH
		exec 2>/dev/null # inetd made it the connection
		# A client that says nothing must not keep a shell for ever.
		[ "${1:-}" = timed ] || exec timeout 30 /bin/sh "$0" timed
		cr=$(printf '\r')
		nl='
		'
		held() { # held FILE: its first line, without a program
		    if IFS= read -r content <"$1"; then printf %s "$content"; fi
		}
		reply() { # reply STATUS BODY
		    printf 'HTTP/1.0 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "$1" "${#2}" "$2"
		    exit 0
		}
		read -r method target version || exit 0
		target=${target%"$cr"}
		length=0
		while [ -n "$version" ] && IFS= read -r line; do
		    line=${line%"$cr"}
		    [ -n "$line" ] || break
		    case $line in [Cc]ontent-[Ll]ength:*) length=${line#*:}; length=${length# } ;; esac
		done
		case $length in '' | *[!0-9]* | ??????*) reply '400 Bad Request' "bad length$nl" ;; esac
		# An unread body would turn the answer into a reset connection.
		if [ "$length" -gt 0 ]; then head -c "$length" >/dev/null; fi
		case "$method $target" in
		'GET /') reply '200 OK' "jail=$(held /www/name)${nl}host=$(held /var/run/host)${nl}count=$(held /data/count)$nl" ;;
		'GET /count') reply '200 OK' "$(held /data/count)$nl" ;;
		'POST /count' | 'GET /increment')
		    if new=$(lockf -k -s -t 20 /data/lock /bin/sh /www/increment.sh); then reply '200 OK' "$new$nl"; fi
		    reply '500 Internal Server Error' "the counter could not be written$nl"
		    ;;
		'GET '* | 'POST '*) reply '404 Not Found' "nothing here$nl" ;;
		*) reply '405 Method Not Allowed' "GET or POST$nl" ;;
		esac
	END
	cat >"$root/www/increment.sh" <<-'END'
		#!/bin/sh
		# Runs under lockf(1): the next value is on disk, under its final name, before anybody hears of it.
		set -eu
		read -r old </data/count
		case $old in '' | *[!0-9]*) echo "the counter holds '$old'" >&2 && exit 1 ;; esac
		new=$((old + 1))
		echo "$new" >/data/count.new
		fsync /data/count.new
		mv -f /data/count.new /data/count
		fsync /data
		echo "$new"
	END
}

# The root is the host's own base, read-only; what differs per jail lies in its datasets.
jail_fstab() {
	for dir in bin sbin lib libexec usr/bin usr/sbin usr/lib usr/libexec; do
		echo "/$dir /jf/jails/$1/$dir nullfs ro 0 0"
	done | put "/etc/jail.$1.fstab" 644
}

jail_conf() {
	jail_layout "$1"
	a=epair${UNIT}a b=epair${UNIT}b
	made_dir /etc/jail.conf.d
	{
		cat <<-END
			# $1: a VNET jail of the jailferry testbed. Its root is the base of the host it runs on.
			$1 {
			    path = "/jf/jails/\$name";
			    host.hostname = "$1.testbed.example";
			    mount.fstab = "/etc/jail.\$name.fstab";
			    mount.devfs;
			    devfs_ruleset = 5;		# devfsrules_jail_vnet
			    exec.clean;
			    exec.timeout = 120;
			    persist;

			    /* One epair: end b goes into the jail, end a into the bridge. */
			    vnet;
			    vnet.interface = "$b";
			    exec.prestart  = "/sbin/ifconfig epair$UNIT create";
		END
		if [ "$FIB" -ne 0 ]; then
			echo "    exec.prestart += \"/sbin/ifconfig $a fib $FIB\";	# out through the tunnel, never by the host's own default route"
		fi
		cat <<-END
			    exec.prestart += "/sbin/ifconfig bridge0 addm $a";
			    exec.prestart += "/sbin/ifconfig $a up";
			    # Which host runs this copy: shown by the jail's page.
			    exec.prestart += "/bin/cp $ST/name \${path}/var/run/host";

			    exec.start  = "/sbin/ifconfig lo0 inet 127.0.0.1/8 up";
			    exec.start += "/sbin/ifconfig $b mtu 1380";	# what fits through WireGuard
			    exec.start += "/sbin/ifconfig $b inet $IP4 up";
			    exec.start += "/sbin/ifconfig $b inet6 -ifdisabled no_dad";
			    exec.start += "/sbin/ifconfig $b inet6 $IP6";
			    exec.start += "/sbin/route -q -n add -inet default $GW4";
			    exec.start += "/sbin/route -q -n add -inet6 default $GW6";
			    exec.start += "/usr/sbin/inetd -R 0 -C 0 -s 0 -p /var/run/inetd.pid /etc/inetd.conf";

			    exec.stop = '/bin/kill \$(cat /var/run/inetd.pid) || true';
			    exec.poststop = "/sbin/ifconfig $a destroy";
			}
		END
	} | put "/etc/jail.conf.d/$1.conf" 644
}

jail_start() {
	if jls -j "$1" jid >/dev/null 2>&1; then return 0; fi
	jail_layout "$1"
	# A start that failed leaves its epair behind.
	if ifconfig "epair${UNIT}a" >/dev/null 2>&1; then ifconfig "epair${UNIT}a" destroy; fi
	if [ -z "$(devfs rule -s 5 show)" ]; then service devfs onestart >/dev/null; fi
	jail -q -f "/etc/jail.conf.d/$1.conf" -c "$1" >/dev/null
	# What rc.d/jail keeps about a jail that it started.
	jls -j "$1" jid >"/var/run/jail_$1.id"
}

# ---------------------------------------------------------------- taking away

jails_gone() {
	# By path, so that a jail that was moved here goes too.
	jls name path | while read -r name path; do
		case $path in /jf/jails/*) jail -q -f "/etc/jail.conf.d/$name.conf" -r "$name" >/dev/null 2>&1 || jail -R "$name" || : ;; esac
	done
	mount -p | awk '$2 ~ "^/jf/" && $3 != "zfs" { print $2 }' | sort -r | while read -r dir; do umount "$dir" || umount -f "$dir" || :; done
	for member in $(ifconfig bridge0 2>/dev/null | awk '$1 == "member:" { print $2 }'); do
		case $member in epair*) ifconfig "$member" destroy || : ;; esac
	done
	for name in $JAILS; do
		rm -f "/etc/jail.conf.d/$name.conf" "/etc/jail.$name.fstab" "/var/run/jail_$name.id"
		# What a move has put aside beside them.
		rm -f "/etc/jail.conf.d/.$name.conf.jailferry" "/etc/.jail.$name.fstab.jailferry"
	done
}

pool_gone() {
	if zpool list -H -o name jfpool >/dev/null 2>&1; then
		# Only the pool in our own file.
		zpool status jfpool | grep -qF "$ST/jfpool.img" || return 1
		zpool destroy -f jfpool || return 1
	fi
	rm -f "$ST/jfpool.img"
}

pf_gone() {
	pfctl -q -d 2>/dev/null || :
	pfctl -q -F all
}

# What moves have written into rc.conf and beside wg0.conf: their own variables, and those of what the testbed made.
moves_gone() {
	for variable in $(sysrc -a 2>/dev/null | sed -n 's/^\([A-Za-z0-9_]*\): .*/\1/p'); do
		case $variable in
		jailferry_* | route_jailferry_* | ipv6_route_jailferry_* | ifconfig_bridge0_aliases) sysrc -q -x "$variable" || : ;;
		arpproxy_all)
			if ! grep -q '^arpproxy_all=' "$ST/before_etc_rc.conf" 2>/dev/null; then
				sysrc -q -x arpproxy_all || :
				sysctl net.link.ether.inet.proxyall=0 >/dev/null
			fi
			;;
		jail_list)
			listed_old=$(sysrc -n jail_list)
			listed_new=
			for name in $listed_old; do
				case " $JAILS " in *" $name "*) ;; *) listed_new="$listed_new${listed_new:+ }$name" ;; esac
			done
			if [ "$listed_old" != "$listed_new" ]; then sysrc -q "jail_list=$listed_new" >/dev/null || :; fi
			# Where nothing is listed any more and the host had no such line, moves have switched jails on or off.
			if [ -z "$listed_new" ] && ! grep -q '^jail_enable=' "$ST/before_etc_rc.conf" 2>/dev/null; then
				sysrc -q -x jail_enable jail_list 2>/dev/null || :
			fi
			;;
		esac
	done
	rm -f "$WG"/wg0.conf.jailferry-*
}

undo() {
	if [ ! -e "$ST" ]; then echo "nothing to undo"; return 0; fi
	: >"$ST/left"
	# The jails first of all, while their configuration is there (the list holds this too, for a second try).
	if [ -e "$ST/name" ]; then (jails_gone && moves_gone) </dev/null; fi
	# Last change first.
	if [ -e "$ST/undo" ]; then sed -n '1!G;h;$p' "$ST/undo"; fi >"$ST/undo.reversed"
	while IFS= read -r line; do
		if ! (eval "$line") </dev/null; then printf '%s\n' "$line" >>"$ST/left"; fi
	done <"$ST/undo.reversed"
	if [ -s "$ST/left" ]; then
		sed -n '1!G;h;$p' "$ST/left" >"$ST/undo"
		rm -f "$ST/done"
		die "could not undo: $(cat "$ST/left")"
	fi
	rm -rf "$ST"
}

# ---------------------------------------------------------------- verbs

key() {
	state_dir
	kldstat -q -m wg || kldload -n if_wg
	if [ ! -s "$ST/wg0.key" ]; then (umask 077 && wg genkey >"$ST/wg0.key"); fi
	wg pubkey <"$ST/wg0.key"
}

# common NAME SIZE: what hub and nodes share, before their tunnels.
common() {
	host_layout "$1"
	state_dir
	[ -s "$ST/wg0.key" ] || die "no key yet: run 'key' first"
	step strangers refuse_strangers
	step name host_name "$1"
	step fibs fibs
	step forwarding forwarding
	step pool pool "$2"
	step boot_pool boot_pool
	record jails_gone
	step bridge bridge
}

jails() {
	for name in $HERE; do
		step "dataset $name" jail_dataset "$name"
		step "fstab $name" jail_fstab "$name"
		step "conf $name" jail_conf "$name"
		step "start $name" jail_start "$name"
	done
}

hub() {
	size=1G public_if= public4= public6= manage= spare= big=
	while [ $# -gt 0 ]; do
		[ $# -ge 2 ] || die "$1 wants a value"
		case $1 in
		--public-if) public_if=$2 ;;
		--public-address) public4=$2 ;;
		--public-address6) public6=$2 ;;
		--manage) manage=$2 ;;
		--size) size=$2 ;;
		--peer) case $2 in spare=*) spare=${2#*=} ;; big=*) big=${2#*=} ;; *) die "--peer $2: spare=KEY or big=KEY" ;; esac ;;
		*) die "unknown option $1" ;;
		esac
		shift 2
	done
	if [ -z "$public_if" ] || [ -z "$public4" ] || [ -z "$spare" ] || [ -z "$big" ]; then die "hub wants --public-if, --public-address and both --peer"; fi
	common small "$size"
	step public4 address "$public_if" inet "$public4"
	if [ -n "$public6" ]; then step public6 address "$public_if" inet6 "$public6"; fi
	step tunnel tunnel <<-END
		ListenPort = 51820

		[Peer]
		# spare
		PublicKey = $spare
		AllowedIPs = $(peer_prefixes spare)

		[Peer]
		# big
		PublicKey = $big
		AllowedIPs = $(peer_prefixes big)
	END
	step routes routes small
	step packet_filter packet_filter "$public_if" "$public4" "$manage"
	jails
	step rc_conf rc_conf small
}

node() {
	[ $# -ge 1 ] || die "node wants a name"
	node=$1 size=1G endpoint= hub_key= underlay_if= underlay=
	shift
	while [ $# -gt 0 ]; do
		[ $# -ge 2 ] || die "$1 wants a value"
		case $1 in
		--hub-endpoint) endpoint=$2 ;;
		--hub-key) hub_key=$2 ;;
		--underlay-if) underlay_if=$2 ;;
		--underlay-address) underlay=$2 ;;
		--size) size=$2 ;;
		*) die "unknown option $1" ;;
		esac
		shift 2
	done
	if [ -z "$endpoint" ] || [ -z "$hub_key" ]; then die "node wants --hub-endpoint and --hub-key"; fi
	case $node in spare | big) ;; *) die "unknown node '$node': spare or big" ;; esac
	common "$node" "$size"
	if [ -n "$underlay_if" ]; then step underlay address "$underlay_if" inet "$underlay"; fi
	step tunnel tunnel <<-END

		[Peer]
		# small, the hub
		PublicKey = $hub_key
		Endpoint = $endpoint
		AllowedIPs = 0.0.0.0/0, ::/0
		PersistentKeepalive = 25
	END
	step routes routes "$node"
	jails
	step rc_conf rc_conf "$node"
}

client_route() {
	record "route -q -n delete -inet6 -net 2001:db8:1::/48 $1 || :"
	route -q -n add -inet6 -net 2001:db8:1::/48 "$1" || die "cannot add the route to the jails"
}

# A page that tells whoever asks by which address it came, so that the tests see how jails reach the internet.
# The base system has no getpeername(2) for sh(1), but sockstat(1) shows the other end of this shell's standard input.
whoami_page() {
	# A web server that is there is left alone; it must tell the same.
	if nc -z -w 2 127.0.0.1 80 >/dev/null 2>&1; then return 0; fi
	put "$ST/whoami.sh" 644 <<-'END'
		[ "${1:-}" = timed ] || exec timeout 30 /bin/sh "$0" timed
		cr=$(printf '\r')
		# Unread lines would turn the answer into a reset connection.
		while IFS= read -r line && [ -n "${line%"$cr"}" ]; do :; done
		peer=$(sockstat -46 -P tcp | awk -v pid=$$ '$3 == pid && $4 == 0 { print $7; exit }')
		printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n%s\n' "$(printf %s "${peer%:*}" | tr -d '[]')"
	END
	put "$ST/inetd.conf" 644 <<-END
		http	stream	tcp4	nowait/0/0/0	root	/bin/sh	sh $ST/whoami.sh
		http	stream	tcp6	nowait/0/0/0	root	/bin/sh	sh $ST/whoami.sh
	END
	record "kill \$(cat $ST/inetd.pid) || :"
	inetd -R 0 -C 0 -s 0 -p "$ST/inetd.pid" "$ST/inetd.conf"
}

client() {
	interface= address4= address6= hub6=
	while [ $# -gt 0 ]; do
		[ $# -ge 2 ] || die "$1 wants a value"
		case $1 in
		--if) interface=$2 ;;
		--address) address4=$2 ;;
		--address6) address6=$2 ;;
		--hub6) hub6=$2 ;;
		*) die "unknown option $1" ;;
		esac
		shift 2
	done
	state_dir
	if [ -n "$interface" ] && [ -n "$address4" ]; then step address4 address "$interface" inet "$address4"; fi
	if [ -n "$interface" ] && [ -n "$address6" ]; then step address6 address "$interface" inet6 "$address6"; fi
	if [ -n "$hub6" ]; then step route client_route "$hub6"; fi
	step whoami whoami_page
}

status() {
	if [ ! -e "$ST" ]; then echo "not prepared" && return 0; fi
	echo "host: $(cat "$ST/name" 2>/dev/null || echo client)"
	if [ -e "$ST/done" ]; then sed 's/^/done: /' "$ST/done"; fi
	if zpool list -H -o name jfpool >/dev/null 2>&1; then echo "pool: $(zpool list -H -o health jfpool)"; fi
	jls name path | awk '$2 ~ "^/jf/" { print "jail: " $1 }'
	if ifconfig wg0 >/dev/null 2>&1; then wg show wg0 latest-handshakes | awk '{ print "handshake: " $1 " " $2 }'; fi
}

main() {
	[ $# -ge 1 ] || die "which part? key, hub, node, client, status or --undo"
	verb=$1
	shift
	case $verb in
	key | hub | node | client | status) "$verb" "$@" ;;
	--undo | undo) undo ;;
	*) die "unknown part '$verb': key, hub, node, client, status or --undo" ;;
	esac
}

# All of the script is read before anything runs: a command that reads standard input must not eat it.
main "$@" </dev/null
exit
