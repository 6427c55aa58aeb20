/* iam_simulate: what would a principal's policies say?
 *
 * The same evaluation as a real request's, with condition values from the form. Each action is asked
 * on each resource; pairs are the elements that pages are cut from. A page ends early when it has
 * taken the loop's time: AWS may answer less than MaxItems too. */
#include "api/iam.h"
#include "auth/arn.h"
#include "base/clock.h"

enum { ACTIONS_MAX = 128, RESOURCES_MAX = 100, DOCUMENTS_MAX = 50, ENTRIES_MAX = 50 };
enum { VALUES_MAX = 10, DOCUMENT_BYTES_MAX = 64 * 1024, PAGE_NS = 1000 * 1000 };

struct simulation {
    struct call *c;
    struct policy *policies[DOCUMENTS_MAX];
    struct str names[DOCUMENTS_MAX];
    const char *types[DOCUMENTS_MAX]; /* as SourcePolicyType has them */
    size_t count, bytes;
    struct policy *guard; /* ResourcePolicy */
    struct str resources[RESOURCES_MAX];
    size_t resource_count;
    struct str principal, principal_role;
    struct policy_key keys[ENTRIES_MAX * VALUES_MAX];
    size_t key_count;
};

/* --- input ------------------------------------------------------------------------------------
 */

static int add(struct simulation *s, const char *type, struct str name, struct str document,
               struct err *err)
{
    s->bytes += document.n;
    if (s->count == DOCUMENTS_MAX || s->bytes > DOCUMENT_BYTES_MAX)
        return err_set(err, E_QUOTA,
                       "At most %d policies of %d bytes in all can be simulated together.",
                       DOCUMENTS_MAX, DOCUMENT_BYTES_MAX);
    struct policy *p = policy_parse(document, POLICY_IDENTITY, err);
    if (!p)
        return E_BAD_POLICY;
    s->names[s->count] = arena_dup(s->c->arena, name);
    s->types[s->count] = type;
    s->policies[s->count++] = p;
    return 0;
}

/* The policies of the user or role behind an ARN. */
static int add_principal(struct simulation *s, struct str arn, struct err *err)
{
    const struct entity_kind *kind =
        entity_name_of(&entity_user, arn).p ? &entity_user : &entity_role;
    struct str name = entity_name_of(kind, arn), rec, rest, policy, document, attached;
    struct buf right = BUF_INIT;
    if (!name.p)
        return err_set(err, E_VALIDATION,
                       "Invalid Entity Arn: %.*s does not clearly define entity "
                       "type and name.",
                       STR_FMT(arn));
    struct store_txn *t = store_read(s->c->svc->store);
    int rc = entity_get(t, kind, name, &rec, err);
    if (rc == 0) {
        entity_arn(kind, &right, name, rec);
        if (!str_eq(buf_str(&right), arn))
            rc = err_set(err, E_NOT_FOUND, "The %s with name %.*s cannot be found.", kind->word,
                         STR_FMT(name));
    }
    rest = rec;
    while (rc == 0 && entity_policy_next(&rest, &policy, &document))
        rc = add(s, kind->word, policy, document, err);
    rest = rec;
    while (rc == 0 && entity_next(&rest, ENTITY_ATTACHED, &attached)) {
        rc = managed_document(t, attached, &document);
        if (rc == 0)
            rc = add(s, managed_name_of(attached).p ? "user-managed" : "aws-managed", attached,
                     document, err);
    }
    store_read_end(t);
    buf_deinit(&right);
    s->principal = arn;
    return rc;
}

static int add_inputs(struct simulation *s, bool required, struct err *err)
{
    struct str document, guard = call_query(s->c, "ResourcePolicy");
    char name[40];
    int rc = 0, i;
    for (i = 1; rc == 0 && (document = iam_member(s->c, "PolicyInputList", i, "")).p; i++) {
        snprintf(name, sizeof name, "PolicyInputList.%d", i);
        rc = add(s, "none", str_c(name), document, err);
    }
    if (rc == 0 && required && i == 1)
        rc = iam_invalid(err, "PolicyInputList", (struct str){NULL, 0}, "");
    if (rc == 0 && guard.n) {
        s->guard = policy_parse(guard, POLICY_RESOURCE, err);
        rc = s->guard ? 0 : E_BAD_POLICY;
    }
    return rc;
}

static int add_context(struct simulation *s, struct err *err)
{
    struct call *c = s->c;
    struct str name, value;
    char list[80];
    for (int i = 1; (name = iam_member(c, "ContextEntries", i, "ContextKeyName")).p; i++) {
        if (i > ENTRIES_MAX)
            return err_set(err, E_QUOTA, "At most %d context entries are taken.", ENTRIES_MAX);
        char *low = arena_alloc(c->arena, name.n + 1);
        if (!low)
            return E_LIMIT;
        for (size_t k = 0; k < name.n; k++)
            low[k] = (char)(name.p[k] >= 'A' && name.p[k] <= 'Z' ? name.p[k] + 32 : name.p[k]);
        snprintf(list, sizeof list, "ContextEntries.member.%d.ContextKeyValues", i);
        for (int k = 1; k <= VALUES_MAX && (value = iam_member(c, list, k, "")).p; k++)
            s->keys[s->key_count++] = (struct policy_key){str_of(low, name.n), value};
    }
    return 0;
}

/* --- asking -----------------------------------------------------------------------------------
 */

