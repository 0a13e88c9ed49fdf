ask mounts '' mount -p
# Nothing of the jail's is executed: its version is read from the text of its script.
if [ -f "$root/bin/freebsd-version" ]; then
	ask userland "$root" sed -n 's/^USERLAND_VERSION="\(.*\)"$/\1/p' "$root/bin/freebsd-version"
fi
# A thin jail has its system in a release that is mounted inside.
if [ -f "$root/.bastille/bin/freebsd-version" ]; then
	ask userland "$root/.bastille" sed -n 's/^USERLAND_VERSION="\(.*\)"$/\1/p' "$root/.bastille/bin/freebsd-version"
fi
filled() { for name in rdr.conf rctl.conf cpuset.conf zfs.conf; do if [ -s "$1/$name" ]; then echo "$name"; fi; done; }
ask beside "$folder" filled "$folder"
# Only whether a network gives it its address leaves the jail.
leases() {
	sed -n 's/^[[:space:]]*ifconfig_[A-Za-z0-9_]*=//p' "$1" | tr -c 'A-Za-z0-9_\n' ' ' | tr ' ' '\n' |
		sed -n -E '/^(DHCP|SYNCDHCP|NOSYNCDHCP|dhcp|accept_rtadv)$/p' | sort -u
}
if [ -f "$root/etc/resolv.conf" ]; then
	ask resolvers "$root/etc/resolv.conf" sed -n 's/^nameserver[[:space:]]\{1,\}\([0-9A-Fa-f:.]*\).*/\1/p' "$root/etc/resolv.conf"
fi
for file in "$root/etc/rc.conf" "$root/etc/rc.conf.local"; do
	if [ -f "$file" ]; then
		ask inner-leases "$file" leases "$file"
		ask inner-interfaces "$file" sed -n 's/^[[:space:]]*ifconfig_\([A-Za-z0-9_]*\)=.*/\1/p' "$file"
	fi
done
