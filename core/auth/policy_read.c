/* policy_read: from a policy document's text to statements.
 *
 * The rule that shapes this file: whatever is not understood must never give anything. So each
 * statement carries `known`; an element, condition operator or key that is not implemented clears it,
 * and a statement that is not known cannot allow. Policy variables are such a thing: a resource of an
 * Allow that holds one matches nothing, a resource of a Deny has "any text" in its place, so that a
 * Deny may reach too far but never too short.
 *
 * Documents that AWS would refuse at the door (bad JSON, no Effect, an action without a vendor, …)
 * are refused here too, with a text close to AWS's. Actions are compared without case, so they are
 * lowered once here. */
#include "auth/arn.h"
#include "auth/policy_doc.h"
#include "base/json.h"

enum { DOCUMENT_MAX = 64 * 1024 };

#define TOO_LARGE "The policy document is too large."

/* While reading. */
struct reader {
    struct policy *p;
    struct err *err;
    struct statement *st;
    json_t *sids; /* those seen, as an object's names */
};

/* Names (lower case) whose values callers hand in whenever they exist. */
static const char *const known_keys[] = {
    "aws:sourcearn",     "aws:sourceaccount",         "aws:principalarn",
    "aws:principaltype", "aws:principalaccount",      "lambda:functionurlauthtype",
    "aws:userid",        "aws:principalisawsservice", "s3:prefix"};

static const struct {
    const char *name;
    enum policy_operator op;
} operators[] = {
    {"StringEquals", OP_STRING_EQUALS},
    {"StringLike", OP_STRING_LIKE},
    {"ArnEquals", OP_ARN},
    {"ArnLike", OP_ARN},
    {"Bool", OP_BOOL},
    {"Null", OP_NULL},
};

static int bad(struct reader *r, const char *text)
{
    return err_set(r->err, E_BAD_POLICY, "%s", text);
}

static void *take(struct reader *r, size_t n, size_t size)
{
    return arena_zalloc(r->p->arena, n * size + 1);
}

static struct str lowered(struct reader *r, struct str s)
{
    char *p = take(r, s.n, 1);
    for (size_t i = 0; p && i < s.n; i++)
        p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    return str_of(p, p ? s.n : 0);
}

/* A string, or an array of strings; each is copied. */
static int read_list(struct reader *r, const json_t *v, struct patterns *out, const char *complaint)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    out->v = take(r, n, sizeof *out->v);
    out->n = 0;
    if (!out->v)
        return bad(r, TOO_LARGE);
    for (size_t i = 0; i < n; i++) {
        struct str s = json_bytes(json_is_array(v) ? json_array_get(v, i) : v);
        if (!s.p || s.n == 0)
            return bad(r, complaint);
        out->v[out->n] = arena_dup(r->p->arena, s);
        if (!out->v[out->n++].p)
            return bad(r, TOO_LARGE);
    }
    return 0;
}

static bool action_ok(struct str a)
{
    ptrdiff_t colon = str_index(a, ':', 0);
    if (str_is(a, "*"))
        return true;
    if (colon <= 0 || a.n > ACTION_MAX || (size_t)colon + 1 == a.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        char c = a.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (!word && (ptrdiff_t)i != colon && !((ptrdiff_t)i > colon && (c == '*' || c == '?')))
            return false;
    }
    return true;
}

static int read_actions(struct reader *r, const json_t *statement)
{
    const json_t *yes = json_object_get(statement, "Action");
    const json_t *no = json_object_get(statement, "NotAction");
    struct patterns *a = &r->st->actions;
    if (!yes == !no)
        return bad(r, yes ? "Policy statement must not have both Action and NotAction."
                          : "Policy statement must contain actions.");
    r->st->not_action = no != NULL;
    int rc = read_list(r, yes ? yes : no, a, "Policy statement must contain actions.");
    if (rc == 0 && a->n == 0)
        return bad(r, "Policy statement must contain actions.");
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        if (!action_ok(a->v[i]))
            return bad(r, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, "
                          "etc.");
        a->v[i] = lowered(r, a->v[i]);
        if (!a->v[i].p)
            return bad(r, TOO_LARGE);
    }
    return rc;
}

