/* hostcall_response: response.begin and response.write: a function's answer while it is made.
 *
 * A caller that takes its answer in parts has put a struct invoke_stream into the invocation. Where
 * there is none (most callers want all at once) response.begin says so, and the function's side
 * collects instead. A write is finished when the client has room again, so a function can be no
 * faster than its reader, and what waits here is bounded.
 *
 * A head with a header or cookie that HTTP does not allow is refused before anything has left. */
#include "base/rec.h"
#include "net/scan.h"
#include "proc/frame.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"
#include "svc/invoke.h"

enum { STATUS_MIN = 200, STATUS_MAX = 599, HEADER_NAME_MAX = 256, HEADER_VALUE_MAX = 16 * 1024 };
static const uint64_t ANSWER_MAX = 200 * 1024 * 1024; /* as Lambda has it */

static bool value_ok(struct str s)
{
    return scan_value(s) && s.n <= HEADER_VALUE_MAX;
}

static int put_header(struct buf *head, struct str name, struct str value, struct err *err)
{
    if (!scan_token(name) || name.n > HEADER_NAME_MAX)
        return err_set(err, E_INVALID, "A header's name has characters that no name may have");
    if (!value_ok(value))
        return err_set(err, E_INVALID,
                       "The value of header '%.*s' has control characters or is too long",
                       STR_FMT(name));
    size_t mark = rec_begin(head, URL_HEADER);
    rec_put_str(head, 1, name);
    rec_put_str(head, 2, value);
    rec_end(head, mark);
    return 0;
}

static int put_cookies(struct buf *head, struct str lines, struct err *err)
{
    while (lines.p) {
        struct str one = str_cut(&lines, '\n');
        if (!value_ok(one))
            return err_set(err, E_INVALID, "A cookie has control characters or is too long");
        if (one.n)
            rec_put_str(head, URL_COOKIE, one);
    }
    return 0;
}

/* HC_N status, HC_META headers, HC_VALUE cookies, a line each -> a rec of URL_* fields. */
static int build_head(struct buf *head, struct str args, struct err *err)
{
    struct str rest = args, v;
    uint64_t status = rec_u64(args, HC_N, STATUS_MIN);
    uint16_t tag;
    int rc = 0;
    if (status < STATUS_MIN || status > STATUS_MAX)
        return err_set(err, E_INVALID, "statusCode must be %d to %d", STATUS_MIN, STATUS_MAX);
    rec_put_u64(head, URL_STATUS, status);
    while (rc == 0 && rec_next(&rest, &tag, &v))
        if (tag == HC_META && rec_valid(v))
            rc = put_header(head, rec_str(v, 1), rec_str(v, 2), err);
    return rc ? rc : put_cookies(head, rec_str(args, HC_VALUE), err);
}

/* Result HC_EXISTS: 1 when the answer is now streamed, 0 when nobody takes it so. */
void hostcall_response_begin(struct hostcalls *h, struct hostcall *call)
{
    (void)h;
    struct err err = {0};
    struct buf head = BUF_INIT, result = BUF_INIT;
    struct invoke_stream *s = hostcall_stream(call);
    int rc = build_head(&head, call->args, &err);
    if (rc == 0 && s && s->begun)
        rc = err_set(&err, E_CONFLICT, "The answer has begun already");
    if (rc == 0 && s && !s->begin(s->ctx, buf_str(&head)))
        rc = err_set(&err, E_INVALID, "The answer has too many headers, or too large ones");
    if (rc == 0 && s)
        s->begun = true;
    rec_put_u64(&result, HC_EXISTS, s != NULL);
    hostcall_end(call, rc, &result, &err);
    buf_deinit(&head);
}

static void resumed(void *arg)
{
    hostcall_end(arg, 0, NULL, NULL);
}

/* The invocation has ended; nobody resumes any more. */
static void cancelled(struct hostcall *call)
{
    hostcall_end(call, E_ABORTED, NULL, NULL);
}

void hostcall_response_write(struct hostcalls *h, struct hostcall *call)
{
    (void)h;
    struct err err = {0};
    struct str bytes = rec_str(call->args, HC_BODY);
    struct invoke_stream *s = hostcall_stream(call);
    int rc = 0;
    if (!s || !s->begun)
        rc = err_set(&err, E_CONFLICT, "No answer has begun");
    else if (bytes.n > ANSWER_MAX - s->sent)
        rc = err_set(&err, E_LIMIT, "A streamed answer has at most %d MiB",
                     (int)(ANSWER_MAX / 1024 / 1024));
    if (rc) {
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    s->sent += bytes.n;
    call->cancel = cancelled;
    if (s->write(s->ctx, bytes, resumed, call))
        hostcall_end(call, 0, NULL, NULL);
}
