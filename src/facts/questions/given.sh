# What a jail has of its host besides its files: what devfs(8) shows it (the rules of a ruleset with those that it includes,
# without their numbers), its limits, which only a kernel that counts has (rctl(8)), the programs and files that its commands
# name, as jail(8) finds them, and who answers for names there: the local addresses with a socket at port 53 (sockstat(1)
# shows those of the host's own network stack).
devices() {
	[ "$2" -gt 0 ] || return 0
	devfs rule -s "$1" show | while read -r number rule; do
		case $rule in
		'include '*) devices "${rule#include }" $(($2 - 1)) ;;
		*) printf '%s\n' "$rule" ;;
		esac
	done
}
limits() { if command -v rctl >/dev/null; then rctl "jail:$1" 2>/dev/null || :; fi; }
named() (
	PATH=/sbin:/bin:/usr/sbin:/usr/bin
	for name in "$@"; do
		if command -v "$name" >/dev/null || [ -f "$name" ]; then printf '%s\n' "$name"; fi
	done
)
names() { sockstat -46lq -p 53 | awk '{ sub(/:53$/, "", $6); print $6 }' | sort -u; }
