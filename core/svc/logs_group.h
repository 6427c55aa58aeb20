/* logs_group: what logs.c, logs_jobs.c, logs_ops.c and logs_sweep.c share: groups in memory.
 *
 * A group is in memory while somebody writes to it, follows it or has just read it. Events go into
 * its last chunk; the flush job writes chunks out as blocks (one chunk is one block), and a chunk
 * is dropped when it is full and written. Readers borrow chunks by reference. All of this is the
 * loop thread's; jobs on the pool see the disk (logs_disk.h) and bytes of chunks that will not
 * change any more. */
#ifndef SVC_LOGS_GROUP_H
#define SVC_LOGS_GROUP_H

#include "base/work.h"
#include "svc/logs_list.h"

enum {
    CHUNK_SMALL = 4 * 1024,
    CHUNK_FULL = 64 * 1024,
    CHUNK_STOCK = 4,             /* full-size chunks kept for reuse */
    GROUP_PENDING_MAX = 4 << 20, /* unwritten bytes of a group; beyond: lines are dropped */
    ALL_PENDING_MAX = 32 << 20,
    TABLE = 1024,
    FLUSH_MS = 40,
    FLUSH_EARLY = 512 << 10, /* unwritten bytes that do not wait for that */
    SYNC_MS = 1000,
    KEEP_MS = 60000,      /* a group nobody uses stays in memory … */
    KEEP_MANY = 512,      /* … while there are no more than these; else … */
    KEEP_MANY_MS = 1000,  /* … so long */
    FORGET_MAX = 128,     /* such groups are forgotten at once, */
    FORGET_PAUSE_MS = 20, /* and more of them after this */
    EXPIRY_MS = 3600 * 1000,
};

struct log_chunk {
    struct log_chunk *next;
    size_t n, cap;
    size_t written; /* bytes on the disk */
    uint64_t first_id, seq;
    uint32_t streams; /* announced in it */
    int refs;         /* searches that read it */
    bool sealed;      /* no more is added */
    bool ended;       /* the disk knows that it is sealed: readers find it there */
    bool dropped;     /* not in the group any more: freed with the last reference */
    char p[];
};

struct log_stream {
    struct log_group *group; /* NULL: the name was not valid */
    struct log_stream *prev, *next;
    uint64_t chunk_seq; /* chunk it is announced in */
    uint16_t number;    /* there */
    int64_t created_ms; /* 0: nothing written yet */
    uint8_t as_json;    /* LOG_AS_JSON or 0 */
    char last_id[40];   /* request id that `packed` is the form of */
    char packed[16];
    size_t name_n;
    char name[];
};

struct log_follower {
    struct log_group *group;
    struct log_follower *next;
    void (*news)(void *ctx);
    void *ctx;
    bool dead;
};

/* Something asked of a group, waiting for its turn or under way. */
struct log_op {
    enum { OP_READ, OP_STREAMS, OP_PUT, OP_CHANGE } kind;
    struct log_op *next;
    struct log_group *group;
    struct work work;
    struct log_chunk **chunks; /* borrowed by the reader */
    struct log_slice *slices;
    size_t chunk_count;
    struct log_search *search; /* OP_READ */
    log_encode_cb *encode;
    log_page_cb *page_done;
    struct log_streams *streams; /* OP_STREAMS, OP_PUT, OP_CHANGE of a stream */
    log_stream_list_cb *streams_encode;
    void (*streams_done)(void *ctx, int rc, const struct log_stream_list *list,
                         const struct err *err);
    const struct log_change *change; /* OP_CHANGE */
    struct log_put *put;             /* OP_PUT */
    void *ctx;
    int rc;
};

