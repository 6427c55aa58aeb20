/* hostcall_s3: objects for functions: get, head, put, delete, list.
 *
 * Objects of any size are read and written piece by piece in hostcall_stream.c. A get holds the whole
 * body it returns (at most HOSTCALL_BODY_MAX; larger objects are read by
 * range). What all gets hold together is bounded by HOSTCALL_MEMORY_MAX: beyond it they wait their
 * turn, oldest first. Small objects lie in their record and are answered at once. */
#include "base/log.h"
#include "base/rec.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"
#include "svc/object_read.h"

enum { WRITE_MAX = 128 * 1024, LIST_MAX = 1000 };

static void put_pair(struct buf *result, struct str name, struct str value)
{
    size_t mark = rec_begin(result, HC_META);
    rec_put_str(result, 1, name);
    rec_put_str(result, 2, value);
    rec_end(result, mark);
}

void hostcall_put_meta(struct buf *result, const struct object_meta *m)
{
    struct str rest = m->user_meta, name, value;
    rec_put_str(result, HC_ETAG, str_c(m->etag));
    rec_put_u64(result, HC_SIZE, m->size);
    rec_put_u64(result, HC_LAST_MODIFIED, (uint64_t)m->modified_ms);
    if (m->content_type.n)
        rec_put_str(result, HC_CONTENT_TYPE, m->content_type);
    while (object_pair_next(&rest, &name, &value))
        put_pair(result, name, value);
}

/* --- get and head ---------------------------------------------------------------------------- */

struct hostcall_get {
    struct hostcalls *h;
    struct hostcall *call;
    struct object_read *read;
    size_t count, left; /* bytes wanted; of them still to come */
    struct buf result;  /* ends in the bytes of HC_BODY */
    void (*done)(void *ctx, int rc, struct buf *result);
    void *ctx;
    struct hostcall_get *next;
};

static void get_start(struct hostcall_get *g);

enum { RETRY_MS = 5 };

static void on_retry(uv_timer_t *timer);

/* Starts those that wait, oldest first, as far as there is memory. Who has to wait for its own runner
 * to take what it was given holds nobody else up; it is looked at again soon. */
static void start_waiting(struct hostcalls *h)
{
    struct hostcall_get **at = &h->waiting;
    bool held = false;
    while (*at && h->memory + (*at)->count <= HOSTCALL_MEMORY_MAX) {
        struct hostcall_get *g = *at;
        if (!hostcall_reserve(g->call, g->count)) {
            held = true;
            at = &g->next;
            continue;
        }
        *at = g->next;
        if (!*at)
            h->newest = at;
        g->next = h->starting;
        h->starting = g;
        h->memory += g->count;
    }
    if (held && !uv_is_active((uv_handle_t *)h->retry))
        uv_timer_start(h->retry, on_retry, RETRY_MS, 0);
    while (h->starting) { /* only now: each may come back here */
        struct hostcall_get *g = h->starting;
        h->starting = g->next;
        get_start(g);
    }
}

static void on_retry(uv_timer_t *timer)
{
    start_waiting(timer->data);
}

static void get_end(struct hostcall_get *g, int rc)
{
    struct hostcalls *h = g->h;
    h->memory -= g->count;
    g->done(g->ctx, rc, &g->result);
    free(g);
    if (h->waiting)
        start_waiting(h);
}

static void get_more(struct hostcall_get *g);

static void get_read(void *ctx, int rc, struct str bytes)
{
    struct hostcall_get *g = ctx;
    if (rc == 0 && (bytes.n == 0 || bytes.n > g->left))
        rc = E_IO;
    if (rc == 0 && g->call->abandoned)
        rc = E_ABORTED;
    if (rc == 0) {
        g->result.n += bytes.n;
        g->left -= bytes.n;
    }
    if (rc || g->left == 0)
        get_end(g, rc);
    else
        get_more(g);
}

static void get_more(struct hostcall_get *g)
{
    object_read_into(g->read, g->result.p + g->result.n,
                     g->left < BLOB_READ_MAX ? g->left : BLOB_READ_MAX, get_read, g);
}

/* Its bytes are counted in h->memory. */
static void get_start(struct hostcall_get *g)
{
    if (g->call->abandoned || !buf_reserve(&g->result, g->count + 6)) {
        get_end(g, g->call->abandoned ? E_ABORTED : E_LIMIT);
        return;
    }
    /* The head of the field; its bytes follow as they are read. */
    size_t mark = rec_begin(&g->result, HC_BODY);
    g->result.n += g->count;
    rec_end(&g->result, mark);
    g->result.n = mark;
    get_more(g);
}

