/* logs: the functions' log lines: append-only segments per log group under DATA/logs.
 *
 * A line is readable at once (readers see what is still in memory), written out within 50 ms,
 * fsynced each second. START, END and REPORT are small binary records, made into text when read.
 * Oldest segments go when a group passes its share or all pass --log-max. Nothing of logs is in
 * LMDB. */
#ifndef SVC_LOGS_H
#define SVC_LOGS_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

struct logs;
struct log_stream;

enum log_severity { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

struct logs *logs_open(uv_loop_t *loop, const char *dir, uint64_t total_max, uint64_t group_max,
                       struct err *err);
/* Writes what is in memory, closes. */
void logs_close(struct logs *l);

/* A stream of a group, both made when first written to. The handle is the caller's until
 * log_stream_close. */
struct log_stream *log_stream_open(struct logs *l, struct str group, struct str stream);
void log_stream_close(struct log_stream *s);

struct log_report {
    uint64_t duration_us, billed_ms, init_us; /* init_us 0: warm */
    uint32_t memory_mb;
    uint64_t memory_peak; /* bytes */
    const char *status;   /* NULL, or "timeout", "error" for the REPORT's Status field */
};
/* wall_ms stamps the event. Text may hold any bytes; newlines stay inside one event. */
void log_line(struct log_stream *s, int64_t wall_ms, enum log_severity level,
              const char *request_id, struct str text);
void log_start(struct log_stream *s, int64_t wall_ms, const char *request_id, struct str version);
void log_end(struct log_stream *s, int64_t wall_ms, const char *request_id);
void log_report(struct log_stream *s, int64_t wall_ms, const char *request_id,
                const struct log_report *r);
/* The text of a REPORT line without newline, tabs as AWS writes them (for log tails). */
void log_report_text(struct buf *out, const char *request_id, const struct log_report *r);

/* --- reading (loop thread) ----------------------------------------------------------------------
 */

struct log_event {
    uint64_t id; /* position: unique in the group, grows */
    int64_t timestamp_ms, ingestion_ms;
    struct str stream, message;
    enum log_severity level;
    struct str request_id; /* "" for none */
};
struct log_query {
    struct str group;
    struct str stream;        /* "" any */
    struct str stream_prefix; /* "" any */
    int64_t start_ms, end_ms; /* inclusive start, exclusive end; 0: open */
    struct str pattern;       /* CloudWatch filter pattern, "" all */
    uint64_t after;           /* events with id > after */
    uint64_t before;          /* events with id < before; 0: no bound */
    bool backward;            /* newest first */
    size_t limit;
};
/* Calls each(ctx, event) in order until it returns false, the limit or the end; events are valid
 * during the call. *more tells whether something may be left, *last the last id looked at.
 * E_NOT_FOUND: no such group (or stream). Bounded work per call (at most ~1 MiB scanned): callers
 * page on. */
int logs_read(struct logs *l, const struct log_query *q,
              bool (*each)(void *ctx, const struct log_event *e), void *ctx, bool *more,
              uint64_t *last, struct err *err);

struct log_group_info {
    struct str name;
    int64_t created_ms;
    uint64_t stored_bytes;
};
void logs_groups(struct logs *l, struct str prefix,
                 bool (*each)(void *ctx, const struct log_group_info *g), void *ctx);
struct log_stream_info {
    struct str name;
    int64_t created_ms, first_ms, last_ms, last_ingestion_ms;
};
int logs_streams(struct logs *l, struct str group, struct str prefix,
                 bool (*each)(void *ctx, const struct log_stream_info *s), void *ctx);
int logs_delete_group(struct logs *l, struct str group);

/* Push: `event(ctx, e)` for each new event of the group from now on, until logs_unfollow. A group
 * that does not exist yet may be followed. */
struct log_follower;
struct log_follower *logs_follow(struct logs *l, struct str group,
                                 void (*event)(void *ctx, const struct log_event *e), void *ctx);
void logs_unfollow(struct log_follower *f);

#endif
