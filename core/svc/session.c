/* session: making tokens and opening them.
 *
 * A token is base64 of a sealed record. The label that is authenticated with it holds the access key
 * id, so a token works with its own key only. Base64 is read strictly and a token is compared whole
 * with the one in memory: there is one way to write each. */
#include "svc/session.h"

#include <openssl/crypto.h>

#include "base/codec.h"
#include "base/log.h"
#include "svc/managed.h"

enum {
    S_OF = 1,
    S_NAME,
    S_ID,
    S_SESSION_NAME,
    S_SECRET,
    S_ISSUED_MS,
    S_EXPIRES_MS,
    S_POLICY,     /* at most one */
    S_POLICY_ARN, /* repeated */
};
enum { CACHE_MAX = 256 };

struct sessions {
    struct store *store;
    struct recent *recent;
};

static void label_of(struct str access_key, char out[static 160])
{
    snprintf(out, 160, "session:%.*s", (int)(access_key.n < 128 ? access_key.n : 128),
             access_key.p);
}

void session_token(const struct store *s, const struct session_spec *spec, struct buf *out)
{
    struct buf rec = BUF_INIT, sealed = BUF_INIT;
    char label[160];
    label_of(spec->access_key, label);
    rec_put_u64(&rec, S_OF, spec->of);
    rec_put_str(&rec, S_NAME, spec->name);
    rec_put_str(&rec, S_ID, spec->id);
    rec_put_str(&rec, S_SESSION_NAME, spec->session_name);
    rec_put_str(&rec, S_SECRET, spec->secret);
    rec_put_u64(&rec, S_ISSUED_MS, (uint64_t)spec->issued_ms);
    rec_put_u64(&rec, S_EXPIRES_MS, (uint64_t)spec->expires_ms);
    if (spec->policy.n)
        rec_put_str(&rec, S_POLICY, spec->policy);
    for (size_t i = 0; i < spec->policy_arn_count; i++)
        rec_put_str(&rec, S_POLICY_ARN, spec->policy_arns[i]);
    store_seal(s, str_c(label), buf_str(&rec), &sealed);
    base64_encode(out, buf_str(&sealed));
    OPENSSL_cleanse(rec.p, rec.n);
    buf_deinit(&rec);
    buf_deinit(&sealed);
}

static void drop(void *ctx, struct recent_entry *e)
{
    struct session *s = (struct session *)e;
    (void)ctx;
    for (size_t i = 0; i < s->count; i++)
        policy_free(s->policies[i]);
    free(s->policies);
    if (s->memory.p)
        OPENSSL_cleanse(s->memory.p, s->memory.n);
    buf_deinit(&s->memory);
    free(s);
}

struct sessions *sessions_open(struct store *s)
{
    struct sessions *all = calloc(1, sizeof *all);
    if (!all)
        fatal("out of memory");
    all->store = s;
    all->recent = recent_new(CACHE_MAX, drop, NULL);
    return all;
}

void sessions_close(struct sessions *s)
{
    if (!s)
        return;
    recent_free(s->recent);
    free(s);
}

/* A policy that cannot be had or read leaves the session with less: it stays limited. */
static void compile(struct sessions *all, struct session *s)
{
    struct str rest = s->rec, v, document;
    uint16_t tag;
    size_t n = 0;
    while (rec_next(&rest, &tag, &v))
        n += tag == S_POLICY || tag == S_POLICY_ARN;
    s->limited = n > 0;
    s->policies = calloc(n + 1, sizeof(struct policy *));
    if (!s->policies)
        fatal("out of memory");
    if (!n)
        return;
    struct store_txn *t = store_read(all->store);
    for (rest = s->rec; rec_next(&rest, &tag, &v);) {
        struct policy *p = NULL;
        if (tag == S_POLICY)
            p = policy_parse(v, POLICY_IDENTITY, NULL);
        else if (tag == S_POLICY_ARN && managed_document(t, v, &document) == 0)
            p = policy_parse(document, POLICY_IDENTITY, NULL);
        if (p)
            s->policies[s->count++] = p;
    }
    store_read_end(t);
}

/* access key, token and record side by side in one buffer; false when it is none of ours. */
static bool read_token(struct sessions *all, struct session *s, struct str access_key,
                       struct str token)
{
    struct buf sealed = BUF_INIT, *b = &s->memory;
    char label[160];
    size_t at = access_key.n + token.n;
    label_of(access_key, label);
    buf_add(b, access_key);
    buf_add(b, token);
    bool ok = base64_decode(&sealed, token) &&
              store_unseal(all->store, str_c(label), buf_str(&sealed), b) && b->rc == 0;
    buf_deinit(&sealed);
    if (!ok)
        return false;
    s->access_key = s->entry.name = str_of(b->p, access_key.n);
    s->token = str_of(b->p + access_key.n, token.n);
    s->rec = str_of(b->p + at, b->n - at);
    s->of = (enum session_of)rec_u64(s->rec, S_OF, 0);
    s->name = rec_str(s->rec, S_NAME);
    s->id = rec_str(s->rec, S_ID);
    s->session_name = rec_str(s->rec, S_SESSION_NAME);
    s->secret = rec_str(s->rec, S_SECRET);
    s->issued_ms = (int64_t)rec_u64(s->rec, S_ISSUED_MS, 0);
    s->expires_ms = (int64_t)rec_u64(s->rec, S_EXPIRES_MS, 0);
    return s->secret.n > 0;
}

const struct session *session_find(struct sessions *all, struct str access_key, struct str token)
{
    struct session *s = (struct session *)recent_find(all->recent, access_key);
    if (s && str_eq_secret(s->token, token))
        return s;
    if (token.n > SESSION_TOKEN_MAX || access_key.n > 128)
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    if (!read_token(all, s, access_key, token)) {
        drop(NULL, &s->entry);
        return NULL;
    }
    compile(all, s);
    recent_remove(all->recent, access_key);
    recent_add(all->recent, &s->entry);
    return s;
}

void sessions_clear(struct sessions *s)
{
    recent_clear(s->recent);
}
