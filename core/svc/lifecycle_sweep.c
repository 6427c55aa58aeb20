/* lifecycle_sweep: one walk at a time through the buckets that have rules.
 *
 *   WAIT -> BUCKET: the next one with rules -> OBJECTS: a page a turn -> UPLOADS: likewise -> BUCKET
 *
 * A page is read from its own snapshot; what is due in it is removed by jobs that ask for exactly
 * the state that was judged, and the next page waits for them, so that the sweep never has more
 * than a page in the writer's queue. Between pages is a pause: everybody else comes first. The
 * timer does not keep the loop alive. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/bucket_conf.h"
#include "svc/bucket_rows.h"
#include "svc/lifecycle.h"
#include "svc/upload.h"

enum { PAGE = 64, PAUSE_MS = 2, FIRST_MS = 1000, BUCKETS_A_TURN = 256 };

enum phase { WAIT, BUCKET, OBJECTS, UPLOADS };

struct lifecycle {
    uv_timer_t timer;
    struct objects *objects;
    struct store *store;
    int64_t day_ms, now_ms; /* now: when this walk began */
    enum phase phase;
    struct buf bucket, rules;   /* where the walk is */
    struct buf after;           /* last key of the page before */
    uint64_t after_id;          /* with UPLOADS */
    size_t open;                /* jobs of this page that are not done */
    uint64_t expired, given_up; /* in this walk */
    bool stopped, closed;
};

static void on_timer(uv_timer_t *timer);

static void free_when_over(struct lifecycle *l)
{
    if (!l->closed || l->open)
        return;
    buf_deinit(&l->bucket);
    buf_deinit(&l->rules);
    buf_deinit(&l->after);
    free(l);
}

static void next_turn(struct lifecycle *l, uint64_t ms)
{
    if (l->stopped) {
        free_when_over(l);
        return;
    }
    uv_timer_start(&l->timer, on_timer, ms, 0);
    uv_unref((uv_handle_t *)&l->timer);
}

static void enter(struct lifecycle *l, enum phase phase)
{
    l->phase = phase;
    buf_clear(&l->after);
    l->after_id = 0;
}

static void page_done(struct lifecycle *l)
{
    if (--l->open == 0)
        next_turn(l, PAUSE_MS);
}

/* --- objects ------------------------------------------------------------------------------------
 */

static void expired(void *ctx, int rc, bool existed, const struct err *err)
{
    struct lifecycle *l = ctx;
    (void)err;
    if (rc == 0 && existed)
        l->expired++;
    page_done(l);
}

static void look_at_object(void *ctx, const struct object_meta *m)
{
    struct lifecycle *l = ctx;
    if (!lifecycle_object_due(buf_str(&l->rules), m, l->now_ms, l->day_ms))
        return;
    struct object_delete_req r = {.bucket = buf_str(&l->bucket),
                                  .key = m->key,
                                  .if_match = str_c(m->etag),
                                  .modified_ms = m->modified_ms,
                                  .event = "LifecycleExpiration:Delete",
                                  .request_id = "lifecycle",
                                  .peer = "",
                                  .principal = "s3.amazonaws.com"};
    l->open++;
    object_delete_if(l->objects, &r, expired, l);
}

static void no_group(void *ctx, struct str prefix)
{
    (void)ctx, (void)prefix; /* without a delimiter there are none */
}

static void look_at_objects(struct lifecycle *l)
{
    struct object_list list = {
        .bucket = buf_str(&l->bucket), .after = buf_str(&l->after), .limit = PAGE};
    struct buf last = BUF_INIT;
    bool more = false;
    struct store_txn *t = store_read(l->store);
    int rc = object_list(t, &list, look_at_object, no_group, l, &more, &last);
    store_read_end(t);
    buf_deinit(&l->after);
    l->after = last;
    if (rc || !more)
        enter(l, UPLOADS);
}

/* --- uploads ------------------------------------------------------------------------------------
 */

static void given_up(void *ctx, int rc)
{
    struct lifecycle *l = ctx;
    if (rc == 0)
        l->given_up++;
    page_done(l);
}

