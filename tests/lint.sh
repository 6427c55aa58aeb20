#!/bin/sh
# What reads the source without running it: form, layers, common mistakes. All of it runs, then the
# verdict. Shell scripts are checked where shellcheck happens to be installed.
set -u
cd "$(dirname "$0")/.." || exit
bad=
step() {
    name=$1
    shift
    if "$@"; then echo "lint: $name ok"; else bad="$bad $name"; fi
}

form() { find core tests \( -name '*.c' -o -name '*.h' \) | sort | xargs -P2 -n40 clang-format --dry-run -Werror; }
mistakes() {
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr \
        --library=tests/cppcheck.cfg --suppressions-list=tests/cppcheck.txt -j2 \
        -Icore -D_GNU_SOURCE core
}

step form form
step layers sh tests/layers.sh
step mistakes mistakes
if command -v luacheck >/dev/null; then step lua luacheck -q --no-color lua blueprints; fi
if command -v shellcheck >/dev/null; then
    step shell shellcheck --severity=warning packaging/*.sh tests/*.sh tests/*/*.sh .ci/run
fi
[ -z "$bad" ] || { echo "lint: failed:$bad"; exit 1; }
