/* access_key: rows of keys, and the few that are in use kept open.
 *
 * A key that is deleted or made inactive is forgotten when its job is done, before the answer goes
 * out, so the next request with it is refused. The notes of use are the one thing that is written
 * behind: a crash may cost the last minute of them. */
#include "svc/access_key.h"

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/key.h"
#include "svc/entity.h"
#include "svc/recent.h"

enum { CACHE_MAX = 512, ABSENT_MAX = 256, WRITE_EVERY_MS = 60 * 1000, USES_MAX = 256 };

/* --- rows -------------------------------------------------------------------------------------
 */

static struct str row_key(struct key *k, struct str id)
{
    k->n = 0;
    return key_str(key_bytes(k, id));
}

static bool id_form(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= 'A' && id.p[i] <= 'Z') || (id.p[i] >= '0' && id.p[i] <= '9')))
            return false;
    return id.n >= 16 && id.n <= 128;
}

void access_key_make(const char *prefix, char id[static KEY_ID_SIZE],
                     char secret[static KEY_SECRET_SIZE])
{
    char whole[ENTITY_ID_SIZE];
    unsigned char random[30];
    struct buf b = BUF_INIT;
    entity_id(prefix, whole);
    snprintf(id, KEY_ID_SIZE, "%.*s", KEY_ID_SIZE - 1, whole);
    random_bytes(random, sizeof random);
    base64_encode(&b, str_of((const char *)random, sizeof random));
    snprintf(secret, KEY_SECRET_SIZE, "%.*s", STR_FMT(buf_str(&b)));
    OPENSSL_cleanse(random, sizeof random);
    OPENSSL_cleanse(b.p, b.n);
    buf_deinit(&b);
}

static void label_of(struct str id, char out[static 160])
{
    snprintf(out, 160, "access-key:%.*s", STR_FMT(id));
}

void access_key_build(struct buf *out, const struct store *s, struct str user, struct str id,
                      struct str secret, int64_t now_ms)
{
    char label[160];
    label_of(id, label);
    rec_put_str(out, KEY_USER, user);
    size_t mark = rec_begin(out, KEY_SECRET);
    store_seal(s, str_c(label), secret, out);
    rec_end(out, mark);
    rec_put_u64(out, KEY_CREATED_MS, (uint64_t)now_ms);
}

int access_key_get(struct store_txn *t, struct str id, struct str user, struct str *rec,
                   struct err *err)
{
    struct key k;
    int rc = id_form(id) ? store_get(t, T_KEYS, row_key(&k, id), rec) : E_NOT_FOUND;
    if (rc == 0 && user.n && !str_eq(rec_str(*rec, KEY_USER), user))
        rc = E_NOT_FOUND;
    if (rc == E_NOT_FOUND)
        err_set(err, rc, "The Access Key with id %.*s cannot be found.", STR_FMT(id));
    return rc;
}

int access_key_add(struct store_txn *t, struct str user, struct str id, struct str rec,
                   struct err *err)
{
    struct str whose, rest, other;
    struct buf b = BUF_INIT;
    struct key k;
    size_t n = 0;
    int rc = entity_get(t, &entity_user, user, &whose, err);
    if (rc)
        return rc;
    for (rest = whose; entity_next(&rest, ENTITY_KEY, &other);)
        n++;
    if (n >= KEYS_PER_USER)
        return err_set(err, E_QUOTA, "Cannot exceed quota for AccessKeysPerUser: %d",
                       KEYS_PER_USER);
    buf_add(&b, whose);
    rec_put_str(&b, ENTITY_KEY, id);
    rc = b.rc ? b.rc : entity_put(t, &entity_user, user, buf_str(&b));
    buf_deinit(&b);
    return rc ? rc : store_put(t, T_KEYS, row_key(&k, id), rec);
}

