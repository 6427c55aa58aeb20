/* lambda_check: the constraints of Lambda's model, from one table, all failures told at once.
 *
 * The rules of an operation are looked up by its row's place in ops.def; that index is made when the
 * first request comes. What needs the store, or is ours alone (runtimes, handlers of the form
 * file.function), is judged elsewhere. */
#include "api/lambda.h"
#include "auth/arn.h"
#include "base/json.h"
#include "base/log.h"

enum { SHOWN_MAX = 160, RULES_OF_ONE_MAX = 32 };

/* --- texts ------------------------------------------------------------------------------------- */

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, digits and the bytes of `more`; not empty. */
static bool word(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++)
        if (!letter(s.p[i]) && !digit(s.p[i]) && (s.p[i] == 0 || !strchr(more, s.p[i])))
            return false;
    return s.n > 0;
}

static bool is_number(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!digit(s.p[i]))
            return false;
    return s.n > 0;
}

/* list: "[one, two]" */
static bool one_of(struct str s, const char *list)
{
    struct str rest = str_c(list + 1);
    for (rest.n--; rest.p;) {
        struct str item = str_trim(str_cut(&rest, ','));
        if (str_eq(item, s))
            return true;
    }
    return false;
}

/* A name that is only too long is for its length rule to tell. */
static bool is_function_name(struct str s)
{
    struct str name, qualifier;
    return arn_function(s, STR(""), &name, &qualifier) != E_VALIDATION || word(s, "-_");
}

static bool is_qualifier(struct str s)
{
    return word(s, "$_-");
}

static bool is_alias(struct str s)
{
    return word(s, "-_") && !is_number(s);
}

static bool is_version(struct str s)
{
    return str_is(s, "$LATEST") || is_number(s);
}

static bool is_word(struct str s)
{
    return word(s, "-_");
}

static bool is_role(struct str s)
{
    struct arn a;
    return arn_parse(s, &a) && str_starts(a.partition, STR("aws")) && str_is(a.service, "iam") &&
           a.region.n == 0 && a.account.n == 12 && is_number(a.account) &&
           str_starts(a.resource, STR("role/")) && word(str_from(a.resource, 5), "+=,.@-_/");
}

static bool has_no_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0;
}

static bool is_bucket(struct str s)
{
    return word(s, ".-_") && s.p[s.n - 1] != '.';
}

static bool is_arn(struct str s)
{
    struct arn a;
    return arn_parse(s, &a) && str_starts(a.partition, STR("aws")) && word(a.service, "-") &&
           (a.account.n == 0 || (a.account.n == 12 && is_number(a.account)));
}

static bool is_arn_or_empty(struct str s)
{
    return s.n == 0 || is_arn(s);
}

/* AWS wants two bytes at least; one is enough here. */
static bool is_variable(struct str s)
{
    return word(s, "_") && letter(s.p[0]);
}

static bool is_log_group(struct str s)
{
    return word(s, ".-_/#");
}

static bool is_tagged(struct str s)
{
    struct arn a;
    return is_arn(s) && arn_parse(s, &a) && str_is(a.service, "lambda") && a.account.n == 12 &&
           a.region.n && str_index(a.resource, ':', 0) > 0;
}

static bool is_action(struct str s)
{
    if (str_is(s, "*") || str_is(s, "lambda:*"))
        return true;
    return str_starts(s, STR("lambda:")) && word(str_from(s, 7), "");
}

static bool is_account(struct str s)
{
    return s.n == 12 && is_number(s);
}

static bool is_token(struct str s)
{
    return word(s, "._-");
}

static bool is_organisation(struct str s)
{
    return str_starts(s, STR("o-")) && word(str_from(s, 2), "");
}

/* --- the tables -------------------------------------------------------------------------------- */

enum kind { TEXT, ENUM, NUMBER, DECIMAL, LIST, ANY };

struct shape {
    enum kind kind;
    int64_t min, max;
    bool (*match)(struct str s);
    const char *text;
};

enum shape_name {
#define SHAPE(name, ...) SHAPE_##name,
#include "api/lambda_check.def"
#undef SHAPE
};

static const struct shape shapes[] = {
#define SHAPE(name, kind, min, max, match, text) {kind, min, max, match, text},
#include "api/lambda_check.def"
#undef SHAPE
};

enum where { PATH, QUERY, HEADER, BODY };

struct rule {
    const char *operations;
    enum where where;
    const char *member, *shown;
    bool required;
    enum shape_name shape;
};

