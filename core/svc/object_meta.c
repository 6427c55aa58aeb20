/* object_meta: what an object's headers may be, and which bytes a Range asks for. Pure functions.
 *
 * Metadata comes from signed HTTP requests, whose scan has refused control bytes, and from
 * functions, which may put anything into a table. It leaves as HTTP headers, so it is judged here,
 * for both, before it is stored: a line break in a value would forge a header later. */
#include "base/rec.h"
#include "svc/object.h"

void object_pair_put(struct buf *pairs, struct str name, struct str value)
{
    size_t mark = rec_begin(pairs, 1);
    rec_put_str(pairs, 1, name);
    rec_put_str(pairs, 2, value);
    rec_end(pairs, mark);
}

bool object_pair_next(struct str *rest, struct str *name, struct str *value)
{
    uint16_t tag;
    struct str pair;
    if (!rec_next(rest, &tag, &pair))
        return false;
    *name = rec_str(pair, 1);
    *value = rec_str(pair, 2);
    return true;
}

struct str object_storage_class(const struct object_meta *m)
{
    struct str rest = m->headers, name, value;
    while (object_pair_next(&rest, &name, &value))
        if (str_is(name, OBJECT_CLASS))
            return value;
    return STR("STANDARD");
}

static bool is_token(struct str s)
{
    static const char other[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr(other, c)))
            return false;
    }
    return s.n > 0;
}

static bool is_field_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

/* Checks pairs and adds up their bytes. */
static bool check_pairs(struct str pairs, size_t *bytes)
{
    struct str name, value;
    while (object_pair_next(&pairs, &name, &value)) {
        if (!is_token(name) || !is_field_value(value))
            return false;
        *bytes += name.n + value.n;
    }
    return pairs.n == 0;
}

int object_meta_check(const struct object_put_req *r)
{
    size_t user = 0, headers = r->content_type.n;
    if (!check_pairs(r->user_meta, &user) || !check_pairs(r->headers, &headers) ||
        !is_field_value(r->content_type))
        return E_INVALID;
    return user > OBJECT_USER_META_MAX || headers > OBJECT_HEADERS_MAX ? E_META_LIMIT : 0;
}

/* A number of any length: what 64 bits do not hold is their largest. */
static bool read_position(struct str s, uint64_t *out)
{
    *out = UINT64_MAX;
    if (str_u64(s, out))
        return true;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

int object_range(struct str header, uint64_t size, uint64_t *first, uint64_t *count)
{
    uint64_t a, b;
    *first = 0;
    *count = size;
    if (header.n < 6 || !str_ieq(str_of(header.p, 6), STR("bytes=")))
        return 0;
    struct str to = str_trim(str_from(header, 6));
    struct str from = str_cut(&to, '-');
    if (!to.p)
        return 0;
    if (from.n == 0) { /* the last b bytes */
        if (!read_position(to, &b))
            return 0;
        if (b == 0 || size == 0)
            return E_BAD_RANGE;
        *count = b < size ? b : size;
        *first = size - *count;
        return 1;
    }
    if (!read_position(from, &a) || (to.n && (!read_position(to, &b) || b < a)))
        return 0;
    if (a >= size)
        return E_BAD_RANGE;
    if (to.n == 0 || b >= size)
        b = size - 1;
    *first = a;
    *count = b - a + 1;
    return 1;
}
