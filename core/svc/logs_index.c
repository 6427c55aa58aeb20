/* logs_index: entries are {u32 size, u32 crc, block, streams}, little endian. Bytes that come from
 * a file are checked as a whole by their CRC and again field by field. */
#include "svc/logs_index.h"

#include "base/crc.h"
#include "base/log.h"

enum { ENTRY_HEAD = 8, STREAM_HEAD = 34, STREAMS_MAX = 65535 };

void log_index_begin(struct index_builder *b, uint32_t offset)
{
    for (size_t i = 0; i < b->block.streams; i++)
        free((char *)(uintptr_t)b->streams[i].name.p);
    b->block = (struct index_block){.offset = offset};
}

void log_index_free(struct index_builder *b)
{
    log_index_begin(b, 0);
    free(b->streams);
    *b = (struct index_builder){0};
}

void log_index_rollback(struct index_builder *b, const struct index_block *to)
{
    for (size_t i = to->streams; i < b->block.streams; i++)
        free((char *)(uintptr_t)b->streams[i].name.p);
    b->block = *to;
}

static bool announce(struct index_builder *b, const struct log_record *r)
{
    if (r->stream != b->block.streams || b->block.streams == STREAMS_MAX)
        return false;
    if (b->block.streams == b->capacity) {
        size_t n = b->capacity ? 2 * b->capacity : 4;
        struct index_stream *p = realloc(b->streams, n * sizeof *p);
        if (!p)
            fatal("out of memory");
        b->streams = p;
        b->capacity = n;
    }
    struct index_stream *s = &b->streams[b->block.streams++];
    struct str name = str_from(r->body, 8);
    char *copy = malloc(name.n + 1);
    if (!copy)
        fatal("out of memory");
    if (name.n)
        memcpy(copy, name.p, name.n);
    *s = (struct index_stream){.name = str_of(copy, name.n)};
    memcpy(&s->created_ms, r->body.p, 8);
    return true;
}

bool log_index_add(struct index_builder *b, const struct log_record *r, size_t size)
{
    struct index_block *k = &b->block;
    if (r->kind == LOG_KIND_STREAM) {
        if (!announce(b, r))
            return false;
        if (k->first_id == 0)
            k->first_id = r->id;
        k->size += (uint32_t)size;
        return true;
    }
    if (r->stream >= k->streams)
        return false;
    struct index_stream *s = &b->streams[r->stream];
    if (s->last_id == 0 || r->stamp_ms < s->first_ms)
        s->first_ms = r->stamp_ms;
    if (s->last_id == 0 || r->stamp_ms > s->last_ms)
        s->last_ms = r->stamp_ms;
    s->last_id = r->id;
    if (k->events == 0 || r->stamp_ms < k->min_ms)
        k->min_ms = r->stamp_ms;
    if (k->events == 0 || r->stamp_ms > k->max_ms)
        k->max_ms = r->stamp_ms;
    if (r->id > k->last_id)
        k->last_id = r->id;
    k->events++;
    k->size += (uint32_t)size;
    return true;
}

static void put(struct buf *out, const void *p, size_t n)
{
    buf_add(out, str_of(p, n));
}

void log_index_end(const struct index_builder *b, struct buf *out)
{
    uint32_t head[2] = {0, 0};
    size_t at = out->n;
    if (b->block.events == 0)
        return;
    put(out, head, sizeof head);
    put(out, &b->block, sizeof b->block);
    for (size_t i = 0; i < b->block.streams; i++) {
        const struct index_stream *s = &b->streams[i];
        uint16_t n = (uint16_t)s->name.n;
        put(out, &n, 2);
        put(out, &s->created_ms, 8);
        put(out, &s->first_ms, 8);
        put(out, &s->last_ms, 8);
        put(out, &s->last_id, 8);
        buf_add(out, s->name);
    }
    if (out->rc)
        return;
    head[0] = (uint32_t)(out->n - at);
    head[1] = crc32_update(0, out->p + at + ENTRY_HEAD, head[0] - ENTRY_HEAD);
    memcpy(out->p + at, head, sizeof head);
}

bool log_index_next(struct str *rest, struct index_block *block, struct str *streams)
{
    uint32_t head[2];
    if (rest->n < ENTRY_HEAD + sizeof *block)
        return false;
    memcpy(head, rest->p, sizeof head);
    if (head[0] < ENTRY_HEAD + sizeof *block || head[0] > rest->n ||
        head[1] != crc32_update(0, rest->p + ENTRY_HEAD, head[0] - ENTRY_HEAD))
        return false;
    memcpy(block, rest->p + ENTRY_HEAD, sizeof *block);
    size_t before = ENTRY_HEAD + sizeof *block;
    *streams = str_of(rest->p + before, head[0] - before);
    *rest = str_from(*rest, head[0]);
    return true;
}

bool log_index_stream(struct str *streams, struct index_stream *out)
{
    uint16_t n;
    if (streams->n < STREAM_HEAD)
        return false;
    memcpy(&n, streams->p, 2);
    if (n > streams->n - STREAM_HEAD)
        return false;
    memcpy(&out->created_ms, streams->p + 2, 8);
    memcpy(&out->first_ms, streams->p + 10, 8);
    memcpy(&out->last_ms, streams->p + 18, 8);
    memcpy(&out->last_id, streams->p + 26, 8);
    out->name = str_of(streams->p + STREAM_HEAD, n);
    *streams = str_from(*streams, STREAM_HEAD + (size_t)n);
    return true;
}
