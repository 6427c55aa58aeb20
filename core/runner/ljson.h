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
    LJSON_EMPTY_ARRAYS = 8, /* write: a table without keys is [] */
    LJSON_NAN_NULL = 16,    /* write: NaN and infinity are null */
};

/* How to write; all 0: strictly, in one line. */
struct ljson_style {
    int flags;
    int indent;        /* blanks a level, 0: one line */
    int digits;        /* significant ones of a number; 0: as many as it takes */
    int depth;         /* levels at most, 0: JSCAN_DEPTH_MAX */
    int ratio, safe;   /* LJSON_CJSON: an array is too sparse when its largest index is above safe
                          and above ratio times its elements; ratio 0: none is */
    bool sparse_names; /* one that is too sparse becomes an object */
};

struct ljson_problem {
    size_t offset;  /* read: byte where it broke */
    char what[96];  /* "NaN", "unexpected byte", … */
    char path[160]; /* write: where, like ".items[3].price"; "" the value itself */
};

extern const struct ljson_style ljson_strict, ljson_lenient;

/* Pushes the value; false with the problem filled in, nothing pushed. */
LJMP bool ljson_read(lua_State *L, struct str text, int flags, struct ljson_problem *problem);
/* Appends the value at idx; false with the problem, or with out->rc set when out's limit is
 * reached. */
LJMP bool ljson_write(lua_State *L, int idx, struct buf *out, const struct ljson_style *style,
                      struct ljson_problem *problem);
/* Appends s as a JSON string with its quotes, whatever it holds (U+FFFD for what is not UTF-8). */
void ljson_quote(struct buf *out, struct str s);
/* Appends a number in a short form that reads back as the same; not NaN, not infinite. */
void ljson_number(struct buf *out, double x);

/* json.empty_array: a light userdata that no pointer equals. */
#define LJSON_EMPTY_ARRAY ((void *)1)

#endif
