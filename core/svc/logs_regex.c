/* logs_regex: without parentheses an expression is a list of alternatives, each a row of places; a
 * place is a set of bytes that may be passed over, or stayed at. Repetition is written out: x{2,4} is
 * four places of which two may be passed over. A set of bits says at which places the match may be. */
#include "svc/logs_regex.h"

enum { PLACES_MAX = 1024, WORDS = PLACES_MAX / 64 + 1, REPEAT_MAX = 255 };

struct place {
    uint64_t bytes[4]; /* that lead to the next place */
    bool skip;         /* it may be passed over */
    bool stay;         /* it may be taken again */
    bool first, end;   /* of its alternative; end takes nothing */
    bool anchored;     /* first: at the text's start only; end: at its end only */
};

struct log_regex {
    size_t count;
    struct place places[];
};

struct parser {
    struct str rest;
    const char *why;
    struct place *places;
    size_t count;
};

/* --- parsing ------------------------------------------------------------------------------------ */

static void set_byte(struct place *p, unsigned c)
{
    p->bytes[c / 64] |= 1ULL << (c % 64);
}

static bool has_byte(const struct place *p, unsigned char c)
{
    return p->bytes[c / 64] >> (c % 64) & 1;
}

static void invert(struct place *p)
{
    for (size_t i = 0; i < 4; i++)
        p->bytes[i] = ~p->bytes[i];
}

/* \d and its like: false for any other letter. */
static bool set_class(struct place *p, char c)
{
    struct place set = {.skip = false};
    char low = (char)(c | 0x20);
    if (low != 'd' && low != 'w' && low != 's')
        return false;
    for (unsigned b = 0; b < 128; b++) {
        bool digit = b >= '0' && b <= '9', letter = (b | 0x20) >= 'a' && (b | 0x20) <= 'z';
        bool in = low == 'd'   ? digit
                  : low == 'w' ? digit || letter || b == '_'
                               : b == ' ' || (b >= '\t' && b <= '\r');
        if (in)
            set_byte(&set, b);
    }
    if (c != low)
        invert(&set);
    for (size_t i = 0; i < 4; i++)
        p->bytes[i] |= set.bytes[i];
    return true;
}

static bool fail(struct parser *p, const char *why)
{
    p->why = why;
    return false;
}

static char next(struct parser *p)
{
    char c = p->rest.p[0];
    p->rest = str_from(p->rest, 1);
    return c;
}

/* One byte of a set, behind a backslash too. *class: it was \d or its like, and has been added. */
static bool set_member(struct parser *p, struct place *out, unsigned char *c, bool *class)
{
    *class = false;
    *c = (unsigned char)next(p);
    if (*c != '\\')
        return true;
    if (!p->rest.n)
        return fail(p, "a backslash ends it");
    *c = (unsigned char)next(p);
    *class = set_class(out, (char)*c);
    return true;
}

/* Behind "[". */
static bool take_set(struct parser *p, struct place *out)
{
    bool negated = p->rest.n && p->rest.p[0] == '^', any = false, class;
    unsigned char low, high;
    if (negated)
        next(p);
    while (p->rest.n && (p->rest.p[0] != ']' || !any)) {
        any = true;
        if (!set_member(p, out, &low, &class))
            return false;
        if (class)
            continue;
        high = low;
        if (p->rest.n >= 2 && p->rest.p[0] == '-' && p->rest.p[1] != ']') {
            next(p);
            if (!set_member(p, out, &high, &class))
                return false;
            if (class || high < low)
                return fail(p, "a range is broken");
        }
        for (unsigned b = low; b <= high; b++)
            set_byte(out, b);
    }
    if (!p->rest.n)
        return fail(p, "a bracket is not closed");
    next(p);
    if (negated)
        invert(out);
    return true;
}

static bool take_one(struct parser *p, struct place *out)
{
    char c = next(p);
    *out = (struct place){.skip = false};
    if (c == '[')
        return take_set(p, out);
    if (c == '.') {
        invert(out);
        return true;
    }
    if (strchr("(){}*+?]", c))
        return fail(p, c == '(' || c == ')' ? "parentheses are not supported"
                                            : "a sign has nothing to stand behind");
    if (c == '\\') {
        if (!p->rest.n)
            return fail(p, "a backslash ends it");
        c = next(p);
        if (set_class(out, c))
            return true;
    }
    set_byte(out, (unsigned char)c);
    return true;
}

static bool take_count(struct parser *p, uint64_t *n)
{
    size_t digits = 0;
    while (digits < p->rest.n && p->rest.p[digits] >= '0' && p->rest.p[digits] <= '9')
        digits++;
    if (!str_u64(str_of(p->rest.p, digits), n) || *n > REPEAT_MAX)
        return fail(p, "a repetition is broken");
    p->rest = str_from(p->rest, digits);
    return true;
}

