/* ljson: JSON straight into Lua values and back.
 *
 * Reading: RFC 8259 as base/jscan.h has it (a test compares the two), depth <= 100; null becomes
 * json.null (a light userdata NULL), every array bears the array metatable so that an empty one
 * stays one, of a name that comes twice the last value stays, half a surrogate pair becomes U+FFFD.
 *
 * Writing: a table is an array when it bears the array metatable or its keys are 1…n, n >= 1;
 * it is an object when all keys are strings. Whatever has no JSON form is a problem that says where
 * it is: NaN and infinity, holes, mixed keys, cycles, functions, strings that are not UTF-8. */
#ifndef RUNNER_LJSON_H
#define RUNNER_LJSON_H

#include "runner/self.h"

enum {
    LJSON_PLAIN_ARRAYS = 1, /* read: no array metatable (cjson's contract) */
    LJSON_CJSON = 2,        /* write: cjson's rules for sparse arrays and number keys */
    LJSON_LENIENT = 4,      /* write: what has no JSON form becomes a text about it (log fields) */
    LJSON_INDENT = 8,       /* write: two blanks a level */
};

struct ljson_problem {
    size_t offset;  /* read: byte where it broke */
    char what[96];  /* "NaN", "unexpected byte", … */
    char path[160]; /* write: where, like ".items[3].price"; "" the value itself */
};

/* Pushes the value; false with the problem filled in, nothing pushed. */
LJMP bool ljson_read(lua_State *L, struct str text, int flags, struct ljson_problem *problem);
/* Appends the value at idx; false with the problem, or with out->rc set when out's limit is
 * reached. */
LJMP bool ljson_write(lua_State *L, int idx, struct buf *out, int flags,
                      struct ljson_problem *problem);
/* Appends s as a JSON string with its quotes, whatever it holds (U+FFFD for what is not UTF-8). */
void ljson_quote(struct buf *out, struct str s);
/* Appends a number in a short form that reads back as the same; not NaN, not infinite. */
void ljson_number(struct buf *out, double x);

/* json.empty_array: a light userdata that no pointer equals. */
#define LJSON_EMPTY_ARRAY ((void *)1)

#endif
