#!/bin/sh
# compile_commands.json on stdout, for clangd and friends: $1 is the compile command, the rest files.
set -eu
command=$1
shift
escape() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
separator='['
for f in "$@"; do
    printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -c %s"}' \
        "$separator" "$(escape "$PWD")" "$f" "$(escape "$command")" "$f"
    separator=,
done
printf '\n]\n'