/* An ARN, "*", or a URL (of perilune:HttpRequest). */
static bool resource_ok(struct str s)
{
    struct arn a;
    return str_is(s, "*") || str_starts(s, STR("http://")) || str_starts(s, STR("https://")) ||
           str_starts(s, STR("arn:*")) || arn_parse(s, &a);
}

/* s with each ${…} replaced by '*': what a Deny compares with. */
static struct str without_variables(struct reader *r, struct str s)
{
    char *out = take(r, s.n, 1);
    size_t n = 0;
    for (size_t i = 0; out && i < s.n; i++) {
        ptrdiff_t end =
            s.p[i] == '$' && i + 1 < s.n && s.p[i + 1] == '{' ? str_index(s, '}', i) : -1;
        out[n++] = end < 0 ? s.p[i] : '*';
        if (end >= 0)
            i = (size_t)end;
    }
    return str_of(out, n);
}

static bool has_variable(struct str s)
{
    return str_find(s, STR("${")) >= 0;
}

static int read_resources(struct reader *r, const json_t *statement)
{
    const json_t *yes = json_object_get(statement, "Resource");
    const json_t *no = json_object_get(statement, "NotResource");
    struct patterns *a = &r->st->resources;
    if (r->p->kind == POLICY_TRUST)
        return yes || no ? bad(r, "Has prohibited field Resource.") : 0;
    if (yes && no)
        return bad(r, "Policy statement must not have both Resource and NotResource.");
    if (!yes && !no)
        return bad(r, "Policy statement must contain resources.");
    r->st->not_resource = no != NULL;
    int rc = read_list(r, yes ? yes : no, a, "Policy statement must contain resources.");
    if (rc == 0 && a->n == 0)
        return bad(r, "Policy statement must contain resources.");
    size_t kept = 0;
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        struct str s = a->v[i];
        if (!resource_ok(s))
            return err_set(r->err, E_BAD_POLICY, "Resource %.*s must be in ARN format or \"*\".",
                           (int)(s.n < 200 ? s.n : 200), s.p);
        bool variable = has_variable(s);
        if (variable && (!r->st->deny || no))
            continue; /* matches nothing: an Allow gives less, a Deny with NotResource takes more */
        a->v[kept] = variable ? without_variables(r, s) : s;
        if (!a->v[kept++].p)
            return bad(r, TOO_LARGE);
    }
    /* An Allow whose NotResource holds a variable must not give what that would have kept back. */
    if (no && kept < a->n && !r->st->deny)
        r->st->known = false;
    a->n = kept;
    return rc;
}

static int read_principal(struct reader *r, const json_t *statement)
{
    const json_t *v = json_object_get(statement, "Principal"), *list;
    const char *type;
    struct statement *st = r->st;
    if (r->p->kind == POLICY_IDENTITY)
        return v || json_object_get(statement, "NotPrincipal")
                   ? bad(r, "Policy document should not specify a principal.")
                   : 0;
    if (json_object_get(statement, "NotPrincipal")) {
        st->known = false;
        st->who = take(r, 1, sizeof *st->who);
        if (!st->who)
            return bad(r, TOO_LARGE);
        st->who[st->who_count++] = (struct principal){.kind = WHO_OTHER};
        return v ? bad(r, "Policy statement must not have both Principal and NotPrincipal.") : 0;
    }
    if (!v)
        return bad(r, "Missing required field Principal");
    if (json_is_string(v) && !str_is(json_bytes(v), "*"))
        return bad(r, "Invalid principal in policy");
    if (!json_is_string(v) && (!json_is_object(v) || json_object_size(v) == 0))
        return bad(r, "Invalid principal in policy");
    size_t total = 1;
    json_object_foreach((json_t *)(uintptr_t)v, type, list) total +=
        json_is_array(list) ? json_array_size(list) : 1;
    st->who = take(r, total, sizeof *st->who);
    if (!st->who)
        return bad(r, TOO_LARGE);
    if (json_is_string(v))
        st->who[st->who_count++] = (struct principal){.kind = WHO_ANY};
    json_object_foreach((json_t *)(uintptr_t)v, type, list)
    {
        struct patterns ids;
        int rc = read_list(r, list, &ids, "Invalid principal in policy");
        if (rc)
            return rc;
        for (size_t i = 0; i < ids.n; i++) {
            struct principal *w = &st->who[st->who_count++];
            w->id = ids.v[i];
            w->kind = strcmp(type, "AWS") == 0       ? (str_is(w->id, "*") ? WHO_ANY : WHO_AWS)
                      : strcmp(type, "Service") == 0 ? WHO_SERVICE
                                                     : WHO_OTHER;
        }
    }
    return 0;
}

