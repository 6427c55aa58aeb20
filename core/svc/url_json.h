/* url_json: a request of a function URL, and its answer, as the JSON that they stand for: what the
 * ledger keeps of such a run, and what a replay sends.
 *
 * The runner makes Lua tables of the same records (core/runner/event.c) with no JSON in between. What
 * identifies a caller is left out: `authorization` and cookies are named, their values are not kept. */
#ifndef SVC_URL_JSON_H
#define SVC_URL_JSON_H

#include "base/buf.h"

/* Appends the event, payload format 2.0, of a rec of URL_* fields. */
void url_json_event(struct buf *out, struct str rec, const char *request_id);
/* Appends {"statusCode","headers","cookies","body","isBase64Encoded"} of an answer's rec. */
void url_json_answer(struct buf *out, struct str rec);
/* Appends the rec again with at most that many bytes of its body. */
void url_json_cut(struct buf *out, struct str rec, size_t body_max);

#endif
