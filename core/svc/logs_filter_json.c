/* logs_filter_json: a recursive-descent parser (at most NESTING_MAX deep) makes a tree of conditions;
 * matching parses the event once and asks the tree. An event that is no JSON object or array matches
 * nothing. */
#include "svc/logs_filter_json.h"

#include <math.h>

#include "base/json.h"
#include "svc/logs_regex.h"

enum { NESTING_MAX = 32, STEPS_MAX = 64 };

struct step {
    enum { STEP_NAME, STEP_INDEX, STEP_ANY } kind;
    struct str name;
    size_t index;
};

enum test { T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_NULL, T_TRUE, T_FALSE, T_EXISTS, T_ABSENT };

struct json_filter { /* a node */
    enum { N_AND, N_OR, N_TEST } kind;
    const struct json_filter *left, *right; /* of AND and OR */
    struct step *steps;
    size_t step_count;
    enum test test;
    struct str text;               /* compared with */
    double number;                 /* the same as a number, NAN when it is none */
    const struct log_regex *regex; /* instead of text */
};

/* --- parsing ------------------------------------------------------------------------------------ */

struct parser {
    struct arena *arena;
    struct str rest;
    const char *why;
    int depth;
};

static struct json_filter *parse_or(struct parser *p);

static void *fail(struct parser *p, const char *why)
{
    if (!p->why)
        p->why = why;
    return NULL;
}

static void skip_blanks(struct parser *p)
{
    while (p->rest.n && strchr(" \t\r\n", p->rest.p[0]))
        p->rest = str_from(p->rest, 1);
}

/* Takes a mark such as "&&" if it is next. */
static bool take(struct parser *p, struct str mark)
{
    skip_blanks(p);
    if (!str_starts(p->rest, mark))
        return false;
    p->rest = str_from(p->rest, mark.n);
    return true;
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (unsigned char)c >= 0x80;
}

/* Takes a key word, which must end there. */
static bool take_word(struct parser *p, struct str word)
{
    skip_blanks(p);
    if (!str_starts(p->rest, word) || (p->rest.n > word.n && word_byte(p->rest.p[word.n])))
        return false;
    p->rest = str_from(p->rest, word.n);
    return true;
}

/* A text in quotes, of which the first is next. */
static bool take_quoted(struct parser *p, struct str *out)
{
    char quote = p->rest.p[0], *into = arena_alloc(p->arena, p->rest.n);
    size_t n = 0, i = 1;
    for (; into && i < p->rest.n && p->rest.p[i] != quote; i++) {
        if (p->rest.p[i] == '\\' && i + 1 < p->rest.n)
            i++;
        into[n++] = p->rest.p[i];
    }
    if (!into || i >= p->rest.n)
        return false;
    *out = str_of(into, n);
    p->rest = str_from(p->rest, i + 1);
    return true;
}

/* "[0]", "[*]", "[\"name\"]": behind the bracket. */
static bool take_subscript(struct parser *p, struct step *s)
{
    uint64_t n;
    size_t digits = 0;
    skip_blanks(p);
    if (p->rest.n && (p->rest.p[0] == '"' || p->rest.p[0] == '\'')) {
        s->kind = STEP_NAME;
        return take_quoted(p, &s->name) && take(p, STR("]"));
    }
    if (take(p, STR("*"))) {
        s->kind = STEP_ANY;
        return take(p, STR("]"));
    }
    while (digits < p->rest.n && p->rest.p[digits] >= '0' && p->rest.p[digits] <= '9')
        digits++;
    if (!str_u64(str_of(p->rest.p, digits), &n) || n > INT32_MAX)
        return false;
    s->kind = STEP_INDEX;
    s->index = (size_t)n;
    p->rest = str_from(p->rest, digits);
    return take(p, STR("]"));
}

static bool take_member(struct parser *p, struct step *s)
{
    size_t n = 0;
    if (p->rest.n && p->rest.p[0] == '*') {
        s->kind = STEP_ANY;
        p->rest = str_from(p->rest, 1);
        return true;
    }
    while (n < p->rest.n && (word_byte(p->rest.p[n]) || strchr("@/#+$", p->rest.p[n])))
        n++;
    s->kind = STEP_NAME;
    s->name = arena_dup(p->arena, str_of(p->rest.p, n));
    p->rest = str_from(p->rest, n);
    return n && s->name.p;
}

/* $ and its steps. */
static bool take_selector(struct parser *p, struct json_filter *f)
{
    struct step steps[STEPS_MAX];
    size_t n = 0;
    if (!take(p, STR("$")))
        return fail(p, "a condition begins with $");
    while (p->rest.n && (p->rest.p[0] == '.' || p->rest.p[0] == '[')) {
        bool dot = p->rest.p[0] == '.', bracket = !dot;
        p->rest = str_from(p->rest, 1);
        if (dot && p->rest.n && p->rest.p[0] == '[') { /* $.["a"] is $["a"] */
            bracket = true;
            p->rest = str_from(p->rest, 1);
        }
        if (n == STEPS_MAX || !(bracket ? take_subscript(p, &steps[n]) : take_member(p, &steps[n])))
            return fail(p, "a selector is broken");
        n++;
    }
    f->steps = n ? arena_alloc(p->arena, n * sizeof *steps) : NULL;
    if (!f->steps)
        return fail(p, "a selector names nothing");
    memcpy(f->steps, steps, n * sizeof *steps);
    f->step_count = n;
    return true;
}

