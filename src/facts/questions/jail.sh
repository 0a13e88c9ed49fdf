ask mounts '' mount -p
# Nothing of the jail's is executed: its version is read from the text of its script.
if [ -f "$root/bin/freebsd-version" ]; then
	ask userland "$root" sed -n 's/^USERLAND_VERSION="\(.*\)"$/\1/p' "$root/bin/freebsd-version"
fi
for file in "$root/etc/rc.conf" "$root/etc/rc.conf.local"; do
	if [ -f "$file" ]; then
		ask inner-interfaces "$file" sed -n 's/^[[:space:]]*ifconfig_\([A-Za-z0-9_]*\)=.*/\1/p' "$file"
	fi
done
