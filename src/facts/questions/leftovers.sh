# Everything on a host that may be jailferry's, by the names that jailferry gives. Lists are read whole before they are
# filtered, so that a tool that fails is not taken for one that found nothing.
ours_in_zfs() {
	all=$(zfs list -Hp -t snapshot,bookmark -o name,creation) || return
	printf '%s\n' "$all" | awk -F '\t' '$1 ~ /[@#]jailferry-/'
}
ours_holding() {
	all=$(zfs list -Hp -t snapshot -o name,userrefs) || return
	printf '%s\n' "$all" | awk -F '\t' '$2 > 0 && $1 ~ /^[A-Za-z0-9_.:@\/-]+$/ { print $1 }' |
		xargs -r zfs holds -H | awk -F '\t' '$2 ~ /^jailferry-/ { print $1 "\t" $2 }'
}
# One row a dataset; `-` where a property is not set.
ours_marked() {
	all=$(zfs get -Hp -t filesystem,volume -s local,received -o name,property,value \
		org.jailferry:run,org.jailferry:state,org.jailferry:owner) || return
	printf '%s\n' "$all" | awk -F '\t' '
		NF == 3 && !($1 in known) { known[$1]; order[++count] = $1 }
		NF == 3 { value[$1, $2] = $3 }
		function of(name, property) {
			return ((name, "org.jailferry:" property) in value) ? value[name, "org.jailferry:" property] : "-"
		}
		END {
			for (i = 1; i <= count; i++)
				print order[i] "\t" of(order[i], "run") "\t" of(order[i], "state") "\t" of(order[i], "owner")
		}' | while IFS='	' read -r name marks; do
		more=$(zfs list -Hp -o creation,mounted,receive_resume_token "$name" </dev/null) || continue
		printf '%s\t%s\t%s\n' "$name" "$marks" "$more"
	done
}
# stat(1): %m is the time of the last change, %t a tab. Names with a newline come apart and are no names of ours.
ours_below() {
	for folder in "$@"; do
		[ -d "$folder" ] || continue
		# A file that goes meanwhile is no failure.
		find "$folder" -name '*jailferry*' -exec stat -f '%m%t%N' {} + || :
	done
}
# What lies beside a file of WireGuard's that is elsewhere by a symbolic link.
ours_in_files() {
	ours_below /etc /usr/local/etc
	for file in /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf; do
		at=$(realpath "$file" 2>/dev/null) || continue
		case $at in /etc/* | /usr/local/etc/*) continue ;; esac
		for left in "$at".jailferry-* "${at%/*}/.${at##*/}".jailferry-*; do
			if [ -e "$left" ]; then stat -f '%m%t%N' "$left"; fi
		done
	done
}
ours_in() {
	for file in "$1"/* "$1"/.*; do
		case ${file##*/} in . | ..) continue ;; esac
		[ -e "$file" ] || continue
		stat -f '%m%t%N' "$file"
	done
}
ours_running() {
	for file in /var/run/jailferry*; do
		[ -e "$file" ] || continue
		stat -f '%m%t%N' "$file"
	done
}
lock_holders() {
	for file in /var/db/jailferry/*.lock; do
		[ -f "$file" ] || continue
		line=
		IFS= read -r line <"$file" || :
		printf '%s\t%s\n' "$file" "$line"
	done
}
# The key of a run ends with its name; half-written files of keys lie beside.
ours_admitted() {
	awk -F : '$6 ~ /^\// { print $6 }' /etc/passwd | sort -u | while read -r home; do
		file=${home%/}/.ssh/authorized_keys
		[ -f "$file" ] || continue
		awk '$NF ~ /^jailferry-/ { print FILENAME "\t" $NF }' "$file"
		for stage in "$file".jailferry.*; do
			if [ -f "$stage" ]; then printf '%s\t\n' "$stage"; fi
		done
	done
}
ours_in_rc() {
	all=$(rc_variables) || return
	printf '%s\n' "$all" | awk '/^[a-z0-9_]*jailferry_/'
}
# Only whole lines that we write: nothing else of these files leaves the host.
ours_hooked() {
	sed -n -e '/^PostUp = [^#]*# jailferry [A-Za-z0-9_-]*$/p' -e '/^PostDown = [^#]*# jailferry [A-Za-z0-9_-]*$/p' "$1"
}
# Only statements that we write. grep's 1 says that there is none.
ours_at_start() {
	grep -o 'exec\.poststart += "/usr/sbin/jexec [A-Za-z0-9_-]* /sbin/route -q -n add -inet6 -host [0-9A-Fa-f:.]* [0-9A-Fa-f:.]* || : jailferry [A-Za-z0-9_-]*";' "$1" || [ $? -eq 1 ]
}
# An anchor that was emptied may keep its name for a while.
ours_in_pf() {
	all=$(pfctl -v -sA) || return
	printf '%s\n' "$all" | awk '$1 ~ /^jailferry\// { print $1 }' | while read -r anchor; do
		rules=$(pfctl -a "$anchor" -sn && pfctl -a "$anchor" -sr && pfctl -a "$anchor" -sT) || :
		if [ -n "$rules" ]; then echo "$anchor"; fi
	done
}
# -o with a header takes the rest of its word as that header, so one -o a column (ps(1)).
ours_at_work() {
	all=$(ps -axww -o pid= -o command=) || return
	printf '%s\n' "$all" | awk '/[j]ailferry/ && !/awk/'
}

ask clock '' date +%s
ask zfs-version '' zfs version
ask zfs '' ours_in_zfs
ask holds '' ours_holding
ask marked '' ours_marked
ask files '' ours_in_files
ask state '' ours_in /var/db/jailferry
ask running '' ours_running
ask locks '' lock_holders
ask keys '' ours_admitted
ask rc '' ours_in_rc
for file in /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf "$wireguard_config"; do
	[ -f "$file" ] || continue
	ask hooks "$file" ours_hooked "$file"
done
for file in /etc/jail.*.conf /etc/jail.conf.d/*.conf /etc/jail.conf "$(bastille_jails)"/*/jail.conf; do
	[ -f "$file" ] || continue
	ask ways "$file" ours_at_start "$file"
done
ask pf '' ours_in_pf
ask jails '' jls name
ask interfaces '' ifconfig -l
ask processes '' ours_at_work
