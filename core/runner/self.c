/* self: the buffers that the runner's C functions share, and the one way they report that memory is
 * gone. Buffers keep what small work needs; what one large payload made them grow to is given
 * back, so that a function's resident size follows its own use. */
#include "runner/self.h"

enum { KEEP = 64 * 1024, COLLECT_MIN = 256 * 1024 };

LJMP uint64_t runner_room(lua_State *L)
{
    struct runner *r = runner_of(L);
    uint64_t room = memory_room(&r->memory);
    if (room < r->memory.cap / 4 && r->memory.used > r->live + COLLECT_MIN) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        room = memory_room(&r->memory);
    }
    return room;
}

LJMP bool runner_hold(lua_State *L, size_t n)
{
    struct runner *r = runner_of(L);
    if (n > memory_room(&r->memory))
        lua_gc(L, LUA_GCCOLLECT, 0);
    if (!memory_hold(&r->memory, n))
        return false;
    r->held += n;
    return true;
}

struct buf *runner_scratch(lua_State *L)
{
    struct runner *r = runner_of(L);
    uint64_t room = runner_room(L);
    buf_clear(&r->scratch);
    r->scratch.limit = room ? room : 1;
    return &r->scratch;
}

static void trim(struct buf *b)
{
    if (b->cap > KEEP)
        buf_deinit(b);
}

void runner_trim(struct runner *r)
{
    trim(&r->out);
    trim(&r->scratch);
    trim(&r->inbox);
    memory_drop(&r->memory, r->held);
    r->held = 0;
}

noreturn void runner_no_memory(lua_State *L)
{
    struct runner *r = runner_of(L);
    memory_hold(&r->memory, SIZE_MAX); /* noted as a refusal */
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
    __builtin_unreachable();
}
