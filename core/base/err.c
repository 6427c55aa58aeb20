/* err: lookup in the table of errors.def. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct err_row rows[] = {
#define X(code, status, lambda, s3, query, json, lua, text)                                        \
    {code, status, lambda, s3, query, json, lua, text},
#include "base/errors.def"
#undef X
};

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

const struct err_row *err_row(int code)
{
    size_t i = (size_t)(E_BASE - code) - 1;
    return i < sizeof rows / sizeof *rows ? &rows[i] : &rows[0];
}

const char *err_text(const struct err *err, int code)
{
    return err && err->text[0] ? err->text : err_row(code)->text;
}
