/* s3_slices: see the header. */
#include "api/s3_slices.h"

#include "api/s3.h"

static void finish(struct s3_slices *s, int rc)
{
    struct buf doc = s->doc;
    s->release(s);
    if (s->streaming) {
        if (rc == 0)
            http_reply_write(s->c->req, buf_str(&doc));
        call_stream_end(s->c, rc == 0);
        buf_deinit(&doc);
    } else if (rc) {
        call_error(s->c, rc, NULL);
        buf_deinit(&doc);
    } else {
        s3_xml_reply(s->c, &doc);
    }
}

static void next(struct s3_slices *s);

static void sent(struct http_req *req)
{
    struct s3_slices *s = ((struct call *)req->user)->user;
    if (req->gone)
        finish(s, E_ABORTED);
    else
        next(s);
}

static void next(struct s3_slices *s)
{
    bool more = false;
    int rc = s->rows(s, &more);
    if (rc == 0 && !more)
        s->end(s);
    if (rc == 0)
        rc = s->doc.rc;
    if (rc || !more) {
        finish(s, rc);
        return;
    }
    if (!s->streaming)
        call_stream_begin(s->c, 200, "application/xml", -1);
    s->streaming = true;
    http_reply_write(s->c->req, buf_str(&s->doc));
    buf_clear(&s->doc);
    http_reply_drained(s->c->req, sent);
}

void s3_slices_send(struct s3_slices *s)
{
    s->c->user = s;
    next(s);
}
