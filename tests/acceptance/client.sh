#!/bin/sh
# What a client outside sees, with the base system only. It runs on the client host:
#   ssh CLIENT /bin/sh -s -- probe FILE SECONDS URL...   < client.sh   asks every URL again and again until SECONDS are over or FILE.stop exists
#   ssh CLIENT /bin/sh -s -- neighbours FILE SECONDS URL... < client.sh   the same, patiently: of those that nothing should happen to
#   ssh CLIENT /bin/sh -s -- report FILE                 < client.sh   per URL: asked, answered, lost, the longest time without an answer, who answered
#   ssh CLIENT /bin/sh -s -- count FILE SECONDS URL [PAUSE] < client.sh  adds one by GET URL/increment, again and again (PAUSE seconds between); FILE gets every acknowledged value
#   ssh CLIENT /bin/sh -s -- verify FILE URL             < client.sh   no acknowledged value may be lost or given twice
# A line of a probe's FILE: start and end in milliseconds, URL, and the host that answered or '-'.
# A line of a count's FILE: when it was asked for, in seconds, and the value or '-' for an increment that nobody acknowledged.
set -eu
LC_ALL=C
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export LC_ALL PATH
unset HTTP_PROXY http_proxy ALL_PROXY 2>/dev/null || :

die() { echo "client.sh: $*" >&2; exit 1; }

# date(1) of 13.x knows whole seconds only, but a file's time is finer.
milliseconds() { # milliseconds SCRATCH_FILE
	touch "$1"
	stat -f %Fm "$1" | awk '{ printf "%.0f\n", $1 * 1000 }'
}

# Each answer is one short line, appended at once: lines of parallel probes do not mix. Sets took, and limit for the next.
one() { # one FILE WORKER URL
	scratch=$1.$2.tmp
	start=$(milliseconds "$scratch")
	# fetch's own limit does not cover connect(2), which tries for more than a minute when nobody answers at all.
	host=$(timeout "$limit" fetch -q -T "$limit" -o - "$3" 2>/dev/null | sed -n 's/^host=//p') || :
	end=$(milliseconds "$scratch")
	rm -f "$scratch"
	echo "$start $end $3 ${host:--}" >>"$1"
	took=0
	if [ -n "$host" ]; then
		took=$((end - start))
		limit=$((1 + patience * took / 1000))
	fi
}

# Asks one URL until the end. Three such workers ask about ten times a second where requests are quick. Where they are
# slow (an emulated machine) each rests four times as long as its last answer took: the asking must not be the load.
ask() { # ask FILE WORKER URL DEADLINE
	limit=10
	while [ "$(date +%s)" -lt "$4" ] && [ ! -e "$1.stop" ]; do
		one "$1" "$2" "$3"
		rest=200
		if [ "$took" -gt 500 ]; then rest=$((4 * took)); fi
		sleep "$((rest / 1000)).$(printf %03d $((rest % 1000)))"
	done
}

# Of a jail that moves it is to be seen soon when it answers again: what takes three times as long as before is given up.
# A neighbour counts as lost only when it has not answered at all: where the machine is busy with the move, any answer may
# take several times as long.
probe() { patience=3 asks "$@"; }
neighbours() { patience=20 asks "$@"; }

asks() { # asks FILE SECONDS URL...
	file=$1
	deadline=$(($(date +%s) + $2))
	shift 2
	rm -f "$file" "$file.stop"
	: >"$file"
	number=0
	for worker in 1 2 3; do
		for url in "$@"; do
			number=$((number + 1))
			ask "$file" "$number" "$url" "$deadline" &
		done
		sleep 0.1
	done
	wait
	rm -f "$file.stop"
}

# The blackout a client sees: the longest time between two answers, by the clock of their arrival.
report() { # report FILE
	sort -n -k 2,2 "$1" | awk '
		{ url = $3; if (!(url in asked)) order[++urls] = url; asked[url]++ }
		$4 == "-" { lost[url]++; next }
		{
			if (url in last && $2 - last[url] > silence[url]) silence[url] = $2 - last[url]
			last[url] = $2
			if (who[url] != $4) { path[url] = path[url] (who[url] == "" ? "" : ">") $4; who[url] = $4 }
			answered[url]++
		}
		END {
			for (i = 1; i <= urls; i++) {
				url = order[i]
				printf "url=%s asked=%d answered=%d lost=%d blackout_ms=%d hosts=%s\n", url, asked[url], answered[url], lost[url], silence[url], path[url]
			}
		}'
}

count() { # count FILE SECONDS URL [PAUSE]
	rm -f "$1" "$1.stop"
	: >"$1"
	deadline=$(($(date +%s) + $2))
	# As few programs as can be: where many of these run on one machine, the asking must not be the load.
	while now=$(date +%s) && [ "$now" -lt "$deadline" ] && [ ! -e "$1.stop" ]; do
		value=$(timeout 10 fetch -q -T 10 -o - "$3/increment" 2>/dev/null) || value=-
		case $value in '' | *[!0-9]*) value=- ;; esac
		echo "$now $value" >>"$1"
		# Nobody answers: no need to ask a thousand times.
		if [ "$value" = - ]; then sleep 0.1; elif [ -n "${4:-}" ]; then sleep "$4"; fi
	done
	rm -f "$1.stop"
}

verify() { # verify FILE URL
	now=$(fetch -q -T 10 -o - "$2/count") || die "nobody answers at $2/count"
	awk -v now="$now" '
		$2 == "-" { unanswered++; next }
		$2 + 0 <= last + 0 { printf "value %s was acknowledged after %s\n", $2, last; bad = 1 }
		{ last = $2; acknowledged++ }
		END {
			if (!acknowledged) { print "nothing was acknowledged"; bad = 1 }
			if (now + 0 < last + 0) { printf "the counter is at %s, but %s was acknowledged\n", now, last; bad = 1 }
			printf "acknowledged=%d unanswered=%d last=%s now=%s\n", acknowledged, unanswered, last, now
			exit bad + 0
		}' "$1"
}

main() {
	verb=${1:-}
	[ $# -eq 0 ] || shift
	case $verb:$# in
	probe:[3-9] | neighbours:[3-9] | count:[34] | report:1 | verify:2) "$verb" "$@" ;;
	*) die "probe or neighbours FILE SECONDS URL..., report FILE, count FILE SECONDS URL [PAUSE], or verify FILE URL" ;;
	esac
}

main "$@" </dev/null
exit
