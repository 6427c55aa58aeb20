/* logs_list: the folder is the list. A group's folder carries its name; only where a name is too
 * long for that, or for the groups of the page that is asked for, is a file opened. */
#include "svc/logs_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc.h"
#include "base/log.h"

enum { STREAMS_MAX = 10000, TABLE_SIZE = 4096 };

static void *grown(void *p, size_t *capacity, size_t need, size_t each)
{
    if (need <= *capacity)
        return p;
    *capacity = *capacity ? 2 * *capacity : 64;
    p = realloc(p, *capacity * each);
    if (!p)
        fatal("out of memory");
    return p;
}

/* --- streams ---------------------------------------------------------------------------------- */

struct stream_node {
    struct stream_node *next;
    struct log_stream_info info;
};

struct stream_table {
    struct log_streams *s;
    const struct log_meta *meta;
    struct stream_node *slots[TABLE_SIZE];
    size_t count;
};

static struct stream_node **find(struct stream_table *t, struct str name)
{
    struct stream_node **at = &t->slots[crc32_update(0, name.p, name.n) % TABLE_SIZE];
    while (*at && !str_eq((*at)->info.name, name))
        at = &(*at)->next;
    return at;
}

static struct log_stream_info *add(struct stream_table *t, struct stream_node **at, struct str name)
{
    if (t->count == STREAMS_MAX || !(*at = arena_zalloc(t->s->arena, sizeof **at)))
        return NULL;
    t->count++;
    (*at)->info.name = arena_dup(t->s->arena, name);
    return &(*at)->info;
}

static bool stream_wanted(const struct log_streams *s, struct str name)
{
    return s->exact ? str_eq(name, s->prefix) : str_starts(name, s->prefix);
}

static void merge_stream(struct stream_table *t, const struct index_stream *is)
{
    if (is->last_id == 0 || !stream_wanted(t->s, is->name))
        return;
    const struct log_mark *mark = log_meta_mark(t->meta, is->name);
    if (mark && is->last_id <= mark->gone)
        return;
    int64_t ingested = (int64_t)(is->last_id >> LOG_ID_SHIFT);
    struct stream_node **at = find(t, is->name);
    struct log_stream_info *i = *at ? &(*at)->info : add(t, at, is->name);
    if (!i)
        return;
    if (!i->created_ms || (is->created_ms < i->created_ms && !(mark && mark->created_ms)))
        i->created_ms = is->created_ms;
    if (!i->has_events || is->first_ms < i->first_ms)
        i->first_ms = is->first_ms;
    if (is->last_ms > i->last_ms)
        i->last_ms = is->last_ms;
    if (ingested > i->last_ingestion_ms)
        i->last_ingestion_ms = ingested;
    i->has_events = true;
}

/* Those that were created may have no event (yet, or any more). */
static void merge_marks(struct stream_table *t)
{
    for (size_t i = 0; t->meta && i < t->meta->mark_count; i++) {
        const struct log_mark *mark = &t->meta->marks[i];
        if (mark->created_ms == 0 || !stream_wanted(t->s, mark->name))
            continue;
        struct log_stream_info *info = add(t, find(t, mark->name), mark->name);
        if (info)
            info->created_ms = mark->created_ms;
    }
}

static void merge_memory(struct stream_table *t, const struct log_slice *m)
{
    struct index_builder b = {0};
    struct log_record r;
    size_t at = 0, size;
    while ((size = log_record_get(str_of(m->p + at, m->n - at), false, &r)) != 0 &&
           log_index_add(&b, &r, size))
        at += size;
    for (size_t i = 0; i < b.block.streams; i++)
        merge_stream(t, &b.streams[i]);
    log_index_free(&b);
}

static int by_stream_name(const void *a, const void *b)
{
    return str_cmp(((const struct log_stream_info *)a)->name,
                   ((const struct log_stream_info *)b)->name);
}

static void merge_segment(struct stream_table *t, const struct log_view *v, size_t i)
{
    struct log_streams *s = t->s;
    struct buf index = BUF_INIT;
    struct index_block block;
    struct index_stream is;
    struct str streams;
    log_view_index(s->disk, v, i, &index);
    struct str rest = buf_str(&index);
    while (log_index_next(&rest, &block, &streams))
        if (!s->memory_count || block.first_id < s->memory_first)
            while (log_index_stream(&streams, &is))
                merge_stream(t, &is);
    buf_deinit(&index);
}

