/* s3_body: from the head's promises to decoded bytes in an ingest.
 *
 * Five forms, named by x-amz-content-sha256: the whole body's hash, UNSIGNED-PAYLOAD, and three
 * wrapped as aws-chunked (net/aws_chunked.h): signed chunks, signed chunks with a signed trailer,
 * unsigned chunks with a trailer. The first two pass through. Of the others the framing is taken off
 * on the loop, while the hashes that chunk signatures cover are made on the pool: in runs, beside the
 * ingest's own digests. Bytes go on into the ingest before their chunk's signature has been checked;
 * that is safe, since nothing refers to them before `taken` has said that all of it was right.
 *
 * What does not fit is refused with S3's words: framing that breaks off or lies about its length is
 * IncompleteBody, a trailer that was not announced (or was, and is not there) MalformedTrailerError. */
#include "api/s3_body.h"

#include "api/chunk_chain.h"
#include "api/gate_call.h"
#include "base/codec.h"
#include "net/aws_chunked.h"

struct s3_body {
    struct call *c;
    struct body_promise promise;
    unsigned char md5[16], sha256[32], checksum[CHECKSUM_MAX];
    bool chunked, is_signed, has_trailer;
    bool announced; /* promise.checksum comes as a trailer */
    uint64_t size;  /* decoded bytes; when chunked */

    struct ingest *to;
    void (*taken)(struct call *c, int rc, const struct err *err);
    struct aws_chunked decoder;
    bool failed, ended, told;
    int rc;
    struct err err;
    bool ingest_behind;

    /* trailer */
    bool got_checksum, got_signature;
    char trailer_signature[AWS_CHUNKED_SIGNATURE];
    struct buf trailer; /* "name:value\n" of each line that is signed */

    struct chunk_chain chain; /* when signed */
};

/* --- the head -----------------------------------------------------------------------------------
 */

static int read_md5(struct s3_body *b)
{
    struct str text = call_header(b->c, "content-md5");
    if (!text.p)
        return 0;
    struct buf raw;
    buf_init(&raw, 64);
    bool ok = base64_decode(&raw, text) && raw.rc == 0 && raw.n == sizeof b->md5;
    if (ok)
        memcpy(b->md5, raw.p, raw.n);
    buf_deinit(&raw);
    b->promise.md5 = str_of((char *)b->md5, sizeof b->md5);
    return ok ? 0 : E_INVALID_DIGEST;
}

static int more_than_one(struct err *err)
{
    return err_set(err, E_BAD_REQUEST,
                   "Expecting a single x-amz-checksum- header. Multiple checksum Types are not "
                   "allowed.");
}

/* x-amz-checksum-crc32: … and its like; not -algorithm, -mode, -type. */
static int read_checksum(struct s3_body *b, struct err *err)
{
    const struct http_req *req = b->c->req;
    static const char prefix[] = "x-amz-checksum-";
    static const char *const others[] = {"algorithm", "mode", "type"};
    for (size_t i = 0; i < req->header_count; i++) {
        struct str name = req->headers[i].name;
        if (name.n < sizeof prefix || !str_ieq(str_of(name.p, sizeof prefix - 1), STR(prefix)))
            continue;
        enum checksum_alg alg = checksum_of_header(name);
        bool other = false;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            other |= str_ieq(str_from(name, sizeof prefix - 1), str_c(others[k]));
        if (other)
            continue;
        if (alg == CHECKSUM_NONE)
            return err_set(err, E_BAD_REQUEST,
                           "The algorithm type you specified in x-amz-checksum- header is "
                           "invalid.");
        if (b->promise.checksum != CHECKSUM_NONE)
            return more_than_one(err);
        if (!checksum_decode(alg, req->headers[i].value, b->checksum))
            return err_set(err, E_BAD_REQUEST, "Value for %s header is invalid.",
                           checksum_header(alg));
        b->promise.checksum = alg;
        b->promise.checksum_raw = str_of((char *)b->checksum, checksum_size(alg));
    }
    return 0;
}

/* x-amz-trailer: which checksum will follow the body. */
static int read_trailer(struct s3_body *b, struct err *err)
{
    struct str names = call_header(b->c, "x-amz-trailer");
    while (names.n) {
        struct str name = str_trim(str_cut(&names, ','));
        enum checksum_alg alg = checksum_of_header(name);
        if (b->has_trailer && (name.n == 0 || str_ieq(name, STR("x-amz-trailer-signature"))))
            continue;
        if (alg == CHECKSUM_NONE || !b->has_trailer)
            return err_set(err, E_BAD_REQUEST,
                           "The value specified in the x-amz-trailer header is not supported");
        if (b->promise.checksum != CHECKSUM_NONE)
            return more_than_one(err);
        b->promise.checksum = alg;
        b->announced = true;
    }
    return 0;
}

/* The algorithm by name: must be the one whose value is given. x-amz-checksum-algorithm may also
 * stand alone: then one is made. */
