/* json: glue over jansson.
 *
 * jansson is strict already; what it lacks is a depth limit of ours (its own is 2,048, deep enough
 * to make recursion in callers a worry), so nesting is counted in one pass before it parses.
 * \u0000 is allowed in values, as the RFC has it: every string is taken with its length. */
#include "base/json.h"

#include "base/jscan.h"

static bool too_deep(struct str s)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

json_t *json_parse(struct str s, struct err *err)
{
    json_error_t e;
    if (too_deep(s)) {
        err_set(err, E_BAD_JSON, "Could not parse request body into json: nested deeper than %d",
                JSON_DEPTH_MAX);
        return NULL;
    }
    json_t *v = json_loadb(s.p ? s.p : "", s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!v)
        err_set(err, E_BAD_JSON, "Could not parse request body into json: %s (line %d, column %d)",
                e.text, e.line, e.column);
    if (v && !jscan_valid(s)) { /* jansson takes a NUL for the end of the text */
        json_decref(v);
        v = NULL;
        err_set(err, E_BAD_JSON,
                "Could not parse request body into json: something follows the value");
    }
    return v;
}

/* The member, or NULL when not given. */
static json_t *member(const json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    return json_is_null(v) ? NULL : v;
}

static int wrong(struct err *err, const char *name, const char *want)
{
    return err_set(err, E_BAD_JSON, "Could not parse request body into json: %s is not %s", name,
                   want);
}

int json_member_str(const json_t *o, const char *name, struct str *out, struct err *err)
{
    json_t *v = member(o, name);
    *out = json_bytes(v);
    return v && !json_is_string(v) ? wrong(err, name, "a string") : 0;
}

int json_member_int(const json_t *o, const char *name, int64_t *out, struct err *err)
{
    json_t *v = member(o, name);
    if (v && !json_is_integer(v))
        return wrong(err, name, "an integer");
    if (v)
        *out = json_integer_value(v);
    return 0;
}

int json_member_bool(const json_t *o, const char *name, bool *out, struct err *err)
{
    json_t *v = member(o, name);
    if (v && !json_is_boolean(v))
        return wrong(err, name, "true or false");
    if (v)
        *out = json_is_true(v);
    return 0;
}

int json_member_object(const json_t *o, const char *name, json_t **out, struct err *err)
{
    *out = member(o, name);
    if (!*out || json_is_object(*out))
        return 0;
    *out = NULL;
    return wrong(err, name, "an object");
}

int json_member_array(const json_t *o, const char *name, json_t **out, struct err *err)
{
    *out = member(o, name);
    if (!*out || json_is_array(*out))
        return 0;
    *out = NULL;
    return wrong(err, name, "an array");
}

struct str json_bytes(const json_t *v)
{
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v))
                             : (struct str){NULL, 0};
}

static int append(const char *p, size_t n, void *out)
{
    buf_add(out, str_of(p, n));
    return 0;
}

void json_write(struct buf *out, const json_t *v)
{
    if (json_dump_callback(v, append, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0 && out->rc == 0)
        out->rc = E_LIMIT;
}

/* --- text that may not be UTF-8 ----------------------------------------------------------------
 */

json_t *json_text(struct str s)
{
    json_t *v = json_stringn(s.p ? s.p : "", s.n);
    if (v)
        return v;
    struct buf b = BUF_INIT;
    while (s.n) {
        size_t n = str_utf8_sequence(s);
        buf_add(&b, n ? str_of(s.p, n) : STR("\xEF\xBF\xBD"));
        s = str_from(s, n ? n : 1);
    }
    v = json_stringn(b.p, b.n);
    buf_deinit(&b);
    return v;
}

static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void json_quote(struct buf *out, struct str s)
{
    buf_addc(out, '"');
    while (s.n) {
        size_t n = 0;
        while (n < s.n && plain((unsigned char)s.p[n]))
            n++;
        buf_add(out, str_of(s.p, n));
        s = str_from(s, n);
        if (s.n == 0)
            break;
        unsigned char c = (unsigned char)*s.p;
        n = 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_lit(out, "\\n");
        else if (c == '\t')
            buf_lit(out, "\\t");
        else if (c == '\r')
            buf_lit(out, "\\r");
        else if (c < 0x20 || c == 0x7F)
            buf_printf(out, "\\u%04x", c);
        else if ((n = str_utf8_sequence(s)) > 0)
            buf_add(out, str_of(s.p, n));
        else
            n = 1, buf_lit(out, "\xEF\xBF\xBD");
        s = str_from(s, n);
    }
    buf_addc(out, '"');
}
