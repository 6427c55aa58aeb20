/* role: what execution roles may do, and their records.
 *
 * A function's host call asks here before anything is done for it, so the answer must be quick: the
 * inline policies of a role are compiled when it is first asked and kept until a write changes it.
 * At most CACHE_MAX roles are kept; the one not asked for longest makes room (by second chance).
 *
 * Default deny reaches to the edges: no role, a role that is gone, an ARN of another account or
 * with the wrong path, a stored document that cannot be read: each denies everything. */
#include "svc/role.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/key.h"

enum { CACHE_MAX = 256, SLOTS = 256, POLICIES_MAX = 64, POLICY_BYTES_MAX = 10240, KEYS_MAX = 16 };

struct compiled {
    struct str name; /* in the same malloc */
    char *arn;
    struct policy **policies;
    size_t count;
    bool exists, broken, asked;
    struct compiled *next; /* of the slot */
};

struct roles {
    struct store *store;
    struct compiled *slots[SLOTS];
    struct compiled *ring[CACHE_MAX]; /* for eviction */
    size_t count, hand;
};

/* --- names ------------------------------------------------------------------------------------
 */

struct str role_name_of(struct str arn)
{
    struct arn a;
    struct str none = {NULL, 0}, name, rest;
    if (!arn_parse(arn, &a) || !str_is(a.partition, "aws") || !str_is(a.service, "iam") ||
        a.region.n || !str_is(a.account, ACCOUNT_ID) || !str_starts(a.resource, STR("role/")))
        return none;
    rest = str_from(a.resource, 5);
    do
        name = str_cut(&rest, '/');
    while (rest.p);
    return name.n && name.n <= 64 ? name : none;
}

void role_arn(struct buf *out, struct str name, struct str rec)
{
    struct str path = rec_str(rec, ROLE_PATH);
    buf_printf(out, "arn:aws:iam::" ACCOUNT_ID ":role%.*s%.*s", path.n ? (int)path.n : 1,
               path.n ? path.p : "/", STR_FMT(name));
}

static int get(struct store_txn *t, struct str name, struct str *rec)
{
    struct key k = {0};
    if (name.n == 0 || name.n > 64 || str_index(name, 0, 0) >= 0)
        return E_NOT_FOUND;
    return store_get(t, T_ROLES, key_str(key_name(&k, name)), rec);
}

int role_get(struct store_txn *t, struct str name, struct str *rec)
{
    if (!str_starts(name, STR("arn:")))
        return get(t, name, rec);
    struct str bare = role_name_of(name);
    struct buf arn = BUF_INIT;
    int rc = bare.p ? get(t, bare, rec) : E_NOT_FOUND;
    if (rc == 0) {
        role_arn(&arn, bare, *rec);
        if (!str_eq(buf_str(&arn), name))
            rc = E_NOT_FOUND;
    }
    buf_deinit(&arn);
    return rc;
}

/* --- compiled roles ---------------------------------------------------------------------------
 */

static size_t slot_of(struct str name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    return h % SLOTS;
}

static void compiled_free(struct compiled *c)
{
    for (size_t i = 0; i < c->count; i++)
        policy_free(c->policies[i]);
    free(c->policies);
    free(c->arn);
    free(c);
}

static void unlink_compiled(struct roles *r, struct compiled *c)
{
    struct compiled **at = &r->slots[slot_of(c->name)];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    for (size_t i = 0; i < r->count; i++) {
        if (r->ring[i] == c) {
            r->ring[i] = r->ring[--r->count];
            break;
        }
    }
    compiled_free(c);
}

static void make_room(struct roles *r)
{
    if (r->count < CACHE_MAX)
        return;
    while (r->ring[r->hand % r->count]->asked)
        r->ring[r->hand++ % r->count]->asked = false;
    unlink_compiled(r, r->ring[r->hand % r->count]);
}

static void compile_policies(struct compiled *c, struct str rec)
{
    struct str rest = rec, name, document;
    size_t n = 0;
    while (role_policy_next(&rest, &name, &document))
        n++;
    c->policies = calloc(n + 1, sizeof(struct policy *));
    if (!c->policies)
        fatal("out of memory");
    rest = rec;
    while (role_policy_next(&rest, &name, &document)) {
        struct policy *p = policy_parse(document, POLICY_IDENTITY, NULL);
        if (p)
            c->policies[c->count++] = p;
        else
            c->broken = true;
    }
}

