/* policy: what policy documents say about one request, and how they are joined.
 *
 * Default deny, and an explicit Deny wins. A statement that is not wholly understood (see
 * policy_read.c) cannot allow; as a Deny its conditions count as met. The parts are asked in the
 * order of their price: action, resource, principal, conditions. Nothing is allocated; the asked
 * action is lowered on the stack.
 *
 * A variable without a value makes its text match nothing. That is right for what a statement names;
 * where "matches nothing" would widen an Allow (NotResource, a negated operator), the statement does
 * not apply. */
#include "auth/arn.h"
#include "auth/outbound.h"
#include "auth/policy_doc.h"

size_t policy_values(const struct policy_query *q, struct str key, struct str *values, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < q->key_count && n < max; i++)
        if (str_eq(q->keys[i].name, key))
            values[n++] = q->keys[i].value;
    return n || !q->find ? n : q->find(q->find_ctx, key, values, max);
}

static bool any_matches(const struct patterns *a, struct str s, const struct policy_query *q,
                        bool *unresolved)
{
    for (size_t i = 0; i < a->n; i++)
        if (pattern_match(&a->v[i], s, q, unresolved))
            return true;
    return false;
}

/* --- principals -------------------------------------------------------------------------------
 */

/* What a principal element says about the caller, by itself. */
static enum policy_effect admits(const struct policy_who *w, const struct statement *st,
                                 const struct policy_query *q)
{
    struct arn caller;
    switch (w->kind) {
    case WHO_ANY:
        return q->named_only ? POLICY_NONE : POLICY_ALLOW;
    case WHO_SERVICE:
        return q->principal_service.n && str_eq(w->id, q->principal_service) ? POLICY_ALLOW
                                                                             : POLICY_NONE;
    case WHO_OTHER:
        return st->deny ? POLICY_ALLOW : POLICY_NONE;
    case WHO_AWS:
        break;
    }
    if (q->principal.n == 0)
        return POLICY_NONE;
    if (str_eq(w->id, q->principal))
        return POLICY_ALLOW;
    if (q->named_only)
        return POLICY_NONE;
    if (q->principal_role.n && str_eq(w->id, q->principal_role))
        return POLICY_ALLOW;
    /* An account as principal leaves the decision to the callers' own policies: by itself it lets
     * in the root only, but keeps out everybody. */
    if (!w->account.n || !arn_parse(q->principal, &caller) || !str_eq(w->account, caller.account))
        return POLICY_NONE;
    return st->deny || str_is(caller.resource, "root") ? POLICY_ALLOW : POLICY_DELEGATE;
}

/* NotPrincipal exempts exactly whom it names. */
static bool exempt(const struct statement *st, const struct policy_query *q)
{
    for (size_t i = 0; i < st->who_count; i++) {
        const struct policy_who *w = &st->who[i];
        if (w->kind == WHO_ANY ||
            (w->kind == WHO_SERVICE && q->principal_service.n &&
             str_eq(w->id, q->principal_service)) ||
            (w->kind == WHO_AWS && q->principal.n &&
             (str_eq(w->id, q->principal) || str_eq(w->id, q->principal_role))))
            return true;
    }
    return false;
}

static enum policy_effect principal_effect(const struct statement *st, const struct policy_query *q)
{
    enum policy_effect best = POLICY_NONE;
    if (st->not_principal)
        return exempt(st, q) ? POLICY_NONE : POLICY_ALLOW;
    for (size_t i = 0; i < st->who_count && best != POLICY_ALLOW; i++) {
        enum policy_effect one = admits(&st->who[i], st, q);
        if (one > best)
            best = one;
    }
    return best;
}

/* --- one document -----------------------------------------------------------------------------
 */

static bool is_url(struct str s)
{
    return str_starts(s, STR("http://")) || str_starts(s, STR("https://"));
}

/* URLs have a matcher of their own: there a star must not reach from the host into the path. It
 * knows no variables: a Deny that holds one reaches every URL. */
static bool url_applies(const struct statement *st, const struct policy_query *q)
{
    bool literal = q->literal_host && !st->deny, found = false;
    for (size_t i = 0; i < st->resources.n && !found; i++) {
        const struct pattern *p = &st->resources.v[i];
        found = p->kind == PATTERN_VARS ? st->deny && !st->not_resource
                                        : outbound_match(p->source, q->resource, literal);
    }
    return literal ? found && !st->not_resource : found != st->not_resource;
}

static bool resource_applies(const struct statement *st, const struct policy_query *q)
{
    bool unresolved = false;
    if (is_url(q->resource))
        return url_applies(st, q);
    bool matches = any_matches(&st->resources, q->resource, q, &unresolved);
    if (!st->not_resource)
        return matches;
    return !matches && (st->deny || !unresolved);
}

static bool conditions_met(const struct statement *st, const struct policy_query *q)
{
    if (!st->known)
        return true; /* only a Deny comes here */
    for (size_t i = 0; i < st->condition_count; i++) {
        bool unresolved = false;
        if (!condition_met(&st->conditions[i], q, &unresolved) || (unresolved && !st->deny))
            return false;
    }
    return true;
}

