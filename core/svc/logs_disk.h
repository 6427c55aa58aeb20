/* logs_disk: one group's segments as files.
 *
 *   DIR/group, DIR/streams     see logs_meta.h
 *   DIR/<first id, 16 hex>.log "PLLOG1\r\n", then records; the newest is the active one
 *   DIR/<first id>.idx         index entries of a closed segment
 *
 * Only pool threads come here. Appending, creating and removing are done by one job at a time;
 * readers take a view meanwhile. What a view names may be unlinked under it: a reader takes that
 * for empty. */
#ifndef SVC_LOGS_DISK_H
#define SVC_LOGS_DISK_H

#include <stdatomic.h>
#include <uv.h>

#include "svc/logs_index.h"
#include "svc/logs_meta.h"

enum { LOG_MAGIC_SIZE = 8, LOG_DIR_MAX = 240 };

struct log_segment {
    uint64_t first_id;
    uint64_t size;       /* bytes that hold whole records */
    uint64_t index_size; /* of its .idx file */
};

struct log_disk {
    char *dir;
    char *name;
    size_t name_n;
    uint64_t segment_max, group_max;
    _Atomic int64_t *total; /* bytes of all groups */
    uv_mutex_t lock;        /* over what follows, while a job changes it */
    bool exists;
    struct log_meta *meta; /* NULL while there is no folder */
    struct log_segment *segments;
    size_t count, capacity;
    struct buf index; /* entries of the active segment's finished blocks */
    uint64_t bytes;
    uint64_t sync_from; /* segments from this id on may hold what is not synced */
    bool dir_synced;    /* the folder's entries are */
    /* the appending job's */
    struct index_builder live;
    bool live_open; /* the active segment's last block is still growing */
    size_t give;    /* oldest segments to drop whatever group_max says */
};

/* Bytes of a block that are new; `all` is the block from its start. */
struct log_piece {
    const char *all;
    size_t from, to;
    bool sealed; /* the block ends here */
    uint64_t first_id;
};

/* Folder name of a group: 'g' and the name with '+' for '/', or 'h' and a hash when that is long.
 */
void log_dir_name(struct str group, char out[static LOG_DIR_MAX]);
bool log_group_name_ok(struct str name);

struct log_disk *log_disk_new(const char *root, struct str name, uint64_t segment_max,
                              uint64_t group_max, _Atomic int64_t *total);
void log_disk_free(struct log_disk *d);

/* Reads the folder, cuts off what a crash has left half-written. *last_id: highest id found, 0 for
 * none. 0 also when there is no folder (d->exists says so); E_IO. */
int log_disk_open(struct log_disk *d, uint64_t *last_id);
/* Makes the folder; sync: for good. E_EXISTS, E_IO, E_NO_SPACE. */
int log_disk_create(struct log_disk *d, int64_t now_ms, bool sync);
/* What is known of the group, to read it or to make another of it; log_meta_unref it. Any thread. */
struct log_meta *log_disk_meta(struct log_disk *d);
/* Puts another in its place, on the disk and for readers; takes the reference, also on failure. Makes
 * the folder when there is none yet. E_IO, E_NO_SPACE, E_LIMIT. */
int log_disk_set_meta(struct log_disk *d, struct log_meta *m);
int log_disk_remove(struct log_disk *d);
/* Writes the pieces in order, drops the oldest segments past group_max. *written: pieces that are
 * whole in the files; 0, E_NO_SPACE or E_IO. */
int log_disk_append(struct log_disk *d, struct log_piece *pieces, size_t count, int64_t now_ms,
                    size_t *written);
/* Brings to the disk what was appended before the call; may go beside an append. */
int log_disk_sync(struct log_disk *d);

struct log_view {
    struct log_segment *segments;
    size_t count;
    struct buf index; /* of the last segment */
    struct log_meta *meta;
    bool exists;
};
void log_view_take(struct log_disk *d, struct log_view *v);
void log_view_free(struct log_view *v);
/* Index entries of segment i into out (made anew when the file is missing). */
void log_view_index(const struct log_disk *d, const struct log_view *v, size_t i, struct buf *out);
/* A descriptor on segment i, or -1. */
int log_view_fd(const struct log_disk *d, const struct log_view *v, size_t i);

/* Helpers over files. */
int log_errno(void);
void log_segment_path(const char *dir, uint64_t first_id, const char *ext, char *out, size_t size);
/* True when the file name is a segment's (".log") or index's (".idx"). */
bool log_segment_name(const char *file, const char *ext, uint64_t *first_id);

#endif
