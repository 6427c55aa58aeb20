/* sse: a reader of server-sent events, fed with bytes as they arrive.
 *
 * Fields id, event and data are kept, comments and others skipped; several data lines are joined by
 * newlines; CR, LF and CRLF end a line. An event larger than the limit is dropped whole. */
#ifndef CLI_SSE_H
#define CLI_SSE_H

#include "base/buf.h"

struct sse {
    /* Called at the end of each event that has data; false stops sse_feed. */
    bool (*event)(void *ctx, struct str type, struct str data);
    void *ctx;
    /* below: the reader's own */
    struct buf line, data, type;
    char last_id[256]; /* of the newest event that bore one: what Last-Event-ID resumes from */
    bool after_cr, too_large;
};

void sse_init(struct sse *s, bool (*event)(void *ctx, struct str type, struct str data), void *ctx);
void sse_deinit(struct sse *s);
/* false as soon as event() said so; the rest of the bytes is not looked at then. */
bool sse_feed(struct sse *s, struct str bytes);

#endif
