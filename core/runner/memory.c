/* memory: malloc with a ledger. Shrinking is never refused: LuaJIT takes it for granted. */
#include "runner/memory.h"

#include <malloc.h>

#include "proc/channel_runner.h"

enum { BLOCK_OVERHEAD = 8, NOTE_STEP = 256 * 1024 };

void memory_init(struct memory *m, struct runner_channel *ch, uint64_t cap)
{
    *m = (struct memory){.ch = ch, .cap = cap, .trigger = UINT64_MAX};
}

void memory_mark(struct memory *m)
{
    m->peak = m->noted = m->used;
    m->refused = false;
}

static void note_refused(struct memory *m)
{
    if (!m->refused && m->ch)
        channel_runner_note_refused(m->ch);
    m->refused = true;
}

static void note_peak(struct memory *m)
{
    m->peak = m->used;
    if (m->peak - m->noted >= NOTE_STEP) {
        m->noted = m->peak;
        if (m->ch)
            channel_runner_note_peak(m->ch, m->peak);
    }
}

void *memory_alloc(void *ud, void *p, size_t old_size, size_t size)
{
    struct memory *m = ud;
    size_t old = p ? malloc_usable_size(p) + BLOCK_OVERHEAD : 0;
    if (size == 0) {
        m->used -= old;
        free(p);
        return NULL;
    }
    if (size > old_size && m->used - old + size + BLOCK_OVERHEAD > m->cap) {
        note_refused(m);
        return NULL;
    }
    void *q = realloc(p, size);
    if (!q) {
        note_refused(m);
        return NULL;
    }
    m->used += malloc_usable_size(q) + BLOCK_OVERHEAD - old;
    if (m->used > m->peak)
        note_peak(m);
    if (m->used > m->trigger) {
        m->trigger = UINT64_MAX;
        m->pressed(m);
    }
    return q;
}

bool memory_hold(struct memory *m, size_t n)
{
    if (n > memory_room(m)) {
        note_refused(m);
        return false;
    }
    m->used += n;
    if (m->used > m->peak)
        note_peak(m);
    return true;
}

void memory_drop(struct memory *m, size_t n)
{
    m->used -= n;
}

uint64_t memory_room(const struct memory *m)
{
    return m->used < m->cap ? m->cap - m->used : 0;
}
