#!/bin/sh
# Installs what the lab needs on Debian (packages of the base suite, and wireguard-go from the backports suite where the kernel has no WireGuard).
# Does nothing when everything is there; says what it does; needs root.
set -eu

missing=
need() { # need PROGRAM PACKAGE
    for dir in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        if [ -x "$dir/$1" ]; then return 0; fi
    done
    missing="$missing $2"
}
need sshd openssh-server
need ssh openssh-client
need ip iproute2
need nft nftables
need wg wireguard-tools
need tcsh tcsh
need sudo sudo
need ping iputils-ping
need original-awk original-awk
need dash dash
need ps procps
need conntrack conntrack

wireguard=kernel
if ! unshare -n ip link add wg-test type wireguard >/dev/null 2>&1; then
    wireguard=wireguard-go
    # The bookworm package of 2022 is four times slower: only 0.0.2023 and later will do.
    case $(dpkg-query -W -f '${Version}' wireguard-go 2>/dev/null || :) in
    0.0.202[3-9]* | 0.0.20[3-9]*) wireguard=installed ;;
    esac
fi

if [ -z "$missing" ] && [ "$wireguard" != wireguard-go ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "lab/setup.sh: must run as root to install:$missing $wireguard" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "lab/setup.sh: no apt-get here; please install by hand:$missing $wireguard" >&2
    exit 1
fi

quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1 </dev/null; then rm -f "$log"; else cat "$log" >&2; rm -f "$log"; return 1; fi
}
export DEBIAN_FRONTEND=noninteractive
# Packages may start services on install; the lab's sshd runs in the lab only.
policy=
if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
extra=
cleanup() {
    if [ -n "$policy" ]; then rm -f "$policy"; fi
    if [ -n "$extra" ]; then rm -f "$extra"; fi
}
trap cleanup EXIT

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ "$wireguard" = wireguard-go ] && [ "$suite" = bookworm ]; then
    # The mirror that this machine already uses, with the backports suite of it.
    uri=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^URIs:/ && $2 !~ /security/ { print $2; exit }')
    if [ -z "$uri" ]; then
        uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '$1 == "deb" && $2 !~ /security/ && $3 ~ /^bookworm/ { print $2; exit }')
    fi
    key=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^Signed-By:/ { print $2; exit }')
    if [ -n "$uri" ]; then
        extra=/etc/apt/sources.list.d/lab-backports.sources
        {
            echo "Types: deb"
            echo "URIs: $uri"
            echo "Suites: bookworm-backports"
            echo "Components: main"
            if [ -n "$key" ]; then echo "Signed-By: $key"; fi
        } >"$extra"
    fi
fi
echo "lab/setup.sh: updating the package lists"
quietly apt-get update -q
if [ -n "$missing" ]; then
    echo "lab/setup.sh: installing$missing"
    # shellcheck disable=SC2086 # a list of package names
    quietly apt-get install -q -y --no-install-recommends $missing
fi
if [ "$wireguard" = wireguard-go ]; then
    if [ -n "$extra" ]; then
        echo "lab/setup.sh: installing wireguard-go from $suite-backports (this kernel has no WireGuard)"
        quietly apt-get install -q -y --no-install-recommends -t "$suite-backports" wireguard-go
    else
        echo "lab/setup.sh: installing wireguard-go (this kernel has no WireGuard)"
        quietly apt-get install -q -y --no-install-recommends wireguard-go
    fi
fi