static bool key_known(struct str key)
{
    for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++)
        if (str_is(key, known_keys[i]))
            return true;
    return false;
}

/* Values may be strings, booleans or numbers; the last two as their text. */
static int read_values(struct reader *r, const json_t *v, struct patterns *out)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    out->v = take(r, n, sizeof *out->v);
    if (!out->v)
        return bad(r, TOO_LARGE);
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, i) : v;
        struct str s;
        if (json_is_string(e))
            s = arena_dup(r->p->arena, json_bytes(e));
        else if (json_is_boolean(e))
            s = json_is_true(e) ? STR("true") : STR("false");
        else if (json_is_integer(e))
            s = arena_printf(r->p->arena, "%lld", (long long)json_integer_value(e));
        else if (json_is_real(e))
            s = arena_printf(r->p->arena, "%.17g", json_real_value(e));
        else
            return bad(r, "Syntax errors in policy.");
        if (!s.p)
            return bad(r, TOO_LARGE);
        if (has_variable(s))
            r->st->known = false;
        out->v[out->n++] = s;
    }
    return 0;
}

static int read_conditions(struct reader *r, const json_t *statement)
{
    const json_t *v = json_object_get(statement, "Condition"), *keys, *value;
    const char *op, *key;
    struct statement *st = r->st;
    size_t total = 0;
    if (!v)
        return 0;
    if (!json_is_object(v))
        return bad(r, "Syntax errors in policy.");
    json_object_foreach((json_t *)(uintptr_t)v, op, keys)
    {
        if (!json_is_object(keys))
            return bad(r, "Syntax errors in policy.");
        total += json_object_size(keys);
    }
    st->conditions = take(r, total, sizeof *st->conditions);
    if (!st->conditions)
        return bad(r, TOO_LARGE);
    json_object_foreach((json_t *)(uintptr_t)v, op, keys)
    {
        enum policy_operator found = OP_UNKNOWN;
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
            if (strcmp(op, operators[i].name) == 0)
                found = operators[i].op;
        json_object_foreach((json_t *)(uintptr_t)keys, key, value)
        {
            struct condition *c = &st->conditions[st->condition_count++];
            c->op = found;
            c->key = lowered(r, str_c(key));
            if (!key_known(c->key))
                c->op = OP_UNKNOWN;
            if (c->op == OP_UNKNOWN)
                st->known = false;
            int rc = read_values(r, value, &c->values);
            if (rc)
                return rc;
        }
        if (found == OP_UNKNOWN)
            st->known = false; /* even with no key under it */
    }
    return 0;
}

static int read_sid(struct reader *r, const json_t *sid)
{
    struct str s = json_bytes(sid);
    if (!sid)
        return 0;
    if (!s.p)
        return bad(r, "Syntax errors in policy.");
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && r->p->kind != POLICY_RESOURCE)
            return bad(r, "Statement IDs (SID) must be alpha-numeric. Check that your input "
                          "satisfies the regular expression [0-9A-Za-z]*");
    }
    if (s.n && json_object_getn(r->sids, s.p, s.n))
        return bad(r, "Statement IDs (SID) in a single policy must be unique.");
    if (s.n && json_object_setn_new(r->sids, s.p, s.n, json_true()) != 0)
        return bad(r, "Syntax errors in policy.");
    return 0;
}