static int read_algorithm(struct s3_body *b, const char *header, bool alone, struct err *err)
{
    struct str name = call_header(b->c, header);
    if (!name.n)
        return 0;
    enum checksum_alg alg = checksum_of_name(name), given = b->promise.checksum;
    if (alg == CHECKSUM_NONE || (given != CHECKSUM_NONE && alg != given))
        return err_set(err, E_BAD_REQUEST, "Value for %s header is invalid.", header);
    if (given == CHECKSUM_NONE && !alone)
        return err_set(err, E_BAD_REQUEST,
                       "%s specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                       "headers were found.",
                       header);
    b->promise.checksum = alg;
    return 0;
}

static int read_sha256(struct s3_body *b)
{
    if (!b->c->expect_sha256.p)
        return 0;
    if (b->c->expect_sha256.n != 64 || !hex_decode(b->c->expect_sha256, b->sha256))
        return E_BAD_SHA256;
    b->promise.sha256 = str_of((char *)b->sha256, sizeof b->sha256);
    return 0;
}

static int read_length(struct s3_body *b, struct err *err)
{
    const struct call *c = b->c;
    if (!b->chunked)
        return c->req->content_length == 0 && !call_header(c, "content-length").p
                   ? E_LENGTH_REQUIRED
                   : 0;
    if (!str_u64(call_header(c, "x-amz-decoded-content-length"), &b->size))
        return E_LENGTH_REQUIRED;
    if (b->size > c->op->body_limit)
        return err_set(err, E_LIMIT, "Your proposed upload exceeds the maximum allowed size");
    return 0;
}

int s3_body_read(struct call *c, struct s3_body **out, struct err *err)
{
    struct s3_body *b = *out = arena_zalloc(c->arena, sizeof *b);
    if (!b)
        return E_LIMIT;
    b->c = c;
    b->is_signed = c->payload == PAYLOAD_CHUNKS || c->payload == PAYLOAD_CHUNKS_TRAILER;
    b->has_trailer = c->payload == PAYLOAD_CHUNKS_TRAILER || c->payload == PAYLOAD_UNSIGNED_TRAILER;
    b->chunked = b->is_signed || b->has_trailer;
    int rc = read_md5(b);
    if (rc == 0)
        rc = read_checksum(b, err);
    if (rc == 0)
        rc = read_trailer(b, err);
    if (rc == 0)
        rc = read_algorithm(b, "x-amz-sdk-checksum-algorithm", false, err);
    if (rc == 0)
        rc = read_algorithm(b, "x-amz-checksum-algorithm", true, err);
    if (rc == 0)
        rc = read_sha256(b);
    if (rc == 0)
        rc = read_length(b, err);
    return rc;
}

struct body_promise *s3_body_promise(struct s3_body *b)
{
    return &b->promise;
}

struct str s3_body_encoding(struct call *c)
{
    struct str given = call_header(c, "content-encoding"), rest = given;
    struct buf kept = BUF_INIT;
    bool found = false;
    while (rest.p) {
        struct str one = str_trim(str_cut(&rest, ','));
        bool ours = str_ieq(one, STR("aws-chunked"));
        found |= ours;
        if (one.n == 0 || ours)
            continue;
        if (kept.n)
            buf_addc(&kept, ',');
        buf_add(&kept, one);
    }
    struct str out = !found ? given : kept.n ? arena_dup(c->arena, buf_str(&kept)) : STR("");
    buf_deinit(&kept);
    return out.n ? out : str_of(NULL, 0);
}

/* --- decoding -----------------------------------------------------------------------------------
 */

static void end(struct s3_body *b);

static struct s3_body *body_of(struct http_req *req)
{
    return ((struct call *)req->user)->private_->body;
}

static void fail(struct s3_body *b, int rc)
{
    if (!b->failed) {
        b->failed = true;
        b->rc = rc;
    }
}

static int no_match(struct s3_body *b)
{
    return err_set(&b->err, E_BAD_SIGNATURE, "%s", err_row(E_BAD_SIGNATURE)->text);
}

static bool is_behind(const struct s3_body *b)
{
    return b->ingest_behind || (b->is_signed && chunk_chain_behind(&b->chain));
}

static void resume(struct s3_body *b)
{
    if (!is_behind(b) && !b->ended)
        http_body_resume(b->c->req);
}

static void check_chain(struct s3_body *b)
{
    int rc = b->is_signed ? chunk_chain_rc(&b->chain) : 0;
    if (rc)
        fail(b, rc == E_BAD_SIGNATURE ? no_match(b) : rc);
}

static void chain_moved(void *ctx)
{
    struct s3_body *b = ctx;
    check_chain(b);
    if (b->failed || b->ended)
        end(b);
    else
        resume(b);
}

static int bad_length(struct s3_body *b)
{
    return err_set(&b->err, E_ABORTED,
                   "You did not provide the number of bytes specified by the Content-Length HTTP "
                   "header");
}

static int bad_framing(struct s3_body *b)
{
    return err_set(&b->err, E_ABORTED, "The request body terminated unexpectedly");
}

