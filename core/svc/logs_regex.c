/* logs_regex: without parentheses an expression is a list of alternatives, each a row of places; a
 * place is a set of bytes that may be passed over, or stayed at. Repetition is written out: x{2,4} is
 * four places of which two may be passed over. A set of bits says at which places the match may be,
 * and one byte moves all of them in a few operations. What may be passed over lies in runs; a
 * subtraction that borrows through a run reaches its end at once (Navarro and Raffinot's way). */
#include "svc/logs_regex.h"

enum { PLACES_MAX = 127, REPEAT_MAX = 100 };

typedef unsigned __int128 place_set; /* of places; a name, since the type has none */

struct place {
    uint64_t bytes[4]; /* that lead to the next place */
    bool skip;         /* it may be passed over */
    bool stay;         /* it may be taken again */
    bool first, end;   /* of its alternative; end takes nothing */
    bool anchored;     /* first: at the text's start only; end: at its end only */
};

struct log_regex {
    place_set takes[256];   /* places that a byte leads on from */
    place_set stay;         /* those that it leads back to */
    place_set start, begin; /* where a match may begin: at the text's start; anywhere else */
    place_set finish, end;  /* where it has ended: at the text's end; anywhere else */
    place_set run, run_first,
        run_last; /* behind what may be passed over: all of it; begin, end of each */
};

struct parser {
    struct str rest;
    const char *why;
    struct place places[PLACES_MAX];
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

/* --- matching ----------------------------------------------------------------------------------- */

/* And all places behind what may be passed over. */
static place_set reach(const struct log_regex *r, place_set at)
{
    place_set upto = at | r->run_last;
    return at | (r->run & (~(upto - r->run_first) ^ upto));
}

bool log_regex_match(const struct log_regex *r, struct str text)
{
    place_set at = r->start;
    for (size_t k = 0; k < text.n; k++) {
        if (at & r->end)
            return true;
        place_set moved = at & r->takes[(unsigned char)text.p[k]];
        at = reach(r, (moved & r->stay) | (moved & ~r->stay) << 1) | r->begin;
    }
    return at & r->finish;
}

/* --- making it ---------------------------------------------------------------------------------- */

static place_set bit(size_t i)
{
    return (place_set)1 << i;
}

/* Runs of places that may be passed over, each with the place behind it. */
static void note_runs(struct log_regex *r, const struct parser *p)
{
    for (size_t i = 0, k; i < p->count; i = k + 1) {
        for (k = i; p->places[k].skip; k++) /* the last place is an end: it stays */
            r->run |= bit(k + 1);
        if (k == i)
            continue;
        r->run_first |= bit(i);
        r->run_last |= bit(k);
    }
}

static void compile(struct log_regex *r, const struct parser *p)
{
    memset(r, 0, sizeof *r);
    note_runs(r, p);
    for (size_t i = 0; i < p->count; i++) {
        const struct place *place = &p->places[i];
        for (unsigned c = 0; c < 256; c++)
            if (has_byte(place, (unsigned char)c))
                r->takes[c] |= bit(i);
        r->stay |= place->stay ? bit(i) : 0;
        r->start |= place->first ? bit(i) : 0;
        r->begin |= place->first && !place->anchored ? bit(i) : 0;
        r->finish |= place->end ? bit(i) : 0;
        r->end |= place->end && !place->anchored ? bit(i) : 0;
    }
    r->start = reach(r, r->start);
    r->begin = reach(r, r->begin);
}

const struct log_regex *log_regex_parse(struct arena *a, struct str pattern, const char **why)
{
    struct parser p = {.rest = pattern, .why = "it is empty"};
    bool ok = pattern.n;
    for (bool more = true; ok && more;) {
        ok = take_alternative(&p);
        more = ok && p.rest.n;
        if (more)
            next(&p); /* the bar, behind which there must be another */
    }
    struct log_regex *r = ok ? arena_alloc(a, sizeof *r) : NULL;
    *why = ok ? "it is too long" : p.why;
    if (r)
        compile(r, &p);
    return r;
}
