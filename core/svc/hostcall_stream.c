/* hostcall_stream: objects of any size, read and written piece by piece.
 *
 *     s3.open    -> HC_HANDLE, HC_LEFT and what s3.head tells; a small body comes at once
 *     s3.read    HC_HANDLE, HC_LIMIT -> HC_BODY (HC_LIMIT bytes, or what is left), HC_LEFT
 *     s3.create  -> HC_HANDLE        s3.write  HC_HANDLE, HC_BODY
 *     s3.finish  HC_HANDLE -> HC_ETAG, HC_SIZE: only now there is an object
 *     s3.close   HC_HANDLE: gives up either
 *
 * What is open belongs to the invocation (hostcall_keep) and goes with it: an object that was not
 * finished was never there. A stream does one thing at a time. A reader holds the object as it was
 * when it was opened, and its role was asked then. */
#include "base/log.h"
#include "base/rec.h"
#include "svc/bucket_rows.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"

enum {
    STREAMS_MAX = 256, /* that all functions have open */
    WRITE_MAX = 128 * 1024
};

struct stream {
    struct hostcall_handle handle; /* first */
    struct hostcalls *h;
    struct object_read *read; /* a reader */
    struct object_put *put;   /* a writer */
    struct hostcall *call;    /* under way, else NULL */
    struct str left;          /* of what that call writes, in its arguments */
    uint64_t size;            /* written */
    bool over;                /* the invocation has ended */
};

static void stream_free(struct stream *s)
{
    object_read_close(s->read);
    if (s->put)
        object_put_abort(s->put);
    s->h->streams--;
    free(s);
}

/* A reading under way ends by itself soon, as its call is abandoned; a writing would wait for the
 * put that goes here. */
static void release(struct hostcall_handle *handle)
{
    struct stream *s = (struct stream *)handle;
    struct hostcall *call = s->call;
    s->over = true;
    if (call && s->read)
        return;
    stream_free(s);
    if (call)
        hostcall_end(call, E_ABORTED, NULL, NULL);
}

static int stream_open(struct hostcalls *h, struct hostcall *call, struct stream **out,
                       struct err *err)
{
    if (h->streams >= STREAMS_MAX)
        return err_set(err, E_THROTTLED, "All functions together have %d objects open",
                       STREAMS_MAX);
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    s->h = h;
    s->handle.release = release;
    int rc = hostcall_keep(call, &s->handle);
    if (rc == E_THROTTLED)
        err_set(err, rc, "An invocation may have %d objects open", HOSTCALL_HANDLES_MAX);
    if (rc) {
        free(s);
        return rc;
    }
    h->streams++;
    *out = s;
    return 0;
}

