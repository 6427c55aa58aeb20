/* role: what execution roles may do, and their records.
 *
 * A function's host call asks here before anything is done for it; the compiled policies are
 * svc/principal's, which remembers them. Default deny reaches to the edges: no role, a role that is
 * gone, an ARN of another account or with the wrong path, a stored document that cannot be read:
 * each denies everything. */
#include "svc/role.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "base/log.h"

struct roles {
    struct principals *principals;
};

struct roles *roles_open(struct store *s, const char *region)
{
    struct roles *r = calloc(1, sizeof *r);
    (void)region; /* IAM's ARNs have none */
    if (!r)
        fatal("out of memory");
    r->principals = principals_open(s, &entity_role);
    return r;
}

void roles_close(struct roles *r)
{
    if (!r)
        return;
    principals_close(r->principals);
    free(r);
}

struct principals *role_principals(struct roles *r)
{
    return r->principals;
}

void role_changed(struct roles *r, struct str name)
{
    principal_changed(r->principals, name);
}

/* --- asking -----------------------------------------------------------------------------------
 */

struct asking {
    const struct principal *role;
    struct str arn, session;
    const struct policy_query *q; /* the caller's, with its own finder */
    char user_id[128], now[25], epoch[24];
};

static size_t one(struct str *values, struct str v)
{
    values[0] = v;
    return 1;
}

/* The keys that are there for any function; else the caller's finder. */
static size_t find(void *ctx, struct str name, struct str *values, size_t max)
{
    struct asking *a = ctx;
    if (str_is(name, "aws:principalarn"))
        return one(values, a->arn);
    if (str_is(name, "aws:principalaccount") || str_is(name, "aws:resourceaccount"))
        return one(values, STR(ACCOUNT_ID));
    if (str_is(name, "aws:principaltype"))
        return one(values, STR("AssumedRole"));
    if (str_is(name, "aws:principalisawsservice") || str_is(name, "aws:viaawsservice"))
        return one(values, STR("false"));
    if (str_is(name, "aws:userid")) {
        snprintf(a->user_id, sizeof a->user_id, "%.*s:%.*s", STR_FMT(a->role->id),
                 STR_FMT(a->session));
        return one(values, str_c(a->user_id));
    }
    if (str_is(name, "aws:currenttime")) {
        clock_iso8601(clock_wall_ms(), a->now);
        return one(values, str_c(a->now));
    }
    if (str_is(name, "aws:epochtime")) {
        snprintf(a->epoch, sizeof a->epoch, "%lld", (long long)(clock_wall_ms() / 1000));
        return one(values, str_c(a->epoch));
    }
    if (str_starts(name, STR("aws:principaltag/"))) {
        struct str v = entity_tag(a->role->rec, str_from(name, 17));
        return v.p ? one(values, v) : 0;
    }
    return a->q->find ? a->q->find(a->q->find_ctx, name, values, max) : 0;
}

int role_check(struct roles *r, struct str arn, struct str session,
               const struct policy_guard *guard, const struct policy_query *q, bool *explicit_deny,
               struct err *err)
{
    const struct principal *c = principal_by_arn(r->principals, arn);
    struct asking a = {.role = c, .arn = arn, .session = session, .q = q};
    struct policy_query asked = *q;
    char named[256];
    enum policy_effect effect = POLICY_NONE;
    enum policy_side side = POLICY_BY_IDENTITY;
    if (c && !c->broken) {
        struct policy_caller caller = {.policies = c->policies, .count = c->count};
        snprintf(named, sizeof named, "arn:aws:sts::" ACCOUNT_ID ":assumed-role/%.*s/%.*s",
                 STR_FMT(c->name), STR_FMT(session));
        asked.principal = session.n ? str_c(named) : arn;
        asked.principal_role = arn;
        asked.find = find;
        asked.find_ctx = &a;
        effect = policy_decide(&caller, guard, &asked, &side);
    }
    if (explicit_deny)
        *explicit_deny = effect == POLICY_DENY;
    return effect == POLICY_ALLOW ? 0
                                  : policy_denied(err, arn, q->action, q->resource, effect, side);
}

