/* logs_read: blocks are skipped by their index entry where it shows that nothing in them can match
 * (ids, times, streams); what is left is read block by block and every record judged alone.
 *
 * Work is bounded: a search ends after SCAN_MAX bytes read or PAGE_MAX bytes found and says where
 * it stopped. Records that fail their CRC end their block, nothing else. */
#include "svc/logs_read.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { SCAN_MAX = 8 << 20, PAGE_MAX = 1 << 20, ARENA_LIMIT = 64 << 20, BLOCK_MAX = 1 << 20 };

/* State of a running search. */
struct run {
    struct log_search *s;
    struct log_event *events;
    size_t capacity;
    size_t scanned, found; /* bytes */
    bool stream_seen;
    const struct log_meta *meta;
    /* of the block at hand */
    struct buf bytes; /* read from the disk */
    struct buf text;
    struct run_stream {
        struct str name; /* p NULL: not wanted */
        uint64_t gone;   /* events up to that id are deleted */
    } * names;           /* by stream number */
    size_t name_count, name_capacity;
    uint32_t *offsets; /* of its events */
    size_t offset_count, offset_capacity;
};

struct log_search *log_search_new(const struct log_query *q, int *rc, struct err *err)
{
    struct arena *a = arena_new(ARENA_LIMIT);
    struct log_search *s = arena_zalloc(a, sizeof *s);
    s->arena = a;
    s->q = *q;
    s->filter = log_filter_parse(a, q->pattern, rc, err);
    if (*rc) {
        arena_free(a);
        return NULL;
    }
    s->q.group = arena_dup(a, q->group);
    s->q.stream_prefix = arena_dup(a, q->stream_prefix);
    s->q.request_id = arena_dup(a, q->request_id);
    s->q.pattern = STR("");
    struct str *streams = arena_alloc(a, (q->stream_count + 1) * sizeof *streams);
    for (size_t i = 0; i < q->stream_count; i++)
        streams[i] = arena_dup(a, q->streams[i]);
    s->q.streams = streams;
    if (s->q.limit == 0)
        s->q.limit = 1;
    return s;
}

void log_search_free(struct log_search *s)
{
    if (s)
        arena_free(s->arena);
}

static bool stream_wanted(const struct log_query *q, struct str name)
{
    if (!str_starts(name, q->stream_prefix))
        return false;
    if (q->stream_count == 0)
        return true;
    for (size_t i = 0; i < q->stream_count; i++)
        if (str_eq(name, q->streams[i]))
            return true;
    return false;
}

static bool time_wanted(const struct log_query *q, int64_t min_ms, int64_t max_ms)
{
    return max_ms >= q->start_ms && (q->end_ms == 0 || min_ms < q->end_ms);
}

static bool ids_wanted(const struct log_query *q, uint64_t first, uint64_t last)
{
    return last > q->after && (q->before == 0 || first < q->before);
}

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

/* False when the page is full. */
static bool emit(struct run *r, const struct log_record *rec, struct str stream)
{
    struct log_search *s = r->s;
    buf_clear(&r->text);
    log_record_text(rec, &r->text);
    if (!log_filter_match(s->filter, buf_str(&r->text)))
        return true;
    r->events = grown(r->events, &r->capacity, s->page.count + 1, sizeof *r->events);
    struct log_event *e = &r->events[s->page.count];
    *e = (struct log_event){
        .id = rec->id,
        .timestamp_ms = rec->stamp_ms,
        .ingestion_ms = (int64_t)(rec->id >> LOG_ID_SHIFT),
        .stream = stream,
        .message = arena_dup(s->arena, buf_str(&r->text)),
        .level = rec->level,
        .request_id = arena_dup(s->arena, str_of(rec->request_id, rec->request_n)),
    };
    if (!e->message.p || !e->request_id.p)
        return false;
    s->page.count++;
    r->found += e->message.n + 128;
    return s->page.count < s->q.limit && r->found < PAGE_MAX;
}

static uint64_t gone_up_to(const struct run *r, struct str stream)
{
    const struct log_mark *mark = log_meta_mark(r->meta, stream);
    return mark ? mark->gone : 0;
}

