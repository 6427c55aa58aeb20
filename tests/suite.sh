#!/bin/sh
# The end-to-end suite against $BUILD/perilune: pytest last, so that its summary closes the run.
# Unit tests and lint have passed before (see the Makefile). Files run two at a time, and a third that waits: see turns.py.
set -eu
cd "$(dirname "$0")/.."
export PERILUNE_BIN="${PERILUNE_BIN:-$PWD/$BUILD/perilune}"
export PERILUNE_BUILD="$PWD/$BUILD"
exec "${PYTHON:-/usr/bin/python3}" -m pytest -p no:cacheprovider -q -rfEs --durations=15 -n 3 --dist loadfile tests