static enum policy_effect statement_effect(const struct policy *p, const struct statement *st,
                                           struct str action, const struct policy_query *q)
{
    enum policy_effect who = POLICY_ALLOW;
    bool unresolved = false;
    if (any_matches(&st->actions, action, q, &unresolved) == st->not_action)
        return POLICY_NONE;
    if (p->kind != POLICY_TRUST && !resource_applies(st, q))
        return POLICY_NONE;
    if (p->kind != POLICY_IDENTITY)
        who = principal_effect(st, q);
    if (who == POLICY_NONE || !conditions_met(st, q))
        return POLICY_NONE;
    return st->deny ? POLICY_DENY : who;
}

enum policy_effect policy_eval(const struct policy *p, const struct policy_query *q)
{
    char low[ACTION_MAX];
    enum policy_effect effect = POLICY_NONE;
    if (q->action.n > sizeof low)
        return POLICY_DENY;
    for (size_t i = 0; i < q->action.n; i++) {
        char c = q->action.p[i];
        low[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    struct str action = str_of(low, q->action.n);
    for (size_t i = 0; i < p->count && effect != POLICY_DENY; i++) {
        const struct statement *st = &p->statements[i];
        if (!st->deny && (effect == POLICY_ALLOW || !st->known))
            continue;
        enum policy_effect one = statement_effect(p, st, action, q);
        if (one > effect)
            effect = one;
    }
    return effect;
}

enum policy_effect policy_eval_all(struct policy *const *p, size_t n, const struct policy_query *q)
{
    enum policy_effect all = POLICY_NONE;
    for (size_t i = 0; i < n && all != POLICY_DENY; i++) {
        enum policy_effect one = policy_eval(p[i], q);
        if (one > all)
            all = one;
    }
    return all;
}

/* --- joining ----------------------------------------------------------------------------------
 */

/* Does the resource's policy name the session, so that its own policies do not limit that? */
static bool names_session(const struct policy_guard *guard, const struct policy_query *q)
{
    struct policy_query named = *q;
    named.named_only = true;
    return guard->policy && policy_eval(guard->policy, &named) == POLICY_ALLOW;
}

enum policy_effect policy_decide(const struct policy_caller *who, const struct policy_guard *guard,
                                 const struct policy_query *q, enum policy_side *side)
{
    enum policy_effect own =
        who->root ? POLICY_ALLOW : policy_eval_all(who->policies, who->count, q);
    enum policy_effect theirs =
        guard && guard->policy ? policy_eval(guard->policy, q) : POLICY_NONE;
    enum policy_effect session =
        who->limited ? policy_eval_all(who->session, who->session_count, q) : POLICY_ALLOW;
    if (theirs == POLICY_DENY && who->root && guard->owner_exempt)
        theirs = POLICY_NONE;
    *side = own == POLICY_DENY       ? POLICY_BY_IDENTITY
            : session == POLICY_DENY ? POLICY_BY_SESSION
                                     : POLICY_BY_RESOURCE;
    if (own == POLICY_DENY || session == POLICY_DENY || theirs == POLICY_DENY)
        return POLICY_DENY;
    *side = POLICY_BY_IDENTITY;
    if (guard && guard->must) {
        *side = POLICY_BY_RESOURCE;
        if (theirs == POLICY_NONE || (theirs == POLICY_DELEGATE && own != POLICY_ALLOW))
            return POLICY_NONE;
    } else if (own != POLICY_ALLOW && theirs != POLICY_ALLOW) {
        return POLICY_NONE;
    }
    if (session == POLICY_ALLOW || (theirs == POLICY_ALLOW && names_session(guard, q)))
        return POLICY_ALLOW;
    *side = POLICY_BY_SESSION;
    return POLICY_NONE;
}

static const struct {
    const char *article, *name;
} sides[] = {
    [POLICY_BY_IDENTITY] = {"an", "identity-based"},
    [POLICY_BY_RESOURCE] = {"a", "resource-based"},
    [POLICY_BY_SESSION] = {"a", "session"},
};

int policy_denied(struct err *err, struct str principal, struct str action, struct str resource,
                  enum policy_effect effect, enum policy_side side)
{
    struct str shown = str_of(resource.p, resource.n < 300 ? resource.n : 300);
    struct str who = principal.n ? principal : STR("anonymous");
    if (effect == POLICY_DENY)
        return err_set(err, E_DENIED,
                       "User: %.*s is not authorized to perform: %.*s on resource: %.*s with an "
                       "explicit deny in %s %s policy",
                       STR_FMT(who), STR_FMT(action), STR_FMT(shown), sides[side].article,
                       sides[side].name);
    return err_set(err, E_DENIED,
                   "User: %.*s is not authorized to perform: %.*s on resource: %.*s because no %s "
                   "policy allows the %.*s action",
                   STR_FMT(who), STR_FMT(action), STR_FMT(shown), sides[side].name,
                   STR_FMT(action));
}
