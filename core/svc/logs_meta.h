/* logs_meta: what is known of a group beside its events: DIR/group and DIR/streams.
 *
 *   DIR/group    rec: 1 created_ms (u64), 2 name, 3 retention in days (u64), 4 tag (rec 1 key, 2 value)
 *   DIR/streams  rec: 1 mark (rec 1 name, 2 created_ms (u64), 3 gone (u64)); absent: no marks
 *
 * A stream is there because events of it are, or because it was created: that is a mark. Deleting one
 * leaves a mark too: its events up to an id are not shown any more, and the mark goes when their
 * segment has gone. In memory a meta never changes: whoever alters it makes another and swaps it in,
 * so that readers on the pool hold theirs without a lock. */
#ifndef SVC_LOGS_META_H
#define SVC_LOGS_META_H

#include <stdatomic.h>

#include "svc/logs.h"

struct log_mark {
    struct str name;
    int64_t created_ms; /* 0: not created, only deleted */
    uint64_t gone;      /* events with ids up to that are not shown */
};

struct log_meta {
    _Atomic int refs;
    int64_t created_ms;
    struct str name;
    uint32_t retention_days; /* 0: for ever */
    struct log_tag *tags;    /* by key */
    size_t tag_count;
    struct log_mark *marks; /* by name */
    size_t mark_count;
    struct arena *arena; /* holds all of it */
};

enum { LOG_META_BYTES_MAX = 4 << 20, LOG_MARKS_MAX = 10000, LOG_TAGS_MAX = 50 };

/* An empty one; log_meta_unref it. */
struct log_meta *log_meta_new(struct str name, int64_t created_ms);
/* From a group's folder; NULL when `group` is not there or broken. head_only: without the marks. */
struct log_meta *log_meta_load(const char *dir, bool head_only);
/* Writes it into the folder; sync: it is on the disk then. Marks of what is older than `oldest` and not created are left
 * out. E_IO, E_NO_SPACE, E_LIMIT. */
int log_meta_save(const struct log_meta *m, const char *dir, uint64_t oldest, bool sync);
/* To be altered before it is shared. */
struct log_meta *log_meta_copy(const struct log_meta *m);
struct log_meta *log_meta_ref(struct log_meta *m);
void log_meta_unref(struct log_meta *m);

/* The stream's mark, or NULL. m may be NULL. */
const struct log_mark *log_meta_mark(const struct log_meta *m, struct str name);
/* Of a copy: sets the stream's mark, makes it when there is none. E_QUOTA. */
int log_meta_set_mark(struct log_meta *m, struct log_mark mark);
/* Of a copy: adds or replaces a tag, or takes one off. E_TAGS. */
int log_meta_set_tag(struct log_meta *m, struct log_tag tag);
void log_meta_drop_tag(struct log_meta *m, struct str key);
/* Events stamped before that are not shown; 0: all are. */
int64_t log_meta_start(const struct log_meta *m, int64_t now_ms);

#endif
