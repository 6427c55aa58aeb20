/* signin: a list of sessions, a ring of links, a table of addresses; all bounded.
 *
 * A lookup compares 32 bytes of digest a session: with a thousand of them that is less than the digest
 * costs. The store is told when a session comes, goes, or has not been written as seen for a while; a
 * crash may so cost a session some minutes of its twelve hours, and never gives it any. */
#include "svc/signin.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "base/rec.h"

enum { ROW_ID = 1, ROW_ACCESS_KEY, ROW_ADDRESS, ROW_AGENT, ROW_CREATED_MS, ROW_SEEN_MS };
enum { STORE_SEEN_MS = 5 * 60 * 1000, ADDRESSES = 512 };

struct link {
    unsigned char hash[32];
    char access_key[SIGNIN_KEY_MAX + 1];
    int64_t until_ms; /* 0: free, or used */
};

struct tries {
    char address[46];
    int count;
    int64_t until_ms; /* of the window that began with the first */
};

struct signins {
    struct store *store;
    struct signin *first;
    size_t count;
    struct link links[SIGNIN_LINKS_MAX];
    size_t next_link;
    struct tries tries[ADDRESSES];
};

struct row_job {
    struct job job;
    unsigned char hash[32];
    struct buf rec; /* empty: the row goes */
};

/* --- tokens ------------------------------------------------------------------------------------ */

static void make_token(char token[static SIGNIN_TOKEN_SIZE], unsigned char hash[static 32])
{
    unsigned char bytes[32];
    struct buf b = BUF_INIT;
    random_bytes(bytes, sizeof bytes);
    base64url_encode(&b, str_of((const char *)bytes, sizeof bytes));
    ASSERT(b.n == SIGNIN_TOKEN_SIZE - 1);
    memcpy(token, b.p, b.n);
    token[b.n] = 0;
    hash_once(HASH_SHA256, buf_str(&b), hash);
    buf_deinit(&b);
}

static void copy_text(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.p ? s.p : "");
}

/* --- rows -------------------------------------------------------------------------------------- */

static int row_apply(struct job *job, struct store_txn *t)
{
    struct row_job *r = (struct row_job *)job;
    struct str key = str_of((const char *)r->hash, sizeof r->hash);
    return r->rec.n ? store_put(t, T_SIGNINS, key, buf_str(&r->rec)) : store_del(t, T_SIGNINS, key);
}

static void row_done(struct job *job, int rc)
{
    struct row_job *r = (struct row_job *)job;
    if (rc && rc != E_SHUTDOWN)
        log_warn("a console session could not be stored: it ends with this server");
    buf_deinit(&r->rec);
    free(r);
}

static void submit(struct signins *s, struct signin *e, bool keep)
{
    struct row_job *r = calloc(1, sizeof *r);
    if (!r)
        fatal("out of memory");
    r->job.apply = row_apply;
    r->job.done = row_done;
    r->job.frees_space = !keep;
    memcpy(r->hash, e->hash, sizeof r->hash);
    if (keep) {
        rec_put_str(&r->rec, ROW_ID, str_c(e->id));
        rec_put_str(&r->rec, ROW_ACCESS_KEY, str_c(e->access_key));
        rec_put_str(&r->rec, ROW_ADDRESS, str_c(e->address));
        rec_put_str(&r->rec, ROW_AGENT, str_c(e->agent));
        rec_put_u64(&r->rec, ROW_CREATED_MS, (uint64_t)e->created_ms);
        rec_put_u64(&r->rec, ROW_SEEN_MS, (uint64_t)e->seen_ms);
        e->stored_ms = e->seen_ms;
    }
    store_submit(s->store, &r->job);
}

static void read_row(struct signins *s, struct str key, struct str rec)
{
    struct signin *e = calloc(1, sizeof *e);
    if (!e)
        fatal("out of memory");
    memcpy(e->hash, key.p, sizeof e->hash);
    copy_text(e->id, sizeof e->id, rec_str(rec, ROW_ID));
    copy_text(e->access_key, sizeof e->access_key, rec_str(rec, ROW_ACCESS_KEY));
    copy_text(e->address, sizeof e->address, rec_str(rec, ROW_ADDRESS));
    copy_text(e->agent, sizeof e->agent, rec_str(rec, ROW_AGENT));
    e->created_ms = (int64_t)rec_u64(rec, ROW_CREATED_MS, 0);
    e->seen_ms = e->stored_ms = (int64_t)rec_u64(rec, ROW_SEEN_MS, 0);
    e->next = s->first;
    s->first = e;
    s->count++;
}

struct signins *signins_open(struct store *store)
{
    struct signins *s = calloc(1, sizeof *s);
    struct str k, v;
    if (!s)
        fatal("out of memory");
    s->store = store;
    struct store_txn *t = store_read(store);
    struct store_cursor *c = store_cursor(t, T_SIGNINS);
    for (bool any = store_seek(c, STR(""), &k, &v); any && s->count < SIGNIN_MAX;
         any = store_next(c, &k, &v))
        if (k.n == 32)
            read_row(s, k, v);
    store_cursor_close(c);
    store_read_end(t);
    return s;
}

void signins_close(struct signins *s)
{
    if (!s)
        return;
    struct signin *next;
    for (struct signin *e = s->first; e; e = next) {
        next = e->next;
        if (e->seen_ms != e->stored_ms)
            submit(s, e, true);
        free(e);
    }
    free(s);
}

/* --- links ------------------------------------------------------------------------------------- */