/* The stream that a call names, which must be a reader or a writer and idle. */
static int find(struct hostcall *call, bool writer, struct stream **out, struct err *err)
{
    struct hostcall_handle *handle = hostcall_kept(call, rec_u64(call->args, HC_HANDLE, 0));
    struct stream *s = (struct stream *)handle;
    if (!handle || handle->release != release || (writer ? !s->put : !s->read))
        return err_set(err, E_INVALID, "It is not open; what an invocation opens ends with it");
    if (s->call)
        return err_set(err, E_CONFLICT, "Another call is using it");
    *out = s;
    return 0;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int open_reader(struct hostcalls *h, struct hostcall *call, struct buf *result,
                       struct err *err)
{
    struct object_meta m;
    struct stream *s = NULL;
    struct store_txn *t = store_read(h->o.store);
    int rc = object_get(t, rec_str(call->args, HC_BUCKET), rec_str(call->args, HC_KEY), &m);
    if (rc == 0) {
        hostcall_put_meta(result, &m);
        if (m.inline_body.p || m.size == 0) {
            rec_put_u64(result, HC_LEFT, 0);
            rec_put_str(result, HC_BODY, m.size ? m.inline_body : STR(""));
        } else {
            rc = stream_open(h, call, &s, err);
        }
    }
    if (s) {
        s->read = object_read_open(h->objects, &m, 0, m.size, &rc);
        rec_put_u64(result, HC_LEFT, m.size);
        rec_put_u64(result, HC_HANDLE, s->handle.id);
    }
    store_read_end(t);
    if (s && rc) {
        hostcall_unkeep(&s->handle);
        stream_free(s);
    }
    return rc;
}

void hostcall_s3_open(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT;
    struct err err = {0};
    int rc = open_reader(h, call, &result, &err);
    hostcall_end(call, rc, &result, &err);
}

static void was_read(void *ctx, int rc, struct buf *result)
{
    struct stream *s = ctx;
    struct hostcall *call = s->call;
    s->call = NULL;
    bool end = rc || object_read_left(s->read) == 0;
    if (end && !s->over)
        hostcall_unkeep(&s->handle);
    if (end || s->over)
        stream_free(s);
    hostcall_end(call, rc, result, NULL);
}

void hostcall_s3_read(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT;
    struct err err = {0};
    struct stream *s = NULL;
    uint64_t limit = rec_u64(call->args, HC_LIMIT, BLOB_READ_MAX);
    int rc = find(call, false, &s, &err);
    if (rc == 0 && (limit == 0 || limit > HOSTCALL_BODY_MAX))
        rc = err_set(&err, E_INVALID, "One call reads 1 to %d bytes", HOSTCALL_BODY_MAX);
    if (rc) {
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    uint64_t left = object_read_left(s->read), count = limit < left ? limit : left;
    rec_put_u64(&result, HC_LEFT, left - count);
    s->call = call;
    hostcall_fetch(h, call, s->read, (size_t)count, &result, was_read, s);
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void write_more(void *ctx)
{
    struct stream *s = ctx;
    struct hostcall *call = s->call;
    if (!call)
        return;
    while (s->left.n) {
        struct str part = str_of(s->left.p, s->left.n < WRITE_MAX ? s->left.n : WRITE_MAX);
        s->left = str_from(s->left, part.n);
        s->size += part.n;
        if (!object_put_write(s->put, part))
            return; /* goes on when drained */
    }
    s->call = NULL;
    hostcall_end(call, 0, NULL, NULL);
}

void hostcall_s3_create(struct hostcalls *h, struct hostcall *call)
{
    struct buf meta = BUF_INIT, result = BUF_INIT;
    struct err err = {0};
    struct stream *s = NULL;
    struct object_put_req req = hostcall_put_req(call, &meta);
    struct bucket_row row;
    int rc = object_meta_check(&req);
    if (rc == 0) {
        struct store_txn *t = store_read(h->o.store);
        rc = bucket_row_get(t, req.bucket, &row); /* told before, not after, all is written */
        store_read_end(t);
    }
    if (rc == 0)
        rc = stream_open(h, call, &s, &err);
    if (rc == 0) {
        s->put = object_put_open(h->objects, &req);
        object_put_on_drained(s->put, write_more, s);
        rec_put_u64(&result, HC_HANDLE, s->handle.id);
    }
    buf_deinit(&meta);
    hostcall_end(call, rc, &result, &err);
}

void hostcall_s3_write(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct stream *s = NULL;
    int rc = find(call, true, &s, &err);
    (void)h;
    if (rc) {
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    s->call = call;
    s->left = rec_str(call->args, HC_BODY);
    write_more(s);
}

static void finished(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct stream *s = ctx;
    struct buf result = BUF_INIT;
    if (rc == 0) {
        rec_put_str(&result, HC_ETAG, str_c(m->etag));
        rec_put_u64(&result, HC_SIZE, s->size);
    }
    struct hostcall *call = s->call;
    stream_free(s);
    hostcall_end(call, rc, &result, err);
}

/* From here on it is as a put: what has begun to be committed may be. */
void hostcall_s3_finish(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct stream *s = NULL;
    int rc = find(call, true, &s, &err);
    (void)h;
    if (rc) {
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    struct object_put *put = s->put;
    hostcall_unkeep(&s->handle);
    s->put = NULL;
    s->call = call;
    object_put_finish(put, finished, s);
}

void hostcall_s3_close(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct hostcall_handle *handle = hostcall_kept(call, rec_u64(call->args, HC_HANDLE, 0));
    struct stream *s = NULL;
    int rc = 0;
    (void)h;
    if (handle && handle->release == release)
        rc = find(call, !((struct stream *)handle)->read, &s, &err);
    if (s) {
        hostcall_unkeep(&s->handle);
        stream_free(s);
    }
    hostcall_end(call, rc, NULL, &err);
}