struct log_group {
    struct logs *logs;
    struct log_group *hash_next;
    struct log_group *active_next; /* logs.active */
    struct log_group *news_next;   /* logs.news */
    struct log_disk *disk;
    struct str name; /* disk's */
    struct log_stream *streams;
    struct log_follower *followers;
    struct log_chunk *first, *last;
    struct log_op *ops, **ops_tail; /* waiting */
    uint64_t last_id, chunk_seq, dropped;
    size_t pending; /* bytes not written */
    int64_t created_ms, last_chunk_ms;
    uint64_t used_ms, retry_ms; /* loop time */
    int jobs;                   /* on the pool */
    bool opening, opened;       /* opening: its job has been given, or has ended */
    bool on_disk, active, news, flushing, exclusive, unsynced, failing, delivering;
    /* the flush job */
    struct work flush;
    struct log_piece *pieces;
    struct log_chunk **piece_chunks;
    size_t piece_count, piece_capacity, written;
    int flush_rc;
    size_t give; /* oldest segments to give up for the cap on all */
    int64_t flush_ms;
    /* the opening job */
    struct work open;
    uint64_t open_id;
    int open_rc;
};

struct logs {
    uv_loop_t *loop;
    char *root;
    uint64_t total_max, group_max, segment_max;
    _Atomic int64_t total;
    atomic_bool stop;
    uv_timer_t timer;  /* writes and syncs */
    uv_timer_t keeper; /* forgets idle groups */
    uv_timer_t expiry; /* looks for what is too old */
    uv_idle_t idle;    /* tells followers */
    int handles;
    struct log_group *table[TABLE];
    size_t groups;
    struct log_group *active; /* with something to write or to sync */
    struct log_group *news;
    struct log_chunk *stock;
    size_t stock_count, pending;
    int jobs;
    bool closing, sweeping, syncing;
    uint64_t sweep_after_ms, sync_after_ms; /* loop time */
};

/* logs.c */
/* log_line of a record that came from outside: stamped with another time than its arrival. */
void log_line_at(struct log_stream *s, int64_t stamp_ms, int64_t now_ms, struct str text);
struct log_group *log_group_get(struct logs *l, struct str name);
void log_group_free(struct log_group *g);
/* Frees it when nothing holds it and it has nothing to say. */
void log_group_settle(struct log_group *g);
void log_chunk_release(struct logs *l, struct log_chunk *c);
void log_chunks_drop(struct log_group *g, bool all);
void log_group_told(struct log_group *g);
/* Says in the log how many lines were dropped, if any and if possible. */
void log_group_confess(struct log_group *g);

/* logs_jobs.c */
void log_job_begin(struct log_group *g);
void log_job_end(struct log_group *g);
/* Looks what is on the disk, once. A group that is only written to waits for its first flush with
 * that: the first run of a function has the processor to itself. */
void log_group_open(struct log_group *g);
void log_flush_start(struct log_group *g);
/* Something is to be written: arranges for it. */
void log_flush_want(struct log_group *g);
/* Much is waiting: writes it now if possible. */
void log_flush_early(struct log_group *g);
void log_flush_tick(uv_timer_t *t);
/* Syncs the `count` active groups that are not. */
void log_sync_start(struct logs *l, size_t count);

/* logs_ops.c */
/* Starts what can be started of the group's ops. */
void log_group_pump(struct log_group *g);
struct log_op *log_op_new(struct log_group *g, int kind, void *ctx);
void log_op_submit(struct log_op *op);
void log_op_free(struct log_op *op);
/* Gives the op a search for streams: all that begin with the name, or exactly that. */
void log_op_streams(struct log_op *op, struct str name, bool exact);
/* Lends the group's chunks, as they are now, to the op (and its search for streams). */
void log_op_borrow(struct log_op *op);
/* E_VALIDATION with AWS's text when it is no name of a group. */
int log_group_check(struct str group, struct err *err);

/* logs_change.c: starts an OP_CHANGE; it is freed when it has ended. */
void log_change_start(struct log_op *op);
/* logs_put.c, likewise OP_PUT. */
void log_put_start(struct log_op *op);

/* logs_sweep.c */
void log_sweep_start(struct logs *l);

#endif