/* What the principal's own ARN tells, unless the form says otherwise. */
static size_t find(void *ctx, struct str name, struct str *values, size_t max)
{
    struct simulation *s = ctx;
    struct str user = entity_name_of(&entity_user, s->principal);
    (void)max;
    if (s->principal.n && str_is(name, "aws:principalarn"))
        values[0] = s->principal;
    else if (user.p && str_is(name, "aws:username"))
        values[0] = user;
    else if (s->principal.n && str_is(name, "aws:principalaccount"))
        values[0] = STR(ACCOUNT_ID);
    else if (s->principal.n && str_is(name, "aws:principaltype"))
        values[0] = user.p ? STR("User") : STR("AssumedRole");
    else
        return 0;
    return 1;
}

static void result(struct simulation *s, struct buf *b, struct str action, struct str resource)
{
    static const char *const decisions[] = {
        [POLICY_NONE] = "implicitDeny", [POLICY_ALLOW] = "allowed", [POLICY_DENY] = "explicitDeny"};
    struct policy_query q = {.action = action,
                             .resource = resource,
                             .principal = s->principal,
                             .keys = s->keys,
                             .key_count = s->key_count,
                             .find = find,
                             .find_ctx = s};
    struct policy_caller caller = {.policies = s->policies, .count = s->count};
    struct policy_guard guard = {.policy = s->guard};
    enum policy_side side;
    enum policy_effect effect = policy_decide(&caller, &guard, &q, &side);
    buf_lit(b, "<member>");
    xml_element(b, "EvalActionName", action);
    xml_element(b, "EvalResourceName", resource);
    xml_element(b, "EvalDecision", str_c(decisions[effect]));
    buf_lit(b, "<MatchedStatements>");
    for (size_t i = 0; effect != POLICY_NONE && i < s->count; i++) {
        if (policy_eval(s->policies[i], &q) != effect)
            continue;
        buf_lit(b, "<member>");
        xml_element(b, "SourcePolicyId", s->names[i]);
        xml_element(b, "SourcePolicyType", str_c(s->types[i]));
        buf_lit(b, "</member>");
    }
    buf_lit(b, "</MatchedStatements><MissingContextValues></MissingContextValues></member>");
}

static bool action_ok(struct str a)
{
    ptrdiff_t colon = str_index(a, ':', 0);
    return colon > 0 && (size_t)colon + 1 < a.n && a.n <= 128 && str_index(a, 0, 0) < 0 &&
           str_index(a, '*', 0) < 0;
}

static int take_resources(struct simulation *s, struct err *err)
{
    struct str arn;
    for (int i = 1; (arn = iam_member(s->c, "ResourceArns", i, "")).p; i++) {
        if (i > RESOURCES_MAX)
            return err_set(err, E_QUOTA, "At most %d resources are taken.", RESOURCES_MAX);
        s->resources[s->resource_count++] = arn;
    }
    if (!s->resource_count)
        s->resources[s->resource_count++] = STR("*");
    return 0;
}

/* False: the page is full, or has taken its time. */
static bool page_goes_on(struct iam_page *p, uint64_t began_ns)
{
    uint64_t shown = p->seen > p->skip ? p->seen - p->skip : 0;
    if (!p->more && shown && shown < p->max && clock_mono_ns() - began_ns > PAGE_NS) {
        p->max = shown;
        p->more = true;
    }
    return !p->more;
}

static int results(struct simulation *s, struct buf *b, struct err *err)
{
    struct call *c = s->c;
    struct iam_page page;
    struct str action;
    uint64_t began_ns = clock_mono_ns();
    int rc = iam_page(c, &page, err), i = 1;
    buf_lit(b, "<EvaluationResults>");
    for (; rc == 0 && (action = iam_member(c, "ActionNames", i, "")).p; i++) {
        if (i > ACTIONS_MAX)
            return err_set(err, E_QUOTA, "At most %d actions are taken.", ACTIONS_MAX);
        if (!action_ok(action))
            return err_set(err, E_VALIDATION, "Invalid Action name: %.*s",
                           (int)(action.n < 128 ? action.n : 128), action.p);
        for (size_t k = 0; k < s->resource_count && page_goes_on(&page, began_ns); k++)
            if (iam_page_has(&page))
                result(s, b, action, s->resources[k]);
    }
    if (rc == 0 && i == 1)
        rc = iam_invalid(err, "ActionNames", (struct str){NULL, 0}, "");
    buf_lit(b, "</EvaluationResults>");
    if (rc == 0)
        iam_page_end(&page, b);
    return rc;
}

static void simulate(struct call *c, bool custom)
{
    struct simulation *s = arena_zalloc(c->arena, sizeof *s);
    struct err err = {0};
    struct buf b = BUF_INIT;
    struct str arn = {NULL, 0};
    if (!s) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    s->c = c;
    int rc = custom ? 0 : iam_arn(c, "PolicySourceArn", &arn, &err);
    if (rc == 0 && !custom)
        rc = add_principal(s, arn, &err);
    if (rc == 0)
        rc = add_inputs(s, custom, &err);
    if (rc == 0)
        rc = add_context(s, &err);
    if (rc == 0)
        rc = take_resources(s, &err);
    if (rc == 0)
        rc = results(s, &b, &err);
    for (size_t i = 0; i < s->count; i++)
        policy_free(s->policies[i]);
    policy_free(s->guard);
    iam_reply(c, rc, &err, &b);
}

void iam_simulate_principal_policy(struct call *c)
{
    simulate(c, false);
}

void iam_simulate_custom_policy(struct call *c)
{
    simulate(c, true);
}