void signin_link(struct signins *s, struct str access_key, int64_t now_ms,
                 char token[static SIGNIN_TOKEN_SIZE])
{
    struct link *l = &s->links[s->next_link++ % SIGNIN_LINKS_MAX];
    ASSERT(access_key.n && access_key.n <= SIGNIN_KEY_MAX);
    make_token(token, l->hash);
    copy_text(l->access_key, sizeof l->access_key, access_key);
    l->until_ms = now_ms + SIGNIN_LINK_MS;
}

bool signin_redeem(struct signins *s, struct str token, int64_t now_ms,
                   char access_key[static SIGNIN_KEY_MAX + 1])
{
    unsigned char hash[32];
    hash_once(HASH_SHA256, token, hash);
    for (size_t i = 0; i < SIGNIN_LINKS_MAX; i++) {
        struct link *l = &s->links[i];
        if (!l->until_ms || memcmp(l->hash, hash, sizeof hash) != 0)
            continue;
        bool good = now_ms < l->until_ms;
        memcpy(access_key, l->access_key, sizeof l->access_key);
        memset(l, 0, sizeof *l);
        return good;
    }
    return false;
}

/* --- sessions ---------------------------------------------------------------------------------- */

static void end_at(struct signins *s, struct signin **at)
{
    struct signin *e = *at;
    *at = e->next;
    s->count--;
    submit(s, e, false);
    free(e);
}

/* Drops those that have ended by themselves. */
static void sweep(struct signins *s, int64_t now_ms)
{
    struct signin **at = &s->first;
    while (*at) {
        if (now_ms - (*at)->seen_ms >= SIGNIN_IDLE_MS)
            end_at(s, at);
        else
            at = &(*at)->next;
    }
}

/* One more is to come: the quietest of that key goes when it has its share, else the quietest of all
 * when there is no room. */
static void make_room(struct signins *s, struct str access_key)
{
    struct signin **quiet = NULL, **own = NULL;
    size_t owns = 0;
    for (struct signin **at = &s->first; *at; at = &(*at)->next) {
        if (!quiet || (*at)->seen_ms < (*quiet)->seen_ms)
            quiet = at;
        if (!str_is(access_key, (*at)->access_key))
            continue;
        owns++;
        if (!own || (*at)->seen_ms < (*own)->seen_ms)
            own = at;
    }
    if (owns >= SIGNIN_KEY_SESSIONS)
        end_at(s, own);
    else if (s->count >= SIGNIN_MAX)
        end_at(s, quiet);
}

const struct signin *signin_open(struct signins *s, struct str access_key, struct str address,
                                 struct str agent, int64_t now_ms,
                                 char token[static SIGNIN_TOKEN_SIZE])
{
    sweep(s, now_ms);
    make_room(s, access_key);
    struct signin *e = calloc(1, sizeof *e);
    if (!e)
        fatal("out of memory");
    make_token(token, e->hash);
    id_hex(e->id, sizeof e->id - 1);
    copy_text(e->access_key, sizeof e->access_key, access_key);
    copy_text(e->address, sizeof e->address, address);
    copy_text(e->agent, sizeof e->agent, agent);
    e->created_ms = e->seen_ms = now_ms;
    e->next = s->first;
    s->first = e;
    s->count++;
    submit(s, e, true);
    return e;
}

const struct signin *signin_find(struct signins *s, struct str token, int64_t now_ms)
{
    unsigned char hash[32];
    sweep(s, now_ms);
    if (token.n != SIGNIN_TOKEN_SIZE - 1)
        return NULL;
    hash_once(HASH_SHA256, token, hash);
    for (struct signin *e = s->first; e; e = e->next) {
        if (memcmp(e->hash, hash, sizeof hash) != 0)
            continue;
        e->seen_ms = now_ms;
        if (now_ms - e->stored_ms >= STORE_SEEN_MS)
            submit(s, e, true);
        return e;
    }
    return NULL;
}

const struct signin *signin_by_id(struct signins *s, struct str id, int64_t now_ms)
{
    for (struct signin *e = s->first; e; e = e->next)
        if (str_is(id, e->id))
            return now_ms - e->seen_ms < SIGNIN_IDLE_MS ? e : NULL;
    return NULL;
}

bool signin_lives(struct signins *s, struct str id, int64_t now_ms)
{
    return signin_by_id(s, id, now_ms) != NULL;
}

void signin_end(struct signins *s, struct str id)
{
    for (struct signin **at = &s->first; *at; at = &(*at)->next)
        if (str_is(id, (*at)->id)) {
            end_at(s, at);
            return;
        }
}

const struct signin *signin_next(struct signins *s, const struct signin *after, int64_t now_ms)
{
    if (!after)
        sweep(s, now_ms);
    return after ? after->next : s->first;
}

/* --- failures ---------------------------------------------------------------------------------- */

static struct tries *tries_of(struct signins *s, struct str address, int64_t now_ms, bool make)
{
    struct tries *oldest = &s->tries[0];
    for (size_t i = 0; i < ADDRESSES; i++) {
        struct tries *t = &s->tries[i];
        if (t->until_ms > now_ms && str_is(address, t->address))
            return t;
        if (t->until_ms < oldest->until_ms)
            oldest = t;
    }
    if (!make)
        return NULL;
    *oldest = (struct tries){.until_ms = now_ms + SIGNIN_TRIES_MS};
    copy_text(oldest->address, sizeof oldest->address, address);
    return oldest;
}

int64_t signin_wait(struct signins *s, struct str address, int64_t now_ms)
{
    const struct tries *t = tries_of(s, address, now_ms, false);
    return t && t->count >= SIGNIN_TRIES ? t->until_ms - now_ms : 0;
}

void signin_failed(struct signins *s, struct str address, int64_t now_ms)
{
    tries_of(s, address, now_ms, true)->count++;
}
