/* world: chance, time, and the record of what happened.
 *
 * All chance comes from one generator (xorshift64*), so a seed is a run: the same steps, the same
 * ids, the same failure. The trace is kept only when asked for: who sees a seed fail runs it again
 * with it. */
#include "sim.h"

#include <stdarg.h>

#include "base/hash.h"

enum { LINES = 80, LINE = 200 };

struct world world;
static uint64_t state;
static bool tracing;
static char lines[LINES][LINE];
static uint64_t line_count;

void world_begin(uint64_t seed, bool with_trace)
{
    world = (struct world){.seed = seed};
    world.boot_ns = 5000 * 1000000000ll;
    world.wall_ns = 1767225600 * 1000000000ll; /* 2026-01-01 */
    state = seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
    tracing = with_trace;
}

static uint64_t next(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

uint64_t pick(uint64_t below)
{
    return (next() >> 16) % below;
}

bool once_in(uint64_t n)
{
    return pick(n) == 0;
}

void pass_ms(int64_t ms)
{
    world.boot_ns += ms * 1000000;
    world.wall_ns += ms * 1000000;
}

/* The program's one look at the machine's clocks. */
int64_t clock_read_ns(clockid_t which)
{
    world.boot_ns += world.look_ns;
    world.wall_ns += world.look_ns;
    return which == CLOCK_REALTIME ? world.wall_ns : world.boot_ns;
}

/* The program's one source of chance. */
void random_bytes(void *p, size_t n)
{
    for (unsigned char *at = p; n--; at++)
        *at = (unsigned char)(next() >> 24);
}

void trace(const char *fmt, ...)
{
    if (!tracing)
        return;
    char *line = lines[line_count++ % LINES];
    int n = snprintf(line, LINE, "%8llu  %+10.3f s  ", (unsigned long long)world.step,
                     (double)world.boot_ns / 1e9 - 5000);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + n, LINE - (size_t)n, fmt, ap);
    va_end(ap);
}

noreturn void broken(const char *fmt, ...)
{
    va_list ap;
    uint64_t from = line_count > LINES ? line_count - LINES : 0;
    for (uint64_t i = from; i < line_count; i++)
        fprintf(stderr, "%s\n", lines[i % LINES]);
    fprintf(stderr, "seed %llu, step %llu: ", (unsigned long long)world.seed,
            (unsigned long long)world.step);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    fflush(stderr);
    _Exit(3);
}
