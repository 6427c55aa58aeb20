/* logs: writing, and the life of groups in memory.
 *
 * A line costs one copy into the group's last chunk. No system call, no allocation but a new chunk
 * every 64 KiB, no waiting: START, END and REPORT of a hello are 157 bytes together. Ids are
 * max(last + 1, wall ms << 20), so they need nothing from the disk to be given out; if the group's
 * files turn out to hold higher ones (the clock was set back), what is in memory is moved up before
 * anybody sees it. */
#include "svc/logs_group.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/crc.h"
#include "base/log.h"

enum { NAME_MAX_BYTES = 512, SEGMENT_MIN = 64 * 1024, SEGMENT_MAX = 4 << 20 };

static void on_keeper(uv_timer_t *t);
static void on_idle(uv_idle_t *idle);
static void on_expiry(uv_timer_t *t);

/* --- opening ---------------------------------------------------------------------------------- */

struct logs *logs_open(uv_loop_t *loop, const char *dir, uint64_t total_max, uint64_t group_max,
                       struct err *err)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        err_set(err, E_IO, "the log folder %s cannot be made: %s", dir, strerror(errno));
        return NULL;
    }
    struct logs *l = calloc(1, sizeof *l);
    if (!l || !(l->root = strdup(dir)))
        fatal("out of memory");
    l->loop = loop;
    l->total_max = total_max;
    l->group_max = group_max;
    l->segment_max = group_max / 16;
    if (l->segment_max > SEGMENT_MAX)
        l->segment_max = SEGMENT_MAX;
    if (l->segment_max < SEGMENT_MIN)
        l->segment_max = SEGMENT_MIN;
    uv_timer_init(loop, &l->timer);
    uv_timer_init(loop, &l->keeper);
    uv_timer_init(loop, &l->expiry);
    uv_idle_init(loop, &l->idle);
    l->timer.data = l->keeper.data = l->expiry.data = l->idle.data = l;
    uv_unref((uv_handle_t *)&l->keeper);
    uv_unref((uv_handle_t *)&l->expiry);
    l->handles = 4;
    uv_timer_start(&l->expiry, on_expiry, EXPIRY_MS, EXPIRY_MS);
    log_sweep_start(l);
    return l;
}

static void on_handle_closed(uv_handle_t *h)
{
    struct logs *l = h->data;
    l->handles--;
}

static void finish_jobs(struct logs *l)
{
    while (l->jobs)
        uv_run(l->loop, UV_RUN_ONCE);
}

/* One more try for everything that is not on the disk. */
static void flush_all(struct logs *l)
{
    size_t unsynced = 0;
    for (struct log_group *g = l->active; g; g = g->active_next)
        log_group_open(g);
    finish_jobs(l);
    for (struct log_group *g = l->active; g; g = g->active_next)
        if (g->pending)
            log_flush_start(g);
    finish_jobs(l);
    for (struct log_group *g = l->active; g; g = g->active_next)
        unsynced += g->unsynced;
    if (unsynced)
        log_sync_start(l, unsynced);
    finish_jobs(l);
}

void logs_close(struct logs *l)
{
    l->closing = true;
    l->stop = true;
    uv_timer_stop(&l->timer);
    uv_timer_stop(&l->keeper);
    uv_timer_stop(&l->expiry);
    finish_jobs(l);
    flush_all(l);
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
    uv_close((uv_handle_t *)&l->keeper, on_handle_closed);
    uv_close((uv_handle_t *)&l->expiry, on_handle_closed);
    uv_close((uv_handle_t *)&l->idle, on_handle_closed);
    while (l->handles)
        uv_run(l->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < TABLE; i++)
        while (l->table[i])
            log_group_free(l->table[i]);
    for (struct log_chunk *c; (c = l->stock); free(c))
        l->stock = c->next;
    free(l->root);
    free(l);
}

/* --- groups ----------------------------------------------------------------------------------- */

static struct log_group **slot_of(struct logs *l, struct str name)
{
    struct log_group **slot = &l->table[crc32_update(0, name.p, name.n) % TABLE];
    while (*slot && !str_eq((*slot)->name, name))
        slot = &(*slot)->hash_next;
    return slot;
}

/* 10,000 functions called once each, 600 a second: the core grew by 112 MiB, 11 KiB a group, when all
 * were kept alike, and by 26 now. */
static uint64_t keep_ms(const struct logs *l)
{
    return l->groups > KEEP_MANY ? KEEP_MANY_MS : KEEP_MS;
}

static void keep(struct logs *l)
{
    uint64_t ms = l->groups > KEEP_MANY ? KEEP_MANY_MS / 2 : KEEP_MS / 6;
    uv_timer_start(&l->keeper, on_keeper, ms, ms);
}

