# Other variables stay on the host: they may hold passwords.
rc_variables() {
	all=$(sysrc -a) || return
	printf '%s\n' "$all" | awk '
		/^[A-Za-z_][A-Za-z0-9_]*: / || /^[A-Za-z_][A-Za-z0-9_]*:$/ {
			wanted = /^(static_routes|ipv6_static_routes|route_|ipv6_route_|static_routes_|ifconfig_|ipv4_addrs_|cloned_interfaces|gateway_enable|ipv6_gateway_enable|defaultrouter|ipv6_defaultrouter|arpproxy_all|wireguard_|pf_|jail_|bastille_enable|bastille_list|zfs_enable|zfskeys_enable|hostname|jailferry_)/
		}
		wanted'
}
# How the files assign what a move may edit, where that is more than one line of /etc/rc.conf with everything in it: FORM
# VARIABLE FILE, in the order in which rc(8) reads them. No value leaves the host.
rc_assignments() {
	rc_forms '^((ipv6_)?static_routes|(ipv6_)?route_jailferry_.*|ifconfig_.*_(aliases|ipv6)|arpproxy_all|bastille_list|jail_enable|jail_list|jailferry_.*)$' \
		/etc/rc.conf /etc/rc.conf.local
	for folder in /etc/rc.conf.d /usr/local/etc/rc.conf.d; do
		rc_forms '^jail_(enable|list)$' "$folder/jail" "$folder"/jail/*
		rc_forms '^ifconfig_.*_(aliases|ipv6)$' "$folder/network" "$folder"/network/* "$folder/netif" "$folder"/netif/*
		rc_forms '^((ipv6_)?static_routes|(ipv6_)?route_jailferry_.*|arpproxy_all)$' "$folder/routing" "$folder"/routing/*
	done
}
rc_forms() {
	wanted=$1
	shift
	for file in "$@"; do
		[ -f "$file" ] || continue
		awk -v wanted="$wanted" '
			BEGIN { one = sprintf("%c", 39); two = sprintf("%c", 34) }
			match($0, /^[ \t]*[A-Za-z_][A-Za-z0-9_]*=/) {
				name = substr($0, 1, RLENGTH - 1); sub(/^[ \t]+/, "", name)
				if (name !~ wanted) next
				text = substr($0, RLENGTH + 1); form = "plain"; quote = ""
				for (i = 1; i <= length(text); i++) {
					c = substr(text, i, 1)
					if (c == quote) quote = ""
					else if (quote == one) continue
					else if (c == "\\") { if (i == length(text)) form = "continued"; i++ }
					else if (c == "$" || c == "`") { if (form == "plain") form = "refers" }
					else if (quote == "" && (c == one || c == two)) quote = c
					else if (quote == "" && c ~ /[ \t;]/) break
				}
				if (quote != "") form = "continued"
				form_of[name] = form
			}
			END {
				for (name in form_of) {
					if (form_of[name] != "plain" || FILENAME != "/etc/rc.conf") print form_of[name], name, FILENAME
				}
			}' "$file"
	done
}
# Where Bastille has its jails. Its own file is a script that sysrc(8) can read.
bastille_jails() {
	folder=
	if [ -f /usr/local/etc/bastille/bastille.conf ]; then
		folder=$(sysrc -f /usr/local/etc/bastille/bastille.conf -n bastille_jailsdir 2>/dev/null) || folder=
	fi
	echo "${folder:-/usr/local/bastille/jails}"
}