static void add(struct s3_body *b, struct str bytes)
{
    if (b->chunked && ingest_size(b->to) + bytes.n > b->size) {
        fail(b, bad_length(b));
        return;
    }
    b->ingest_behind = !ingest_write(b->to, bytes);
    if (b->is_signed)
        chunk_chain_add(&b->chain, bytes);
}

static void trailer_line(struct s3_body *b, struct str name, struct str value)
{
    unsigned char raw[CHECKSUM_MAX];
    enum checksum_alg alg = b->promise.checksum;
    if (b->is_signed && str_ieq(name, STR("x-amz-trailer-signature"))) {
        if (b->got_signature || value.n != sizeof b->trailer_signature)
            fail(b, E_BAD_TRAILER);
        else
            memcpy(b->trailer_signature, value.p, value.n);
        b->got_signature = true;
        return;
    }
    if (b->got_signature || !b->announced || b->got_checksum || checksum_of_header(name) != alg) {
        fail(b, E_BAD_TRAILER);
        return;
    }
    b->got_checksum = true;
    if (!checksum_decode(alg, value, raw)) {
        fail(b, err_set(&b->err, E_BAD_REQUEST, "Value for %s trailing header is invalid.",
                        checksum_header(alg)));
        return;
    }
    ingest_promise_checksum(b->to, raw);
    buf_printf(&b->trailer, "%s:%.*s\n", checksum_header(alg), STR_FMT(value));
}

static void decode(struct s3_body *b, struct str in)
{
    struct str out;
    while (!b->failed) {
        switch (aws_chunked_next(&b->decoder, &in, &out)) {
        case AWS_CHUNKED_MORE:
            return;
        case AWS_CHUNKED_DATA:
            add(b, out);
            break;
        case AWS_CHUNKED_CHUNK:
            if (b->is_signed)
                chunk_chain_mark(&b->chain, out);
            break;
        case AWS_CHUNKED_TRAILER:
            trailer_line(b, b->decoder.name, b->decoder.value);
            break;
        case AWS_CHUNKED_BAD:
            fail(b, aws_chunked_in_trailer(&b->decoder) ? E_BAD_TRAILER : bad_framing(b));
            break;
        }
        check_chain(b);
    }
}

/* --- the end ------------------------------------------------------------------------------------
 */

static int check_trailer(struct s3_body *b)
{
    struct str signature = str_of(b->trailer_signature, sizeof b->trailer_signature);
    if (b->announced && !b->got_checksum)
        return E_BAD_TRAILER;
    if (!b->is_signed || !b->has_trailer)
        return 0;
    if (!b->got_signature)
        return E_BAD_TRAILER;
    return chunk_chain_trailer(&b->chain, buf_str(&b->trailer), signature) ? 0 : no_match(b);
}

/* Tells, once the pool has let go. */
static void end(struct s3_body *b)
{
    if (b->told || (b->is_signed && chunk_chain_busy(&b->chain)))
        return;
    b->told = true;
    if (!b->failed && b->chunked && (b->rc = check_trailer(b)) != 0)
        b->failed = true;
    if (b->is_signed)
        chunk_chain_deinit(&b->chain);
    buf_deinit(&b->trailer);
    b->taken(b->c, b->failed ? b->rc : 0, b->failed && b->err.code == b->rc ? &b->err : NULL);
}

static void body_data(struct http_req *req, struct str bytes)
{
    struct s3_body *b = body_of(req);
    if (b->failed)
        return;
    if (b->chunked)
        decode(b, bytes);
    else
        add(b, bytes);
    if (b->failed)
        end(b);
    else if (is_behind(b))
        http_body_pause(req);
}

static void body_drained(void *ctx)
{
    struct s3_body *b = ctx;
    b->ingest_behind = false;
    resume(b);
}

static void body_end(struct http_req *req, int rc)
{
    struct s3_body *b = body_of(req);
    b->ended = true;
    if (rc)
        fail(b, rc);
    else if (b->chunked && !aws_chunked_ended(&b->decoder))
        fail(b, bad_framing(b));
    else if (b->chunked && ingest_size(b->to) != b->size)
        fail(b, bad_length(b));
    if (b->is_signed && !b->failed)
        chunk_chain_end(&b->chain);
    check_chain(b);
    end(b);
}

static const struct http_sink body_sink = {body_data, body_end};

void s3_body_take(struct s3_body *b, struct ingest *to,
                  void (*taken)(struct call *c, int rc, const struct err *err))
{
    struct call_private *v = b->c->private_;
    v->body = b;
    b->to = to;
    b->taken = taken;
    ingest_on_drained(to, body_drained, b);
    if (b->chunked)
        aws_chunked_init(&b->decoder, b->is_signed, b->has_trailer);
    if (b->is_signed)
        chunk_chain_init(&b->chain, b->c->svc->loop, &v->claim, v->secret, chain_moved, b);
    http_body_stream(b->c->req, b->chunked ? 0 : b->c->op->body_limit, &body_sink);
}
