/* code_filter: cuts one string out of a JSON text, whatever way the text is cut into pieces.
 *
 * It is no JSON parser: it follows strings, escapes and nesting just far enough to know the value
 * of ZipFile when it comes, and leaves everything else, broken text too, to the parser that reads
 * the remainder. Some serialisers escape "/" or "+" in strings, so escapes inside the value are
 * undone. */
#include "api/code_body.h"
#include "base/codec.h"
#include "base/jscan.h"

enum { JSON_MAX = 64 * 1024, PIECE = 32 * 1024 };

void code_filter_init(struct code_filter *f, bool nested)
{
    *f = (struct code_filter){.nested = nested};
    buf_init(&f->json, JSON_MAX);
}

void code_filter_deinit(struct code_filter *f)
{
    buf_deinit(&f->json);
    buf_deinit(&f->base64);
}

/* --- the value ------------------------------------------------------------------------------- */

static void decode(struct code_filter *f, size_t n)
{
    struct buf out = BUF_INIT;
    struct str part = str_of(f->base64.p, n);
    if (n == 0 || f->rc)
        return;
    if (f->padded || !base64_decode(&out, part))
        f->rc = E_INVALID;
    else
        f->zip(f->ctx, buf_str(&out));
    f->padded = str_ends(part, STR("="));
    buf_deinit(&out);
    buf_drop(&f->base64, n);
}

static void add_base64(struct code_filter *f, struct str s)
{
    buf_add(&f->base64, s);
    if (f->base64.n >= PIECE)
        decode(f, f->base64.n & ~(size_t)3);
}

static void begin_zip(struct code_filter *f)
{
    if (f->found && f->again)
        f->again(f->ctx);
    f->found = true;
    f->padded = false;
    buf_clear(&f->base64);
    f->state = CODE_ZIP;
}

static void end_zip(struct code_filter *f)
{
    decode(f, f->base64.n);
    f->zip_next = false;
    f->state = CODE_PLAIN;
    buf_addc(&f->json, '"');
}

/* --- the text around it ------------------------------------------------------------------------
 */

static unsigned zip_depth(const struct code_filter *f)
{
    return f->nested ? 2 : 1;
}

static void end_key(struct code_filter *f)
{
    struct str key = str_of(f->key, f->key_n);
    if (f->depth == 1)
        f->is_code = str_is(key, "Code");
    f->zip_next = f->depth == zip_depth(f) && (!f->nested || f->is_code) && str_is(key, "ZipFile");
}

static bool in_array(const struct code_filter *f)
{
    return f->depth > 2 || f->array[f->depth];
}

static void plain(struct code_filter *f, char c)
{
    switch (c) {
    case '"':
        if (f->zip_next && !f->key_next) {
            begin_zip(f);
            return;
        }
        f->state = CODE_STRING;
        f->is_key = f->key_next && f->depth <= 2;
        f->key_next = false;
        f->key_n = 0;
        return;
    case '{':
    case '[':
        f->depth++;
        if (f->depth <= 2)
            f->array[f->depth] = c == '[';
        f->key_next = !in_array(f);
        f->zip_next = false;
        return;
    case '}':
    case ']':
        if (f->depth)
            f->depth--;
        f->key_next = f->zip_next = false;
        return;
    case ',':
        f->key_next = !in_array(f);
        f->zip_next = false;
        return;
    }
}

static void string_byte(struct code_filter *f, char c)
{
    if (c == '\\') {
        f->state = CODE_ESCAPE;
        f->key_n = sizeof f->key; /* no key we look for has one */
    } else if (c == '"') {
        f->state = CODE_PLAIN;
        if (f->is_key)
            end_key(f);
    } else if (f->key_n < sizeof f->key) {
        f->key[f->key_n++] = c;
    }
}

static void zip_byte(struct code_filter *f, char c)
{
    if (f->state == CODE_ZIP) {
        if (c == '"')
            end_zip(f);
        else if (c == '\\')
            f->state = CODE_ZIP_ESCAPE;
        else
            add_base64(f, str_of(&c, 1));
    } else if (f->state == CODE_ZIP_ESCAPE) {
        f->state = c == 'u' ? CODE_ZIP_U : CODE_ZIP;
        f->hex = f->hex_n = 0;
        if (c == '/')
            add_base64(f, STR("/"));
        else if (c != 'u')
            f->rc = E_INVALID;
    } else {
        const char *digits = "0123456789abcdef", *d = c ? strchr(digits, c | 32) : NULL;
        bool digit = d && (c <= '9' || (c | 32) >= 'a');
        f->hex = f->hex << 4 | (digit ? (unsigned)(d - digits) : 0x800);
        if (++f->hex_n < 4)
            return;
        char byte = (char)f->hex;
        f->state = CODE_ZIP;
        if (f->hex > 0x7f)
            f->rc = E_INVALID;
        else
            add_base64(f, str_of(&byte, 1));
    }
}

void code_filter_feed(struct code_filter *f, struct str s)
{
    while (s.n && f->rc == 0) {
        if (f->state == CODE_ZIP) { /* almost all bytes of a large body come this way */
            size_t run = (size_t)(jscan_plain(s.p, s.p + s.n) - s.p);
            add_base64(f, str_of(s.p, run));
            s = str_from(s, run);
            if (s.n == 0 || f->rc)
                break;
        }
        char c = *s.p;
        s = str_from(s, 1);
        if (f->state >= CODE_ZIP) {
            zip_byte(f, c);
            continue;
        }
        buf_addc(&f->json, c);
        if (f->state == CODE_PLAIN)
            plain(f, c);
        else if (f->state == CODE_ESCAPE)
            f->state = CODE_STRING;
        else
            string_byte(f, c);
        if (f->json.rc)
            f->rc = E_LIMIT;
    }
}

void code_filter_end(struct code_filter *f)
{
    if (f->state >= CODE_ZIP && f->rc == 0)
        f->rc = E_BAD_JSON; /* the text ends inside the value */
}
