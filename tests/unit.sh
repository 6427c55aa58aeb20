#!/bin/sh
# Runs the cmocka programs given, all of them even when one fails; notes the number of cases for the
# suite's closing table. Output of a program that passes is one line. Three at a time, the first ones
# first: they wait more than they work.
set -u
mkdir -p "$BUILD/unit"
said="$BUILD/unit/said"
printf '%s\n' "$@" | xargs -n 1 -P 3 sh -c '
    if output=$("$1" 2>&1); then
        n=$(printf "%s\n" "$output" | sed -n "s/^\[  PASSED  \] \([0-9]*\) test.*/\1/p" | awk "{s += \$1} END {print s + 0}")
        printf "  ok %4d  %s\n" "$n" "${1##*/}"
    else
        printf "%s\n  FAILED   %s\n" "$output" "${1##*/}"
    fi' sh | tee "$said"
total=$(awk '/^  ok / {s += $2} END {print s + 0}' "$said")
failed=$(sed -n 's/^  FAILED   / /p' "$said" | tr -d '\n')
echo "$total" > "$BUILD/unit/cases"
[ -z "$failed" ] || { echo "unit: failed:$failed"; exit 1; }
[ "$(grep -c '^  ok ' "$said")" = $# ] || { echo "unit: not all of them ran"; exit 1; }
echo "unit: $total cases passed in $# programs"
