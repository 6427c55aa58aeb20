/* reply_error: one error in the words of the protocol that asked.
 *
 * Names and statuses come from errors.def, only the shapes are here. Clients look at more than the
 * body: Go and JavaScript read x-amzn-ErrorType, boto3 reads <Code> or __type, botocore retries
 * some statuses; so every shape carries all of its parts. */
#include "api/gate_call.h"
#include "base/json.h"
#include "base/log.h"

const char *call_xmlns(const struct call *c)
{
    return str_is(c->private_->claim.service, "iam") ? "https://iam.amazonaws.com/doc/2010-05-08/"
                                                     : "https://sts.amazonaws.com/doc/2011-06-15/";
}

static void rest_json(struct call *c, const struct err_row *row, struct str text)
{
    struct buf b = BUF_INIT;
    int status = row->status;
    call_set_header(c, "x-amzn-ErrorType", str_c(row->lambda));
    if (row->code == E_THROTTLED)
        buf_lit(&b, "{\"Reason\":\"ConcurrentInvocationLimitExceeded\",");
    else
        buf_addc(&b, '{');
    buf_printf(&b, "\"Type\":\"%s\",\"%s\":", status >= 500 ? "Service" : "User",
               status == 404 || status == 500 ? "Message" : "message");
    json_quote(&b, text);
    buf_addc(&b, '}');
    call_bytes(c, status, "application/json", buf_str(&b));
    buf_deinit(&b);
}

/* JSON 1.1 has one status for the client's errors; a call that bears no credentials at all is 403
 * in every protocol. */
static void json11(struct call *c, const struct err_row *row, struct str text)
{
    struct buf b = BUF_INIT;
    int status = row->status >= 500 || row->code == E_NO_AUTH ? row->status : 400;
    call_set_header(c, "x-amzn-ErrorType", str_c(row->json));
    buf_printf(&b, "{\"__type\":\"%s\",\"message\":", row->json);
    json_quote(&b, text);
    buf_addc(&b, '}');
    call_bytes(c, status, "application/x-amz-json-1.1", buf_str(&b));
    buf_deinit(&b);
}

static void query(struct call *c, const struct err_row *row, struct str text)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "<ErrorResponse xmlns=\"%s\"><Error><Type>%s</Type>", call_xmlns(c),
               row->status >= 500 ? "Receiver" : "Sender");
    xml_element(&b, "Code", str_c(row->query));
    xml_element(&b, "Message", text);
    buf_printf(&b, "</Error><RequestId>%s</RequestId></ErrorResponse>\n", c->req->id);
    call_bytes(c, row->status, "text/xml", buf_str(&b));
    buf_deinit(&b);
}

/* "/bucket/key" as it was meant, else the path as it came. */
static void s3_resource(struct buf *b, struct call *c, const struct err *err)
{
    buf_lit(b, "<Resource>");
    if (err && err->resource[0]) {
        xml_escape(b, str_c(err->resource));
    } else if (c->param[0].p) {
        buf_addc(b, '/');
        xml_escape(b, c->param[0]);
        if (c->param[1].n) {
            buf_addc(b, '/');
            xml_escape(b, c->param[1]);
        }
    } else {
        xml_escape(b, c->req->path);
    }
    buf_lit(b, "</Resource>");
}

static void s3(struct call *c, const struct err_row *row, struct str text, const struct err *err)
{
    struct buf b = BUF_INIT;
    buf_lit(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    xml_element(&b, "Code", str_c(row->s3));
    xml_element(&b, "Message", text);
    if (err && err->arg_name[0]) {
        xml_element(&b, "ArgumentName1", str_c(err->arg_name));
        xml_element(&b, "ArgumentValue1", str_c(err->arg_value));
    }
    if (err && err->detail[0])
        buf_add(&b, str_c(err->detail));
    s3_resource(&b, c, err);
    buf_printf(&b, "<RequestId>%s</RequestId><HostId>" CALL_HOST_ID "</HostId></Error>",
               c->req->id);
    if (str_is(c->req->method, "HEAD"))
        call_empty(c, row->status);
    else
        call_bytes(c, row->status, "application/xml", buf_str(&b));
    buf_deinit(&b);
}

void call_error(struct call *c, int code, const struct err *err)
{
    const struct err_row *row = err_row(code);
    struct str text = str_c(err_text(err, code));
    if (row->status == 500)
        log_error("%s: request %s failed: %d %.*s", c->op ? c->op->name : "request", c->req->id,
                  code, STR_FMT(text));
    if (row->status == 429 || row->status == 503)
        call_set_header(c, "Retry-After", STR("1"));
    switch (c->protocol) {
    case PROTO_S3:
        s3(c, row, text, err);
        break;
    case PROTO_QUERY:
        query(c, row, text);
        break;
    case PROTO_JSON11:
        json11(c, row, text);
        break;
    case PROTO_REST_JSON:
    case PROTO_PLAIN:
        rest_json(c, row, text);
        break;
    }
}
