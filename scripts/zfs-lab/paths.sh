# Where everything lies; read by the other scripts of this folder.
#
# OPENZFS says which version: `2.1` (Debian 12 with its own kernel, next to what FreeBSD 13.2 has) or `2.3` (its
# backports). Nothing is installed: packages are unpacked below $cache.
OPENZFS=${OPENZFS:-2.1}
case $OPENZFS in
2.1) suite=bookworm ;;
2.3) suite=bookworm-backports ;;
*)
	echo "zfs-lab: OPENZFS=$OPENZFS: only 2.1 and 2.3 are known" >&2
	exit 2
	;;
esac
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/jailferry-zfs-lab
apt=$cache/apt                # an apt of its own: sources, lists, archives
emulator=$cache/emulator      # qemu, virtiofsd and their libraries
busybox=$emulator/bin/busybox # modprobe and the like for a kernel that is not this machine's
tree=$cache/$suite            # kernel, its modules and headers, OpenZFS

# The kernel's release, once it is there.
release() { (cd "$tree/lib/modules" && echo *); }
