/* lambda_stream: InvokeWithResponseStream: the answer in AWS's event stream framing, part by part.
 *
 * A message is {u32 length, u32 header bytes, u32 CRC-32 of those two}, headers, payload, {u32 CRC-32
 * of all before}; numbers in network order. A header is {u8 name length, name, u8 7, u16 value length,
 * value}. PayloadChunk messages carry what the function writes, InvokeComplete ends, with an error
 * when it failed. The format: smithy.io, "application/vnd.amazon.eventstream".
 *
 * The head goes out with the first part, so that what keeps a function from being started still has
 * its own status. A function that does not stream gives its answer as one part. */
#include "api/lambda.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "svc/invoke.h"

enum {
    PAUSE_ABOVE = 256 * 1024,
    PRELUDE = 12,
    CRC = 4,
    STRING_VALUE = 7,
    PART_MAX = 1024 * 1024, /* of an answer that came whole */
};

struct streaming {
    struct invoke_stream stream; /* first */
    struct call *c;
    struct fn *fn;
    bool head_sent;
    void (*resume)(void *arg);
    void *resume_arg;
};

/* --- framing ---------------------------------------------------------------------------------- */

static void put_u32(struct buf *b, uint32_t v)
{
    uint32_t be = __builtin_bswap32(v);
    buf_add(b, str_of((const char *)&be, sizeof be));
}

static void put_crc(struct buf *b, size_t from)
{
    unsigned char crc[CHECKSUM_MAX];
    checksum_once(CHECKSUM_CRC32, str_of(b->p + from, b->n - from), crc);
    buf_add(b, str_of((const char *)crc, CRC));
}

static void put_header(struct buf *b, struct str name, struct str value)
{
    uint16_t be = __builtin_bswap16((uint16_t)value.n);
    buf_addc(b, (char)name.n);
    buf_add(b, name);
    buf_addc(b, STRING_VALUE);
    buf_add(b, str_of((const char *)&be, sizeof be));
    buf_add(b, value);
}

static void put_message(struct buf *b, struct str type, struct str content_type, struct str payload)
{
    struct buf headers = BUF_INIT;
    put_header(&headers, STR(":message-type"), STR("event"));
    put_header(&headers, STR(":event-type"), type);
    put_header(&headers, STR(":content-type"), content_type);
    size_t start = b->n;
    put_u32(b, (uint32_t)(PRELUDE + headers.n + payload.n + CRC));
    put_u32(b, (uint32_t)headers.n);
    put_crc(b, start);
    buf_add(b, buf_str(&headers));
    buf_add(b, payload);
    put_crc(b, start);
    buf_deinit(&headers);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void send_head(struct streaming *s)
{
    if (s->head_sent)
        return;
    s->head_sent = true;
    call_set_header(s->c, "X-Amz-Executed-Version", s->fn->version);
    call_stream_begin(s->c, 200, "application/vnd.amazon.eventstream", -1);
}

static size_t send_message(struct streaming *s, struct str type, struct str content_type,
                           struct str payload)
{
    struct buf b = BUF_INIT;
    put_message(&b, type, content_type, payload);
    size_t waiting = http_reply_write(s->c->req, buf_str(&b));
    buf_deinit(&b);
    return waiting;
}

static size_t send_part(struct streaming *s, struct str bytes)
{
    return bytes.n ? send_message(s, STR("PayloadChunk"), STR("application/octet-stream"), bytes)
                   : 0;
}

/* Status, headers and cookies are those of an HTTP answer: a caller of the API has no use for them. */
static bool begin(void *ctx, struct str head)
{
    (void)head;
    send_head(ctx);
    return true;
}

static void drained(struct http_req *req)
{
    struct streaming *s = ((struct call *)req->user)->user;
    void (*resume)(void *) = s->resume;
    s->resume = NULL;
    if (resume)
        resume(s->resume_arg);
}

static bool write_part(void *ctx, struct str bytes, void (*resume)(void *arg), void *arg)
{
    struct streaming *s = ctx;
    if (s->c->req->gone || send_part(s, bytes) <= PAUSE_ABOVE)
        return true;
    s->resume = resume;
    s->resume_arg = arg;
    http_reply_drained(s->c->req, drained);
    return false;
}

static void send_complete(struct streaming *s, const struct invoke_result *r)
{
    json_t *end = json_object();
    if (r->error) {
        json_object_set_new(end, "ErrorCode",
                            json_stringn(r->error_type.n ? r->error_type.p : "Unhandled",
                                         r->error_type.n ? r->error_type.n : 9));
        json_object_set_new(end, "ErrorDetails", json_stringn_nocheck(r->payload.p, r->payload.n));
    }
    if (r->log_tail.n) {
        struct buf tail = BUF_INIT;
        base64_encode(&tail, r->log_tail);
        json_object_set_new(end, "LogResult", json_stringn(tail.p, tail.n));
        buf_deinit(&tail);
    }
    char *text = json_dumps(end, JSON_COMPACT);
    send_message(s, STR("InvokeComplete"), STR("application/json"), str_c(text ? text : "{}"));
    free(text);
    json_decref(end);
}

void lambda_stream_invoked(void *ctx, const struct invoke_result *r)
{
    struct streaming *s = ctx;
    struct call *c = s->c;
    s->resume = NULL;
    if (r->rc && !s->head_sent) {
        fn_unref(s->fn);
        lambda_reply_unrun(c, r);
        return;
    }
    send_head(s);
    if (!s->stream.begun && !r->error)
        for (struct str rest = r->payload; rest.n;) {
            struct str part = str_of(rest.p, rest.n < PART_MAX ? rest.n : PART_MAX);
            send_part(s, part);
            rest = str_from(rest, part.n);
        }
    send_complete(s, r);
    fn_unref(s->fn);
    call_stream_end(c, r->rc == 0);
}

struct invoke_stream *lambda_stream(struct call *c, struct fn *fn)
{
    struct streaming *s = arena_zalloc(c->arena, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct streaming){
        .stream = {.ctx = s, .begin = begin, .write = write_part}, .c = c, .fn = fn};
    c->user = s;
    fn_ref(fn);
    return &s->stream;
}
