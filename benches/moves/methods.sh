# Other ways to move the jail `web` of the lab, for comparison. Sourced with: CONFIG (ssh_config), FROM, TO.
# Nothing is checked, nothing is armed, nothing can be taken back, nothing outlasts a reboot.
set -eu
C=/etc/jail.conf.d/web.conf
D=jfpool/jails/web
at() { # at HOST COMMANDS
	host=$1
	shift
	ssh -F "$CONFIG" -T -o BatchMode=yes "$host" "$*"
}

# Once for a lab, as the floor wants everything: gateways, routes and configuration where the jail may come to.
prepare() {
	at spare "cat $C" | at big "cat >$C"
	at spare cat /etc/jail.web.fstab | at big "cat >/etc/jail.web.fstab"
	at big 'ifconfig bridge0 inet 192.168.123.1/32 alias
		ifconfig bridge0 inet6 2001:db8:1:1::1/128 alias
		route -q -n add -inet -host 192.168.123.50 -interface bridge0 -fib 0
		route -q -n add -inet6 -host 2001:db8:1:1::50 -interface bridge0 -fib 0'
	at big wg show wg0 public-key >"$CONFIG.big"
	at small "sudo -n wg show wg0 allowed-ips" | awk -F '\t' -v k="$(cat "$CONFIG.big")" '$1 == k { gsub(" ", ",", $2); print $2 }' >"$CONFIG.home"
}

# The hub hands the prefixes over, the old node follows: one command each, beside everything else.
switch() {
	list=$(cat "$CONFIG.home")
	if [ "$TO" = big ]; then list=$list,192.168.123.50/32,2001:db8:1:1::50/128; fi
	at small "sudo -n wg set wg0 peer $(cat "$CONFIG.big") allowed-ips $list"
}
neighbours() {
	verb=add
	if [ "$TO" = spare ]; then verb=delete; fi
	at spare "route -q -n $verb -inet -host 192.168.123.50 -interface wg0 -fib 0; route -q -n $verb -inet6 -host 2001:db8:1:1::50 -interface wg0 -fib 0" || :
}

# What was sent while the jail ran: everything, then what changed meanwhile.
first() {
	at "$FROM" "zfs snapshot -r $D@one && zfs send -R $D@one" | at "$TO" "zfs receive -u $D"
}
second() {
	at "$FROM" "zfs snapshot -r $D@two && zfs send -R -i @one $D@two" | at "$TO" "zfs receive -u $D"
}

# The floor: all prepared, connections warm, one increment, one switch; two hosts in one pipe, no round trip but theirs.
floor() {
	at "$FROM" "jail -q -f $C -r web && zfs snapshot -r $D@last && zfs send -R -i @two $D@last" |
		at "$TO" "zfs receive -u $D && zfs mount $D && zfs mount $D/data && jail -q -f $C -c web" &
	pipe=$!
	switch &
	switched=$!
	neighbours &
	wait $pipe $switched
	wait
}

# As near-live moves by hand do it: one copy while it runs, stop, increment, start, one ssh after the other.
near_live() {
	at "$FROM" jail -q -f $C -r web
	at "$FROM" zfs snapshot -r $D@last
	at "$FROM" zfs send -R -i @one $D@last | at "$TO" zfs receive -u $D
	at "$TO" "zfs mount $D && zfs mount $D/data"
	switch
	neighbours
	at "$TO" jail -q -f $C -c web
}

# As `bastille migrate` does it: stop, archive, copy, import, start. Not compressed, which is in its favour here.
archive() {
	at "$FROM" jail -q -f $C -r web
	at "$FROM" "zfs snapshot -r $D@last && zfs send -R $D@last >/var/tmp/web.archive"
	at "$FROM" cat /var/tmp/web.archive | at "$TO" "cat >/var/tmp/web.archive"
	at "$TO" "zfs receive -u $D </var/tmp/web.archive && zfs mount $D && zfs mount $D/data"
	switch
	neighbours
	at "$TO" jail -q -f $C -c web
}

# What is left goes, so that every move begins alike.
tidy() {
	# root's shell is csh(1) on some hosts.
	at "$TO" "/bin/sh -c 'for s in \$(zfs list -H -o name -t snapshot -d 1 $D); do zfs destroy -r \$s; done; rm -f /var/tmp/web.archive'"
	at "$FROM" "zfs destroy -r $D; rm -f /var/tmp/web.archive"
}