/* All of s as a number of JSON's grammar (a sign may lead), else NAN. */
static double number_of(struct str s)
{
    char text[64], *end;
    if (s.n == 0 || s.n >= sizeof text)
        return NAN;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789+-.eE", s.p[i]))
            return NAN;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    double d = strtod(text, &end);
    return *end || !isfinite(d) ? NAN : d;
}

/* Between percent signs, of which the first is next. */
static bool take_regex(struct parser *p, struct json_filter *f)
{
    ptrdiff_t end = str_index(p->rest, '%', 1);
    const char *why = "a percent sign is not closed";
    if (f->test != T_EQ && f->test != T_NE)
        return fail(p, "only numbers are ordered");
    if (end > 1)
        f->regex = log_regex_parse(p->arena, str_of(p->rest.p + 1, (size_t)end - 1), &why);
    if (!f->regex)
        return fail(p, why);
    p->rest = str_from(p->rest, (size_t)end + 1);
    return true;
}

static bool take_value(struct parser *p, struct json_filter *f)
{
    size_t n = 0;
    skip_blanks(p);
    f->number = NAN;
    if (p->rest.n && p->rest.p[0] == '"') {
        if (!take_quoted(p, &f->text))
            return fail(p, "a quote is not closed");
        return f->test == T_EQ || f->test == T_NE || fail(p, "only numbers are ordered");
    }
    if (p->rest.n && p->rest.p[0] == '%')
        return take_regex(p, f);
    while (n < p->rest.n && !strchr(" \t\r\n\"(){}&|<>=!", p->rest.p[n]))
        n++;
    f->text = arena_dup(p->arena, str_of(p->rest.p, n));
    if (n == 0 || !f->text.p)
        return fail(p, "a value is missing");
    p->rest = str_from(p->rest, n);
    f->number = number_of(f->text);
    if (isnan(f->number) && f->test != T_EQ && f->test != T_NE)
        return fail(p, "only numbers are ordered");
    return true;
}

static struct json_filter *parse_test(struct parser *p)
{
    static const struct {
        const char *mark;
        enum test test;
    } marks[] = {{"!=", T_NE}, {"<=", T_LE}, {">=", T_GE}, {"=", T_EQ}, {"<", T_LT}, {">", T_GT}};
    struct json_filter *f = arena_zalloc(p->arena, sizeof *f);
    if (!f || !take_selector(p, f))
        return fail(p, "it is too long");
    f->kind = N_TEST;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (take(p, str_c(marks[i].mark))) {
            f->test = marks[i].test;
            return take_value(p, f) ? f : NULL;
        }
    if (take_word(p, STR("EXISTS")))
        f->test = T_EXISTS;
    else if (take_word(p, STR("NOT")) && take_word(p, STR("EXISTS")))
        f->test = T_ABSENT;
    else if (!take_word(p, STR("IS")))
        return fail(p, "a comparison is missing");
    else if (take_word(p, STR("NULL")))
        f->test = T_NULL;
    else if (take_word(p, STR("TRUE")))
        f->test = T_TRUE;
    else if (take_word(p, STR("FALSE")))
        f->test = T_FALSE;
    else
        return fail(p, "IS is followed by NULL, TRUE or FALSE");
    return f;
}

static struct json_filter *parse_one(struct parser *p)
{
    if (!take(p, STR("(")))
        return parse_test(p);
    if (++p->depth > NESTING_MAX)
        return fail(p, "it is nested too deeply");
    struct json_filter *f = parse_or(p);
    p->depth--;
    return f && !take(p, STR(")")) ? fail(p, "a parenthesis is not closed") : f;
}

static struct json_filter *join(struct parser *p, int kind, struct json_filter *left,
                                struct json_filter *right)
{
    struct json_filter *f = left && right ? arena_zalloc(p->arena, sizeof *f) : NULL;
    if (!f)
        return fail(p, "it is too long");
    f->kind = kind;
    f->left = left;
    f->right = right;
    return f;
}

static struct json_filter *parse_and(struct parser *p)
{
    struct json_filter *f = parse_one(p);
    while (f && take(p, STR("&&")))
        f = join(p, N_AND, f, parse_one(p));
    return f;
}

static struct json_filter *parse_or(struct parser *p)
{
    struct json_filter *f = parse_and(p);
    while (f && take(p, STR("||")))
        f = join(p, N_OR, f, parse_and(p));
    return f;
}

