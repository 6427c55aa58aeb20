/* logs_list: what groups and streams there are, and which segments are the oldest of all.
 *
 * Pool-thread work over the folder; nothing is kept in memory between calls. */
#ifndef SVC_LOGS_LIST_H
#define SVC_LOGS_LIST_H

#include "svc/logs_read.h"

/* --- streams of a group ----------------------------------------------------------------------- */

struct log_streams {
    struct arena *arena;
    struct str prefix;
    bool exact; /* the stream of that name only */
    struct log_disk *disk;
    const struct log_slice *memory;
    size_t memory_count;
    uint64_t memory_first;
    struct log_stream_list list; /* result, by name */
    int rc;
    struct err err;
};
void log_streams_run(struct log_streams *s);

/* --- groups ----------------------------------------------------------------------------------- */

struct log_groups {
    struct arena *arena;
    const char *root;
    struct str prefix, part, after; /* part: occurs anywhere in the name */
    size_t limit;
    /* groups that have no folder yet: added to what is found */
    const struct log_group_info *fresh;
    size_t fresh_count;
    struct log_group_list list; /* result */
    int rc;
};
void log_groups_run(struct log_groups *g);

/* --- the cap on all groups -------------------------------------------------------------------- */

struct log_victim {
    char folder[LOG_DIR_MAX]; /* of the group */
    uint64_t first_id;
    uint64_t bytes; /* of segment and index */
    int64_t modified_ns;
    bool expired; /* older than its group keeps */
};
struct log_sweep {
    const char *root;
    uint64_t total_max;
    const atomic_bool *stop;
    bool expired;               /* result: some are */
    uint64_t bytes;             /* what all segments take */
    struct log_victim *victims; /* the oldest ones that are too many, oldest first; malloc'd */
    size_t victim_count;
};
/* Adds up all segments and names those that have to go: too old for their group, and the oldest of
 * all when all are more than total_max. */
void log_sweep_run(struct log_sweep *s);
void log_victim_unlink(const char *root, const struct log_victim *v);

#endif
