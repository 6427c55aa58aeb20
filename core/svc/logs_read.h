/* logs_read: one query over a group: the blocks of its segments, then what is still in memory.
 *
 * Runs on a pool thread, or on the loop's when memory alone can answer. Borrowed bytes of memory
 * stay untouched until the search is freed. */
#ifndef SVC_LOGS_READ_H
#define SVC_LOGS_READ_H

#include "svc/logs_disk.h"
#include "svc/logs_filter.h"

struct log_slice { /* a block in memory, from its start */
    const char *p;
    size_t n;
};

struct log_search {
    struct arena *arena; /* holds the query's copy and the page */
    struct log_query q;
    const struct log_filter *filter;
    struct log_disk *disk;
    const struct log_slice *memory;
    size_t memory_count;
    uint64_t memory_first; /* first id in memory; blocks on the disk from there on are skipped */
    /* result */
    struct log_page page;
    int rc;
    struct err err;
};

/* Copies the query; NULL with *rc and err when it is refused. */
struct log_search *log_search_new(const struct log_query *q, int *rc, struct err *err);
void log_search_free(struct log_search *s);
/* Fills page, rc and err. */
void log_search_run(struct log_search *s);
/* The same for a forward search that needs nothing older than memory: no file is touched. */
void log_search_memory(struct log_search *s);

#endif
