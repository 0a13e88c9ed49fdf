# VALUE is "=text" when FILE sets the variable (the test sysrc(8) itself makes), nothing when it does not.
# held FILE NAME: prints VALUE. Defaults from /etc/defaults do not count.
held() {
	if [ -e "$1" ] && grep -Eq "^[[:space:]]*$2=" "$1"; then printf '=%s' "$(sysrc -f "$1" -n "$2")"; fi
}
# put FILE NAME VALUE: sets or removes, and reads back. sysrc(8) makes the new file in TMPDIR and moves it over the old
# one: beside it that is one rename, and where a symbolic link points the link stays.
put() {
	[ "$(held "$1" "$2")" != "$3" ] || return 0
	at=$1
	if [ -e "$1" ]; then at=$(realpath "$1"); fi
	case $3 in
	=*) TMPDIR=${at%/*} sysrc -f "$at" "$2=${3#=}" >/dev/null ;;
	*) TMPDIR=${at%/*} sysrc -f "$at" -x "$2" >/dev/null ;;
	esac
	if [ -e "$at" ]; then fsync "$at" "${at%/*}"; fi
	if [ "$(held "$1" "$2")" != "$3" ]; then echo "$1: $2 does not read back" >&2; exit 21; fi
}
# change FILE NAME OLD NEW: compare-and-swap.
change() {
	case $(held "$1" "$2") in
	"$4") ;;
	"$3") put "$1" "$2" "$4" ;;
	*) echo "$1: $2 has changed since the plan was made" >&2; exit 20 ;;
	esac
}
# with VALUE WORD, without VALUE WORD: the list with the word at its end, or without it.
with() {
	set -f
	for item in ${1#=}; do if [ "$item" = "$2" ]; then printf '%s' "$1"; return; fi; done
	case $1 in
	'' | =) printf '=%s' "$2" ;;
	*) printf '%s %s' "$1" "$2" ;;
	esac
}
without() {
	set -f
	list= there=
	for item in ${1#=}; do if [ "$item" = "$2" ]; then there=1; else list="$list${list:+ }$item"; fi; done
	if [ -n "$there" ]; then printf '=%s' "$list"; else printf '%s' "$1"; fi
}
