#!/bin/bash
# Installs the package in a new Debian, has it do its main job there, purges it, and looks at what is left.
#
#   packaging/deb_try.sh PACKAGE.deb [FOLDER]      as root; needs debootstrap and a mirror
#
# FOLDER (made when it is missing, kept) holds the Debian. There is no systemd inside: the server is
# started as its unit would, as the daemon's user.
set -euo pipefail
cd "$(dirname "$0")/.."

package=$1
root=${2:-/var/tmp/perilune-try}
mirror=${MIRROR:-http://deb.debian.org/debian}
say() { printf 'try: %s\n' "$*"; }

[ -e "$root/bin/sh" ] || debootstrap --variant=minbase bookworm "$root" "$mirror"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
# What there is, but for what apt and dpkg keep for themselves.
listing() { (cd "$root" && find . -xdev \( -path ./proc -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./tmp \) -prune -o -print | LC_ALL=C sort); }

mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    umount "$root/proc" || true
}
trap finish EXIT

cp /etc/resolv.conf "$root/etc/resolv.conf"
cp "$package" "$root/tmp/perilune.deb"
inside apt-get -qq update
# what the package needs stays: only the package's own traces are looked at
# shellcheck disable=SC2046  # names of packages
inside apt-get -qq -y --no-install-recommends install $(dpkg-deb -f "$package" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/,/ /g') >/dev/null
listing >"$root/tmp/before"
cp "$root/etc/passwd" "$root/tmp/passwd.before"

inside apt-get -qq -y --no-install-recommends install /tmp/perilune.deb >/dev/null
inside id perilune
inside perilune version
[ -L "$root/etc/systemd/system/multi-user.target.wants/perilune.service" ]
echo '#kept' >>"$root/etc/default/perilune"
inside dpkg -i /tmp/perilune.deb >/dev/null # an upgrade, as far as the scripts know
grep -q '^#kept' "$root/etc/default/perilune"
say "installed, enabled; an upgrade keeps what was changed in /etc"

chroot --userspec=perilune:perilune "$root" env -i PATH=/usr/bin PERILUNE_DATA=/var/lib/perilune PERILUNE_LISTEN=127.0.0.1:21969 \
    /usr/bin/perilune serve 2>"$root/tmp/server.log" &
server=$!
for _ in $(seq 200); do
    inside perilune status --endpoint http://127.0.0.1:21969 >/dev/null 2>&1 && break
    sleep 0.1
done
client() { inside PERILUNE_ENDPOINT=http://127.0.0.1:21969 PERILUNE_DATA=/var/lib/perilune perilune "$@"; }
client blueprint new s3-upload --yes
echo "hello" >"$root/tmp/hello.txt"
client bucket cp /tmp/hello.txt s3://uploads/hello.txt
for _ in $(seq 100); do
    client logs s3-upload 2>/dev/null | grep -q hello.txt && break
    sleep 0.1
done
client logs s3-upload | grep hello.txt
say "an upload ran its function, and the log says so"

kill "$server"
wait "$server" || true
server=
inside dpkg --purge perilune
listing >"$root/tmp/after"
# besides the data: the copies that adduser makes of what it changes, and its lock
left=$(LC_ALL=C comm -3 "$root/tmp/before" "$root/tmp/after" | grep -v -e '\./var/lib/perilune' -e '\./etc/.*-$' -e '\./run/adduser$' || true)
[ -z "$left" ] || {
    say "the purge has left $left"
    exit 1
}
cmp "$root/etc/passwd" "$root/tmp/passwd.before"
[ "$(stat -c '%U %a' "$root/var/lib/perilune")" = "root 700" ]
[ -s "$root/var/lib/perilune/root.credentials" ]
say "purged: only the data is left"

inside apt-get -qq -y --no-install-recommends install /tmp/perilune.deb >/dev/null
[ "$(inside stat -c %U /var/lib/perilune/root.credentials)" = perilune ]
inside dpkg --purge perilune >/dev/null
say "installed again, it had its data back"
rm -rf "$root/var/lib/perilune"
