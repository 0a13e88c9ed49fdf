#!/bin/sh
# Prepares a whole fleet for the behaviour tests and the demo: the testbed of docs/testbed.md on a hub, two nodes and, if there is one, a client.
#   tests/acceptance/fleet.sh [options] HUB SPARE BIG [CLIENT]      ssh destinations, as ~/.ssh/config knows them
#   tests/acceptance/fleet.sh --undo [-F FILE] HUB SPARE BIG [CLIENT]
# Writes DIR/fleet.yml (for jailferry), DIR/acceptance.env (for the tests) and DIR/again.sh, which undoes it all and does the
# same again.
#   -F FILE                     ssh configuration
#   -o DIR                      where to write (.)
#   --public-if IF              the hub's interface to the internet segment (vtnet1)
#   --public-address A/LEN      (203.0.113.1/24)     --public-address6 A/LEN  (2001:db8:ff::1/64)
#   --manage IF                 the hub's interface that carries ssh, if another: pf leaves it alone
#   --endpoint A:PORT           where the nodes find the hub (the public address, port 51820)
#   --spare-underlay IF,A/LEN   --big-underlay IF,A/LEN    a node's card to the internet segment, when it still needs an address
#   --client-card IF,A/LEN,A6/LEN                          likewise the client's (else it has 203.0.113.100 and 2001:db8:ff::100)
#   --size SIZE                 of each pool (1G)
set -eu

die() { echo "fleet.sh: $*" >&2; exit 1; }

quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }

here=$(cd "$(dirname "$0")" && pwd)
words=
for word in "$@"; do words="$words $(quoted "$word")"; done
config= out=. undo= size=1G manage= endpoint=
public_if=vtnet1 public4=203.0.113.1/24 public6=2001:db8:ff::1/64
spare_underlay= big_underlay= client_card=
while [ $# -gt 0 ]; do
	case $1 in
	--undo) undo=yes && shift && continue ;;
	-*) [ $# -ge 2 ] || die "$1 wants a value" ;;
	*) break ;;
	esac
	case $1 in
	-F) config=$2 ;;
	-o) out=$2 ;;
	--public-if) public_if=$2 ;;
	--public-address) public4=$2 ;;
	--public-address6) public6=$2 ;;
	--manage) manage=$2 ;;
	--endpoint) endpoint=$2 ;;
	--spare-underlay) spare_underlay=$2 ;;
	--big-underlay) big_underlay=$2 ;;
	--client-card) client_card=$2 ;;
	--size) size=$2 ;;
	*) die "unknown option $1" ;;
	esac
	shift 2