static const struct rule rules[] = {
#define RULE(operations, where, member, shown, required, shape)                                    \
    {operations, where, member, shown, required, SHAPE_##shape},
#include "api/lambda_check.def"
#undef RULE
};

enum { RULE_COUNT = sizeof rules / sizeof *rules };
_Static_assert(RULE_COUNT < UINT8_MAX, "an index of rules is a byte");

/* Rules of each operation, as indices counted from 1, 0 ends. */
static uint8_t rules_of[GATE_OPS_MAX][RULES_OF_ONE_MAX + 1];

static bool names(const char *operations, const struct op *op)
{
    struct str rest = str_c(operations);
    if (str_is(rest, "*"))
        return strstr(op->pattern, "/functions/{}") != NULL;
    while (rest.p)
        if (str_is(str_cut(&rest, ' '), op->name))
            return true;
    return false;
}

static void index_rules(void)
{
    for (size_t i = 0; i < gate_op_count; i++) {
        size_t n = 0;
        if (!str_is(str_c(gate_ops[i].service), "lambda"))
            continue;
        for (size_t r = 0; r < RULE_COUNT; r++) {
            if (!names(rules[r].operations, &gate_ops[i]))
                continue;
            ASSERT(n < RULES_OF_ONE_MAX);
            rules_of[i][n++] = (uint8_t)(r + 1);
        }
    }
}

/* --- failures ---------------------------------------------------------------------------------- */

struct findings {
    struct buf text;
    unsigned count;
};

static void failed(struct findings *f, struct str value, const char *shown, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* One failure; value p NULL is shown as null. */
static void failed(struct findings *f, struct str value, const char *shown, const char *fmt, ...)
{
    va_list ap;
    if (f->count++)
        buf_lit(&f->text, "; ");
    if (value.p)
        buf_printf(&f->text, "Value '%.*s' at '%s' failed to satisfy constraint: ",
                   value.n > SHOWN_MAX ? SHOWN_MAX : (int)value.n, value.p, shown);
    else
        buf_printf(&f->text, "Value null at '%s' failed to satisfy constraint: ", shown);
    va_start(ap, fmt);
    buf_vprintf(&f->text, fmt, ap);
    va_end(ap);
}

static bool numeric(const struct shape *s)
{
    return s->kind == NUMBER || s->kind == DECIMAL;
}

/* What a member must be, into out; "" when the value is so. Items of lists and maps have their
 * constraints told all together. */
static void constraint(const struct shape *s, bool too_small, bool too_large, bool mismatch,
                       struct buf *out)
{
    const char *what = numeric(s) ? "value" : "length";
    const char *point = s->kind == DECIMAL ? ".0" : "";
    const char *sort = s->kind == ENUM ? "enum value set" : "regular expression pattern";
    const char *join = "";
    if (too_large) {
        buf_printf(out, "Member must have %s less than or equal to %lld%s", what, (long long)s->max,
                   point);
        join = ", ";
    }
    if (too_small) {
        buf_printf(out, "%sMember must have %s greater than or equal to %lld%s", join, what,
                   (long long)s->min, point);
        join = ", ";
    }
    if (mismatch)
        buf_printf(out, "%sMember must satisfy %s: %s", join, sort, s->text);
}

static bool fits(const struct shape *s, struct str text, double number, bool *small, bool *large,
                 bool *mismatch)
{
    double size = numeric(s) ? number : (double)text.n;
    *small = size < (double)s->min;
    *large = (numeric(s) || s->max) && size > (double)s->max;
    *mismatch = s->kind == ENUM ? !one_of(text, s->text) : s->match && !s->match(text);
    return !*small && !*large && !*mismatch;
}

/* A plain member: each broken constraint is a failure of its own. */
static void judge(struct findings *f, const struct rule *r, struct str value, double number)
{
    const struct shape *s = &shapes[r->shape];
    bool broken[3];
    if (fits(s, value, number, &broken[0], &broken[1], &broken[2]))
        return;
    for (int i = 0; i < 3; i++) {
        struct buf text = BUF_INIT;
        if (!broken[i])
            continue;
        constraint(s, i == 0, i == 1, i == 2, &text);
        failed(f, value, r->shown, "%.*s", STR_FMT(buf_str(&text)));
        buf_deinit(&text);
    }
}

static void judge_text(struct findings *f, const struct rule *r, struct str value)
{
    char *end, copy[64];
    if (!numeric(&shapes[r->shape])) {
        judge(f, r, value, 0);
        return;
    }
    snprintf(copy, sizeof copy, "%.*s", value.n > 60 ? 60 : (int)value.n, value.p);
    double number = strtod(copy, &end);
    if (*end || end == copy || !is_number(value))
        number = value.n && value.p[0] == '-' ? -1 : 0;
    judge(f, r, value, number);
}

/* A JSON value as AWS shows it, in the arena. */
static struct str shown_value(struct call *c, json_t *v)
{
    struct buf text = BUF_INIT;
    struct str s = json_bytes(v);
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach(v, key, item)
        {
            struct str one = text.n < SHOWN_MAX ? shown_value(c, item) : STR("");
            buf_printf(&text, "%s%s=%.*s", text.n ? ", " : "{", key, STR_FMT(one));
        }
        buf_lit(&text, "}");
    } else if (json_is_array(v)) {
        buf_lit(&text, "[");
        json_array_foreach(v, i, item)
        {
            struct str one = text.n < SHOWN_MAX ? shown_value(c, item) : STR("");
            buf_printf(&text, "%s%.*s", i ? ", " : "", STR_FMT(one));
        }
        buf_lit(&text, "]");
    } else if (s.p) {
        buf_add(&text, s);
    } else if (json_is_real(v)) {
        buf_printf(&text, "%.15g", json_real_value(v));
    } else {
        json_write(&text, v);
    }
    struct str out = arena_dup(c->arena, buf_str(&text));
    buf_deinit(&text);
    return out.p ? out : STR("");
}

/* One item of a list or a map, or a key: the whole is shown, what is wrong in brackets. */
static void judge_item(struct findings *f, struct call *c, const struct rule *r, json_t *whole,
                       const char *of, struct str text, double number)
{
    const struct shape *s = &shapes[r->shape];
    struct buf wrong = BUF_INIT;
    bool small, large, mismatch;
    if (fits(s, text, number, &small, &large, &mismatch))
        return;
    constraint(s, numeric(s) || s->min, numeric(s) || s->max, s->text != NULL, &wrong);
    failed(f, shown_value(c, whole), r->shown,
           "%s must satisfy constraint: [%.*s, Member must not "
           "be null]",
           of, STR_FMT(buf_str(&wrong)));
    buf_deinit(&wrong);
}

static bool of_kind(const struct shape *s, const json_t *v)
{
    bool text = s->kind == TEXT || s->kind == ENUM;
    return numeric(s) ? json_is_number(v) : !text || json_is_string(v);
}

/* what: "[]", "{k}" or "{v}". The first bad one is told. */
static void judge_items(struct findings *f, struct call *c, const struct rule *r, json_t *whole,
                        struct str what)
{
    const struct shape *s = &shapes[r->shape];
    unsigned before = f->count;
    const char *key;
    json_t *item;
    size_t i;
    if (str_is(what, "[]"))
        json_array_foreach(whole, i, item)
        {
            if (f->count == before && of_kind(s, item))
                judge_item(f, c, r, whole, "Member", json_bytes(item), json_number_value(item));
        }
    else
        json_object_foreach(whole, key, item)
        {
            if (f->count > before)
                break;
            if (str_is(what, "{k}"))
                judge_item(f, c, r, whole, "Map keys", str_c(key), 0);
            else if (of_kind(s, item))
                judge_item(f, c, r, whole, "Map value", json_bytes(item), json_number_value(item));
        }
}

/* --- where a member lies ----------------------------------------------------------------------- */

/* The value at a path with dots; *parent is whether the object that should hold it is there. */
static json_t *find_member(json_t *o, struct str path, bool *parent)
{
    *parent = true;
    while (path.p) {
        struct str part = str_cut(&path, '.');
        *parent = json_is_object(o);
        o = json_object_getn(o, part.p, part.n);
    }
    return json_is_null(o) ? NULL : o;
}

static void judge_body(struct findings *f, struct call *c, const struct rule *r)
{
    const struct shape *s = &shapes[r->shape];
    struct str path = str_c(r->member), what = STR("");
    bool parent;
    char last = path.p[path.n - 1];
    if (last == ']' || last == '}') {
        size_t n = last == ']' ? 2 : 3;
        what = str_from(path, path.n - n);
        path.n -= n;
    }
    json_t *v = find_member(c->json, path, &parent);
    if (!v) {
        if (r->required && parent)
            failed(f, (struct str){NULL, 0}, r->shown, "Member must not be null");
    } else if (what.n) {
        judge_items(f, c, r, v, what);
    } else if (s->kind == LIST && json_is_array(v)) {
        size_t n = json_array_size(v);
        if ((int64_t)n < s->min || (int64_t)n > s->max)
            failed(f, shown_value(c, v), r->shown,
                   "Member must have length %s than or equal to %lld",
                   (int64_t)n < s->min ? "greater" : "less",
                   (long long)((int64_t)n < s->min ? s->min : s->max));
    } else if (numeric(s) && json_is_number(v)) {
        judge(f, r, shown_value(c, v), json_number_value(v));
    } else if ((s->kind == TEXT || s->kind == ENUM) && json_is_string(v)) {
        judge(f, r, json_bytes(v), 0);
    }
}

static void judge_rule(struct findings *f, struct call *c, const struct rule *r)
{
    struct str value = {NULL, 0};
    if (r->where == BODY) {
        if (c->json)
            judge_body(f, c, r);
        return;
    }
    if (r->where == PATH)
        value = c->param[r->member[0] - '0'];
    else if (r->where == QUERY)
        value = call_query(c, r->member);
    else
        value = call_header(c, r->member);
    if (value.p && (value.n || r->where != QUERY))
        judge_text(f, r, value);
    else if (r->required)
        failed(f, (struct str){NULL, 0}, r->shown, "Member must not be null");
}

int lambda_check(struct call *c, struct err *err)
{
    static bool indexed;
    struct findings f = {0};
    size_t place = (size_t)(c->op - gate_ops);
    if (!indexed)
        index_rules();
    indexed = true;
    if (c->op < gate_ops || place >= gate_op_count)
        return 0;
    for (const uint8_t *r = rules_of[place]; *r; r++)
        judge_rule(&f, c, &rules[*r - 1]);
    if (!f.count)
        return 0;
    int rc = err_set(err, E_VALIDATION, "%u validation error%s detected: %.*s", f.count,
                     f.count > 1 ? "s" : "", STR_FMT(buf_str(&f.text)));
    buf_deinit(&f.text);
    return rc;
}
