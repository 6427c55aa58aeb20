/* identity: the three kinds of callers, root, users, sessions, behind one question.
 *
 * Whatever is missing denies: a user or role that is gone, or is another one under the old name; a
 * session whose policies cannot be had; a stored document that cannot be read. */
#include "svc/identity.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "base/log.h"

#define ROOT_ARN STR("arn:aws:iam::" ACCOUNT_ID ":root")

struct identities {
    struct store *store;
    struct roles *roles;
    struct principals *users;
    struct access_keys *keys;
    struct sessions *sessions;
    struct str root_access_key, root_secret;
};

struct identities *identities_open(const struct identities_opts *o)
{
    struct identities *ids = calloc(1, sizeof *ids);
    if (!ids)
        fatal("out of memory");
    *ids = (struct identities){.store = o->store,
                               .roles = o->roles,
                               .users = principals_open(o->store, &entity_user),
                               .keys = access_keys_open(o->loop, o->store),
                               .sessions = sessions_open(o->store),
                               .root_access_key = o->root_access_key,
                               .root_secret = o->root_secret};
    return ids;
}

void identities_close(struct identities *ids)
{
    if (!ids)
        return;
    access_keys_close(ids->keys);
    sessions_close(ids->sessions);
    principals_close(ids->users);
    free(ids);
}

struct principals *identity_users(struct identities *ids)
{
    return ids->users;
}

struct access_keys *identity_keys(struct identities *ids)
{
    return ids->keys;
}

void identity_user_changed(struct identities *ids, struct str user)
{
    principal_changed(ids->users, user);
}

void identity_key_changed(struct identities *ids, struct str access_key)
{
    access_key_changed(ids->keys, access_key);
}

void identity_policy_changed(struct identities *ids)
{
    principals_clear(ids->users);
    principals_clear(role_principals(ids->roles));
    sessions_clear(ids->sessions);
}

/* --- who signs --------------------------------------------------------------------------------
 */

static void be_root(struct identity *out)
{
    *out = (struct identity){.kind = IDENTITY_ROOT,
                             .root = true,
                             .arn = ROOT_ARN,
                             .user_id = STR(ACCOUNT_ID),
                             .principal_arn = ROOT_ARN,
                             .name = STR(""),
                             .id = STR(ACCOUNT_ID)};
}

/* E_NOT_FOUND: there is no such user. */
static int be_user(struct identities *ids, struct str name, struct arena *a, struct identity *out)
{
    const struct principal *p = principal_find(ids->users, name);
    if (!p || !p->exists)
        return p ? E_NOT_FOUND : E_IO;
    out->kind = IDENTITY_USER;
    out->arn = out->principal_arn = arena_dup(a, p->arn);
    out->user_id = out->id = arena_dup(a, p->id);
    out->name = arena_dup(a, p->name);
    return out->arn.p && out->id.p && out->name.p ? 0 : E_LIMIT;
}

/* A role that is gone still signs; it may do nothing. */
static bool be_role(struct identities *ids, const struct session *s, struct arena *a,
                    struct identity *out)
{
    const struct principal *p = principal_find(role_principals(ids->roles), s->name);
    out->kind = IDENTITY_ROLE;
    out->name = arena_dup(a, s->name);
    out->id = arena_dup(a, s->id);
    out->arn = arena_printf(a, "arn:aws:sts::" ACCOUNT_ID ":assumed-role/%.*s/%.*s",
                            STR_FMT(s->name), STR_FMT(s->session_name));
    out->user_id = arena_printf(a, "%.*s:%.*s", STR_FMT(s->id), STR_FMT(s->session_name));
    out->principal_arn = p && p->exists ? arena_dup(a, p->arn) : out->arn;
    return out->name.p && out->id.p && out->arn.p && out->user_id.p && out->principal_arn.p;
}

static int find_session(struct identities *ids, struct str access_key, struct str token,
                        struct arena *a, struct identity *out, struct str *secret)
{
    const struct session *s = session_find(ids->sessions, access_key, token);
    bool ok = true;
    if (!s)
        return E_BAD_TOKEN;
    *out = (struct identity){.issued_ms = s->issued_ms, .expires_ms = s->expires_ms};
    if (s->of == SESSION_OF_ROOT) {
        be_root(out);
        out->issued_ms = s->issued_ms;
        out->expires_ms = s->expires_ms;
    } else if (s->of == SESSION_OF_USER) {
        int rc = be_user(ids, s->name, a, out);
        if (rc == E_NOT_FOUND || (rc == 0 && !str_eq(out->id, s->id)))
            return E_BAD_TOKEN;
        if (rc)
            return rc;
    } else {
        ok = be_role(ids, s, a, out);
    }
    out->access_key = arena_dup(a, access_key);
    out->token = arena_dup(a, token);
    *secret = arena_dup(a, s->secret);
    if (!ok || !out->access_key.p || !out->token.p || !secret->p)
        return E_LIMIT;
    return clock_wall_ms() >= s->expires_ms ? E_TOKEN_EXPIRED : 0;
}

