#!/bin/sh
# The folder is the layer: a file of core/ includes files of its own folder and of lower ranks only,
# and folders of equal rank are blind to each other. Reads every #include "…" of the C sources (and
# of the .def tables). Argument: the tree to check, default core.
set -eu
cd "${1:-core}"

find . -mindepth 2 -maxdepth 2 -type f \( -name '*.[ch]' -o -name '*.def' -o -name '*.inc' \) |
    sort | xargs awk '
BEGIN {
    rank["base"] = 0
    rank["net"] = rank["store"] = rank["auth"] = rank["proc"] = 1
    rank["svc"] = 2
    rank["api"] = rank["runner"] = rank["fetch"] = 3
    rank["cli"] = 4
}
function complain(text) { print FILENAME ":" FNR ": " text; bad = 1 }
FNR == 1 {
    split(FILENAME, part, "/")
    own = part[2]
    if (!(own in rank)) complain("folder " own " has no rank: give it one in tests/layers.sh")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    path = $0
    sub(/^[^"]*"/, "", path)
    sub(/".*/, "", path)
    n = split(path, part, "/")
    if (n != 2 || part[1] == "..") { complain("\"" path "\": include as \"folder/file.h\""); next }
    if (!(part[1] in rank)) { complain("\"" path "\": no such layer"); next }
    if (part[1] != own && rank[part[1]] >= rank[own])
        complain("\"" path "\": " own " (rank " rank[own] ") may not include " part[1] " (rank " rank[part[1]] ")")
}
END { exit bad }
' && echo "layers: every include of core/ points down"