const struct json_filter *json_filter_parse(struct arena *a, struct str pattern, const char **why)
{
    struct parser p = {.arena = a, .rest = pattern};
    const struct json_filter *f = take(&p, STR("{")) ? parse_or(&p) : NULL;
    if (f && !take(&p, STR("}")))
        f = fail(&p, "a brace is not closed");
    skip_blanks(&p);
    if (f && p.rest.n)
        f = fail(&p, "something follows the closing brace");
    *why = f ? NULL : p.why ? p.why : "it is empty";
    return f;
}

/* --- matching ----------------------------------------------------------------------------------- */

/* Stars are any run of bytes. */
static bool like(struct str pattern, struct str s)
{
    ptrdiff_t star = str_index(pattern, '*', 0);
    if (star < 0)
        return str_eq(pattern, s);
    struct str head = str_of(pattern.p, (size_t)star);
    if (!str_starts(s, head))
        return false;
    s = str_from(s, head.n);
    pattern = str_from(pattern, (size_t)star + 1);
    while ((star = str_index(pattern, '*', 0)) >= 0) {
        struct str piece = str_of(pattern.p, (size_t)star);
        ptrdiff_t at = str_find(s, piece);
        if (at < 0)
            return false;
        s = str_from(s, (size_t)at + piece.n);
        pattern = str_from(pattern, (size_t)star + 1);
    }
    return str_ends(s, pattern);
}

static bool text_is(const struct json_filter *f, struct str s)
{
    return f->regex ? log_regex_match(f->regex, s) : like(f->text, s);
}

/* Equality with a scalar; *comparable is false for anything else. */
static bool equal(const struct json_filter *f, const json_t *v, bool *comparable)
{
    char text[64];
    *comparable = true;
    if (json_is_string(v))
        return text_is(f, json_bytes(v));
    if (json_is_boolean(v))
        return text_is(f, json_is_true(v) ? STR("true") : STR("false"));
    if (json_is_number(v)) {
        if (!isnan(f->number))
            return json_number_value(v) == f->number;
        if (json_is_integer(v))
            snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
        else
            snprintf(text, sizeof text, "%.17g", json_real_value(v));
        return text_is(f, str_c(text)) || number_of(f->text) == json_number_value(v);
    }
    *comparable = json_is_null(v);
    return false;
}

static bool ordered(const struct json_filter *f, const json_t *v)
{
    double a = json_number_value(v), b = f->number;
    if (!json_is_number(v))
        return false;
    switch (f->test) {
    case T_LT:
        return a < b;
    case T_LE:
        return a <= b;
    case T_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static bool holds(const struct json_filter *f, const json_t *v)
{
    bool comparable, same;
    switch (f->test) {
    case T_EQ:
        return equal(f, v, &comparable);
    case T_NE:
        same = equal(f, v, &comparable);
        return comparable && !same;
    case T_NULL:
        return json_is_null(v);
    case T_TRUE:
        return json_is_true(v);
    case T_FALSE:
        return json_is_false(v);
    case T_EXISTS:
        return true;
    case T_ABSENT:
        return false;
    default:
        return ordered(f, v);
    }
}

/* Is there a value at the steps from `at` on below v for which it holds? *budget bounds what stars
 * may visit. */
static bool reach(const struct json_filter *f, size_t at, const json_t *v, size_t *budget,
                  bool *found)
{
    const json_t *child;
    const char *name;
    size_t i;
    if (at == f->step_count) {
        *found = true;
        return holds(f, v);
    }
    const struct step *s = &f->steps[at];
    if (*budget == 0)
        return false;
    --*budget;
    if (s->kind == STEP_NAME) {
        child = json_object_getn(v, s->name.p, s->name.n);
        return child && reach(f, at + 1, child, budget, found);
    }
    if (s->kind == STEP_INDEX) {
        child = json_array_get(v, s->index);
        return child && reach(f, at + 1, child, budget, found);
    }
    json_array_foreach(v, i, child)
    {
        if (reach(f, at + 1, child, budget, found))
            return true;
    }
    json_object_foreach((json_t *)(uintptr_t)v, name, child)
    {
        if (reach(f, at + 1, child, budget, found))
            return true;
    }
    return false;
}

static bool ask(const struct json_filter *f, const json_t *event)
{
    enum { VISITS_MAX = 100000 };
    size_t budget = VISITS_MAX;
    bool found = false;
    if (f->kind == N_AND)
        return ask(f->left, event) && ask(f->right, event);
    if (f->kind == N_OR)
        return ask(f->left, event) || ask(f->right, event);
    bool yes = reach(f, 0, event, &budget, &found);
    return f->test == T_ABSENT ? !found : yes;
}

bool json_filter_match(const struct json_filter *f, struct str text)
{
    text = str_trim(text);
    if (text.n < 2 || (text.p[0] != '{' && text.p[0] != '['))
        return false;
    json_t *event = json_parse(text, NULL);
    bool yes = event && ask(f, event);
    json_decref(event);
    return yes;
}