int role_allows(struct roles *r, struct str arn, struct str action, struct str resource,
                struct err *err)
{
    struct policy_query q = {.action = action, .resource = resource};
    return role_check(r, arn, STR(""), NULL, &q, NULL, err);
}

int role_assumable(struct store_txn *t, struct str arn, const char *service, struct str source_arn)
{
    struct str rec;
    const struct policy_key keys[] = {{STR("aws:sourceaccount"), STR(ACCOUNT_ID)},
                                      {STR("aws:sourcearn"), source_arn}};
    struct policy_query q = {.action = STR("sts:AssumeRole"),
                             .principal_service = str_c(service),
                             .keys = keys,
                             .key_count = source_arn.n ? 2 : 0};
    int rc = str_starts(arn, STR("arn:")) ? role_get(t, arn, &rec) : E_NOT_FOUND;
    if (rc)
        return rc == E_NOT_FOUND ? E_INVALID : rc;
    struct policy *trust = policy_parse(rec_str(rec, ENTITY_TRUST), POLICY_TRUST, NULL);
    bool ok = trust && policy_eval(trust, &q) == POLICY_ALLOW;
    policy_free(trust);
    return ok ? 0 : E_INVALID;
}

int role_assumable_by_lambda(struct store_txn *t, struct str arn, struct err *err)
{
    int rc = role_assumable(t, arn, "lambda.amazonaws.com", STR(""));
    return rc != E_INVALID
               ? rc
               : err_set(err, E_INVALID,
                         "The role defined for the function cannot be assumed by Lambda.");
}

struct policy *role_trust(struct store *s, struct str arn)
{
    struct str rec;
    struct store_txn *t = store_read(s);
    int rc = role_get(t, arn, &rec);
    struct policy *p = rc ? NULL : policy_parse(rec_str(rec, ENTITY_TRUST), POLICY_TRUST, NULL);
    store_read_end(t);
    return p;
}

/* --- records ----------------------------------------------------------------------------------
 */

struct str role_name_of(struct str arn)
{
    return entity_name_of(&entity_role, arn);
}

int role_get(struct store_txn *t, struct str name, struct str *rec)
{
    if (!str_starts(name, STR("arn:")))
        return entity_get(t, &entity_role, name, rec, NULL);
    struct str bare = role_name_of(name);
    struct buf arn = BUF_INIT;
    int rc = bare.p ? entity_get(t, &entity_role, bare, rec, NULL) : E_NOT_FOUND;
    if (rc == 0) {
        entity_arn(&entity_role, &arn, bare, *rec);
        if (!str_eq(buf_str(&arn), name))
            rc = E_NOT_FOUND;
    }
    buf_deinit(&arn);
    return rc;
}

int role_put(struct store_txn *t, struct str name, struct str rec)
{
    return entity_put(t, &entity_role, name, rec);
}

int role_del(struct store_txn *t, struct str name)
{
    return entity_del(t, &entity_role, name);
}

void role_build(struct buf *out, const struct role_spec *spec)
{
    char id[ENTITY_ID_SIZE];
    struct str kept = spec->id;
    if (!kept.n) {
        entity_id(entity_role.id_prefix, id);
        kept = str_c(id);
    }
    rec_put_str(out, ENTITY_ID, kept);
    rec_put_str(out, ENTITY_PATH, spec->path.n ? spec->path : STR("/"));
    rec_put_str(out, ENTITY_TRUST, spec->trust);
    rec_put_str(out, ENTITY_DESCRIPTION, spec->description);
    rec_put_u64(out, ENTITY_CREATED_MS, (uint64_t)spec->created_ms);
    rec_put_u64(out, ENTITY_MAX_SESSION_S, spec->max_session_s ? spec->max_session_s : 3600);
}
