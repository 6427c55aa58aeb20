/* s3_get: GetObject, HeadObject, DeleteObject.
 *
 * Small bodies lie in the record and leave as one answer. Large ones are read in runs of 256 KiB on
 * the pool and written as the client takes them: the next run is read while the last one is on its
 * way, and no further one while more than that waits. The reader holds the body until the end, so
 * an overwrite or a delete meanwhile does not disturb a download. */
#include "api/gate.h"
#include "api/s3.h"
#include "base/clock.h"
#include "svc/object_read.h"

enum { READ_RUN = 256 * 1024 };

struct download {
    struct call *c;
    struct object_read *read;
};

/* What to answer, taken out of the read transaction. */
struct answer {
    int status; /* 200, 206, 304 */
    struct str content_type;
    struct str body;          /* of small objects, what is asked for */
    struct object_read *read; /* of the others */
    uint64_t first, count;
};

/* --- the body's way -----------------------------------------------------------------------------
 */

static void read_next(struct download *d);

static void download_end(struct download *d, bool ok)
{
    object_read_close(d->read);
    call_stream_end(d->c, ok);
}

static void drained(struct http_req *req)
{
    read_next(((struct call *)req->user)->user);
}

static void got(void *ctx, int rc, struct str bytes)
{
    struct download *d = ctx;
    if (rc || bytes.n == 0 || d->c->req->gone) {
        download_end(d, false);
        return;
    }
    if (http_reply_write(d->c->req, bytes) > READ_RUN && object_read_left(d->read))
        http_reply_drained(d->c->req, drained);
    else
        read_next(d);
}

static void read_next(struct download *d)
{
    if (d->c->req->gone || object_read_left(d->read) == 0)
        download_end(d, !d->c->req->gone);
    else
        object_read_next(d->read, READ_RUN, got, d);
}

static void send_body(struct call *c, const struct answer *a)
{
    struct download *d = arena_zalloc(c->arena, sizeof *d);
    if (!d) {
        object_read_close(a->read);
        call_error(c, E_LIMIT, NULL);
        return;
    }
    *d = (struct download){.c = c, .read = a->read};
    c->user = d;
    call_stream_begin(c, a->status, a->content_type.p, (int64_t)a->count);
    read_next(d);
}

/* --- headers ------------------------------------------------------------------------------------
 */

/* response-content-type=… and its like in the query replace what was stored. */
static struct str override_of(struct call *c, struct str name)
{
    char q[40] = "response-";
    size_t n = strlen(q);
    if (name.n >= sizeof q - n)
        return str_of(NULL, 0);
    memcpy(q + n, name.p, name.n);
    return call_query(c, q);
}

static bool override_is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return false;
    return true;
}

/* Strangers would write headers into links that look like the owner's. */
static int check_overrides(struct call *c, struct err *err)
{
    static const char *const names[] = {"content-type",        "cache-control",
                                        "content-disposition", "content-encoding",
                                        "content-language",    "expires"};
    for (size_t i = 0; i < sizeof names / sizeof *names && c->who.arn.n == 0; i++)
        if (override_of(c, str_c(names[i])).p)
            return err_set(err, E_BAD_REQUEST,
                           "Request specific response headers cannot be used for anonymous GET "
                           "requests.");
    return 0;
}

static int set_override(struct call *c, const char *name, bool *replaced)
{
    struct str given =
        str_starts(str_c(name), STR("x-amz-")) ? STR("") : override_of(c, str_c(name));
    *replaced = given.n > 0;
    if (!override_is_clean(given))
        return E_INVALID;
    if (given.n)
        call_set_header(c, name, given);
    return 0;
}

static int set_stored_headers(struct call *c, const struct object_meta *m)
{
    static const char *const names[] = {
        "cache-control", "content-disposition",          "content-encoding", "content-language",
        "expires",       "x-amz-server-side-encryption", OBJECT_CLASS};
    struct str rest, name, value;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool replaced;
        int rc = set_override(c, names[i], &replaced);
        if (rc)
            return rc;
        rest = m->headers;
        while (!replaced && object_pair_next(&rest, &name, &value))
            if (str_is(name, names[i]))
                call_set_header(c, names[i], value);
    }
    rest = m->user_meta;
    while (object_pair_next(&rest, &name, &value)) {
        struct str full = arena_printf(c->arena, "x-amz-meta-%.*s", STR_FMT(name));
        if (!full.p)
            return E_LIMIT;
        call_set_header(c, full.p, value);
    }
    size_t tags = 0;
    rest = m->tags;
    while (object_pair_next(&rest, &name, &value))
        tags++;
    if (tags)
        call_set_header(c, "x-amz-tagging-count",
                        arena_printf(c->arena, "%llu", (unsigned long long)tags));
    return 0;
}

