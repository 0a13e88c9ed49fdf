# Is a folder writable, and how much room is left? test -w tells a read-only filesystem to root as well (eaccess(2)).
room() {
	if [ -w "$1" ]; then echo writable; else echo read-only; fi
	df -kP "$1"
}
# Which files that a move may change are not even root's to write: chflags(1) (eaccess(2)).
unwritable() {
	for file in /etc/rc.conf /etc/pf.conf /etc/jail.conf /etc/jail.conf.d/*.conf /etc/jail.*.conf /etc/jail.*.fstab \
		/etc/fstab.* /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf "$wireguard_config"; do
		if [ -e "$file" ] && [ ! -w "$file" ]; then echo "$file"; fi
	done
}
# Numbers that loader.conf(5) and sysctl.conf(5) set; nothing else of these files leaves the host.
boot_settings() {
	for file in /boot/loader.conf /boot/loader.conf.d/*.conf /boot/loader.conf.local /etc/sysctl.conf /etc/sysctl.conf.local; do
		[ -f "$file" ] || continue
		awk -F = '
			{ sub(/#.*/, ""); gsub(/[" \t\r]/, "") }
			NF == 2 && $1 ~ /^(net|kern|security)\.[a-z0-9_.]+$/ && $2 ~ /^-?[0-9]+$/ { print $1 "=" $2 }' "$file"
	done
}
# Which tools the host's own boot scripts run; only the tools' names leave the host. What a package's script does with
# them is its own business, but it may well be what makes a route or a bridge.
boot_tools() {
	{
		for file in /etc/rc.local /etc/start_if.* /etc/rc.conf.d/* /usr/local/etc/rc.d/*; do
			[ -f "$file" ] || continue
			cat "$file"
		done
		for file in /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf "$wireguard_config"; do
			[ -f "$file" ] || continue
			sed -n 's/^[[:space:]]*[Pp][OoRr][A-Za-z]*[Uu][Pp][[:space:]]*=//p' "$file"
		done
		for file in /etc/crontab /var/cron/tabs/root; do
			[ -f "$file" ] || continue
			grep '^@reboot' "$file"
		done
	} | awk '
		{ sub(/#.*/, ""); gsub(/[^A-Za-z0-9_-]+/, " "); line = " " $0 " " }
		line ~ / route / { print "route" }
		line ~ / ifconfig / { print "ifconfig" }
		line ~ / sysctl / { print "sysctl" }
		line ~ / pfctl / { print "pfctl" }
		line ~ / wg / { print "wg" }
		line ~ / zfs / { print "zfs" }' | sort -u
}
for folder in /etc /usr/local/etc /var/db /var/run /tmp; do
	[ -d "$folder" ] || continue
	ask room "$folder" room "$folder"
done
ask unwritable '' unwritable
ask boot-settings '' boot_settings
ask boot-tools '' boot_tools
ask arp '' arp --libxo json -an