int identity_find(struct identities *ids, struct str access_key, struct str token, struct arena *a,
                  struct identity *out, struct str *secret)
{
    struct access_key key;
    *out = (struct identity){.kind = IDENTITY_ANONYMOUS};
    *secret = (struct str){NULL, 0};
    if (ids->root_access_key.n && str_eq(access_key, ids->root_access_key)) {
        if (token.n)
            return E_BAD_TOKEN;
        be_root(out);
        out->access_key = ids->root_access_key;
        *secret = ids->root_secret;
        return 0;
    }
    if (token.n)
        return find_session(ids, access_key, token, a, out, secret);
    int rc = access_key_find(ids->keys, access_key, &key);
    if (rc)
        return rc == E_NOT_FOUND ? E_BAD_ACCESS_KEY : rc;
    if (!key.active)
        return E_BAD_ACCESS_KEY;
    *secret = arena_dup(a, key.secret);
    out->access_key = arena_dup(a, access_key);
    struct str user = arena_dup(a, key.user);
    if (!secret->p || !out->access_key.p || !user.p)
        return E_LIMIT;
    rc = be_user(ids, user, a, out);
    if (rc == 0)
        return 0;
    *out = (struct identity){.kind = IDENTITY_ANONYMOUS};
    *secret = (struct str){NULL, 0};
    return rc == E_NOT_FOUND ? E_BAD_ACCESS_KEY : rc;
}

void identity_used(struct identities *ids, const struct identity *who, struct str service,
                   struct str region)
{
    if (who->kind == IDENTITY_USER && !who->token.n)
        access_key_used(ids->keys, who->access_key, service, region);
}

/* --- what they may do -------------------------------------------------------------------------
 */

struct asking {
    const struct identity *who;
    const struct principal *principal; /* NULL: root, anonymous */
    const struct policy_query *q;      /* the caller's, with its own finder */
    char issued[25];
};

static size_t one(struct str *values, struct str v)
{
    values[0] = v;
    return 1;
}

/* The keys that tell who asks; else the caller's finder. */
static size_t find(void *ctx, struct str name, struct str *values, size_t max)
{
    struct asking *a = ctx;
    const struct identity *who = a->who;
    static const char *const types[] = {"Anonymous", "Account", "User", "AssumedRole"};
    bool known = who->kind != IDENTITY_ANONYMOUS;
    if (str_is(name, "aws:principaltype"))
        return one(values, str_c(types[who->kind]));
    if (known && str_is(name, "aws:principalarn"))
        return one(values, who->principal_arn);
    if (known && str_is(name, "aws:principalaccount"))
        return one(values, STR(ACCOUNT_ID));
    if (str_is(name, "aws:userid"))
        return one(values, known ? who->user_id : STR("anonymous"));
    if (str_is(name, "aws:username"))
        return who->kind == IDENTITY_USER ? one(values, who->name) : 0;
    if (str_is(name, "aws:tokenissuetime")) {
        if (!who->issued_ms)
            return 0;
        clock_iso8601(who->issued_ms, a->issued);
        return one(values, str_c(a->issued));
    }
    if (str_is(name, "aws:multifactorauthpresent"))
        return who->token.n ? one(values, STR("false")) : 0;
    if (str_starts(name, STR("aws:principaltag/"))) {
        struct str v = a->principal ? entity_tag(a->principal->rec, str_from(name, 17))
                                    : (struct str){NULL, 0};
        return v.p ? one(values, v) : 0;
    }
    if (str_is(name, "aws:principalisawsservice") || str_is(name, "aws:viaawsservice"))
        return one(values, STR("false"));
    return a->q->find ? a->q->find(a->q->find_ctx, name, values, max) : 0;
}

/* The caller's own policies; false: it has none, and may do nothing. */
static bool own_side(struct identities *ids, struct asking *a, struct policy_caller *out)
{
    const struct identity *who = a->who;
    out->root = who->kind == IDENTITY_ROOT;
    if (who->kind == IDENTITY_USER)
        a->principal = principal_find(ids->users, who->name);
    else if (who->kind == IDENTITY_ROLE)
        a->principal = principal_find(role_principals(ids->roles), who->name);
    else
        return true;
    const struct principal *p = a->principal;
    if (!p || !p->exists || p->broken || !str_eq(p->id, who->id))
        return false;
    out->policies = p->policies;
    out->count = p->count;
    if (!who->token.n)
        return true;
    const struct session *s = session_find(ids->sessions, who->access_key, who->token);
    if (!s)
        return false;
    out->limited = s->limited;
    out->session = s->policies;
    out->session_count = s->count;
    return true;
}

int identity_allows(struct identities *ids, const struct identity *who,
                    const struct policy_guard *guard, const struct policy_query *q, struct err *err)
{
    struct asking a = {.who = who, .q = q};
    struct policy_caller caller = {.root = false};
    struct policy_query asked = *q;
    enum policy_side side = POLICY_BY_IDENTITY;
    enum policy_effect effect = POLICY_NONE;
    asked.principal = who->arn;
    asked.principal_role = who->kind == IDENTITY_ROLE ? who->principal_arn : STR("");
    asked.find = find;
    asked.find_ctx = &a;
    if (own_side(ids, &a, &caller))
        effect = policy_decide(&caller, guard, &asked, &side);
    return effect == POLICY_ALLOW
               ? 0
               : policy_denied(err, who->arn, q->action, q->resource, effect, side);
}