int access_key_set(struct store_txn *t, struct str user, struct str id, bool active,
                   struct err *err)
{
    struct str rec;
    struct buf b = BUF_INIT;
    struct key k;
    int rc = access_key_get(t, id, user, &rec, err);
    if (rc)
        return rc;
    entity_copy_but(&b, rec, KEY_INACTIVE, (struct str){NULL, 0});
    if (!active)
        rec_put_u64(&b, KEY_INACTIVE, 1);
    rc = b.rc ? b.rc : store_put(t, T_KEYS, row_key(&k, id), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int access_key_del(struct store_txn *t, struct str user, struct str id, struct err *err)
{
    struct str rec, whose;
    struct buf b = BUF_INIT;
    struct key k;
    int rc = access_key_get(t, id, user, &rec, err);
    if (rc == 0)
        rc = entity_get(t, &entity_user, user, &whose, err);
    if (rc)
        return rc;
    entity_copy_but(&b, whose, ENTITY_KEY, id);
    rc = b.rc ? b.rc : entity_put(t, &entity_user, user, buf_str(&b));
    buf_deinit(&b);
    return rc ? rc : store_del(t, T_KEYS, row_key(&k, id));
}

/* --- in memory --------------------------------------------------------------------------------
 */

struct entry {
    struct recent_entry recent;
    bool active, unwritten;
    struct access_key_use use; /* ms 0: not since it was loaded */
    char id[KEY_ID_SIZE];
    char user[ENTITY_NAME_MAX + 1];
    char secret[KEY_SECRET_SIZE];
};

/* An id that is no key's, so that guessing one costs what a wrong signature costs, however often. */
struct absent {
    struct recent_entry recent;
    char id[128];
};

struct access_keys {
    struct store *store;
    struct recent *recent, *absent;
    uv_timer_t timer;
};

/* Notes of use on their way to the store. */
struct writing {
    struct job job;
    struct store *store;
    size_t count;
    struct {
        char id[KEY_ID_SIZE];
        struct access_key_use use;
    } uses[USES_MAX];
};

static int write_one(struct store_txn *t, struct str id, const struct access_key_use *use)
{
    struct str rec, v;
    struct buf b = BUF_INIT;
    struct key k;
    uint16_t tag;
    int rc = access_key_get(t, id, STR(""), &rec, NULL);
    if (rc)
        return rc == E_NOT_FOUND ? 0 : rc;
    while (rec_next(&rec, &tag, &v))
        if (tag != KEY_USED_MS && tag != KEY_USED_SERVICE && tag != KEY_USED_REGION)
            rec_put_str(&b, tag, v);
    rec_put_u64(&b, KEY_USED_MS, (uint64_t)use->ms);
    rec_put_str(&b, KEY_USED_SERVICE, str_c(use->service));
    rec_put_str(&b, KEY_USED_REGION, str_c(use->region));
    rc = b.rc ? b.rc : store_put(t, T_KEYS, row_key(&k, id), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

static int writing_apply(struct job *job, struct store_txn *t)
{
    struct writing *w = (struct writing *)job;
    int rc = 0;
    for (size_t i = 0; i < w->count && rc == 0; i++)
        rc = write_one(t, str_c(w->uses[i].id), &w->uses[i].use);
    return rc;
}

static void writing_done(struct job *job, int rc)
{
    (void)rc; /* the next use is noted again */
    free(job);
}

static void submit(struct writing *w)
{
    w->job = (struct job){.apply = writing_apply, .done = writing_done, .undo = true};
    store_submit(w->store, &w->job);
}

static struct writing *note(struct writing *w, struct store *s, struct entry *e)
{
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            fatal("out of memory");
        w->store = s;
    }
    snprintf(w->uses[w->count].id, sizeof w->uses[w->count].id, "%s", e->id);
    w->uses[w->count++].use = e->use;
    e->unwritten = false;
    return w;
}

struct gather {
    struct access_keys *k;
    struct writing *w;
};

static void gather_one(void *ctx, struct recent_entry *r)
{
    struct gather *g = ctx;
    struct entry *e = (struct entry *)r;
    if (e->unwritten && (!g->w || g->w->count < USES_MAX))
        g->w = note(g->w, g->k->store, e);
}

static void write_all(struct access_keys *k)
{
    struct gather g = {k, NULL};
    recent_each(k->recent, gather_one, &g);
    if (g.w)
        submit(g.w);
}

static void on_timer(uv_timer_t *t)
{
    write_all(t->data);
}

static void drop(void *ctx, struct recent_entry *r)
{
    struct access_keys *k = ctx;
    struct entry *e = (struct entry *)r;
    if (e->unwritten)
        submit(note(NULL, k->store, e));
    OPENSSL_cleanse(e, sizeof *e);
    free(e);
}

static void drop_absent(void *ctx, struct recent_entry *r)
{
    (void)ctx;
    free(r);
}

struct access_keys *access_keys_open(uv_loop_t *loop, struct store *s)
{
    struct access_keys *k = calloc(1, sizeof *k);
    if (!k)
        fatal("out of memory");
    k->store = s;
    k->recent = recent_new(CACHE_MAX, drop, k);
    k->absent = recent_new(ABSENT_MAX, drop_absent, k);
    uv_timer_init(loop, &k->timer);
    k->timer.data = k;
    uv_timer_start(&k->timer, on_timer, WRITE_EVERY_MS, WRITE_EVERY_MS);
    uv_unref((uv_handle_t *)&k->timer);
    return k;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void access_keys_close(struct access_keys *k)
{
    if (!k)
        return;
    write_all(k);
    recent_free(k->recent);
    recent_free(k->absent);
    uv_close((uv_handle_t *)&k->timer, on_closed);
}

/* NULL when the secret does not open: the row was not written under this master key and id. */
static struct entry *load(struct access_keys *k, struct str id, struct str rec)
{
    char label[160];
    struct buf secret = BUF_INIT;
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        fatal("out of memory");
    label_of(id, label);
    bool ok = id.n < sizeof e->id &&
              store_unseal(k->store, str_c(label), rec_str(rec, KEY_SECRET), &secret) &&
              secret.n < sizeof e->secret;
    snprintf(e->id, sizeof e->id, "%.*s", STR_FMT(id));
    snprintf(e->user, sizeof e->user, "%.*s", STR_FMT(rec_str(rec, KEY_USER)));
    if (ok)
        memcpy(e->secret, secret.p, secret.n);
    else
        log_error("the secret of access key %s does not open: refused", e->id);
    if (secret.p)
        OPENSSL_cleanse(secret.p, secret.n);
    buf_deinit(&secret);
    e->active = !rec_u64(rec, KEY_INACTIVE, 0);
    e->recent.name = str_c(e->id);
    if (ok)
        return e;
    free(e);
    return NULL;
}

static void note_absent(struct access_keys *k, struct str id)
{
    struct absent *a = id.n <= sizeof a->id ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return;
    memcpy(a->id, id.p, id.n);
    a->recent.name = str_of(a->id, id.n);
    recent_add(k->absent, &a->recent);
}

int access_key_find(struct access_keys *k, struct str id, struct access_key *out)
{
    struct entry *e = (struct entry *)recent_find(k->recent, id);
    struct str rec;
    if (!e && recent_find(k->absent, id))
        return E_NOT_FOUND;
    if (!e) {
        struct store_txn *t = store_read(k->store);
        int rc = access_key_get(t, id, STR(""), &rec, NULL);
        e = rc ? NULL : load(k, id, rec);
        store_read_end(t);
        if (rc == E_NOT_FOUND)
            note_absent(k, id);
        if (!e)
            return rc ? rc : E_NOT_FOUND;
        recent_add(k->recent, &e->recent);
    }
    *out = (struct access_key){str_c(e->user), str_c(e->secret), e->active};
    return 0;
}

void access_key_used(struct access_keys *k, struct str id, struct str service, struct str region)
{
    struct entry *e = (struct entry *)recent_find(k->recent, id);
    int64_t now = clock_wall_ms();
    if (!e || (now / 1000 == e->use.ms / 1000 && str_is(service, e->use.service)))
        return;
    e->use.ms = now;
    snprintf(e->use.service, sizeof e->use.service, "%.*s", STR_FMT(service));
    snprintf(e->use.region, sizeof e->use.region, "%.*s", STR_FMT(region));
    e->unwritten = true;
}

void access_key_last_use(struct access_keys *k, struct str id, struct str rec,
                         struct access_key_use *out)
{
    struct entry *e = (struct entry *)recent_find(k->recent, id);
    *out = (struct access_key_use){.ms = (int64_t)rec_u64(rec, KEY_USED_MS, 0)};
    snprintf(out->service, sizeof out->service, "%.*s", STR_FMT(rec_str(rec, KEY_USED_SERVICE)));
    snprintf(out->region, sizeof out->region, "%.*s", STR_FMT(rec_str(rec, KEY_USED_REGION)));
    if (e && e->use.ms)
        *out = e->use;
}

void access_key_changed(struct access_keys *k, struct str id)
{
    recent_remove(k->recent, id);
    recent_remove(k->absent, id);
}
