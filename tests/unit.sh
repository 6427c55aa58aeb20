#!/bin/sh
# Runs the cmocka programs given, all of them even when one fails; notes the number of cases for the
# suite's closing table. Output of a program that passes is one line.
set -u
mkdir -p "$BUILD/unit"
total=0 failed=
for t in "$@"; do
    if output=$("$t" 2>&1); then
        n=$(printf '%s\n' "$output" | sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' | awk '{s += $1} END {print s + 0}')
        total=$((total + n))
        printf '  ok %4d  %s\n' "$n" "${t##*/}"
    else
        failed="$failed ${t##*/}"
        printf '%s\n' "$output"
        printf '  FAILED   %s\n' "${t##*/}"
    fi
done
echo "$total" > "$BUILD/unit/cases"
[ -z "$failed" ] || { echo "unit: failed:$failed"; exit 1; }
echo "unit: $total cases passed in $# programs"