done
case $config in '' | /*) ;; *) config=$PWD/$config ;; esac
case $# in 3 | 4) ;; *) die "usage: fleet.sh [options] HUB SPARE BIG [CLIENT]" ;; esac
hub=$1 spare=$2 big=$3 client=${4:-}
: "${endpoint:=${public4%/*}:51820}"

remote() { # remote HOST COMMAND: one command line for the host's login shell, whichever that is
	if [ -n "$config" ]; then ssh -F "$config" -T -o BatchMode=yes "$@"; else ssh -T -o BatchMode=yes "$@"; fi
}

# How to be root there: none, sudo, doas or mdo, as in fleet.yml.
become_on() {
	[ "$(remote "$1" id -u </dev/null)" != 0 ] || { echo none && return 0; }
	for how in sudo doas mdo; do
		if remote "$1" "$(as_root "$how") true" </dev/null >/dev/null 2>&1; then echo "$how" && return 0; fi
	done
	die "$1: not root there, and neither sudo, doas nor mdo works without a password"
}
as_root() { case $1 in none) ;; mdo) echo mdo ;; *) echo "$1 -n" ;; esac; }

# prepare HOST BECOME ARGS: arguments are names, keys and addresses; quoted for csh(1) as well as sh(1).
prepare() {
	host=$1 command="exec $(as_root "$2") /bin/sh -s --"
	shift 2
	for argument in "$@"; do
		case $argument in *[!A-Za-z0-9.:/=+_-]*) die "odd characters in '$argument'" ;; esac
		command="$command '$argument'"
	done
	remote "$host" "$command" <"$here/prepare.sh"
}

# Both hosts' answers, or the first failure.
both() { # both PID PID
	wait "$1" || die "preparing failed (see above)"
	wait "$2" || die "preparing failed (see above)"
}

if [ -n "$undo" ]; then
	status=0
	for host in $client $big $spare $hub; do prepare "$host" "$(become_on "$host")" --undo || status=1; done
	exit "$status"
fi

hub_become=$(become_on "$hub")
spare_become=$(become_on "$spare")
big_become=$(become_on "$big")

hub_key=$(prepare "$hub" "$hub_become" key)
spare_key=$(prepare "$spare" "$spare_become" key)
big_key=$(prepare "$big" "$big_become" key)
for key in "$hub_key" "$spare_key" "$big_key"; do
	case $key in ???????????????????????????????????????????=) ;; *) die "this is not a public key: '$key'" ;; esac
done

# underlay IF,A/LEN: the options of prepare.sh for a card.
underlay() { [ -z "$1" ] || echo "--underlay-if ${1%%,*} --underlay-address ${1#*,}"; }

# shellcheck disable=SC2086 # no blanks in these
prepare "$spare" "$spare_become" node spare --size "$size" --hub-endpoint "$endpoint" --hub-key "$hub_key" $(underlay "$spare_underlay") &
spare_pid=$!
# shellcheck disable=SC2086
prepare "$big" "$big_become" node big --size "$size" --hub-endpoint "$endpoint" --hub-key "$hub_key" $(underlay "$big_underlay") &
big_pid=$!
# shellcheck disable=SC2086
prepare "$hub" "$hub_become" hub --size "$size" --public-if "$public_if" --public-address "$public4" --public-address6 "$public6" \
	--peer "spare=$spare_key" --peer "big=$big_key" ${manage:+--manage "$manage"}
both "$spare_pid" "$big_pid"
client4=203.0.113.100 client6=2001:db8:ff::100
if [ -n "$client" ]; then
	card=
	if [ -n "$client_card" ]; then
		rest=${client_card#*,}
		client4=${rest%%/*} client6=${rest#*,}
		client6=${client6%/*}
		card="--if ${client_card%%,*} --address ${rest%%,*} --address6 ${rest#*,}"
	fi
	# shellcheck disable=SC2086
	prepare "$client" "$(become_on "$client")" client $card --hub6 "${public6%/*}"
fi

# A node behind NAT speaks first: the tunnel is there once the hub has answered it.
for node in "$spare" "$big"; do
	try=0
	until remote "$node" 'ping -n -q -c 1 -t 2 10.77.0.1' </dev/null >/dev/null 2>&1; do
		try=$((try + 1))
		[ "$try" -lt 30 ] || die "$node does not reach the hub through the tunnel"
	done
done

# What the jails reach outside, as far as the hub reaches it now: the client, by a page that shows its caller's address
# or by ping(8). One a line, quoted for YAML.
landmarks() {
	[ -n "$client" ] || return 0
	rest=${client_card#*,}
	outside4=${rest%%,*} outside6=${rest#*,}
	[ -n "$client_card" ] || outside4=203.0.113.100 outside6=2001:db8:ff::100
	for address in "${outside4%/*}" "${outside6%/*}"; do
		case $address in *:*) url="http://[$address]/" six=-6 ;; *) url="http://$address/" six= ;; esac
		if remote "$hub" "fetch -q -T 5 -o /dev/null '$url'" </dev/null >/dev/null 2>&1; then
			echo "\"$url\""
		elif remote "$hub" "ping $six -n -q -c 1 -t 3 $address" </dev/null >/dev/null 2>&1; then
			echo "\"$address\""
		fi
	done
}
outside=$(landmarks | paste -sd , -)

mkdir -p "$out"
# node_yaml NAME DESTINATION BECOME FIB
node_yaml() {
	cat <<-END
		  $1:
		    ssh: "$2"
		    become: $3
		    wireguard: wg0
		    bridge: bridge0
		    fib: $4
		    mtu: 1380
		    parent: jfpool/jails
	END
}
# jail_yaml NAME PREFIXES
jail_yaml() {
	cat <<-END
		  $1:
		    prefixes: [$2]
		    checks:
		      - icmp:
		      - http: { body: "jail=$1" }
	END
}
{
	echo '# The testbed (docs/testbed.md). Written by tests/acceptance/fleet.sh.'
	if [ -n "$config" ]; then echo "ssh_config: \"$config\""; fi
	echo 'hub: small'
	echo 'tunnel: [10.77.0.0/24]'
	echo 'canary: ["192.168.123.8/30", "2001:db8:1:1::8/126"]'
	if [ -n "$outside" ]; then echo "egress_check: [$outside]"; fi
	echo 'nodes:'
	node_yaml small "$hub" "$hub_become" 0
	node_yaml spare "$spare" "$spare_become" 1
	node_yaml big "$big" "$big_become" 1
	echo 'jails:'
	jail_yaml web '"192.168.123.50/32", "2001:db8:1:1::50/128"'
	jail_yaml sib '"192.168.123.51/32", "2001:db8:1:1::51/128"'
	jail_yaml db '"192.168.125.0/24", "2001:db8:1:3::/72"'
	jail_yaml mail '"192.168.122.25/32", "2001:db8:1::25/128"'
} >"$out/fleet.yml"
{
	echo '# Where the behaviour tests find the outside (sh syntax). Written by tests/acceptance/fleet.sh.'
	echo "ACCEPTANCE_CLIENT='$client'"
	echo "ACCEPTANCE_CLIENT4='$client4'"
	echo "ACCEPTANCE_CLIENT6='$client6'"
	echo "ACCEPTANCE_SSH_CONFIG='$config'"
	echo "ACCEPTANCE_PUBLIC4='${public4%/*}'"
	echo "ACCEPTANCE_PUBLIC6='${public6%/*}'"
} >"$out/acceptance.env"
{
	echo '#!/bin/sh'
	echo '# Takes the testbed away and makes it again as it was made. Written by tests/acceptance/fleet.sh.'
	echo 'set -eu'
	printf 'cd %s\n' "$(quoted "$PWD")"
	line="$(quoted "$here/fleet.sh") --undo"
	if [ -n "$config" ]; then line="$line -F $(quoted "$config")"; fi
	for host in "$hub" "$spare" "$big" ${client:+"$client"}; do line="$line $(quoted "$host")"; done
	printf '%s\nexec %s%s\n' "$line" "$(quoted "$here/fleet.sh")" "$words"
} >"$out/again.sh"
echo "Wrote $out/fleet.yml and $out/acceptance.env"