static struct compiled *compile(struct roles *r, struct str name)
{
    struct compiled *c = calloc(1, sizeof *c + name.n);
    struct buf arn = BUF_INIT;
    struct str rec;
    if (!c)
        fatal("out of memory");
    memcpy(c + 1, name.p, name.n);
    c->name = str_of((char *)(c + 1), name.n);
    struct store_txn *t = store_read(r->store);
    int rc = get(t, name, &rec);
    c->exists = rc == 0;
    if (rc == 0) {
        role_arn(&arn, name, rec);
        buf_addc(&arn, 0);
        c->arn = arn.p;
        compile_policies(c, rec);
    }
    store_read_end(t);
    if (rc && rc != E_NOT_FOUND) { /* not to be remembered */
        compiled_free(c);
        return NULL;
    }
    if (c->broken)
        log_error("a policy of role %.*s cannot be read: it may do nothing", STR_FMT(name));
    return c;
}

/* NULL when the store cannot be read. */
static struct compiled *find(struct roles *r, struct str name)
{
    struct compiled *c = r->slots[slot_of(name)];
    while (c && !str_eq(c->name, name))
        c = c->next;
    if (!c) {
        c = compile(r, name);
        if (!c)
            return NULL;
        make_room(r);
        c->next = r->slots[slot_of(name)];
        r->slots[slot_of(name)] = c;
        r->ring[r->count++] = c;
    }
    c->asked = true;
    return c;
}

struct roles *roles_open(struct store *s, const char *region)
{
    struct roles *r = calloc(1, sizeof *r);
    (void)region; /* IAM's ARNs have none */
    if (!r)
        fatal("out of memory");
    r->store = s;
    return r;
}

void roles_close(struct roles *r)
{
    if (!r)
        return;
    while (r->count)
        unlink_compiled(r, r->ring[0]);
    free(r);
}

void role_changed(struct roles *r, struct str name)
{
    struct compiled *c = r->slots[slot_of(name)];
    while (c && !str_eq(c->name, name))
        c = c->next;
    if (c)
        unlink_compiled(r, c);
}

/* --- asking -----------------------------------------------------------------------------------
 */

int role_check(struct roles *r, struct str arn, const struct policy_query *q, bool *explicit_deny,
               struct err *err)
{
    struct policy_key keys[KEYS_MAX];
    struct policy_query asked = *q;
    size_t n = q->key_count < KEYS_MAX - 2 ? q->key_count : KEYS_MAX - 2;
    struct str name = role_name_of(arn);
    struct compiled *c = name.p ? find(r, name) : NULL;
    enum policy_effect effect = POLICY_NONE;
    if (n)
        memcpy(keys, q->keys, n * sizeof *keys);
    keys[n++] = (struct policy_key){STR("aws:principalarn"), arn};
    keys[n++] = (struct policy_key){STR("aws:principalaccount"), STR(ACCOUNT_ID)};
    asked.principal = arn;
    asked.keys = keys;
    asked.key_count = n;
    if (c && c->exists && !c->broken && str_is(arn, c->arn))
        effect = policy_eval_all(c->policies, c->count, &asked);
    if (explicit_deny)
        *explicit_deny = effect == POLICY_DENY;
    return effect == POLICY_ALLOW ? 0 : policy_denied(err, arn, q->action, q->resource, effect);
}

int role_allows(struct roles *r, struct str arn, struct str action, struct str resource,
                struct err *err)
{
    struct policy_query q = {.action = action, .resource = resource};
    return role_check(r, arn, &q, NULL, err);
}

int role_assumable_by_lambda(struct store_txn *t, struct str arn, struct err *err)
{
    struct str rec;
    struct policy_query q = {.action = STR("sts:AssumeRole"),
                             .principal_service = STR("lambda.amazonaws.com")};
    int rc = str_starts(arn, STR("arn:")) ? role_get(t, arn, &rec) : E_NOT_FOUND;
    if (rc && rc != E_NOT_FOUND)
        return rc;
    struct policy *trust = rc ? NULL : policy_parse(rec_str(rec, ROLE_TRUST), POLICY_TRUST, NULL);
    bool ok = trust && policy_eval(trust, &q) == POLICY_ALLOW;
    policy_free(trust);
    return ok ? 0
              : err_set(err, E_INVALID,
                        "The role defined for the function cannot be assumed by Lambda.");
}