/* First pass over a block: names its streams and lists its events. */
static void survey(struct run *r, struct str bytes, bool checked)
{
    struct log_record rec;
    size_t at = 0, size;
    r->name_count = r->offset_count = 0;
    while ((size = log_record_get(str_from(bytes, at), checked, &rec)) != 0) {
        if (rec.kind == LOG_KIND_STREAM) {
            if (rec.stream != r->name_count)
                return;
            struct str name = str_from(rec.body, 8);
            bool wanted = stream_wanted(&r->s->q, name);
            r->names = grown(r->names, &r->name_capacity, r->name_count + 1, sizeof *r->names);
            r->names[r->name_count++] =
                (struct run_stream){wanted ? arena_dup(r->s->arena, name) : (struct str){NULL, 0},
                                    wanted ? gone_up_to(r, name) : 0};
        } else if (rec.stream < r->name_count) {
            r->offsets =
                grown(r->offsets, &r->offset_capacity, r->offset_count + 1, sizeof *r->offsets);
            r->offsets[r->offset_count++] = (uint32_t)at;
        } else {
            return;
        }
        at += size;
    }
}

/* All events of a block in the order asked for; false when the search is over. */
static bool walk(struct run *r, struct str bytes, bool checked)
{
    struct log_search *s = r->s;
    const struct log_query *q = &s->q;
    survey(r, bytes, checked);
    r->scanned += bytes.n;
    for (size_t k = 0; k < r->offset_count; k++) {
        struct log_record rec;
        size_t i = q->backward ? r->offset_count - 1 - k : k;
        log_record_get(str_from(bytes, r->offsets[i]), false, &rec);
        struct str stream = r->names[rec.stream].name;
        bool there = stream.p && rec.id > r->names[rec.stream].gone;
        r->stream_seen |= there;
        if (!ids_wanted(q, rec.id, rec.id))
            continue;
        s->page.last = rec.id;
        if (!there || rec.level < q->level || !time_wanted(q, rec.stamp_ms, rec.stamp_ms))
            continue;
        if (q->request_id.n && !str_eq(q->request_id, str_of(rec.request_id, rec.request_n)))
            continue;
        if (!emit(r, &rec, stream)) {
            s->page.more = true;
            return false;
        }
    }
    return true;
}

/* Does any stream of the entry interest us? */
static bool streams_wanted(struct run *r, struct str streams)
{
    struct index_stream st;
    if (r->s->q.stream_count == 0 && r->s->q.stream_prefix.n == 0)
        return true;
    while (log_index_stream(&streams, &st))
        if (stream_wanted(&r->s->q, st.name) && st.last_id > gone_up_to(r, st.name))
            return r->stream_seen = true;
    return false;
}

