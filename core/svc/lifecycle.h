/* lifecycle: what buckets say of how long their objects live, and the sweep that sees to it.
 *
 * Rules are records (rec) inside CONF_LIFECYCLE's `rules`: one LIFECYCLE_RULE each. */
#ifndef SVC_LIFECYCLE_H
#define SVC_LIFECYCLE_H

#include "svc/object.h"

enum { LIFECYCLE_RULE = 1 };

struct lifecycle_rule { /* strings borrowed; 0: not said */
    bool enabled;
    struct str id; /* "" in rules that were stored before ids were */
    struct str prefix;
    struct str tags;            /* pairs: the object has all of them */
    uint64_t larger_than;       /* bytes */
    uint64_t smaller_than;      /* bytes */
    uint64_t days;              /* after an object's last change it goes */
    int64_t date_ms;            /* from then on objects go, whenever they were made */
    uint64_t abort_days;        /* after its beginning an upload is given up */
    uint64_t noncurrent_days;   /* of versions that there are none of */
    bool expired_delete_marker; /* likewise */
    bool has_larger, has_smaller, has_date;
};
/* Appends a LIFECYCLE_RULE; reads one's bytes. */
void lifecycle_encode(struct buf *rules, const struct lifecycle_rule *r);
bool lifecycle_decode(struct str rec, struct lifecycle_rule *out);

/* Pure: is the object (the upload) due under one of the rules at that time? A day has day_ms; days of
 * the usual length end at midnight UTC, as in S3. */
bool lifecycle_object_due(struct str rules, const struct object_meta *m, int64_t now_ms,
                          int64_t day_ms);
/* The same rules, asked beforehand: false when none will take the object; else when the first does, and
 * that rule's id. */
bool lifecycle_object_end(struct str rules, const struct object_meta *m, int64_t day_ms,
                          int64_t *end_ms, struct str *id);
bool lifecycle_upload_due(struct str rules, struct str key, int64_t initiated_ms, int64_t now_ms,
                          int64_t day_ms);

/* Looks through all buckets with rules, soon after the start and then every day_ms / 24 (at least
 * each second), a page a turn. What has changed since it was looked at stays. */
struct lifecycle;
struct lifecycle *lifecycle_start(struct objects *o, struct store *s, int64_t day_ms);
/* Before objects_close. The memory goes with the loop's next turns. */
void lifecycle_stop(struct lifecycle *l);

#endif
