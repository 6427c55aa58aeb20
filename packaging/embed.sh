#!/bin/sh
# Writes the C source that carries the given files inside the binary: the table TABLE of base/embed.h
# (embed_table), their paths without STRIP in front. The bytes themselves are pulled in by the
# assembler, so this stays fast and exact for any content.
set -eu
table=${TABLE:-embed_table}
strip=${STRIP:-}
echo '/* made by packaging/embed.sh */'
echo '#include "base/embed.h"'
i=0
for f in "$@"; do
    printf '__asm__(".section .rodata\\n.balign 16\\nembed_%d:\\n.incbin \\"%s\\"\\nembed_%d_end: .byte 0\\n.text\\n");\n' $i "$f" $i
    printf 'extern const char embed_%d[], embed_%d_end[];\n' $i $i
    i=$((i + 1))
done
echo "const struct embed_entry ${table}[] = {"
i=0
for f in "$@"; do
    printf '    {"%s", embed_%d, embed_%d_end},\n' "${f#"$strip"}" $i $i
    i=$((i + 1))
done
echo '    {0, 0, 0},'
echo '};'
