/* text: what is and what is made UTF-8. Logs, error objects and events carry nothing else. */
#ifndef RUNNER_TEXT_H
#define RUNNER_TEXT_H

#include "base/buf.h"

/* True when all of s is well-formed UTF-8. */
bool text_valid(struct str s);
/* Appends s with U+FFFD for each byte that belongs to no sequence. */
void text_mend(struct buf *out, struct str s);
/* The longest prefix of s of at most n bytes that does not cut a sequence. */
struct str text_cut(struct str s, size_t n);

#endif
