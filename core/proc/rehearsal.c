/* rehearsal: private writable memory is compared with a copy from before, all but the stack, which
 * lies elsewhere in each child's calls. Of text, the kernel tells which pages are mapped; one page of
 * each block that it maps at once is enough. Where /proc cannot be read nothing is learned, and the
 * pages come by faults as they would anyway. */
#include "proc/rehearsal.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"

enum { PAGE = 4096, BLOCK = 64 * 1024, AREAS = 160, AREA_MAX = 8 << 20 };

struct area {
    uintptr_t from, to;
    bool writable;
    char *copy; /* of writable ones */
};

struct rehearsal *rehearsal_new(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return NULL; /* whole pages hold what nobody may touch */
#endif
    struct rehearsal *r =
        mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return r == MAP_FAILED ? NULL : r;
}

/* --- learning -----------------------------------------------------------------------------------
 */

/* All that may be touched: text, and private memory that may be written. Constants are left to their
 * faults: some three of a load's, and half a MiB that idle spares would keep mapped. */
static int list_areas(struct area *areas)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;
    while (maps && count < AREAS && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char perms[8], name[256] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &from, &to, perms, name) < 3)
            continue;
        struct str p = str_c(perms);
        bool writable = str_is(p, "rw-p") && !str_is(str_c(name), "[stack]");
        bool text = name[0] == '/' && str_is(p, "r-xp");
        if ((writable || text) && to - from <= AREA_MAX)
            areas[count++] = (struct area){from, to, writable, NULL};
    }
    if (maps)
        fclose(maps);
    return count;
}

static char *copy_of(const struct area *a)
{
    size_t n = a->to - a->from;
    char *copy = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return NULL;
    memcpy(copy, (const void *)a->from, n);
    return copy;
}

static bool room(const struct rehearsal *r)
{
    return r->writes + r->reads < REHEARSAL_PAGES;
}

static void note_written(struct rehearsal *r, const struct area *a)
{
    for (uintptr_t at = a->from; at < a->to && room(r); at += PAGE)
        if (memcmp((const void *)at, a->copy + (at - a->from), PAGE) != 0)
            r->page[r->writes++] = at;
}

static bool mapped(int pagemap, uintptr_t at)
{
    uint64_t entry = 0;
    off_t offset = (off_t)(at / PAGE * sizeof entry);
    return pread(pagemap, &entry, sizeof entry, offset) == sizeof entry && entry >> 63;
}

static void note_mapped(struct rehearsal *r, const struct area *a, int pagemap)
{
    for (uintptr_t at = a->from; at < a->to && room(r); at += PAGE)
        if (mapped(pagemap, at)) {
            r->page[REHEARSAL_PAGES - ++r->reads] = at;
            at |= BLOCK - PAGE; /* the rest of this block comes along */
        }
}

void rehearsal_learn(struct rehearsal *r, void (*play)(void))
{
    struct area areas[AREAS];
    int count = list_areas(areas), pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < count; i++)
        if (areas[i].writable)
            areas[i].copy = copy_of(&areas[i]);
    play();
    for (int i = 0; i < count; i++)
        if (areas[i].copy)
            note_written(r, &areas[i]);
        else if (!areas[i].writable && pagemap >= 0)
            note_mapped(r, &areas[i], pagemap);
}

/* --- applying -----------------------------------------------------------------------------------
 */

/* The zygote may have given back what it held while this was learned. */
static bool still_there(uintptr_t page)
{
    unsigned char in_memory;
    return mincore((void *)page, PAGE, &in_memory) == 0;
}

void rehearsal_apply(const struct rehearsal *r)
{
    for (uint32_t i = 0; i < r->writes; i++) {
        volatile char *p = (volatile char *)r->page[i];
        if (!still_there(r->page[i]))
            continue;
        char same = *p;
        *p = same;
    }
    for (uint32_t i = 1; i <= r->reads; i++) {
        uintptr_t page = r->page[REHEARSAL_PAGES - i];
        if (still_there(page))
            (void)*(volatile const char *)page;
    }
}
