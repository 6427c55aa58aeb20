/* trigger: one notification of a bucket as data: what it matches and the event it sends.
 *
 * Pure functions on buffers; bucket.h and notify.c keep them in the store. */
#ifndef SVC_TRIGGER_H
#define SVC_TRIGGER_H

#include "base/buf.h"
#include "svc/lineage.h"

enum {
    TRIGGER_EVENTS_MAX = 16, /* event names of one notification */
    TRIGGER_ID_MAX = 255,    /* bytes */
    TRIGGER_FILTER_MAX = 1024,
    TRIGGERS_MAX = 100, /* notifications of one bucket */
};

/* What stands in x-amz-id-2 (and S3's <HostId>), in answers and events alike: opaque to clients. */
#define TRIGGER_HOST_ID "cGVyaWx1bmUgaXMgdGhlIHBvaW50IG5lYXJlc3QgdGhlIG1vb24="

struct trigger { /* one CloudFunctionConfiguration */
    struct str id;
    struct str function_arn;
    struct str events[TRIGGER_EVENTS_MAX]; /* "s3:ObjectCreated:*" */
    size_t event_count;
    struct str prefix, suffix;
};

struct bucket_event {
    const char *name; /* "ObjectCreated:Put" */
    struct str bucket, key, etag;
    uint64_t size;
    uint64_t sequencer;   /* grows with each change of a bucket */
    int64_t time_ms;      /* since 1970 */
    struct lineage cause; /* of it */
    const char *request_id, *peer, *principal;
};

/* True for the names a notification may list: "s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", … */
bool trigger_event_known(struct str name);
/* Does a change named as in bucket_event.name to `key` concern it? */
bool trigger_matches(const struct trigger *t, struct str event, struct str key);
/* True when some change would match both through event names they share and filters of which one
 * includes the other: S3 takes only one of the two. */
bool trigger_overlaps(const struct trigger *a, const struct trigger *b);

/* T_TRIGGERS records. Decoding borrows from the record; false when it is none. */
void trigger_encode(struct buf *rec, const struct trigger *t);
bool trigger_decode(struct str rec, struct trigger *out);

/* Appends the event document, one record, as S3 sends it to a function. Removals carry neither size
 * nor eTag. */
void trigger_event_json(struct buf *out, const char *region, const struct trigger *t,
                        const struct bucket_event *e);

#endif
