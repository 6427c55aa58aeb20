#!/bin/sh
# Unpacks the benchmark's peers and load generator under build/peers from Debian's packages, without
# installing them: nginx with its Lua module, and wrk. Works when run twice.
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers
packages='nginx libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core lua-resty-lrucache wrk'
if [ -x $peers/root/usr/sbin/nginx ] && [ -x $peers/root/usr/bin/wrk ]; then
    echo "bench: peers are in $peers"
    exit 0
fi
mkdir -p $peers/deb
(cd $peers/deb && apt-get download -q $packages 2>&1 | grep -v '^W: Download is performed unsandboxed' || true)
for deb in $peers/deb/*.deb; do
    dpkg -x "$deb" $peers/root
done
rm -rf $peers/deb
[ -x $peers/root/usr/sbin/nginx ] && [ -x $peers/root/usr/bin/wrk ] || {
    echo "bench: could not unpack: $packages (apt-get update first?)" >&2
    exit 1
}
echo "bench: unpacked $packages into $peers"
