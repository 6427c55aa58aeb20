/* policy_read: from a policy document's text to statements.
 *
 * The rule that shapes this file: whatever is not understood must never give anything. So each
 * statement carries `known`; an element, condition operator or key that is not known clears it, and a
 * statement that is not known cannot allow. A variable that nobody knows is such a thing: a resource
 * of an Allow that holds one matches nothing, a resource of a Deny has "any text" in its place, so
 * that a Deny may reach too far but never too short.
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
    bool variables; /* the document's version has them */
    json_t *sids;   /* those seen, as an object's names */
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

/* A string, or an array of strings; each is handed to `each` with its place. */
static int read_list(struct reader *r, const json_t *v, const char *complaint,
                     int (*each)(struct reader *r, struct str s, size_t i))
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    for (size_t i = 0; i < n; i++) {
        struct str s = json_bytes(json_is_array(v) ? json_array_get(v, i) : v);
        if (!s.p || s.n == 0)
            return bad(r, complaint);
        int rc = each(r, s, i);
        if (rc)
            return rc;
    }
    return n ? 0 : bad(r, complaint);
}

/* Room for as many as the list has. */
static bool make_patterns(struct reader *r, const json_t *v, struct patterns *out)
{
    out->v = take(r, json_is_array(v) ? json_array_size(v) : 1, sizeof *out->v);
    out->n = 0;
    return out->v != NULL;
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

static int read_action(struct reader *r, struct str s, size_t i)
{
    struct patterns *a = &r->st->actions;
    bool unknown;
    if (!action_ok(s))
        return bad(r, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
    if (!pattern_compile(r->p->arena, s, PATTERN_LOWER, &a->v[i], &unknown))
        return bad(r, TOO_LARGE);
    a->n++;
    return 0;
}

static int read_actions(struct reader *r, const json_t *statement)
{
    const json_t *yes = json_object_get(statement, "Action");
    const json_t *no = json_object_get(statement, "NotAction");
    if (!yes == !no)
        return bad(r, yes ? "Policy statement must not have both Action and NotAction."
                          : "Policy statement must contain actions.");
    r->st->not_action = no != NULL;
    if (!make_patterns(r, yes ? yes : no, &r->st->actions))
        return bad(r, TOO_LARGE);
    return read_list(r, yes ? yes : no, "Policy statement must contain actions.", read_action);
}

/* An ARN, "*", or a URL (of perilune:HttpRequest). */
static bool resource_ok(struct str s)
{
    struct arn a;
    return str_is(s, "*") || str_starts(s, STR("http://")) || str_starts(s, STR("https://")) ||
           str_starts(s, STR("arn:*")) || arn_parse(s, &a);
}

static int read_resource(struct reader *r, struct str s, size_t i)
{
    struct statement *st = r->st;
    int flags = r->variables ? PATTERN_VARIABLES : 0;
    bool unknown = false;
    if (!resource_ok(s))
        return err_set(r->err, E_BAD_POLICY, "Resource %.*s must be in ARN format or \"*\".",
                       (int)(s.n < 200 ? s.n : 200), s.p);
    if (st->deny && !st->not_resource)
        flags |= PATTERN_REACH;
    if (!pattern_compile(r->p->arena, s, flags, &st->resources.v[i], &unknown))
        return bad(r, TOO_LARGE);
    st->resources.v[i].source = arena_dup(r->p->arena, s);
    st->resources.n++;
    return st->resources.v[i].source.p ? 0 : bad(r, TOO_LARGE);
}

static int read_resources(struct reader *r, const json_t *statement)
{
    const json_t *yes = json_object_get(statement, "Resource");
    const json_t *no = json_object_get(statement, "NotResource");
    if (r->p->kind == POLICY_TRUST)
        return yes || no ? bad(r, "Has prohibited field Resource.") : 0;
    if (yes && no)
        return bad(r, "Policy statement must not have both Resource and NotResource.");
    if (!yes && !no)
        return bad(r, "Policy statement must contain resources.");
    r->st->not_resource = no != NULL;
    if (!make_patterns(r, yes ? yes : no, &r->st->resources))
        return bad(r, TOO_LARGE);
    return read_list(r, yes ? yes : no, "Policy statement must contain resources.", read_resource);
}

/* The account id that a principal means as a whole: "000000000000" or "arn:aws:iam::…:root". */
static struct str whole_account(struct str id)
{
    struct arn a;
    uint64_t number;
    if (id.n == 12 && str_u64(id, &number))
        return id;
    return arn_parse(id, &a) && str_is(a.service, "iam") && str_is(a.resource, "root") ? a.account
                                                                                       : STR("");
}

/* Those under one type: "AWS", "Service", … */
static int read_principals(struct reader *r, const char *type, const json_t *list)
{
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t i = 0; i < n; i++) {
        struct str s = json_bytes(json_is_array(list) ? json_array_get(list, i) : list);
        struct policy_who *w = &r->st->who[r->st->who_count];
        if (!s.p || s.n == 0)
            return bad(r, "Invalid principal in policy");
        w->id = arena_dup(r->p->arena, s);
        if (!w->id.p)
            return bad(r, TOO_LARGE);
        w->account = whole_account(w->id);
        w->kind = strcmp(type, "AWS") == 0       ? (str_is(s, "*") ? WHO_ANY : WHO_AWS)
                  : strcmp(type, "Service") == 0 ? WHO_SERVICE
                                                 : WHO_OTHER;
        r->st->who_count++;
    }
    return 0;
}

static int read_principal(struct reader *r, const json_t *statement)
{
    const json_t *yes = json_object_get(statement, "Principal"), *list;
    const json_t *no = json_object_get(statement, "NotPrincipal"), *v = yes ? yes : no;
    struct statement *st = r->st;
    const char *type;
    size_t total = 1;
    if (r->p->kind == POLICY_IDENTITY)
        return v ? bad(r, "Policy document should not specify a principal.") : 0;
    if (yes && no)
        return bad(r, "Policy statement must not have both Principal and NotPrincipal.");
    if (!v)
        return bad(r, "Missing required field Principal");
    if (json_is_string(v) ? !str_is(json_bytes(v), "*")
                          : !json_is_object(v) || json_object_size(v) == 0)
        return bad(r, "Invalid principal in policy");
    json_object_foreach((json_t *)(uintptr_t)v, type, list) total +=
        json_is_array(list) ? json_array_size(list) : 1;
    st->who = take(r, total, sizeof *st->who);
    if (!st->who)
        return bad(r, TOO_LARGE);
    st->not_principal = no != NULL;
    if (no && !st->deny)
        st->known = false; /* "everybody but" is nothing to allow */
    if (json_is_string(v))
        st->who[st->who_count++] = (struct policy_who){.kind = WHO_ANY};
    json_object_foreach((json_t *)(uintptr_t)v, type, list)
    {
        int rc = read_principals(r, type, list);
        if (rc)
            return rc;
    }
    return 0;
}

/* Values may be strings, booleans or numbers; the last two as their text. */
static struct str value_text(const json_t *e, char space[static 40])
{
    if (json_is_string(e))
        return json_bytes(e);
    if (json_is_boolean(e))
        return json_is_true(e) ? STR("true") : STR("false");
    if (json_is_integer(e))
        snprintf(space, 40, "%lld", (long long)json_integer_value(e));
    else if (json_is_real(e))
        snprintf(space, 40, "%.17g", json_real_value(e));
    else
        return (struct str){NULL, 0};
    return str_c(space);
}

static int read_values(struct reader *r, const json_t *v, struct condition *c, int flags)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    c->values = take(r, n, sizeof *c->values);
    if (!c->values)
        return bad(r, TOO_LARGE);
    for (size_t i = 0; i < n; i++) {
        char space[40];
        struct str s = value_text(json_is_array(v) ? json_array_get(v, i) : v, space);
        bool unknown = false;
        if (!s.p)
            return bad(r, "Syntax errors in policy.");
        int rc = condition_operand(r->p->arena, c, s, flags, &c->values[i], &unknown);
        if (rc)
            return bad(r, rc == E_LIMIT ? TOO_LARGE : "Syntax errors in policy.");
        if (unknown)
            r->st->known = false;
        c->count++;
    }
    return 0;
}

static int read_condition(struct reader *r, const char *op, const char *key, const json_t *value)
{
    struct condition *c = &r->st->conditions[r->st->condition_count++];
    condition_operator(str_c(op), c);
    c->key = lowered(r, str_c(key));
    if (c->op == OP_UNKNOWN || !condition_key_known(c->key))
        r->st->known = false;
    return read_values(r, value, c, r->variables ? PATTERN_VARIABLES : 0);
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
        struct condition c = {.op = OP_UNKNOWN};
        if (!json_is_object(keys))
            return bad(r, "Syntax errors in policy.");
        condition_operator(str_c(op), &c);
        if (c.op == OP_UNKNOWN)
            st->known = false; /* even with no key under it */
        total += json_object_size(keys);
    }
    st->conditions = take(r, total, sizeof *st->conditions);
    if (!st->conditions)
        return bad(r, TOO_LARGE);
    json_object_foreach((json_t *)(uintptr_t)v, op, keys)
    {
        json_object_foreach((json_t *)(uintptr_t)keys, key, value)
        {
            int rc = read_condition(r, op, key, value);
            if (rc)
                return rc;
        }
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
    r->variables = str_is(json_bytes(version), "2012-10-17");
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
