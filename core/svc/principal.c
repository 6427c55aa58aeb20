/* principal: reads a record, compiles its policies, remembers the last ones asked for.
 *
 * Default deny reaches to the edges: a principal that is gone has no policies, and one of which a
 * stored document cannot be read may do nothing at all, since that document may have been a Deny.
 * Absence is remembered like presence: a caller of a role that is gone costs no read each time. */
#include "svc/principal.h"

#include "base/log.h"
#include "svc/managed.h"

enum { CACHE_MAX = 256 };

struct principals {
    struct store *store;
    const struct entity_kind *kind;
    struct recent *recent;
};

static void drop(void *ctx, struct recent_entry *e)
{
    struct principal *c = (struct principal *)e;
    (void)ctx;
    for (size_t i = 0; i < c->count; i++)
        policy_free(c->policies[i]);
    policy_free(c->trust);
    free(c->policies);
    buf_deinit(&c->memory);
    free(c);
}

struct principals *principals_open(struct store *s, const struct entity_kind *kind)
{
    struct principals *p = calloc(1, sizeof *p);
    if (!p)
        fatal("out of memory");
    p->store = s;
    p->kind = kind;
    p->recent = recent_new(CACHE_MAX, drop, NULL);
    return p;
}

void principals_close(struct principals *p)
{
    if (!p)
        return;
    recent_free(p->recent);
    free(p);
}

static void add_policy(struct principal *c, int rc, struct str document)
{
    struct policy *p = rc ? NULL : policy_parse(document, POLICY_IDENTITY, NULL);
    if (p)
        c->policies[c->count++] = p;
    else
        c->broken = true;
}

static void compile_policies(struct principal *c, struct store_txn *t)
{
    struct str rest = c->rec, name, document, arn, v;
    uint16_t tag;
    size_t n = 1;
    while (rec_next(&rest, &tag, &v))
        n += tag == ENTITY_POLICY || tag == ENTITY_ATTACHED;
    c->policies = calloc(n, sizeof(struct policy *));
    if (!c->policies)
        fatal("out of memory");
    for (rest = c->rec; entity_policy_next(&rest, &name, &document);)
        add_policy(c, 0, document);
    for (rest = c->rec; entity_next(&rest, ENTITY_ATTACHED, &arn);)
        add_policy(c, managed_document(t, arn, &document), document);
    struct str trust = rec_str(c->rec, ENTITY_TRUST);
    c->trust = trust.n ? policy_parse(trust, POLICY_TRUST, NULL) : NULL;
}

/* name, arn and record side by side in one buffer. */
static void keep(struct principals *p, struct principal *c, struct str name, struct str rec)
{
    struct buf *b = &c->memory;
    buf_add(b, name);
    size_t arn_at = b->n;
    if (c->exists)
        entity_arn(p->kind, b, name, rec);
    size_t rec_at = b->n;
    buf_add(b, rec);
    if (b->rc)
        fatal("out of memory");
    c->name = c->entry.name = str_of(b->p, name.n);
    c->arn = str_of(b->p + arn_at, rec_at - arn_at);
    c->rec = str_of(b->p + rec_at, rec.n);
    c->id = rec_str(c->rec, ENTITY_ID);
}

static struct principal *compile(struct principals *p, struct str name)
{
    struct principal *c = calloc(1, sizeof *c);
    struct str rec = {NULL, 0};
    if (!c)
        fatal("out of memory");
    struct store_txn *t = store_read(p->store);
    int rc = entity_get(t, p->kind, name, &rec, NULL);
    c->exists = rc == 0;
    if (rc == 0 || rc == E_NOT_FOUND)
        keep(p, c, name, rc ? STR("") : rec);
    if (rc == 0)
        compile_policies(c, t);
    store_read_end(t);
    if (rc && rc != E_NOT_FOUND) { /* not to be remembered */
        drop(NULL, &c->entry);
        return NULL;
    }
    if (c->broken)
        log_error("a policy of %s %.*s cannot be read: it may do nothing", p->kind->word,
                  STR_FMT(name));
    return c;
}

const struct principal *principal_find(struct principals *p, struct str name)
{
    struct principal *c = (struct principal *)recent_find(p->recent, name);
    if (c)
        return c;
    c = compile(p, name);
    if (c)
        recent_add(p->recent, &c->entry);
    return c;
}

const struct principal *principal_by_arn(struct principals *p, struct str arn)
{
    struct str name = entity_name_of(p->kind, arn);
    const struct principal *c = name.p ? principal_find(p, name) : NULL;
    return c && c->exists && str_eq(c->arn, arn) ? c : NULL;
}

void principal_changed(struct principals *p, struct str name)
{
    recent_remove(p->recent, name);
}

void principals_clear(struct principals *p)
{
    recent_clear(p->recent);
}
