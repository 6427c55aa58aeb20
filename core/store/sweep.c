/* sweep: after a start, removes blob files that no row refers to.
 *
 * They are left by a crash between the file and the transaction that would have named it, or
 * between a transaction that dropped the last reference and the unlink. Only ids of earlier boots
 * are looked at: nobody is still writing those, and nothing can come to refer to one that has no
 * reference. Folder after folder: the pool lists up to 256 names, the loop asks LMDB which of them
 * have no row, the pool unlinks those. A name that is not an id is left alone.
 *
 * DATA/tmp holds nothing that outlives a process; what earlier ones left there goes too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/log.h"
#include "store/blob.h"
#include "store/inside.h"
#include "store/key.h"

enum { FOLDERS = 256, SLICE = 256 };

struct sweep {
    struct work work;
    struct store *store;
    time_t began;
    unsigned folder; /* 0..255, then done */
    DIR *dir;        /* of that folder while it is being listed */
    uint64_t ids[SLICE];
    size_t count;
    size_t removed;
    void (*done)(void *ctx, size_t removed);
    void *ctx;
};

static void sweep_tmp(struct sweep *w)
{
    char path[STORE_PATH];
    struct dirent *e;
    struct stat st;
    snprintf(path, sizeof path, "%s/tmp", w->store->dir);
    DIR *dir = opendir(path);
    while (dir && (e = readdir(dir)))
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
            st.st_mtime < w->began - 1)
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
}

/* The id that a file of this folder is named after; 0 when it is something else. */
static uint64_t id_of(const char *name, unsigned folder)
{
    unsigned char b[8];
    struct str s = str_c(name);
    uint64_t id;
    if (s.n != 16 || !hex_decode(s, b))
        return 0;
    s = str_of((const char *)b, 8);
    key_take_u64(&s, &id);
    return (id & 0xff) == folder ? id : 0;
}

/* The pool: unlinks what the last slice condemned, then lists the next slice. */
static void sweep_slice(struct work *work)
{
    struct sweep *w = work->data;
    char path[STORE_PATH];
    struct dirent *e = NULL;
    for (size_t i = 0; i < w->count; i++) {
        blob_path(w->store, w->ids[i], path, false);
        if (unlink(path) == 0)
            w->removed++;
    }
    w->count = 0;
    if (w->folder == 0 && !w->dir)
        sweep_tmp(w);
    while (w->count < SLICE && w->folder < FOLDERS) {
        blob_path(w->store, w->folder, path, true);
        if (!w->dir)
            w->dir = opendir(path);
        while (w->dir && w->count < SLICE && (e = readdir(w->dir))) {
            uint64_t id = id_of(e->d_name, w->folder);
            if (id && store_id_boot(id) < w->store->boot)
                w->ids[w->count++] = id;
        }
        if (w->dir && w->count == SLICE)
            return;
        if (w->dir)
            closedir(w->dir);
        w->dir = NULL;
        w->folder++;
    }
}

static void keep_lost(struct sweep *w)
{
    struct store_txn *t = store_read(w->store);
    size_t lost = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct key k = {0};
        struct str row;
        if (store_get(t, T_BLOBS, key_str(key_u64(&k, w->ids[i])), &row) == E_NOT_FOUND &&
            !blobs_pinned(w->store, w->ids[i]) && !w->store->copy)
            w->ids[lost++] = w->ids[i];
    }
    w->count = lost;
    store_read_end(t);
}

static void after_slice(struct work *work)
{
    struct sweep *w = work->data;
    blobs_worked(w->store);
    keep_lost(w);
    if (!blobs_closing(w->store) && (w->count || w->folder < FOLDERS)) {
        blobs_work(w->store, work, sweep_slice, after_slice);
        return;
    }
    if (w->removed)
        log_info("store: removed %zu files that nothing referred to", w->removed);
    if (w->dir)
        closedir(w->dir);
    if (w->done)
        w->done(w->ctx, w->removed);
    free(w);
}

void blob_sweep(struct store *s, void (*done)(void *ctx, size_t removed), void *ctx)
{
    struct sweep *w = calloc(1, sizeof *w);
    if (!w)
        fatal("out of memory");
    w->store = s;
    w->done = done;
    w->ctx = ctx;
    w->work.data = w;
    w->began = time(NULL);
    blobs_work(s, &w->work, sweep_slice, after_slice);
}
