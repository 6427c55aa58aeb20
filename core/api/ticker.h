/* ticker: an event stream (text/event-stream) that is looked after by a clock.
 *
 * Every so often `fill` is asked for what is new; while the client has not taken the last of it, it is
 * not asked. A comment keeps a quiet stream open, and the stream ends with the session that it was
 * asked for. */
#ifndef API_TICKER_H
#define API_TICKER_H

#include "api/gate.h"

/* Appends whole events ("id: …\ndata: …\n\n"), or nothing. ctx lies in the call's arena. */
typedef void ticker_fill(struct call *c, void *ctx, struct buf *out);

/* Answers 200 and streams until the client goes. The first look is at once. */
void ticker_start(struct call *c, uint32_t every_ms, ticker_fill *fill, void *ctx);
/* The request's Last-Event-ID as a number; 0 when it has none. E_INVALID with a text. */
int ticker_last(const struct call *c, uint64_t *out, struct err *err);

#endif