/* {m}, {m,}, {m,n} behind the brace. *most UINT64_MAX: without end. */
static bool take_braces(struct parser *p, uint64_t *least, uint64_t *most)
{
    if (!take_count(p, least))
        return false;
    *most = *least;
    if (p->rest.n && p->rest.p[0] == ',') {
        next(p);
        *most = UINT64_MAX;
        if (p->rest.n && p->rest.p[0] != '}' && !take_count(p, most))
            return false;
    }
    if (!p->rest.n || next(p) != '}' || *most < *least)
        return fail(p, "a repetition is broken");
    return true;
}

static bool add(struct parser *p, const struct place *place)
{
    if (p->count == PLACES_MAX)
        return fail(p, "it is too long");
    p->places[p->count++] = *place;
    return true;
}

static bool take_repeated(struct parser *p)
{
    struct place one;
    uint64_t least = 1, most = 1;
    if (!take_one(p, &one))
        return false;
    char c = p->rest.n ? p->rest.p[0] : 0;
    if (c == '?' || c == '*' || c == '+' || c == '{') {
        next(p);
        least = c == '+';
        most = c == '?' ? 1 : UINT64_MAX;
        if (c == '{' && !take_braces(p, &least, &most))
            return false;
    }
    for (uint64_t i = 0; i < least; i++)
        if (!add(p, &one))
            return false;
    one.skip = true;
    one.stay = most == UINT64_MAX;
    if (one.stay)
        return add(p, &one);
    for (uint64_t i = least; i < most; i++)
        if (!add(p, &one))
            return false;
    return true;
}

static bool take_alternative(struct parser *p)
{
    size_t begin = p->count;
    bool start = p->rest.n && p->rest.p[0] == '^';
    struct place end = {.end = true};
    if (start)
        next(p);
    while (p->rest.n && p->rest.p[0] != '|') {
        if (p->rest.p[0] == '$' && (p->rest.n == 1 || p->rest.p[1] == '|')) {
            next(p);
            end.anchored = true;
        } else if (p->rest.p[0] == '^' || p->rest.p[0] == '$') {
            return fail(p, "an anchor stands in the middle");
        } else if (!take_repeated(p)) {
            return false;
        }
    }
    if (p->count == begin)
        return fail(p, "an alternative is empty");
    p->places[begin].first = true;
    p->places[begin].anchored = start;
    return add(p, &end);
}

const struct log_regex *log_regex_parse(struct arena *a, struct str pattern, const char **why)
{
    struct log_regex *r = arena_alloc(a, sizeof *r + PLACES_MAX * sizeof r->places[0]);
    struct parser p = {.rest = pattern, .why = "it is empty", .places = r ? r->places : NULL};
    bool ok = r && pattern.n;
    for (bool more = true; ok && more;) {
        ok = take_alternative(&p);
        more = ok && p.rest.n;
        if (more)
            next(&p); /* the bar, behind which there must be another */
    }
    *why = ok ? NULL : p.why;
    if (!ok)
        return NULL;
    r->count = p.count;
    return r;
}

/* --- matching ----------------------------------------------------------------------------------- */

/* The match may be at place i, and so behind what may be passed over. */
static void enter(const struct log_regex *r, uint64_t *at, size_t i)
{
    for (;; i++) {
        at[i / 64] |= 1ULL << (i % 64);
        if (!r->places[i].skip)
            return;
    }
}

static bool ended(const struct log_regex *r, const uint64_t *at, bool last)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->places[i].end && (at[i / 64] >> (i % 64) & 1) && (last || !r->places[i].anchored))
            return true;
    return false;
}

bool log_regex_match(const struct log_regex *r, struct str text)
{
    uint64_t at[WORDS] = {0}, then[WORDS];
    for (size_t k = 0;; k++) {
        for (size_t i = 0; i < r->count; i++)
            if (r->places[i].first && (k == 0 || !r->places[i].anchored))
                enter(r, at, i);
        if (ended(r, at, k == text.n))
            return true;
        if (k == text.n)
            return false;
        memset(then, 0, sizeof then);
        for (size_t w = 0; w < WORDS; w++)
            for (uint64_t bits = at[w]; bits; bits &= bits - 1) {
                size_t i = w * 64 + (size_t)__builtin_ctzll(bits);
                const struct place *p = &r->places[i];
                if (p->end || !has_byte(p, (unsigned char)text.p[k]))
                    continue;
                enter(r, then, p->stay ? i : i + 1);
            }
        memcpy(at, then, sizeof at);
    }
}
