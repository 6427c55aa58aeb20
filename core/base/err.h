/* err: error codes and the one table that maps them (errors.def).
 *
 * Functions return 0 or a negative E_*. Where a text helps, an optional last `struct err *` takes
 * the detail; NULL is always allowed there. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/str.h"

/* Codes count down from -1000, clear of errno and libuv codes. */
enum {
    E_POSITION_NONE_,
#define X(code, ...) code##_POSITION_,
#include "base/errors.def"
#undef X
};
enum {
    E_BASE = -1000,
#define X(code, ...) code = E_BASE - code##_POSITION_,
#include "base/errors.def"
#undef X
};

struct err {
    int code;           /* E_*, 0 while unset */
    char text[1536];    /* what the client reads; empty: the table's text */
    char resource[256]; /* S3 <Resource>, "" when none */
    char arg_name[160]; /* S3 InvalidArgument: <ArgumentName1>, "" when none */
    char arg_value[160];
    char detail[200]; /* S3: further elements of the answer, as XML; "" none */
};

struct err_row {
    int code, status;
    const char *lambda, *s3, *query, *json, *lua, *text;
};

/* What `= {0}` does to one that is only read through its strings, without writing two kilobytes: every
 * request has some. */
static inline void err_clear(struct err *err)
{
    err->code = 0;
    err->text[0] = err->resource[0] = err->arg_name[0] = err->arg_value[0] = err->detail[0] = 0;
}
/* Sets code and formatted text (cut to fit); returns code, so that `return err_set(err, …)` works.
 * err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The table's row; unknown codes (errno, libuv) give the row of E_INTERNAL. Never NULL. */
const struct err_row *err_row(int code);
/* err's own text, or the table's for `code`. */
const char *err_text(const struct err *err, int code);

#endif
