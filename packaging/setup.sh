#!/bin/bash
# Installs the Debian packages that Perilune needs and that are missing; nothing else.
#
#   packaging/setup.sh [build] [test] [demo] [fuzz] [deb]   no group named: the first three
#
# It never removes a package (--no-remove) and never takes a recommended one. Of Debian's two LuaJIT
# development packages, which exclude each other, the one that is installed stays; the luajit command
# is not touched. As an ordinary user it installs nothing: it prints the one command to run as root
# and exits 1 when something is missing, 0 when all is there. Running it twice is harmless.
set -euo pipefail

build=(make gcc binutils libc6-dev pkg-config
    libuv1-dev libhttp-parser-dev liblmdb-dev libssl-dev libjansson-dev
    libexpat1-dev libzip-dev zlib1g-dev libseccomp-dev libcurl4-openssl-dev)
demo=(python3 python3-boto3 awscli)
test=(libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-boto3 awscli
    clang-format cppcheck lua-check
    rclone s3cmd openssl patch chromium curl dpkg-dev)
deb=(dpkg-dev)
fuzz=(clang libclang-rt-14-dev python3)

say() { printf 'setup: %s\n' "$*"; }

# Installed means unpacked and configured, by any architecture's name of it.
installed() { dpkg-query -W -f='${db:Status-Abbrev}\n' "$1" 2>/dev/null | grep -q '^.i'; }

# Whatever there is serves; Debian's otherwise.
node_and_npm() { { command -v node && command -v npm; } >/dev/null || printf '%s\n' nodejs npm; }

wanted() {
    local group
    for group in "$@"; do
        case $group in
        build)
            printf '%s\n' "${build[@]}"
            installed libluajit-5.1-dev || echo libluajit2-5.1-dev
            # Either implementation of pkg-config serves.
            ;;
        demo)
            printf '%s\n' "${demo[@]}"
            node_and_npm # for the web console
            ;;
        test)
            printf '%s\n' "${test[@]}"
            # Whatever nginx and node there are serve; Debian's own otherwise.
            [ -x /usr/sbin/nginx ] || echo nginx-light
            node_and_npm
            ;;
        fuzz) printf '%s\n' "${fuzz[@]}" ;;
        deb) printf '%s\n' "${deb[@]}" ;;
        *)
            say "unknown group '$group': build, test, demo, fuzz or deb" >&2
            exit 2
            ;;
        esac
    done | sort -u
}

[ $# -gt 0 ] || set -- build test demo
command -v dpkg-query >/dev/null || {
    say "this is not a Debian system: install these yourself: $(wanted "$@" | tr '\n' ' ')" >&2
    exit 1
}

list=$(wanted "$@") || exit $?
missing=()
for package in $list; do
    installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
    say "nothing to install for: $*"
    exit 0
fi

install=(apt-get install -y --no-remove --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ]; then
    say "missing: ${missing[*]}" >&2
    say "run this as root, then try again:" >&2
    printf '    %s\n' "${install[*]}" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
say "installing: ${missing[*]}"
# Package lists may be absent (fresh images) or stale (a file is gone): read them then, not always.
if apt-cache show --no-all-versions "${missing[@]}" >/dev/null 2>&1 && "${install[@]}"; then
    say "installed"
    exit 0
fi
say "reading package lists"
apt-get update
"${install[@]}"
say "installed"