static bool read_block(struct run *r, int fd, const struct index_block *b)
{
    buf_clear(&r->bytes);
    if (b->size > BLOCK_MAX || !buf_reserve(&r->bytes, b->size))
        return false;
    ssize_t n = pread(fd, r->bytes.p, b->size, b->offset);
    r->bytes.n = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static bool over(struct run *r)
{
    if (r->scanned < SCAN_MAX)
        return false;
    r->s->page.more = true;
    return true;
}

/* One block on the disk; false when the search is over. */
static bool consider(struct run *r, int fd, const struct index_block *b, struct str streams)
{
    struct log_search *s = r->s;
    bool named = streams_wanted(r, streams);
    if (s->memory_count && b->first_id >= s->memory_first)
        return true; /* is read from memory */
    if (!ids_wanted(&s->q, b->first_id, b->last_id))
        return true;
    if (!named || !time_wanted(&s->q, b->min_ms, b->max_ms)) {
        s->page.last = s->q.backward ? b->first_id : b->last_id;
        return true;
    }
    if (over(r))
        return false;
    return !read_block(r, fd, b) || walk(r, buf_str(&r->bytes), true);
}

/* A segment's blocks in the order asked for. */
static bool search_segment(struct run *r, const struct log_view *v, size_t i)
{
    struct log_search *s = r->s;
    struct buf index = BUF_INIT;
    struct index_block block;
    struct str streams, rest;
    bool on = true;
    uint64_t next = i + 1 < v->count ? v->segments[i + 1].first_id : UINT64_MAX;
    bool must_look = s->q.stream_must_exist && !r->stream_seen;
    if (!must_look &&
        (next <= s->q.after || (s->q.before && v->segments[i].first_id >= s->q.before)))
        return true;
    int fd = log_view_fd(s->disk, v, i);
    if (fd < 0)
        return true; /* gone meanwhile */
    log_view_index(s->disk, v, i, &index);
    rest = buf_str(&index);
    if (!s->q.backward) {
        while (on && log_index_next(&rest, &block, &streams))
            on = consider(r, fd, &block, streams);
    } else {
        struct entry {
            struct index_block block;
            struct str streams;
        } *entries = NULL;
        size_t count = 0, capacity = 0;
        while (log_index_next(&rest, &block, &streams)) {
            entries = grown(entries, &capacity, count + 1, sizeof *entries);
            entries[count++] = (struct entry){block, streams};
        }
        while (on && count--)
            on = consider(r, fd, &entries[count].block, entries[count].streams);
        free(entries);
    }
    buf_deinit(&index);
    close(fd);
    return on;
}

static bool search_segments(struct run *r)
{
    struct log_search *s = r->s;
    struct log_view v;
    bool on = true;
    log_view_take(s->disk, &v);
    if (v.exists && s->q.stream_must_exist)
        for (size_t i = 0; i < s->q.stream_count; i++) {
            const struct log_mark *mark = log_meta_mark(r->meta, s->q.streams[i]);
            r->stream_seen |= mark && mark->created_ms;
        }
    if (!v.exists && s->memory_count == 0)
        s->rc = err_set(&s->err, E_NOT_FOUND, "The specified log group does not exist.");
    for (size_t k = 0; k < v.count && on; k++)
        on = search_segment(r, &v, s->q.backward ? v.count - 1 - k : k);
    log_view_free(&v);
    return on && s->rc == 0;
}

static bool search_memory(struct run *r)
{
    struct log_search *s = r->s;
    bool on = true;
    for (size_t k = 0; k < s->memory_count && on; k++) {
        const struct log_slice *m = &s->memory[s->q.backward ? s->memory_count - 1 - k : k];
        on = walk(r, str_of(m->p, m->n), false) && !over(r);
    }
    return on;
}

static void finish(struct run *r)
{
    struct log_search *s = r->s;
    if (s->rc == 0 && s->q.stream_must_exist && !r->stream_seen && !s->page.more)
        s->rc = err_set(&s->err, E_NOT_FOUND, "The specified log stream does not exist.");
    s->page.events =
        s->page.count ? arena_alloc(s->arena, s->page.count * sizeof *r->events) : NULL;
    if (s->page.events)
        memcpy((struct log_event *)(uintptr_t)s->page.events, r->events,
               s->page.count * sizeof *r->events);
    else
        s->page.count = 0;
    free(r->events);
    free(r->names);
    free(r->offsets);
    buf_deinit(&r->bytes);
    buf_deinit(&r->text);
}

static void begin(struct run *r, struct log_search *s, struct log_meta *meta)
{
    int64_t start = log_meta_start(meta, clock_wall_ms());
    *r = (struct run){.s = s, .meta = meta};
    if (start > s->q.start_ms)
        s->q.start_ms = start;
}

void log_search_run(struct log_search *s)
{
    struct log_meta *meta = log_disk_meta(s->disk);
    struct run r;
    begin(&r, s, meta);
    if (s->q.backward) {
        if (search_memory(&r))
            search_segments(&r);
    } else if (search_segments(&r)) {
        search_memory(&r);
    }
    finish(&r);
    log_meta_unref(meta);
}

void log_search_memory(struct log_search *s)
{
    struct log_meta *meta = log_disk_meta(s->disk);
    struct run r;
    begin(&r, s, meta);
    search_memory(&r);
    finish(&r);
    log_meta_unref(meta);
}
