/* policy_pattern: texts with wildcards and variables.
 *
 * Most patterns of real documents are a text, a text with one star at its end, or a star; those are
 * told apart once, when the document is read. Variables are filled in when a request is judged: what
 * a variable holds is text, whatever stars are in it, and a variable without a value makes the whole
 * pattern match nothing. */
#include "auth/policy_doc.h"

#include "auth/arn.h"

/* --- matching ---------------------------------------------------------------------------------
 */

bool pattern_wild(struct str pattern, struct str s)
{
    return wild_match(pattern, s, WILD_RUN, WILD_ONE);
}

bool pattern_match(const struct pattern *p, struct str s, const struct policy_query *q,
                   bool *unresolved)
{
    char space[PATTERN_SPACE];
    struct str text;
    switch (p->kind) {
    case PATTERN_ANY:
        return true;
    case PATTERN_EXACT:
        return str_eq(p->text, s);
    case PATTERN_PREFIX:
        return str_starts(s, p->text);
    case PATTERN_GLOB:
        return pattern_wild(p->text, s);
    case PATTERN_VARS:
        if (pattern_expand(p, q, space, &text))
            return pattern_wild(text, s);
        *unresolved = true;
        return false;
    case PATTERN_NEVER:
        *unresolved = true;
        break;
    }
    return false;
}

/* A value that holds the bytes of wildcards is no text that could be meant. */
static bool plain(struct str s)
{
    return str_index(s, WILD_RUN, 0) < 0 && str_index(s, WILD_ONE, 0) < 0;
}

bool pattern_expand(const struct pattern *p, const struct policy_query *q,
                    char space[static PATTERN_SPACE], struct str *out)
{
    size_t n = 0;
    if (p->kind != PATTERN_VARS) {
        *out = p->text;
        return p->kind != PATTERN_NEVER;
    }
    for (size_t i = 0; i < p->piece_count; i++) {
        const struct piece *e = &p->pieces[i];
        struct str text = e->text, values[2];
        if (e->variable) {
            size_t got = policy_values(q, e->text, values, 2);
            text = got == 1 ? values[0] : got == 0 ? e->fallback : (struct str){NULL, 0};
            if (!text.p || !plain(text))
                return false;
        }
        if (text.n > PATTERN_SPACE - n)
            return false;
        memcpy(space + n, text.p, text.n);
        n += text.n;
    }
    *out = str_of(space, n);
    return true;
}

/* --- compiling --------------------------------------------------------------------------------
 */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* "aws:username" or "aws:username, 'nobody'": a variable. False when the arena is full. */
static bool compile_variable(struct arena *a, struct str inside, struct piece *e)
{
    struct str fallback = inside, key = str_trim(str_cut(&fallback, ','));
    char *low = arena_alloc(a, key.n + 1);
    if (!low)
        return false;
    for (size_t i = 0; i < key.n; i++)
        low[i] = lower(key.p[i]);
    *e = (struct piece){.variable = true, .text = str_of(low, key.n)};
    fallback = str_trim(fallback);
    if (fallback.n >= 2 && fallback.p[0] == '\'' && fallback.p[fallback.n - 1] == '\'') {
        e->fallback = arena_dup(a, str_of(fallback.p + 1, fallback.n - 2));
        return e->fallback.p != NULL;
    }
    return true;
}

struct compiler {
    struct arena *a;
    struct pattern *out;
    char *text; /* literal bytes; those of the piece under way begin at `begin` */
    size_t n, begin;
    bool full, reached, never;
};

static void end_piece(struct compiler *k)
{
    if (k->n > k->begin)
        k->out->pieces[k->out->piece_count++] =
            (struct piece){.text = str_of(k->text + k->begin, k->n - k->begin)};
    k->begin = k->n;
}

/* One "${…}"; inside is what stands between the braces. */
static void take_variable(struct compiler *k, struct str inside, int flags, bool *unknown)
{
    struct piece e;
    if (inside.n == 1 && strchr("*?$", inside.p[0])) {
        k->text[k->n++] = inside.p[0];
        return;
    }
    if (!compile_variable(k->a, inside, &e)) {
        k->full = true;
    } else if (!condition_key_known(e.text)) {
        *unknown = true;
        if (flags & PATTERN_REACH)
            k->text[k->n++] = WILD_RUN;
        else
            k->never = true;
    } else {
        end_piece(k);
        k->out->pieces[k->out->piece_count++] = e;
        k->reached = true;
    }
}

static void classify(struct pattern *p)
{
    struct str s = p->text;
    ptrdiff_t run = str_index(s, WILD_RUN, 0), one = str_index(s, WILD_ONE, 0);
    if (run < 0 && one < 0)
        p->kind = PATTERN_EXACT;
    else if (one < 0 && (size_t)run + 1 == s.n)
        p->kind = s.n == 1 ? PATTERN_ANY : PATTERN_PREFIX;
    else
        p->kind = PATTERN_GLOB;
    if (p->kind == PATTERN_PREFIX)
        p->text.n--;
}

bool pattern_compile(struct arena *a, struct str s, int flags, struct pattern *out, bool *unknown)
{
    struct compiler k = {.a = a, .out = out};
    size_t dollars = 1;
    for (size_t i = 0; i < s.n; i++)
        dollars += s.p[i] == '$';
    *out = (struct pattern){.kind = PATTERN_EXACT};
    k.text = arena_alloc(a, s.n + 1);
    out->pieces = arena_alloc(a, 2 * dollars * sizeof *out->pieces);
    if (!k.text || !out->pieces)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        ptrdiff_t end = (flags & PATTERN_VARIABLES) && c == '$' && i + 1 < s.n && s.p[i + 1] == '{'
                            ? str_index(s, '}', i)
                            : -1;
        if (end >= 0) {
            take_variable(&k, str_of(s.p + i + 2, (size_t)end - i - 2), flags, unknown);
            i = (size_t)end;
        } else if (c == '*' && !(flags & PATTERN_LITERAL)) {
            k.text[k.n++] = WILD_RUN;
        } else if (c == '?' && !(flags & PATTERN_LITERAL)) {
            k.text[k.n++] = WILD_ONE;
        } else {
            k.text[k.n++] = flags & PATTERN_LOWER ? lower(c) : c;
        }
    }
    if (k.full)
        return false;
    end_piece(&k);
    out->text = str_of(k.text, k.n);
    if (k.never)
        out->kind = PATTERN_NEVER;
    else if (k.reached)
        out->kind = PATTERN_VARS;
    else
        classify(out);
    return true;
}