static void look_at_upload(void *ctx, const struct upload *u)
{
    struct lifecycle *l = ctx;
    char id[UPLOAD_ID_MAX];
    if (!lifecycle_upload_due(buf_str(&l->rules), u->key, u->initiated_ms, l->now_ms, l->day_ms))
        return;
    upload_id_text(u->id, id);
    l->open++;
    upload_abort(l->objects, buf_str(&l->bucket), u->key, str_c(id), given_up, l);
}

static void look_at_uploads(struct lifecycle *l)
{
    struct upload_list list = {.bucket = buf_str(&l->bucket),
                               .after = buf_str(&l->after),
                               .after_id = l->after_id,
                               .limit = PAGE};
    struct buf last = BUF_INIT;
    bool more = false;
    struct store_txn *t = store_read(l->store);
    int rc = upload_list(t, &list, look_at_upload, no_group, l, &more, &last, &l->after_id);
    store_read_end(t);
    buf_deinit(&l->after);
    l->after = last;
    if (rc || !more)
        enter(l, BUCKET);
}

/* --- buckets ------------------------------------------------------------------------------------
 */

/* Takes the rules of the bucket that l->bucket names; false when it has none. */
static bool take_rules(struct lifecycle *l, struct store_txn *t)
{
    struct bucket_conf_row row;
    buf_clear(&l->rules);
    if (bucket_conf_get(t, buf_str(&l->bucket), CONF_LIFECYCLE, &row))
        return false;
    buf_add(&l->rules, row.rules);
    return l->rules.n && l->rules.rc == 0;
}

/* The name's row is keyed NAME\0: the first above it is the next bucket's. */
static void find_bucket(struct lifecycle *l)
{
    struct str key, rec;
    int looked = 0;
    bool found = false, more;
    struct store_txn *t = store_read(l->store);
    struct store_cursor *c = store_cursor(t, T_BUCKETS);
    if (l->bucket.n)
        buf_lit(&l->bucket, "\0\1");
    for (more = store_seek(c, buf_str(&l->bucket), &key, &rec); more && !found;
         more = store_next(c, &key, &rec)) {
        buf_clear(&l->bucket);
        buf_add(&l->bucket, str_of(key.p, key.n - 1));
        found = take_rules(l, t);
        if (++looked == BUCKETS_A_TURN)
            break;
    }
    store_cursor_close(c);
    store_read_end(t);
    if (found)
        enter(l, OBJECTS);
    else if (!more)
        enter(l, WAIT);
}

static void walk_done(struct lifecycle *l)
{
    if (l->expired || l->given_up)
        log_info("lifecycle: %llu objects expired, %llu uploads given up",
                 (unsigned long long)l->expired, (unsigned long long)l->given_up);
    l->expired = l->given_up = 0;
    next_turn(l, l->day_ms / 24 > 1000 ? (uint64_t)l->day_ms / 24 : 1000);
}

static void on_timer(uv_timer_t *timer)
{
    struct lifecycle *l = timer->data;
    l->open = 1; /* ours */
    switch (l->phase) {
    case WAIT:
        l->now_ms = clock_store_ms();
        buf_clear(&l->bucket);
        enter(l, BUCKET);
        break;
    case BUCKET:
        find_bucket(l);
        if (l->phase == WAIT) {
            l->open = 0;
            walk_done(l);
            return;
        }
        break;
    case OBJECTS:
        look_at_objects(l);
        break;
    case UPLOADS:
        look_at_uploads(l);
        break;
    }
    page_done(l);
}

struct lifecycle *lifecycle_start(struct objects *o, struct store *s, int64_t day_ms)
{
    struct lifecycle *l = calloc(1, sizeof *l);
    if (!l)
        fatal("out of memory");
    *l = (struct lifecycle){.objects = o, .store = s, .day_ms = day_ms};
    l->timer.data = l;
    uv_timer_init(store_loop(s), &l->timer);
    next_turn(l, FIRST_MS);
    return l;
}

static void timer_closed(uv_handle_t *timer)
{
    struct lifecycle *l = timer->data;
    l->closed = true;
    free_when_over(l);
}

void lifecycle_stop(struct lifecycle *l)
{
    l->stopped = true;
    uv_close((uv_handle_t *)&l->timer, timer_closed);
}
