/* sse: lines are gathered in a buffer until their end is seen, then read as one field. */
#include "cli/sse.h"

enum { LINE_MAX_BYTES = 2 << 20, EVENT_MAX_BYTES = 8 << 20 };

static bool take_line(struct sse *s);

void sse_init(struct sse *s, bool (*event)(void *ctx, struct str type, struct str data), void *ctx)
{
    memset(s, 0, sizeof *s);
    s->event = event;
    s->ctx = ctx;
    buf_init(&s->line, LINE_MAX_BYTES);
    buf_init(&s->data, EVENT_MAX_BYTES);
    buf_init(&s->type, 256);
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->line);
    buf_deinit(&s->data);
    buf_deinit(&s->type);
}

bool sse_feed(struct sse *s, struct str bytes)
{
    while (bytes.n) {
        if (s->after_cr && *bytes.p == '\n') /* the second half of CRLF */
            bytes = str_from(bytes, 1);
        s->after_cr = false;
        size_t n = 0;
        while (n < bytes.n && bytes.p[n] != '\n' && bytes.p[n] != '\r')
            n++;
        buf_add(&s->line, str_of(bytes.p, n));
        if (n == bytes.n)
            return true;
        s->after_cr = bytes.p[n] == '\r';
        bytes = str_from(bytes, n + 1);
        if (!take_line(s))
            return false;
    }
    return true;
}

static bool end_event(struct sse *s)
{
    bool go_on = true;
    if (s->data.n && !s->too_large && s->data.rc == 0) {
        s->data.n--; /* the newline after the last data line */
        go_on = s->event(s->ctx, buf_str(&s->type), buf_str(&s->data));
    }
    buf_clear(&s->data);
    buf_clear(&s->type);
    s->too_large = false;
    return go_on;
}

static bool take_line(struct sse *s)
{
    struct str value = buf_str(&s->line);
    bool too_large = s->line.rc != 0, blank = value.n == 0 && !too_large, go_on = true;
    struct str name = str_cut(&value, ':');
    if (str_starts(value, STR(" ")))
        value = str_from(value, 1);
    if (blank)
        go_on = end_event(s);
    else if (too_large)
        s->too_large = true;
    else if (str_is(name, "data")) {
        buf_add(&s->data, value);
        buf_addc(&s->data, '\n');
    } else if (str_is(name, "event")) {
        buf_clear(&s->type);
        buf_add(&s->type, value);
    } else if (str_is(name, "id") && value.n < sizeof s->last_id) {
        memcpy(s->last_id, value.p, value.n);
        s->last_id[value.n] = 0;
    }
    buf_clear(&s->line);
    return go_on;
}
