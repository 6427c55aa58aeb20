#!/bin/sh
# Unpacks the benchmarks' peers and load generator under build/peers, without installing them: from
# Debian's packages nginx with its Lua module, lua-cjson and wrk; with `all`, from npm workerd, fastify
# and s3rver too. Works when run twice.
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers
packages='nginx libnginx-mod-http-lua libnginx-mod-http-ndk libnginx-mod-http-dav-ext lua-resty-core
    lua-resty-lrucache lua-cjson wrk'
node_packages='workerd@1 fastify@5 s3rver@3'

there() {
    [ -x $peers/root/usr/sbin/nginx ] && [ -x $peers/root/usr/bin/wrk ] &&
        ls $peers/root/usr/lib/*/lua/5.1/cjson.so >/dev/null 2>&1
}

if ! there; then
    mkdir -p $peers/deb
    # shellcheck disable=SC2086  # a list
    (cd $peers/deb && apt-get download -q $packages 2>&1 | grep -v '^W: Download is performed unsandboxed' || true)
    for deb in $peers/deb/*.deb; do
        dpkg -x "$deb" $peers/root
    done
    rm -rf $peers/deb
    there || {
        echo "bench: could not unpack: $packages (apt-get update first?)" >&2
        exit 1
    }
fi
if [ "${1-}" = all ] && [ ! -x $peers/node_modules/.bin/workerd ]; then
    # shellcheck disable=SC2086
    npm install --prefix $peers --no-audit --no-fund --no-save $node_packages >$peers/npm.log 2>&1 || {
        echo "bench: npm could not install: $node_packages (see $peers/npm.log)" >&2
        exit 1
    }
fi
echo "bench: peers are in $peers"