void log_streams_run(struct log_streams *s)
{
    struct stream_table *t = calloc(1, sizeof *t);
    struct log_view v;
    if (!t)
        fatal("out of memory");
    t->s = s;
    log_view_take(s->disk, &v);
    if (!v.exists && s->memory_count == 0)
        s->rc = err_set(&s->err, E_NOT_FOUND, "The specified log group does not exist.");
    t->meta = v.meta;
    merge_marks(t);
    for (size_t i = s->memory_count; i-- > 0;)
        merge_memory(t, &s->memory[i]);
    for (size_t i = v.count; i-- > 0;)
        merge_segment(t, &v, i);
    log_view_free(&v);
    struct log_stream_info *all = arena_alloc(s->arena, (t->count + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; all && i < TABLE_SIZE; i++)
        for (struct stream_node *node = t->slots[i]; node; node = node->next)
            all[n++] = node->info;
    if (n)
        qsort(all, n, sizeof *all, by_stream_name);
    s->list = (struct log_stream_list){all, n};
    free(t);
}

/* --- groups ----------------------------------------------------------------------------------- */

/* The group's name from its folder's; p NULL when it is none of ours. */
static struct str folder_group(struct log_groups *g, const char *folder)
{
    char path[1024];
    struct str none = {NULL, 0};
    if (folder[0] == 'g') {
        struct str s = arena_dup(g->arena, str_c(folder + 1));
        for (size_t i = 0; i < s.n; i++)
            if (s.p[i] == '+')
                ((char *)(uintptr_t)s.p)[i] = '/';
        return log_group_name_ok(s) ? s : none;
    }
    snprintf(path, sizeof path, "%s/%s", g->root, folder);
    struct log_meta *m = folder[0] == 'h' ? log_meta_load(path, true) : NULL;
    struct str s = m ? arena_dup(g->arena, m->name) : none;
    log_meta_unref(m);
    return s;
}

static void describe(struct log_groups *g, struct log_group_info *info)
{
    char path[1024], folder[LOG_DIR_MAX];
    struct dirent *e;
    struct stat st;
    log_dir_name(info->name, folder);
    snprintf(path, sizeof path, "%s/%s", g->root, folder);
    struct log_meta *m = log_meta_load(path, true);
    if (m) {
        info->created_ms = m->created_ms;
        info->retention_days = m->retention_days;
    }
    log_meta_unref(m);
    if (info->created_ms == 0 && stat(path, &st) == 0)
        info->created_ms = (int64_t)st.st_mtime * 1000;
    DIR *dir = opendir(path);
    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.' && fstatat(dirfd(dir), e->d_name, &st, 0) == 0)
            info->stored_bytes += (uint64_t)st.st_size;
    if (dir)
        closedir(dir);
}

static int by_group_name(const void *a, const void *b)
{
    return str_cmp(((const struct log_group_info *)a)->name,
                   ((const struct log_group_info *)b)->name);
}

static bool group_wanted(const struct log_groups *g, struct str name)
{
    return name.p && str_starts(name, g->prefix) && str_find(name, g->part) >= 0 &&
           (g->after.n == 0 || str_cmp(name, g->after) > 0);
}

void log_groups_run(struct log_groups *g)
{
    struct log_group_info *all = NULL;
    size_t count = 0, capacity = 0, kept = 0;
    struct dirent *e;
    DIR *dir = opendir(g->root);
    if (!dir) {
        g->rc = E_IO;
        return;
    }
    while ((e = readdir(dir))) {
        struct str name = folder_group(g, e->d_name);
        if (!group_wanted(g, name))
            continue;
        all = grown(all, &capacity, count + 1, sizeof *all);
        all[count++] = (struct log_group_info){.name = name};
    }
    closedir(dir);
    for (size_t i = 0; i < g->fresh_count; i++) {
        if (!group_wanted(g, g->fresh[i].name))
            continue;
        all = grown(all, &capacity, count + 1, sizeof *all);
        all[count++] = g->fresh[i];
    }
    if (count)
        qsort(all, count, sizeof *all, by_group_name);
    for (size_t i = 0; i < count; i++) { /* one may be both fresh and just written */
        if (kept && str_eq(all[kept - 1].name, all[i].name))
            continue;
        all[kept++] = all[i];
    }
    g->list.more = kept > g->limit;
    g->list.count = kept > g->limit ? g->limit : kept;
    struct log_group_info *page = arena_alloc(g->arena, (g->list.count + 1) * sizeof *page);
    if (page && g->list.count)
        memcpy(page, all, g->list.count * sizeof *page);
    free(all);
    for (size_t i = 0; page && i < g->list.count; i++)
        describe(g, &page[i]);
    g->list.groups = page;
    g->rc = page ? 0 : E_LIMIT;
}

/* --- sweep ------------------------------------------------------------------------------------ */

static uint64_t size_of(int dir, const char *file, int64_t *modified_ns)
{
    struct stat st;
    if (fstatat(dir, file, &st, 0) < 0)
        return 0;
    if (modified_ns)
        *modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return (uint64_t)st.st_size;
}

/* A segment goes when its last event must be too old: stamps may be two hours ahead of the clock. */
static bool too_old(const struct log_meta *m, int64_t modified_ns)
{
    enum { AHEAD_S = 7200 };
    int64_t start_ms = log_meta_start(m, clock_wall_ms());
    return start_ms && modified_ns / 1000000 + AHEAD_S * INT64_C(1000) < start_ms;
}

static void sweep_group(struct log_sweep *s, const char *folder, bool collect, size_t *capacity)
{
    char path[1024], index[32];
    struct dirent *e;
    snprintf(path, sizeof path, "%s/%s", s->root, folder);
    struct log_meta *meta = log_meta_load(path, true);
    DIR *dir = opendir(path);
    while (dir && (e = readdir(dir))) {
        struct log_victim v = {0};
        if (!log_segment_name(e->d_name, ".log", &v.first_id))
            continue;
        v.bytes = size_of(dirfd(dir), e->d_name, &v.modified_ns);
        snprintf(index, sizeof index, "%.16s.idx", e->d_name);
        v.bytes += size_of(dirfd(dir), index, NULL);
        snprintf(v.folder, sizeof v.folder, "%s", folder);
        v.expired = too_old(meta, v.modified_ns);
        s->bytes += v.bytes;
        s->expired |= v.expired;
        if (!collect)
            continue;
        s->victims = grown(s->victims, capacity, s->victim_count + 1, sizeof v);
        s->victims[s->victim_count++] = v;
    }
    if (dir)
        closedir(dir);
    log_meta_unref(meta);
}

static int by_age(const void *a, const void *b)
{
    const struct log_victim *x = a, *y = b;
    if (x->modified_ns != y->modified_ns)
        return x->modified_ns < y->modified_ns ? -1 : 1;
    return x->first_id < y->first_id ? -1 : x->first_id > y->first_id;
}

static void sweep_all(struct log_sweep *s, bool collect)
{
    size_t capacity = 0;
    struct dirent *e;
    s->bytes = 0;
    DIR *dir = opendir(s->root);
    while (dir && !*s->stop && (e = readdir(dir)))
        if ((e->d_name[0] == 'g' || e->d_name[0] == 'h') && strlen(e->d_name) < LOG_DIR_MAX)
            sweep_group(s, e->d_name, collect, &capacity);
    if (dir)
        closedir(dir);
}

void log_sweep_run(struct log_sweep *s)
{
    size_t kept = 0;
    s->victims = NULL;
    s->victim_count = 0;
    s->expired = false;
    sweep_all(s, false);
    if (s->bytes <= s->total_max && !s->expired)
        return;
    sweep_all(s, true);
    if (s->victim_count)
        qsort(s->victims, s->victim_count, sizeof *s->victims, by_age);
    uint64_t left = s->bytes, goal = s->total_max - s->total_max / 20;
    bool full = left > s->total_max;
    for (size_t i = 0; i < s->victim_count; i++)
        if (s->victims[i].expired || (full && left > goal)) {
            left -= s->victims[i].bytes;
            s->victims[kept++] = s->victims[i];
        }
    s->victim_count = kept;
}

void log_victim_unlink(const char *root, const struct log_victim *v)
{
    char dir[1024], path[1100];
    snprintf(dir, sizeof dir, "%s/%s", root, v->folder);
    log_segment_path(dir, v->first_id, ".log", path, sizeof path);
    unlink(path);
    log_segment_path(dir, v->first_id, ".idx", path, sizeof path);
    unlink(path);
}