static void set_identity(struct call *c, const struct object_meta *m, bool whole)
{
    char when[30];
    struct str etag = arena_printf(c->arena, "\"%s\"", m->etag);
    clock_http(m->modified_ms, when);
    call_set_header(c, "ETag", etag);
    call_set_header(c, "Last-Modified", str_c(when));
    call_set_header(c, "Accept-Ranges", STR("bytes"));
    if (whole && str_ieq(call_header(c, "x-amz-checksum-mode"), STR("ENABLED")))
        s3_checksum_answer(c, m);
}

static void set_content_range(struct call *c, const struct object_meta *m, const struct answer *a)
{
    struct str which =
        arena_printf(c->arena, "bytes %llu-%llu/%llu", (unsigned long long)a->first,
                     (unsigned long long)(a->first + a->count - 1), (unsigned long long)m->size);
    call_set_header(c, "Content-Range", which);
}

/* ?partNumber=N: the N-th part of an object that came in parts, or all of one that did not. */
static int read_part(struct call *c, struct store_txn *t, const struct object_meta *m,
                     struct answer *a, struct err *err)
{
    struct extent x = {.size = m->size};
    uint64_t n, parts = m->extents.list ? m->extents.count : 1;
    if (!str_u64(call_query(c, "partNumber"), &n) || n == 0 || n > EXTENTS_MAX)
        return err_set(err, E_INVALID,
                       "Part number must be an integer between 1 and 10000, inclusive");
    if (call_header(c, "range").p)
        return err_set(err, E_BAD_REQUEST,
                       "Cannot specify both Range header and partNumber query parameter");
    if (n > parts)
        return E_PART_NUMBER;
    int rc = m->extents.list ? extents_place(t, &m->extents, (uint32_t)n - 1, &x, &a->first) : 0;
    if (rc)
        return rc;
    a->count = x.size;
    a->status = x.size ? 206 : 200;
    if (x.size)
        set_content_range(c, m, a);
    if (m->extents.list)
        call_set_header(c, "x-amz-mp-parts-count",
                        arena_printf(c->arena, "%llu", (unsigned long long)parts));
    const struct object_meta part = {
        .checksum_alg = x.checksum_alg, .checksum = x.checksum, .composite = m->composite};
    if (str_ieq(call_header(c, "x-amz-checksum-mode"), STR("ENABLED")))
        s3_checksum_answer(c, m->extents.list ? &part : m);
    return 0;
}

/* If-Range: is it still the object of which the client has a part? */
static bool is_same(struct call *c, const struct object_meta *m)
{
    struct str given = call_header(c, "if-range");
    int64_t then;
    if (given.p && clock_parse(given, &then))
        return then == m->modified_ms - m->modified_ms % 1000;
    return !given.p || str_is(s3_unquoted(given), m->etag);
}

static int read_range(struct call *c, const struct object_meta *m, struct answer *a,
                      struct err *err)
{
    struct str range = is_same(c, m) ? call_header(c, "range") : STR("");
    int part = object_range(range, m->size, &a->first, &a->count);
    if (part == E_BAD_RANGE) {
        struct str all = arena_printf(c->arena, "bytes */%llu", (unsigned long long)m->size);
        call_set_header(c, "Content-Range", all);
        return err_set(err, E_BAD_RANGE, "The requested range is not satisfiable");
    }
    a->status = part ? 206 : 200;
    if (part)
        set_content_range(c, m, a);
    return 0;
}

static int take_body(struct call *c, const struct object_meta *m, struct answer *a)
{
    int rc = 0;
    if (m->inline_body.p) {
        a->body = arena_dup(c->arena, str_of(m->inline_body.p + a->first, (size_t)a->count));
        return a->body.p ? 0 : E_LIMIT;
    }
    a->read = object_read_open(c->svc->objects, m, a->first, a->count, &rc);
    return rc;
}

