#!/bin/sh
# Builds the web console of core/console into OUT: sh packaging/console.sh OUT
#
# Needs node and npm, and the network once: what the lock file names is installed into
# core/console/node_modules, which a stamp notes. Where that cannot be had, OUT is left empty with a
# line that says why; the program is then built without a console, and its port explains. A console
# that does not compile, or is over its budget of size, is an error.
set -eu
out=$1
src=core/console
stamp=$src/node_modules/.perilune

without() {
    echo "console: $*: building without the web console" >&2
    rm -rf "$out"
    mkdir -p "$out"
    exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || without "node and npm are not installed"
if ! cmp -s $src/package-lock.json $stamp; then
    echo "console: installing what core/console/package-lock.json names"
    log=$(mktemp)
    if ! (cd $src && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000) >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        rm -f "$log"
        without "npm ci failed ('touch core/console/package.json' lets make try again)"
    fi
    rm -f "$log"
    cp $src/package-lock.json $stamp
fi
node $src/build.mjs "$out"