struct log_group *log_group_get(struct logs *l, struct str name)
{
    struct log_group **slot = slot_of(l, name), *g = *slot;
    if (!g) {
        g = calloc(1, sizeof *g);
        if (!g)
            fatal("out of memory");
        g->logs = l;
        g->disk = log_disk_new(l->root, name, l->segment_max, l->group_max, &l->total);
        g->name = str_of(g->disk->name, g->disk->name_n);
        g->ops_tail = &g->ops;
        *slot = g;
        if (l->groups++ == 0 || l->groups == KEEP_MANY + 1)
            keep(l);
    }
    g->used_ms = uv_now(l->loop);
    return g;
}

void log_group_free(struct log_group *g)
{
    struct logs *l = g->logs;
    *slot_of(l, g->name) = g->hash_next;
    for (struct log_group **p = &l->active; *p; p = &(*p)->active_next)
        if (*p == g) {
            *p = g->active_next;
            break;
        }
    for (struct log_group **p = &l->news; *p; p = &(*p)->news_next)
        if (*p == g) {
            *p = g->news_next;
            break;
        }
    log_chunks_drop(g, true);
    for (struct log_stream *s; (s = g->streams); free(s))
        g->streams = s->next;
    for (struct log_follower *f; (f = g->followers); free(f))
        g->followers = f->next;
    free(g->pieces);
    free(g->piece_chunks);
    log_disk_free(g->disk);
    free(g);
    if (--l->groups == 0 && !l->closing)
        uv_timer_stop(&l->keeper);
}

static bool is_idle(const struct log_group *g)
{
    return !g->streams && !g->followers && !g->jobs && !g->ops && !g->active && !g->pending &&
           !g->unsynced && !g->delivering && g->opened == g->opening;
}

void log_group_settle(struct log_group *g)
{
    if (!g->logs->closing && is_idle(g) && !g->on_disk)
        log_group_free(g);
}

/* Some at a time, so that the turn is short. */
static void on_keeper(uv_timer_t *t)
{
    struct logs *l = t->data;
    size_t forgotten = 0;
    for (size_t i = 0; i < TABLE && forgotten < FORGET_MAX; i++)
        for (struct log_group *g = l->table[i], *next; g && forgotten < FORGET_MAX; g = next) {
            next = g->hash_next;
            if (!is_idle(g) || uv_now(l->loop) - g->used_ms < keep_ms(l))
                continue;
            log_group_free(g);
            forgotten++;
        }
    if (forgotten == FORGET_MAX && l->groups)
        uv_timer_start(&l->keeper, on_keeper, FORGET_PAUSE_MS, KEEP_MS / 6);
    else if (l->groups)
        keep(l);
}

static void on_expiry(uv_timer_t *t)
{
    log_sweep_start(t->data);
}

/* --- chunks ----------------------------------------------------------------------------------- */

static struct log_chunk *chunk_new(struct log_group *g, size_t need, int64_t now_ms)
{
    struct logs *l = g->logs;
    struct log_chunk *c = l->stock;
    /* small while the group is quiet, full size when the last one filled within a second */
    bool busy = g->last && now_ms - g->last_chunk_ms < 1000;
    size_t cap = busy ? CHUNK_FULL : CHUNK_SMALL;
    if (need > cap)
        cap = need > CHUNK_FULL ? need : CHUNK_FULL;
    if (cap == CHUNK_FULL && c) {
        l->stock = c->next;
        l->stock_count--;
    } else if (!(c = malloc(sizeof *c + cap))) {
        return NULL;
    }
    *c = (struct log_chunk){.cap = cap, .seq = ++g->chunk_seq};
    g->last_chunk_ms = now_ms;
    if (g->last) {
        g->last->sealed = true;
        g->last->next = c;
    } else {
        g->first = c;
    }
    g->last = c;
    return c;
}

void log_chunk_release(struct logs *l, struct log_chunk *c)
{
    if (c->refs || !c->dropped)
        return;
    if (c->cap != CHUNK_FULL || l->stock_count == CHUNK_STOCK) {
        free(c);
        return;
    }
    c->next = l->stock;
    l->stock = c;
    l->stock_count++;
}