/* The body is held already and read when there is memory for it. */
void hostcall_fetch(struct hostcalls *h, struct hostcall *call, struct object_read *read,
                    size_t count, struct buf *result,
                    void (*done)(void *ctx, int rc, struct buf *result), void *ctx)
{
    struct hostcall_get *g = calloc(1, sizeof *g);
    if (!g)
        fatal("out of memory");
    *g = (struct hostcall_get){
        .h = h,
        .call = call,
        .read = read,
        .count = count,
        .left = count,
        .result = *result,
        .done = done,
        .ctx = ctx,
    };
    *result = BUF_INIT;
    *h->newest = g;
    h->newest = &g->next;
    start_waiting(h);
}

/* Finds the object and the part that is asked for; *read is NULL when the body is in result
 * already. */
static int get_lookup(struct hostcalls *h, struct hostcall *call, struct buf *result,
                      struct object_read **read, struct err *err)
{
    struct object_meta m;
    uint64_t first = 0, count = 0;
    struct store_txn *t = store_read(h->o.store);
    struct str range = rec_str(call->args, HC_RANGE);
    int rc = object_get(t, rec_str(call->args, HC_BUCKET), rec_str(call->args, HC_KEY), &m);
    if (rc == 0)
        hostcall_put_meta(result, &m);
    if (rc == 0 && call->number == HC_S3_GET) {
        int part = object_range(range, m.size, &first, &count);
        rc = part < 0 ? part : 0;
        if (rc == 0 && count > HOSTCALL_BODY_MAX)
            rc = err_set(err, E_LIMIT,
                         "%llu bytes are more than the %d that one call returns: read by range",
                         (unsigned long long)count, HOSTCALL_BODY_MAX);
        if (rc == 0 && (m.inline_body.p || count == 0))
            rec_put_str(result, HC_BODY,
                        count ? str_of(m.inline_body.p + first, (size_t)count) : STR(""));
        else if (rc == 0)
            *read = object_read_open(h->objects, &m, first, count, &rc);
    }
    store_read_end(t);
    return rc;
}

struct getting {
    struct hostcall *call;
    struct object_read *read;
};

static void got(void *ctx, int rc, struct buf *result)
{
    struct getting *g = ctx;
    object_read_close(g->read);
    hostcall_end(g->call, rc, result, NULL);
    free(g);
}

static void get_body(struct hostcalls *h, struct hostcall *call, struct object_read *read,
                     struct buf *result)
{
    struct getting *g = calloc(1, sizeof *g);
    if (!g)
        fatal("out of memory");
    *g = (struct getting){call, read};
    hostcall_fetch(h, call, read, (size_t)object_read_left(read), result, got, g);
}

void hostcall_s3_get(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT;
    struct err err = {0};
    struct object_read *read = NULL;
    int rc = get_lookup(h, call, &result, &read, &err);
    if (rc == 0 && read)
        get_body(h, call, read, &result);
    else
        hostcall_end(call, rc, &result, &err);
}

void hostcall_s3_head(struct hostcalls *h, struct hostcall *call)
{
    hostcall_s3_get(h, call); /* get_lookup takes no body for it */
}

/* --- put ------------------------------------------------------------------------------------- */

struct putting {
    struct hostcall *call;
    struct object_put *put;
    struct str left; /* of the body, which lies in the call's arguments */
    bool finished;
};

static void put_done(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct putting *p = ctx;
    struct buf result = BUF_INIT;
    if (rc == 0)
        rec_put_str(&result, HC_ETAG, str_c(m->etag));
    hostcall_end(p->call, rc, &result, err);
    free(p);
}

/* A slice at a time, so that neither the copy nor the hash holds the loop. */
static void put_more(void *ctx)
{
    struct putting *p = ctx;
    if (p->finished)
        return;
    while (p->left.n) {
        struct str part = str_of(p->left.p, p->left.n < WRITE_MAX ? p->left.n : WRITE_MAX);
        p->left = str_from(p->left, part.n);
        if (!object_put_write(p->put, part))
            return; /* goes on when drained */
    }
    p->finished = true;
    object_put_finish(p->put, put_done, p);
}

