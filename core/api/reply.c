/* reply: successful answers, each with the headers that its protocol's clients look for.
 *
 * Every function here ends the call: the gate's accounts are settled first, because the request's
 * memory (and the call with it) is gone when http_reply returns. */
#include "api/gate_call.h"
#include "base/json.h"

enum { FIXED = 4 }; /* headers besides the handler's */

void call_set_header(struct call *c, const char *name, struct str value)
{
    struct call_private *v = c->private_;
    struct call_header *h = arena_zalloc(c->arena, sizeof *h);
    struct str copy = arena_dup(c->arena, value);
    if (!h || !copy.p)
        return; /* the arena is full: the answer goes out without it */
    *h = (struct call_header){name, copy, NULL};
    *v->headers_end = h;
    v->headers_end = &h->next;
    v->header_count++;
}

/* All headers of the answer, in the arena. */
static struct http_header *collect(struct call *c, const char *type, size_t *n)
{
    struct call_private *v = c->private_;
    struct http_header *h = arena_alloc(c->arena, (v->header_count + FIXED) * sizeof *h);
    struct str id = str_c(c->req->id);
    *n = 0;
    if (!h)
        return NULL;
    if (type)
        h[(*n)++] = (struct http_header){STR("Content-Type"), str_c(type)};
    if (c->protocol == PROTO_S3) {
        h[(*n)++] = (struct http_header){STR("x-amz-request-id"), id};
        h[(*n)++] = (struct http_header){STR("x-amz-id-2"), STR(CALL_HOST_ID)};
    } else {
        h[(*n)++] = (struct http_header){STR("x-amzn-RequestId"), id};
    }
    for (struct call_header *e = v->headers; e; e = e->next)
        h[(*n)++] = (struct http_header){str_c(e->name), e->value};
    return h;
}

void call_bytes(struct call *c, int status, const char *content_type, struct str body)
{
    size_t n;
    struct http_header *h = collect(c, content_type, &n);
    gate_settle(c, status);
    http_reply(c->req, status, h, n, body);
}

void call_owned(struct call *c, int status, const char *content_type, struct str body, char *owner)
{
    size_t n;
    struct http_header *h = collect(c, content_type, &n);
    gate_settle(c, status);
    http_reply_owned(c->req, status, h, n, body, owner);
}

void call_json(struct call *c, int status, json_t *json)
{
    struct buf b = BUF_INIT;
    json_write(&b, json);
    json_decref(json);
    if (b.rc)
        call_error(c, E_INTERNAL, NULL);
    else
        call_bytes(c, status,
                   c->protocol == PROTO_JSON11 ? "application/x-amz-json-1.1" : "application/json",
                   buf_str(&b));
    buf_deinit(&b);
}

void call_xml(struct call *c, int status, const struct buf *xml)
{
    if (xml->rc)
        call_error(c, E_INTERNAL, NULL);
    else
        call_bytes(c, status, c->protocol == PROTO_S3 ? "application/xml" : "text/xml",
                   buf_str(xml));
}

void call_result(struct call *c, const struct buf *inner)
{
    struct buf b = BUF_INIT;
    const char *name = c->op->name;
    buf_printf(&b, "<%sResponse xmlns=\"%s\">", name, call_xmlns(c));
    if (inner) {
        buf_printf(&b, "<%sResult>", name);
        buf_add(&b, buf_str(inner));
        buf_printf(&b, "</%sResult>", name);
    }
    buf_printf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>\n",
               c->req->id, name);
    if (inner && inner->rc)
        call_error(c, E_INTERNAL, NULL);
    else
        call_xml(c, 200, &b);
    buf_deinit(&b);
}

void call_empty(struct call *c, int status)
{
    call_bytes(c, status, NULL, STR(""));
}

void call_stream_begin(struct call *c, int status, const char *content_type, int64_t length)
{
    size_t n;
    struct http_header *h = collect(c, content_type, &n);
    c->private_->stream_status = status;
    http_reply_begin(c->req, status, h, n, length);
}

void call_stream_end(struct call *c, bool ok)
{
    gate_settle(c, c->private_->stream_status);
    http_reply_end(c->req, ok);
}