/* Those at the front that readers find on the disk; or all of them. */
void log_chunks_drop(struct log_group *g, bool all)
{
    struct log_chunk *c;
    while ((c = g->first) && (all || (c->ended && c->written == c->n))) {
        g->first = c->next;
        if (g->last == c)
            g->last = NULL;
        g->pending -= c->n - c->written;
        g->logs->pending -= c->n - c->written;
        c->dropped = true;
        log_chunk_release(g->logs, c);
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

struct log_stream *log_stream_open(struct logs *l, struct str group, struct str stream)
{
    if (stream.n > NAME_MAX_BYTES)
        stream.n = NAME_MAX_BYTES;
    struct log_stream *s = calloc(1, sizeof *s + stream.n + 1);
    if (!s)
        fatal("out of memory");
    s->name_n = stream.n;
    memcpy(s->name, stream.p, stream.n);
    if (!log_group_name_ok(group) || stream.n == 0)
        return s;
    struct log_group *g = log_group_get(l, group);
    s->group = g;
    s->next = g->streams;
    if (g->streams)
        g->streams->prev = s;
    g->streams = s;
    return s;
}

void log_stream_close(struct log_stream *s)
{
    struct log_group *g = s->group;
    if (g) {
        log_group_confess(g);
        if (s->prev)
            s->prev->next = s->next;
        else
            g->streams = s->next;
        if (s->next)
            s->next->prev = s->prev;
        g->used_ms = uv_now(g->logs->loop);
        log_group_settle(g);
    }
    free(s);
}

void log_stream_as_json(struct log_stream *s)
{
    s->as_json = LOG_AS_JSON;
}

static uint64_t next_id(struct log_group *g, int64_t now_ms)
{
    uint64_t id = now_ms > 0 ? (uint64_t)now_ms << LOG_ID_SHIFT : 0;
    g->last_id = id > g->last_id ? id : g->last_id + 1;
    return g->last_id;
}

static void announce(struct log_stream *s, struct log_chunk *c, uint64_t id)
{
    size_t size = LOG_HEAD + 8 + s->name_n;
    char *p = c->p + c->n;
    s->chunk_seq = c->seq;
    s->number = (uint16_t)c->streams++;
    log_record_head(p, size, id, s->created_ms, s->number, LOG_KIND_STREAM, LOG_INFO);
    memcpy(p + LOG_HEAD, &s->created_ms, 8);
    memcpy(p + LOG_HEAD + 8, s->name, s->name_n);
    c->n += size;
    s->group->pending += size;
    s->group->logs->pending += size;
}

/* Room for a record of a stream in its group's last chunk; announces the stream when needed. NULL:
 * the line is dropped (and counted). */
static struct log_chunk *make_room(struct log_stream *s, size_t size, int64_t now_ms)
{
    struct log_group *g = s->group;
    struct logs *l = g->logs;
    struct log_chunk *c = g->last;
    size_t introduction = LOG_HEAD + 8 + s->name_n;
    if (g->pending + size > GROUP_PENDING_MAX || l->pending + size > ALL_PENDING_MAX)
        return NULL;
    bool known = c && s->chunk_seq == c->seq;
    if (!c || c->sealed || c->n + size + (known ? 0 : introduction) > c->cap ||
        (!known && c->streams == UINT16_MAX)) {
        c = chunk_new(g, size + introduction, now_ms);
        known = false;
    }
    if (!c)
        return NULL;
    if (s->created_ms == 0)
        s->created_ms = now_ms;
    if (g->created_ms == 0)
        g->created_ms = now_ms;
    uint64_t id = next_id(g, now_ms);
    if (c->n == 0)
        c->first_id = id;
    if (!known)
        announce(s, c, id);
    return c;
}

/* The packed form of a request id, remembered from line to line. */
static size_t pack_request(struct log_stream *s, const char *request_id, char out[static 256],
                           uint8_t *flag)
{
    if (request_id && s->last_id[0] && strcmp(request_id, s->last_id) == 0) {
        memcpy(out, s->packed, 16);
        *flag = LOG_HAS_UUID;
        return 16;
    }
    size_t n = log_record_request(request_id, out, flag);
    if (*flag == LOG_HAS_UUID) {
        memcpy(s->packed, out, 16);
        memcpy(s->last_id, request_id, 37);
    }
    return n;
}

/* Appends one record with `body_n` bytes of body, stamped stamp_ms and come at now_ms: where they go,
 * or NULL when it is dropped. */
static char *put_at(struct log_stream *s, int64_t stamp_ms, int64_t now_ms, enum log_kind kind,
                    enum log_severity level, const char *request_id, size_t body_n)
{
    struct log_group *g = s->group;
    char packed[256];
    uint8_t flag;
    if (!g)
        return NULL;
    if (g->dropped && !g->failing)
        log_group_confess(g);
    if (g->pending > FLUSH_EARLY && !g->flushing) /* before: this record has no body yet */
        log_flush_early(g);
    size_t request_n = pack_request(s, request_id, packed, &flag);
    size_t size = LOG_HEAD + request_n + body_n;
    struct log_chunk *c = make_room(s, size, now_ms);
    if (!c) {
        g->dropped++;
        return NULL;
    }
    char *p = c->p + c->n;
    log_record_head(p, size, g->last_id, stamp_ms, s->number, kind,
                    (uint8_t)(level | flag | s->as_json));
    memcpy(p + LOG_HEAD, packed, request_n);
    c->n += size;
    g->pending += size;
    g->logs->pending += size;
    if (!g->active)
        log_flush_want(g);
    if (g->followers && !g->news)
        log_group_told(g);
    return p + LOG_HEAD + request_n;
}

static char *put(struct log_stream *s, int64_t wall_ms, enum log_kind kind, enum log_severity level,
                 const char *request_id, size_t body_n)
{
    return put_at(s, wall_ms, wall_ms, kind, level, request_id, body_n);
}

void log_line_at(struct log_stream *s, int64_t stamp_ms, int64_t now_ms, struct str text)
{
    if (text.n > LOG_TEXT_MAX)
        text.n = LOG_TEXT_MAX;
    char *body = put_at(s, stamp_ms, now_ms, LOG_KIND_LINE, LOG_INFO, NULL, text.n);
    if (body && text.n)
        memcpy(body, text.p, text.n);
}

void log_line(struct log_stream *s, int64_t wall_ms, enum log_severity level,
              const char *request_id, struct str text)
{
    if (text.n > LOG_TEXT_MAX)
        text.n = LOG_TEXT_MAX;
    char *body =
        put(s, wall_ms, LOG_KIND_LINE, level <= LOG_FATAL ? level : LOG_INFO, request_id, text.n);
    if (body && text.n)
        memcpy(body, text.p, text.n);
}

void log_start(struct log_stream *s, int64_t wall_ms, const char *request_id, struct str version)
{
    if (str_is(version, "$LATEST") || version.n > LOG_TEXT_MAX)
        version.n = 0;
    char *body = put(s, wall_ms, LOG_KIND_START, LOG_INFO, request_id, version.n);
    if (body && version.n)
        memcpy(body, version.p, version.n);
}

void log_end(struct log_stream *s, int64_t wall_ms, const char *request_id)
{
    put(s, wall_ms, LOG_KIND_END, LOG_INFO, request_id, 0);
}

void log_report(struct log_stream *s, int64_t wall_ms, const char *request_id,
                const struct log_report *r)
{
    char packed[LOG_REPORT_SIZE + 32];
    size_t n = log_record_report(r, packed);
    char *body = put(s, wall_ms, LOG_KIND_REPORT, LOG_INFO, request_id, n);
    if (body)
        memcpy(body, packed, n);
}

void log_group_confess(struct log_group *g)
{
    char text[120];
    uint64_t n = g->dropped;
    struct log_stream *s = g->streams;
    if (n == 0 || !s || g->failing || g->pending > GROUP_PENDING_MAX / 2)
        return;
    g->dropped = 0;
    int size = snprintf(text, sizeof text,
                        "perilune: %llu log lines were dropped: they could not be written",
                        (unsigned long long)n);
    int64_t wall_ms = (int64_t)(g->last_id >> LOG_ID_SHIFT);
    log_line(s, wall_ms, LOG_WARN, NULL, str_of(text, (size_t)size));
}

/* --- followers -------------------------------------------------------------------------------- */

struct log_follower *logs_follow(struct logs *l, struct str group, void (*news)(void *ctx),
                                 void *ctx)
{
    struct log_follower *f = calloc(1, sizeof *f);
    if (!f)
        fatal("out of memory");
    f->news = news;
    f->ctx = ctx;
    if (log_group_name_ok(group)) {
        f->group = log_group_get(l, group);
        log_group_open(f->group);
        f->next = f->group->followers;
        f->group->followers = f;
    }
    return f;
}

static void bury(struct log_group *g)
{
    for (struct log_follower **p = &g->followers, *f; (f = *p);) {
        if (f->dead) {
            *p = f->next;
            free(f);
        } else {
            p = &f->next;
        }
    }
}

void logs_unfollow(struct log_follower *f)
{
    struct log_group *g = f->group;
    if (!g) {
        free(f);
        return;
    }
    f->dead = true;
    if (g->delivering)
        return;
    bury(g);
    log_group_settle(g);
}

void log_group_told(struct log_group *g)
{
    struct logs *l = g->logs;
    if (g->news || !g->followers)
        return;
    g->news = true;
    g->news_next = l->news;
    l->news = g;
    if (!l->closing)
        uv_idle_start(&l->idle, on_idle);
}

static void on_idle(uv_idle_t *idle)
{
    struct logs *l = idle->data;
    struct log_group *g;
    uv_idle_stop(idle);
    while ((g = l->news)) {
        l->news = g->news_next;
        g->news = false;
        if (!g->opened)
            continue; /* told when it is */
        g->delivering = true;
        for (struct log_follower *f = g->followers; f; f = f->next)
            if (!f->dead)
                f->news(f->ctx);
        g->delivering = false;
        bury(g);
        log_group_settle(g);
    }
}
