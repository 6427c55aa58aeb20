#!/bin/sh
# Runs each fuzz target for SECONDS_EACH (60) seconds on what its corpus holds and what earlier runs
# found (build/fuzz/found); stops at the first finding. With names: those targets only. PACK=1 writes
# the smallest covering set back to corpus/.
set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=build/fuzz}" "${SECONDS_EACH:=60}" "${PYTHON:=python3}"
# shellcheck disable=SC2046  # the names hold no blanks
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's,.*/fuzz_,,; s,\.c$,,')
for name in "$@"; do
    found=$BUILD/found/$name
    mkdir -p "$found" "$BUILD/crashes"
    [ ! -f "tests/fuzz/corpus/$name.txt" ] || "$PYTHON" tests/fuzz/corpus.py unpack "tests/fuzz/corpus/$name.txt" "$found"
    echo "fuzz: $name, $SECONDS_EACH s"
    "$BUILD/fuzzers/fuzz_$name" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=4096 -use_value_profile=1 \
        -artifact_prefix="$BUILD/crashes/$name-" -print_final_stats=1 "$found" 2>"$BUILD/$name.log" || {
        tail -40 "$BUILD/$name.log"
        echo "fuzz: $name FOUND SOMETHING: see $BUILD/crashes and $BUILD/$name.log"
        exit 1
    }
    grep -E 'number_of_executed_units|average_exec' "$BUILD/$name.log" | sed 's/^stat::/  /'
    if [ "${PACK-}" = 1 ]; then
        small=$BUILD/small/$name
        rm -rf "$small" && mkdir -p "$small"
        "$BUILD/fuzzers/fuzz_$name" -merge=1 "$small" "$found" 2>/dev/null
        "$PYTHON" tests/fuzz/corpus.py pack "$small" "tests/fuzz/corpus/$name.txt"
    fi
done