/* --- records ----------------------------------------------------------------------------------
 */

void role_build(struct buf *out, const struct role_spec *spec)
{
    char id[22] = "AROA";
    struct str kept = spec->id;
    if (!kept.n) {
        id_hex(id + 4, 17);
        for (char *p = id + 4; *p; p++)
            *p = (char)(*p >= 'a' ? *p - 32 : *p);
        kept = str_of(id, 21);
    }
    rec_put_str(out, ROLE_ID, kept);
    rec_put_str(out, ROLE_PATH, spec->path.n ? spec->path : STR("/"));
    rec_put_str(out, ROLE_TRUST, spec->trust);
    rec_put_str(out, ROLE_DESCRIPTION, spec->description);
    rec_put_u64(out, ROLE_CREATED_MS, (uint64_t)spec->created_ms);
    rec_put_u64(out, ROLE_MAX_SESSION_S, spec->max_session_s ? spec->max_session_s : 3600);
}

int role_put(struct store_txn *t, struct str name, struct str rec)
{
    struct key k = {0};
    return store_put(t, T_ROLES, key_str(key_name(&k, name)), rec);
}

int role_del(struct store_txn *t, struct str name)
{
    struct key k = {0};
    return store_del(t, T_ROLES, key_str(key_name(&k, name)));
}

bool role_policy_next(struct str *rest, struct str *name, struct str *document)
{
    uint16_t tag;
    struct str v;
    while (rec_next(rest, &tag, &v)) {
        if (tag != ROLE_POLICY)
            continue;
        *name = rec_str(v, 1);
        *document = rec_str(v, 2);
        return true;
    }
    return false;
}

int role_policy_get(struct str rec, struct str policy, struct str *document)
{
    struct str name;
    while (role_policy_next(&rec, &name, document))
        if (str_eq(name, policy))
            return 0;
    return E_NOT_FOUND;
}

/* White space does not count. */
static size_t policy_bytes(struct str document)
{
    size_t n = 0;
    for (size_t i = 0; i < document.n; i++)
        n += !strchr(" \t\r\n", document.p[i]);
    return n;
}

static void add_policy(struct buf *out, struct str name, struct str document)
{
    size_t mark = rec_begin(out, ROLE_POLICY);
    rec_put_str(out, 1, name);
    rec_put_str(out, 2, document);
    rec_end(out, mark);
}

/* Copies all of rec but the policy of that name. */
static void copy_others(struct buf *out, struct str rec, struct str policy, size_t *count,
                        size_t *bytes)
{
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        if (tag == ROLE_POLICY) {
            if (str_eq(rec_str(v, 1), policy))
                continue;
            *bytes += policy_bytes(rec_str(v, 2));
            ++*count;
        }
        rec_put_str(out, tag, v);
    }
}

int role_policy_put(struct store_txn *t, struct str role, struct str policy, struct str document,
                    struct err *err)
{
    struct str rec;
    struct buf b = BUF_INIT;
    size_t count = 0, bytes = policy_bytes(document);
    int rc = get(t, role, &rec);
    if (rc)
        return rc;
    copy_others(&b, rec, policy, &count, &bytes);
    add_policy(&b, policy, document);
    if (bytes > POLICY_BYTES_MAX || count >= POLICIES_MAX)
        rc = err_set(err, E_QUOTA, "Maximum policy size of %d bytes exceeded for role %.*s",
                     POLICY_BYTES_MAX, STR_FMT(role));
    else
        rc = b.rc ? b.rc : role_put(t, role, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int role_policy_del(struct store_txn *t, struct str role, struct str policy, struct err *err)
{
    struct str rec, document;
    struct buf b = BUF_INIT;
    size_t count = 0, bytes = 0;
    int rc = get(t, role, &rec);
    if (rc == 0)
        rc = role_policy_get(rec, policy, &document);
    if (rc)
        return err_set(err, rc, "The role policy with name %.*s cannot be found.", STR_FMT(policy));
    copy_others(&b, rec, policy, &count, &bytes);
    rc = b.rc ? b.rc : role_put(t, role, buf_str(&b));
    buf_deinit(&b);
    return rc;
}
