/* ring: see the header. Positions are free-running 32-bit counts; `position & MASK` is the offset.
 * The reader publishes its position with release after it has used the bytes, the writer its own
 * with release after it has written them, so that neither sees half a frame of an honest peer. */
#include "proc/ring.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

enum { MASK = RING_BYTES - 1, HEAD = sizeof(struct frame) };
_Static_assert((RING_BYTES & MASK) == 0, "the ring's size is a power of two");
_Static_assert(sizeof(struct ring_shm) <= RING_CTL_BYTES, "the control page holds the struct");
_Static_assert(HEAD == 12, "frames have a header of 12 bytes");

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

int ring_memfd(void)
{
    int fd = memfd_create("runner", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* kernels before 6.3 */
        fd = memfd_create("runner", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, RING_SHM_BYTES) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

struct ring_shm *ring_map(int fd)
{
    enum { RW = PROT_READ | PROT_WRITE };
    char *base = mmap(NULL, RING_MAP_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    bool ok = mmap(base, RING_CTL_BYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
    for (int i = 0; ok && i < 2 * RING_COUNT; i++) {
        char *at = base + RING_CTL_BYTES + i * RING_BYTES;
        off_t from = RING_CTL_BYTES + (off_t)(i / 2) * RING_BYTES;
        ok = mmap(at, RING_BYTES, RW, MAP_SHARED | MAP_FIXED, fd, from) != MAP_FAILED;
    }
    if (!ok) {
        munmap(base, RING_MAP_BYTES);
        return NULL;
    }
    return (struct ring_shm *)(void *)base;
}

void ring_unmap(struct ring_shm *shm)
{
    if (shm)
        munmap(shm, RING_MAP_BYTES);
}

void ring_init(struct ring *r, struct ring_shm *shm, int which, bool writer)
{
    unsigned char *base = (unsigned char *)shm;
    *r = (struct ring){
        .bytes = base + RING_CTL_BYTES + 2 * which * RING_BYTES,
        .mine = writer ? &shm->pos[which].head : &shm->pos[which].tail,
        .other = writer ? &shm->pos[which].tail : &shm->pos[which].head,
    };
}

/* Bytes a frame with n bytes of body takes: a multiple of 8. */
static uint32_t frame_span(uint32_t n)
{
    return (HEAD + n + 7) & ~7U;
}

/* Writer: bytes free by what was last seen of the reader; a claim out of range counts as full. */
static uint32_t free_bytes(const struct ring *r)
{
    uint32_t used = r->at - r->seen;
    return used > RING_BYTES ? 0 : RING_BYTES - used;
}

static uint32_t look(struct ring *r)
{
    r->seen = atomic_load_explicit(r->other, memory_order_acquire);
    return free_bytes(r);
}

unsigned char *ring_reserve(struct ring *r, uint32_t n)
{
    uint32_t span = frame_span(n);
    if (n > FRAME_BODY_MAX || (free_bytes(r) < span && look(r) < span))
        return NULL;
    return r->bytes + (r->at & MASK) + HEAD;
}

void ring_commit(struct ring *r, uint16_t type, uint16_t flags, uint32_t id, uint32_t n)
{
    struct frame f = {.length = n, .type = type, .flags = flags, .id = id};
    memcpy(r->bytes + (r->at & MASK), &f, HEAD);
    r->at += frame_span(n);
    atomic_store_explicit(r->mine, r->at, memory_order_release);
}

bool ring_write(struct ring *r, uint16_t type, uint16_t flags, uint32_t id, struct str a,
                struct str b)
{
    if (a.n > FRAME_BODY_MAX || b.n > FRAME_BODY_MAX - a.n)
        return false;
    unsigned char *p = ring_reserve(r, (uint32_t)(a.n + b.n));
    if (!p)
        return false;
    if (a.n)
        memcpy(p, a.p, a.n);
    if (b.n)
        memcpy(p + a.n, b.p, b.n);
    ring_commit(r, type, flags, id, (uint32_t)(a.n + b.n));
    return true;
}

int ring_room(struct ring *r)
{
    uint32_t room = free_bytes(r);
    if (room < FRAME_MAX)
        room = look(r);
    room = room > FRAME_MAX ? FRAME_MAX : room & ~7U;
    return (int)room - HEAD >= 0 ? (int)room - HEAD : -1;
}

bool ring_broken(struct ring *r)
{
    look(r);
    return r->at - r->seen > RING_BYTES || (r->seen & 7);
}

int ring_peek(struct ring *r, struct frame *f, const unsigned char **body)
{
    uint32_t used = r->seen - r->at;
    if (used == 0) {
        r->seen = atomic_load_explicit(r->other, memory_order_acquire);
        used = r->seen - r->at;
        if (used == 0)
            return 0;
        if (used > RING_BYTES || (used & 7))
            return E_INVALID;
    }
    const unsigned char *p = r->bytes + (r->at & MASK);
    memcpy(f, p, HEAD);
    __asm__ volatile("" ::: "memory"); /* the copy is judged, never the memory again */
    if (f->length > FRAME_BODY_MAX || frame_span(f->length) > used)
        return E_INVALID;
    *body = p + HEAD;
    return 1;
}

void ring_pop(struct ring *r, const struct frame *f)
{
    r->at += frame_span(f->length);
    atomic_store_explicit(r->mine, r->at, memory_order_release);
}

bool ring_empty(struct ring *r)
{
    return r->seen == r->at && atomic_load_explicit(r->other, memory_order_acquire) == r->at;
}

bool ring_entry_take(struct ring_shm *shm, uint32_t slot, uint32_t id, uint32_t state)
{
    uint32_t was = entry_word(id, ENTRY_QUEUED);
    return slot < FRAME_SLOTS &&
           atomic_compare_exchange_strong(&shm->entry[slot], &was, entry_word(id, state));
}

void ring_wake_runner(struct ring_shm *shm, uint32_t waits)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!(atomic_load_explicit(&shm->runner_waits, memory_order_relaxed) & waits))
        return;
    atomic_store(&shm->runner_waits, 0);
    syscall(SYS_futex, &shm->runner_waits, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void ring_sleep_runner(struct ring_shm *shm, uint32_t waits)
{
    syscall(SYS_futex, &shm->runner_waits, FUTEX_WAIT, waits, NULL, NULL, 0);
}