/* HC_META as pairs; names of headers have no case, so they are kept in one. */
static void read_meta(struct str args, struct buf *pairs)
{
    struct buf lower = BUF_INIT;
    struct str v;
    uint16_t tag;
    while (rec_next(&args, &tag, &v)) {
        if (tag != HC_META)
            continue;
        buf_clear(&lower);
        buf_add(&lower, rec_str(v, 1));
        for (size_t i = 0; i < lower.n; i++)
            if (lower.p[i] >= 'A' && lower.p[i] <= 'Z')
                lower.p[i] += 32;
        object_pair_put(pairs, buf_str(&lower), rec_str(v, 2));
    }
    buf_deinit(&lower);
}

struct object_put_req hostcall_put_req(const struct hostcall *call, struct buf *meta)
{
    read_meta(call->args, meta);
    return (struct object_put_req){
        .bucket = rec_str(call->args, HC_BUCKET),
        .key = rec_str(call->args, HC_KEY),
        .content_type = rec_str(call->args, HC_CONTENT_TYPE),
        .user_meta = buf_str(meta),
        .if_none_match = rec_u64(call->args, HC_IF_NONE_MATCH, 0) == 1,
        .request_id = call->request_id,
        .peer = "127.0.0.1",
        .principal = "AWS:lambda.amazonaws.com",
        .cause = hostcall_cause(call),
    };
}

void hostcall_s3_put(struct hostcalls *h, struct hostcall *call)
{
    struct buf meta = BUF_INIT;
    struct str body = rec_str(call->args, HC_BODY);
    struct err err = {0};
    if (body.n > HOSTCALL_BODY_MAX) {
        int rc = err_set(&err, E_LIMIT, "%zu bytes are more than the %d that one call stores",
                         body.n, HOSTCALL_BODY_MAX);
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    struct object_put_req req = hostcall_put_req(call, &meta);
    struct putting *p = calloc(1, sizeof *p);
    if (!p)
        fatal("out of memory");
    p->call = call;
    p->left = body;
    p->put = object_put_open(h->objects, &req);
    buf_deinit(&meta);
    object_put_on_drained(p->put, put_more, p);
    put_more(p);
}

/* --- delete and list ---------------------------------------------------------------------------
 */

static void delete_done(void *ctx, int rc, bool existed, const struct err *err)
{
    struct buf result = BUF_INIT;
    rec_put_u64(&result, HC_EXISTS, existed);
    hostcall_end(ctx, rc, &result, err);
}

void hostcall_s3_delete(struct hostcalls *h, struct hostcall *call)
{
    struct object_delete_req req = {.bucket = rec_str(call->args, HC_BUCKET),
                                    .key = rec_str(call->args, HC_KEY),
                                    .event = "ObjectRemoved:Delete",
                                    .request_id = call->request_id,
                                    .peer = "127.0.0.1",
                                    .principal = "AWS:lambda.amazonaws.com",
                                    .cause = hostcall_cause(call)};
    object_delete_if(h->objects, &req, delete_done, call);
}

static void list_entry(void *ctx, const struct object_meta *m)
{
    struct buf *result = ctx;
    size_t mark = rec_begin(result, HC_ENTRY);
    rec_put_str(result, HC_KEY, m->key);
    rec_put_u64(result, HC_SIZE, m->size);
    rec_put_str(result, HC_ETAG, str_c(m->etag));
    rec_put_u64(result, HC_LAST_MODIFIED, (uint64_t)m->modified_ms);
    rec_end(result, mark);
}

static void list_common(void *ctx, struct str prefix)
{
    rec_put_str(ctx, HC_COMMON_PREFIX, prefix);
}

void hostcall_s3_list(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT, last = BUF_INIT;
    uint64_t limit = rec_u64(call->args, HC_LIMIT, LIST_MAX);
    struct object_list l = {
        .bucket = rec_str(call->args, HC_BUCKET),
        .prefix = rec_str(call->args, HC_PREFIX),
        .delimiter = rec_str(call->args, HC_DELIMITER),
        .after = rec_str(call->args, HC_CURSOR),
        .limit = limit == 0 || limit > LIST_MAX ? LIST_MAX : (size_t)limit,
    };
    bool truncated = false;
    struct store_txn *t = store_read(h->o.store);
    int rc = object_list(t, &l, list_entry, list_common, &result, &truncated, &last);
    store_read_end(t);
    if (rc == 0 && truncated)
        rec_put_str(&result, HC_CURSOR, buf_str(&last));
    buf_deinit(&last);
    hostcall_end(call, rc, &result, NULL);
}