/* Inside the read transaction: everything the answer needs, copied or held. */
static int prepare(struct call *c, struct store_txn *t, const struct object_meta *m,
                   struct answer *a, struct err *err)
{
    struct s3_conditions k = {call_header(c, "if-match"), call_header(c, "if-none-match"),
                              call_header(c, "if-modified-since"),
                              call_header(c, "if-unmodified-since")};
    int judged = s3_conditions_judge(&k, str_c(m->etag), m->modified_ms);
    if (judged == 412)
        return E_PRECONDITION;
    a->status = judged;
    bool part = call_query(c, "partNumber").p != NULL;
    int rc = judged == 304 ? 0 : part ? read_part(c, t, m, a, err) : read_range(c, m, a, err);
    if (rc)
        return rc;
    set_identity(c, m, a->status == 200 && !part);
    if (judged == 304)
        return 0;
    rc = set_stored_headers(c, m);
    s3_expiration_answer(c, t, m);
    struct str type = override_of(c, STR("content-type"));
    if (rc == 0 && !override_is_clean(type))
        rc = E_INVALID;
    if (rc)
        return rc;
    if (type.n == 0)
        type = m->content_type.n ? m->content_type : STR("binary/octet-stream");
    a->content_type = arena_dup(c->arena, type);
    if (!a->content_type.p)
        return E_LIMIT;
    return str_is(c->req->method, "HEAD") ? 0 : take_body(c, m, a);
}

static int find(struct call *c, struct answer *a, struct err *err)
{
    struct object_meta m;
    struct store_txn *t = store_read(c->svc->store);
    int rc = object_get(t, c->param[0], c->param[1], &m), version = s3_version_check(c, err);
    if (rc == E_NO_KEY && s3_authorise_bucket(c, "s3:ListBucket", NULL))
        rc = err_set(err, E_DENIED, "Access Denied"); /* who may not list learns nothing of keys */
    else if (version && (rc == 0 || rc == E_NO_KEY))
        rc = version;
    if (rc == 0)
        rc = check_overrides(c, err);
    struct str mode = call_header(c, "x-amz-checksum-mode");
    if (rc == 0 && mode.p && !str_ieq(mode, STR("ENABLED")))
        rc = err_set(err, E_BAD_REQUEST, "Value for x-amz-checksum-mode header is invalid.");
    if (rc == 0 && m.inline_body.p && m.inline_body.n != m.size)
        rc = E_INTERNAL;
    if (rc == 0)
        rc = prepare(c, t, &m, a, err);
    store_read_end(t);
    return rc;
}

/* --- handlers -----------------------------------------------------------------------------------
 */

void s3_get_object(struct call *c)
{
    struct answer a = {0};
    struct err err = {0};
    int rc = find(c, &a, &err);
    if (rc)
        call_error(c, rc, &err);
    else if (a.status == 304)
        call_empty(c, 304);
    else if (a.read)
        send_body(c, &a);
    else
        call_bytes(c, a.status, a.content_type.p, a.body);
}

void s3_head_object(struct call *c)
{
    struct answer a = {0};
    struct err err = {0};
    int rc = find(c, &a, &err);
    if (rc) {
        call_error(c, rc, &err);
    } else if (a.status == 304) {
        call_empty(c, 304);
    } else {
        call_stream_begin(c, a.status, a.content_type.p, (int64_t)a.count);
        call_stream_end(c, true);
    }
}

static void deleted(void *ctx, int rc, bool existed, const struct err *err)
{
    struct call *c = ctx;
    (void)existed;
    if (rc)
        call_error(c, rc, err);
    else
        call_empty(c, 204);
}

void s3_delete_object(struct call *c)
{
    struct err err = {0};
    int rc = s3_version_check(c, &err);
    if (rc == E_NO_VERSION) {
        rc = s3_bucket_check(c); /* what is not there is gone already, as an absent key is */
        if (rc == 0) {
            call_empty(c, 204);
            return;
        }
    }
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct object_delete_req r = {.bucket = c->param[0],
                                  .key = c->param[1],
                                  .if_match = s3_delete_match(call_header(c, "if-match")),
                                  .event = "ObjectRemoved:Delete",
                                  .request_id = c->req->id,
                                  .peer = c->req->peer,
                                  .principal = s3_principal(c)};
    object_delete_if(c->svc->objects, &r, deleted, c);
}
