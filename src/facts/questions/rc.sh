# Other variables stay on the host: they may hold passwords.
rc_variables() {
	all=$(sysrc -a) || return
	printf '%s\n' "$all" | awk '
		/^[A-Za-z_][A-Za-z0-9_]*: / || /^[A-Za-z_][A-Za-z0-9_]*:$/ {
			wanted = /^(static_routes|ipv6_static_routes|route_|ipv6_route_|static_routes_|ifconfig_|ipv4_addrs_|cloned_interfaces|gateway_enable|ipv6_gateway_enable|defaultrouter|ipv6_defaultrouter|arpproxy_all|wireguard_|pf_|jail_|bastille_enable|bastille_list|zfs_enable|hostname|jailferry_)/
		}
		wanted'
}
# Where Bastille has its jails. Its own file is a script that sysrc(8) can read.
bastille_jails() {
	folder=
	if [ -f /usr/local/etc/bastille/bastille.conf ]; then
		folder=$(sysrc -f /usr/local/etc/bastille/bastille.conf -n bastille_jailsdir 2>/dev/null) || folder=
	fi
	echo "${folder:-/usr/local/bastille/jails}"
}
