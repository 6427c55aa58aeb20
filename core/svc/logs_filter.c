/* logs_filter: a pattern is a list of terms; matching is a substring search for each. A term is
 * looked for anywhere in the text, not only between word breaks: whoever searches for "time" wants
 * to find "timeout". */
#include "svc/logs_filter.h"

#include "svc/logs_filter_json.h"
#include "svc/logs_regex.h"

enum { PATTERN_MAX = 1024 };

struct term {
    char kind; /* ' ' all, '?' any, '-' none */
    struct str text;
};

struct log_filter {
    const struct json_filter *json; /* instead of terms */
    const struct log_regex *regex;  /* likewise */
    size_t count;
    bool any; /* there are '?' terms */
    struct term terms[];
};

/* Takes a quoted phrase off *rest (which begins with '"'); unescaped into `into`. */
static bool take_quoted(struct str *rest, char *into, struct str *out)
{
    size_t n = 0;
    for (size_t i = 1; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '"') {
            *out = str_of(into, n);
            *rest = str_from(*rest, i + 1);
            return true;
        }
        if (c == '\\' && i + 1 < rest->n && (rest->p[i + 1] == '"' || rest->p[i + 1] == '\\'))
            c = rest->p[++i];
        into[n++] = c;
    }
    return false;
}

static struct str take_word(struct str *rest)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    struct str word = str_of(rest->p, n);
    *rest = str_from(*rest, n);
    return word;
}

static const char *take_term(struct str *rest, char **space, struct term *t)
{
    t->kind = ' ';
    if ((rest->p[0] == '?' || rest->p[0] == '-') && rest->n > 1) {
        t->kind = rest->p[0];
        *rest = str_from(*rest, 1);
    }
    if (rest->p[0] != '"') {
        t->text = take_word(rest);
        return t->text.n ? NULL : "a term is empty";
    }
    if (!take_quoted(rest, *space, &t->text))
        return "a quote is not closed";
    *space += t->text.n;
    return NULL;
}

static const struct log_filter *refuse(int *rc, struct err *err, const char *why)
{
    *rc = err_set(err, E_INVALID, "Invalid filter pattern: %s", why);
    return NULL;
}

const struct log_filter *log_filter_parse(struct arena *a, struct str pattern, int *rc,
                                          struct err *err)
{
    struct str rest = str_trim(pattern);
    *rc = 0;
    if (rest.n == 0)
        return NULL;
    if (rest.n > PATTERN_MAX)
        return refuse(rc, err, "it is longer than 1024 characters");
    if (rest.p[0] == '[')
        return refuse(rc, err, "patterns on columns are not supported");
    char *space = arena_alloc(a, rest.n);
    struct str copy = arena_dup(a, rest);
    struct log_filter *f = arena_alloc(a, sizeof *f + (rest.n / 2 + 1) * sizeof f->terms[0]);
    if (!space || !copy.p || !f)
        return refuse(rc, err, "it is too long");
    f->json = NULL;
    f->regex = NULL;
    f->count = 0;
    f->any = false;
    if (rest.p[0] == '{') {
        const char *why;
        f->json = json_filter_parse(a, copy, &why);
        return f->json ? f : refuse(rc, err, why);
    }
    if (rest.p[0] == '%') {
        const char *why = "a percent sign is not closed";
        if (rest.n > 2 && rest.p[rest.n - 1] == '%')
            f->regex = log_regex_parse(a, str_of(copy.p + 1, copy.n - 2), &why);
        return f->regex ? f : refuse(rc, err, why);
    }
    for (rest = copy; rest.n; rest = str_trim(rest)) {
        struct term *t = &f->terms[f->count++];
        const char *why = take_term(&rest, &space, t);
        if (why)
            return refuse(rc, err, why);
        f->any |= t->kind == '?';
    }
    return f;
}

bool log_filter_match(const struct log_filter *f, struct str text)
{
    bool any = !f || !f->any;
    if (f && f->json)
        return json_filter_match(f->json, text);
    if (f && f->regex)
        return log_regex_match(f->regex, text);
    for (size_t i = 0; f && i < f->count; i++) {
        const struct term *t = &f->terms[i];
        bool found = str_find(text, t->text) >= 0;
        if (t->kind == '?')
            any |= found;
        else if (found != (t->kind == ' '))
            return false;
    }
    return any;
}

bool log_filter_is_slow(const struct log_filter *f)
{
    return f && (f->json || f->regex);
}
