/* logs: the functions' log lines: append-only segments per log group under a folder of its own.
 *
 * A line is readable at once (readers see what is still in memory), written out within 50 ms,
 * fsynced each second. START, END and REPORT are small binary records, made into text when read.
 * Oldest segments go when a group passes its share or all pass --log-max. Nothing of logs is in
 * LMDB. When the disk is full lines are kept as long as memory allows, then dropped, counted, and
 * the log says so later; writers never wait and never fail.
 *
 * All functions are the loop thread's. Writing costs a copy into a buffer; reading and listing
 * happen on the pool and end in a callback from the loop. */
#ifndef SVC_LOGS_H
#define SVC_LOGS_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

struct logs;
struct log_stream;

enum log_severity { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

/* dir is created when missing. Opening reads nothing of what is in it. NULL with err. */
struct logs *logs_open(uv_loop_t *loop, const char *dir, uint64_t total_max, uint64_t group_max,
                       struct err *err);
/* Writes and syncs what is in memory, closes. Runs the loop until its own work is done; read
 * callbacks still due are called. Streams still open are closed with it. */
void logs_close(struct logs *l);

/* --- writing ---------------------------------------------------------------------------------- */

/* A stream of a group, both made when first written to. The handle is the caller's until
 * log_stream_close. Names: a group's are AWS's (1 to 512 of A-Z a-z 0-9 . - _ / #), else what is
 * written is dropped; a stream's are cut to 512 bytes. */
struct log_stream *log_stream_open(struct logs *l, struct str group, struct str stream);
void log_stream_close(struct log_stream *s);
/* What is written from now on is shown as JSON (logs_json.c); END is not shown then. */
void log_stream_as_json(struct log_stream *s);

struct log_report {
    uint64_t duration_us, billed_ms, init_us; /* init_us 0: warm */
    uint32_t memory_mb;
    uint64_t memory_peak; /* bytes */
    const char *status;   /* NULL, or "timeout", "error" for the REPORT's Status field */
};
/* wall_ms stamps the event. Text may hold any bytes; newlines stay inside one event; more than
 * 256 KiB is cut. request_id: a UUID (or up to 255 bytes), NULL for none. */
void log_line(struct log_stream *s, int64_t wall_ms, enum log_severity level,
              const char *request_id, struct str text);
void log_start(struct log_stream *s, int64_t wall_ms, const char *request_id, struct str version);
void log_end(struct log_stream *s, int64_t wall_ms, const char *request_id);
void log_report(struct log_stream *s, int64_t wall_ms, const char *request_id,
                const struct log_report *r);
/* The text of a REPORT line without newline, tabs as AWS writes them (for log tails). */
void log_report_text(struct buf *out, const char *request_id, const struct log_report *r);
/* The same of a stream of JSON, and a line and a START. status "" is success. */
void log_report_json(struct buf *out, int64_t wall_ms, struct str request_id,
                     const struct log_report *r, struct str status);
void log_line_json(struct buf *out, int64_t wall_ms, enum log_severity level, struct str request_id,
                   struct str text);
void log_start_json(struct buf *out, int64_t wall_ms, struct str request_id, struct str version);
/* "TRACE" … "FATAL"; the reverse is false for any other text. */
const char *log_severity_name(enum log_severity level);
bool log_severity_parse(struct str s, enum log_severity *out);

/* --- reading ---------------------------------------------------------------------------------- */

struct log_event {
    uint64_t id; /* unique in the group, grows, stays the same */
    int64_t timestamp_ms, ingestion_ms;
    struct str stream, message;
    enum log_severity level;
    struct str request_id; /* "" for none */
};
struct log_query {
    struct str group;
    const struct str *streams; /* only these; none: any */
    size_t stream_count;
    struct str stream_prefix; /* "" any */
    int64_t start_ms, end_ms; /* inclusive start, exclusive end; 0: open */
    struct str pattern;       /* CloudWatch filter pattern, "" all; see logs_filter.h */
    struct str request_id;    /* "" any */
    enum log_severity level;  /* at least */
    uint64_t after;           /* events with id > after */
    uint64_t before;          /* events with id < before; 0: no bound */
    bool backward;            /* newest first */
    bool stream_must_exist;   /* E_NOT_FOUND when none of `streams` is known */
    size_t limit;             /* events, at least 1 */
};
struct log_page {
    const struct log_event *events; /* in the order asked for */
    size_t count;
    bool more;     /* it ended before the last event: by limit, size (1 MiB) or work (8 MiB) */
    uint64_t last; /* last id looked at (after for the next page, before when backward); 0: none */
};
/* The query's strings are copied. `encode` (may be NULL) is called on a pool thread with the page,
 * so that large answers are not made on the loop; then `done` on the loop with the same page, valid
 * during the call. rc: 0; E_NOT_FOUND (group or stream: err says which); E_INVALID (pattern); E_IO.
 * encode and done may be called before this returns. */
typedef void log_encode_cb(void *ctx, const struct log_page *page);
typedef void log_page_cb(void *ctx, int rc, const struct log_page *page, const struct err *err);
void logs_read(struct logs *l, const struct log_query *q, log_encode_cb *encode, log_page_cb *done,
               void *ctx);

/* `news(ctx)` is called soon after events came into the group, once for all that came in a turn of
 * the loop; what came is read by logs_read with `after`. A group that does not exist yet may be
 * followed. Until logs_unfollow. */
struct log_follower;
struct log_follower *logs_follow(struct logs *l, struct str group, void (*news)(void *ctx),
                                 void *ctx);
void logs_unfollow(struct log_follower *f);

/* --- groups and streams ----------------------------------------------------------------------- */

struct log_tag {
    struct str key, value;
};
struct log_group_info {
    struct str name;
    int64_t created_ms;
    uint32_t retention_days; /* 0: for ever */
    uint64_t stored_bytes;
};
struct log_group_list {
    const struct log_group_info *groups; /* by name */
    size_t count;
    bool more;
};
/* Groups whose names begin with prefix and hold part, after the name `after` ("": from the first), valid during
 * done. */
void logs_groups(struct logs *l, struct str prefix, struct str part, struct str after, size_t limit,
                 void (*done)(void *ctx, int rc, const struct log_group_list *list), void *ctx);

struct log_stream_info {
    struct str name;
    bool has_events;
    int64_t created_ms, first_ms, last_ms, last_ingestion_ms;
};
struct log_stream_list {
    const struct log_stream_info *streams; /* by name; at most 10,000, the latest ones */
    size_t count;
};
/* The streams that were created, or that events are left of. encode (may be NULL) is called with the
 * list on a pool thread first. E_NOT_FOUND: no such group. */
typedef void log_stream_list_cb(void *ctx, const struct log_stream_list *list);
void logs_streams(struct logs *l, struct str group, struct str prefix, log_stream_list_cb *encode,
                  void (*done)(void *ctx, int rc, const struct log_stream_list *list,
                               const struct err *err),
                  void *ctx);

/* A change of a group; each is whole and on the disk when `done` is called with 0. All of them:
 * E_VALIDATION (the group's name), E_IO, E_NO_SPACE; but for creating, E_NOT_FOUND. */
typedef void log_done_cb(void *ctx, int rc, const struct err *err);
/* E_EXISTS, E_TAGS. Tags are copied. */
void logs_create_group(struct logs *l, struct str group, const struct log_tag *tags, size_t count,
                       log_done_cb *done, void *ctx);
/* With all its events; streams that are open start it anew when next written to. */
void logs_remove_group(struct logs *l, struct str group, log_done_cb *done, void *ctx);
/* Events older than that are shown no more and, segment by segment, removed. 0: none is. */
void logs_set_retention(struct logs *l, struct str group, uint32_t days, log_done_cb *done,
                        void *ctx);
/* E_TAGS: more than 50. */
void logs_set_tags(struct logs *l, struct str group, const struct log_tag *tags, size_t count,
                   log_done_cb *done, void *ctx);
void logs_drop_tags(struct logs *l, struct str group, const struct str *keys, size_t count,
                    log_done_cb *done, void *ctx);
/* Valid during done. */
void logs_tags(struct logs *l, struct str group,
               void (*done)(void *ctx, int rc, const struct log_tag *tags, size_t count,
                            const struct err *err),
               void *ctx);
/* E_EXISTS, E_QUOTA. */
void logs_create_stream(struct logs *l, struct str group, struct str stream, log_done_cb *done,
                        void *ctx);
/* With its events. */
void logs_remove_stream(struct logs *l, struct str group, struct str stream, log_done_cb *done,
                        void *ctx);

/* What somebody else has logged: events in order of time, all within a day, into a stream that is
 * there. Borrowed until `done`. rc: 0; E_NOT_FOUND (group, or stream: err says which); E_THROTTLED:
 * too much waits to be written; E_NO_SPACE. */
struct log_put_event {
    int64_t timestamp_ms;
    struct str message;
};
struct log_put_result {
    /* -1, or: events before / from that index were not taken */
    long too_old_end, expired_end, too_new_start;
    uint64_t last_id;
};
void logs_put(struct logs *l, struct str group, struct str stream,
              const struct log_put_event *events, size_t count,
              void (*done)(void *ctx, int rc, const struct log_put_result *r,
                           const struct err *err),
              void *ctx);

/* The same for callers who do not wait. Always 0. */
int logs_delete_group(struct logs *l, struct str group);

#endif