static int read_statement(struct reader *r, const json_t *v)
{
    static const char *const elements[] = {"Sid",          "Effect",      "Principal",
                                           "NotPrincipal", "Action",      "NotAction",
                                           "Resource",     "NotResource", "Condition"};
    const char *name;
    json_t *member;
    if (!json_is_object(v))
        return bad(r, "Syntax errors in policy.");
    r->st->known = true;
    json_object_foreach((json_t *)(uintptr_t)v, name, member)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
            found = found || strcmp(name, elements[i]) == 0;
        if (!found)
            r->st->known = false;
    }
    struct str effect = json_bytes(json_object_get(v, "Effect"));
    if (!str_is(effect, "Allow") && !str_is(effect, "Deny"))
        return bad(r,
                   effect.p ? "Invalid effect in policy statement." : "Syntax errors in policy.");
    r->st->deny = str_is(effect, "Deny");
    int rc = read_sid(r, json_object_get(v, "Sid"));
    if (rc == 0)
        rc = read_principal(r, v);
    if (rc == 0)
        rc = read_actions(r, v);
    if (rc == 0)
        rc = read_resources(r, v);
    return rc ? rc : read_conditions(r, v);
}

static int read_document(struct reader *r, const json_t *doc)
{
    json_t *version = json_object_get(doc, "Version"), *list = json_object_get(doc, "Statement");
    const char *name;
    json_t *member;
    if (!json_is_object(doc))
        return bad(r, "Syntax errors in policy.");
    json_object_foreach((json_t *)(uintptr_t)doc, name, member)
    {
        if (strcmp(name, "Version") != 0 && strcmp(name, "Id") != 0 &&
            strcmp(name, "Statement") != 0)
            return bad(r, "Syntax errors in policy.");
    }
    if (version && !str_is(json_bytes(version), "2012-10-17") &&
        !str_is(json_bytes(version), "2008-10-17"))
        return bad(r, "The policy must contain a valid version string.");
    if (!list ||
        (json_is_array(list) && json_array_size(list) == 0 && r->p->kind != POLICY_RESOURCE))
        return bad(r, "Syntax errors in policy.");
    r->p->count = json_is_array(list) ? json_array_size(list) : 1;
    r->p->statements = take(r, r->p->count, sizeof *r->p->statements);
    if (!r->p->statements)
        return bad(r, TOO_LARGE);
    for (size_t i = 0; i < r->p->count; i++) {
        r->st = &r->p->statements[i];
        int rc = read_statement(r, json_is_array(list) ? json_array_get(list, i) : list);
        if (rc)
            return rc;
    }
    return 0;
}

struct policy *policy_parse(struct str json, enum policy_kind kind, struct err *err)
{
    if (json.n > DOCUMENT_MAX) {
        err_set(err, E_BAD_POLICY, "%s", TOO_LARGE);
        return NULL;
    }
    json_t *doc = json_parse(json, NULL);
    if (!doc) {
        err_set(err, E_BAD_POLICY, "This policy contains invalid Json");
        return NULL;
    }
    struct arena *arena = arena_new(64 * DOCUMENT_MAX);
    struct policy *p = arena_zalloc(arena, sizeof *p);
    p->arena = arena;
    p->kind = kind;
    struct reader r = {.p = p, .err = err, .sids = json_object()};
    int rc = read_document(&r, doc);
    json_decref(doc);
    json_decref(r.sids);
    if (rc) {
        policy_free(p);
        return NULL;
    }
    return p;
}

void policy_free(struct policy *p)
{
    if (p)
        arena_free(p->arena);
}
