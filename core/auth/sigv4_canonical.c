/* sigv4_canonical: the one text that both sides of a signature hash.
 *
 * Where AWS's rules leave a choice, this file does what the stock clients do: runs of blanks in a
 * header value become one, repeated headers are joined by commas in the order of arrival, query
 * parameters are decoded and encoded again before they are sorted ('+' being a blank), a path of S3
 * is decoded and encoded once, every other service's path is normalised and encoded once more. What
 * cannot be decoded cannot have been signed: false, and the verifier fails. */
#include "auth/sigv4_canonical.h"
#include "base/codec.h"

enum { QUERY_MAX = 2000 };

struct span { /* of a buffer that may move */
    size_t at, n;
};

struct param {
    struct span name, value;
    const struct buf *in;
};

/* A buffer to which only empty words were added has no bytes. */
static struct str span_of(const struct buf *b, struct span s)
{
    return s.n ? str_of(b->p + s.at, s.n) : STR("");
}

static int span_cmp(const struct buf *b, struct span x, struct span y)
{
    return str_cmp(span_of(b, x), span_of(b, y));
}

static int param_cmp(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    int d = span_cmp(x->in, x->name, y->name);
    return d ? d : span_cmp(x->in, x->value, y->value);
}

/* Appends s, decoded and encoded again. false on a broken escape. */
static bool recode(struct buf *out, struct buf *tmp, struct str s, bool plus, bool slash,
                   struct span *where)
{
    size_t at = out->n;
    if (str_index(s, '%', 0) >= 0 || (plus && str_index(s, '+', 0) >= 0)) {
        buf_clear(tmp);
        if (!uri_decode(tmp, s, plus))
            return false;
        s = buf_str(tmp);
    }
    uri_encode(out, s, slash);
    *where = (struct span){at, out->n - at};
    return true;
}

static bool add_query(struct buf *out, struct str query)
{
    bool ok = false;
    size_t n = 0, max = 1;
    for (size_t i = 0; i < query.n; i++)
        max += query.p[i] == '&';
    if (max > QUERY_MAX)
        return false;
    struct param *list = calloc(max, sizeof *list);
    struct buf words = BUF_INIT, tmp = BUF_INIT;
    while (list && query.n) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');
        if ((name.n == 0 && !value.p) || str_is(name, "X-Amz-Signature"))
            continue;
        struct param *p = &list[n++];
        p->in = &words;
        if (!recode(&words, &tmp, name, true, false, &p->name) ||
            !recode(&words, &tmp, value, true, false, &p->value))
            goto out;
    }
    if (!list || words.rc)
        goto out;
    qsort(list, n, sizeof *list, param_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_put(out, '&');
        buf_add(out, span_of(&words, list[i].name));
        buf_put(out, '=');
        buf_add(out, span_of(&words, list[i].value));
    }
    ok = true;
out:
    free(list);
    buf_deinit(&words);
    buf_deinit(&tmp);
    return ok;
}

/* "/a/./b//../c" -> "/a/c": what every service but S3 signs. */
static void normalise(struct buf *out, struct str path)
{
    size_t base = out->n;
    bool slash_end = path.n && path.p[path.n - 1] == '/';
    struct str rest = path;
    while (rest.p) {
        struct str seg = str_cut(&rest, '/');
        if (seg.n == 0 || str_is(seg, "."))
            continue;
        if (str_is(seg, "..")) {
            while (out->n > base && out->p[--out->n] != '/')
                ;
            continue;
        }
        buf_put(out, '/');
        buf_add(out, seg);
    }
    if (out->n == base || slash_end)
        buf_put(out, '/');
}

/* Is the path what normalise() would make of it? */
static bool is_normal(struct str path)
{
    for (size_t i = 1; i < path.n; i++)
        if (path.p[i - 1] == '/' && (path.p[i] == '/' || path.p[i] == '.'))
            return false;
    return path.n && *path.p == '/';
}

static bool add_path(struct buf *out, struct str path, bool s3)
{
    struct buf tmp = BUF_INIT;
    struct span ignored;
    bool ok = true;
    if (s3) {
        ok = recode(out, &tmp, path.n ? path : STR("/"), false, true, &ignored);
    } else if (is_normal(path)) {
        uri_encode(out, path, true);
    } else {
        normalise(&tmp, path);
        uri_encode(out, buf_str(&tmp), true);
    }
    buf_deinit(&tmp);
    return ok;
}

/* Trimmed, runs of blanks as one. */
static void add_value(struct buf *out, struct str v)
{
    char *begin = buf_room(out, v.n), *o = begin;
    if (!v.n || !begin)
        return;
    for (size_t i = 0; i < v.n; i++) {
        bool blank = v.p[i] == ' ' || v.p[i] == '\t';
        if (!blank)
            *o++ = v.p[i];
        else if (o > begin && o[-1] != ' ')
            *o++ = ' ';
    }
    while (o > begin && o[-1] == ' ')
        o--;
    out->n += (size_t)(o - begin);
}

/* "name:value,value\n"; false when the request has no such header. Older SDKs sign their
 * Transfer-Encoding, which is between them and the next hop: a proxy that knows the body's length by
 * then takes it out. There is one value that they can have meant. */
static bool add_header(struct buf *out, const struct sigv4_request *r, struct str name)
{
    bool found = false;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!str_ieq(r->headers[i].name, name))
            continue;
        if (!found)
            buf_add(out, name);
        buf_put(out, found ? ',' : ':');
        add_value(out, r->headers[i].value);
        found = true;
    }
    if (!found && str_is(name, "transfer-encoding")) {
        buf_lit(out, "transfer-encoding:chunked");
        found = true;
    }
    buf_put(out, '\n');
    return found;
}

size_t sigv4_signed_names(struct str s, struct str *names)
{
    size_t n = 0;
    bool encoded = str_index(s, '%', 0) >= 0;
    while (s.n && n < SIGV4_NAMES_MAX) {
        ptrdiff_t end = str_index(s, ';', 0);
        size_t width = 1;
        if (end < 0 && encoded && (end = str_find(s, STR("%3B"))) < 0)
            end = str_find(s, STR("%3b"));
        if (end >= 0 && s.p[end] == '%')
            width = 3;
        names[n] = end < 0 ? s : str_of(s.p, (size_t)end);
        if (names[n].n == 0 || (n && str_cmp(names[n - 1], names[n]) >= 0))
            return 0;
        n++;
        if (end < 0)
            return n;
        s = str_from(s, (size_t)end + width);
    }
    return 0;
}

bool sigv4_canonical(struct buf *out, const struct sigv4_request *r, const struct str *names,
                     size_t count, struct str service, struct str payload_hash)
{
    buf_add(out, r->method);
    buf_put(out, '\n');
    if (!add_path(out, r->path, str_is(service, "s3")))
        return false;
    buf_put(out, '\n');
    if (r->query.n && !add_query(out, r->query))
        return false;
    buf_put(out, '\n');
    for (size_t i = 0; i < count; i++)
        if (!add_header(out, r, names[i]))
            return false;
    buf_put(out, '\n');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_put(out, ';');
        buf_add(out, names[i]);
    }
    buf_put(out, '\n');
    buf_add(out, payload_hash);
    return out->rc == 0;
}
