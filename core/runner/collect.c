/* collect: LuaJIT's own threshold is kept out of reach (a stopped collector); `pressed`, called by
 * the allocator, lowers it to the present size, so that the next allocation runs a whole cycle. That
 * a cycle has ended is told by the finalizer of a userdata that nothing refers to, made anew each
 * time. lua_gc with STOP, RESTART and the two SETs only writes fields: it may be called from within
 * the allocator. */
#include "runner/collect.h"

enum {
    BUDGET_MIN = 1 << 20,
    START_MIN = 512 << 10,
    FLOOR_SHARE = 32,
    SLICE_KB = 16,
    GRACE = 4096,
    STEPMUL = 200
};

/* Garbage that may pile up on top of `base` bytes. */
static uint64_t budget(const struct runner *r, uint64_t base)
{
    uint64_t cap = r->memory.cap, left = cap > base ? (cap - base) / 2 : 0;
    uint64_t b = base > BUDGET_MIN ? base : BUDGET_MIN;
    b = b < left ? b : left;
    return b > cap / FLOOR_SHARE ? b : cap / FLOOR_SHARE; /* near the cap: some cycles, not many */
}

/* Garbage on top of what stays at which slices begin. Small objects are used again as soon as they have
 * been swept, so this is also how much memory a quick function walks through again and again: half a
 * megabyte stays in the processor's caches, two did not (the runner's share of a hello -5 %, although
 * a cycle comes four times as often). */
static uint64_t start(const struct runner *r)
{
    uint64_t most = budget(r, r->rest) / 2, b = r->rest > START_MIN ? r->rest : START_MIN;
    return b < most ? b : most;
}

static void pressed(struct memory *m)
{
    struct runner *r = (struct runner *)(void *)m;
    lua_gc(r->L, LUA_GCSETSTEPMUL, 0); /* no slices */
    lua_gc(r->L, LUA_GCRESTART, 0);
}

static LJMP void make_tick(lua_State *L)
{
    lua_newuserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_TICK);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* The finalizer: a cycle has ended. */
static int tick(lua_State *L)
{
    struct runner *r = runner_of(L);
    r->live = r->memory.used;
    if (!r->invocation) /* what an invocation holds is not there to stay */
        r->rest = r->live > r->newborn ? r->live - r->newborn : 0;
    r->collecting = false;
    r->memory.cap += GRACE; /* this one allocation must not fail */
    make_tick(L);
    r->memory.cap -= GRACE;
    lua_gc(L, LUA_GCSETSTEPMUL, STEPMUL);
    r->memory.trigger = r->live + budget(r, r->live);
    return 0;
}

LJMP void collect_open(lua_State *L)
{
    struct runner *r = runner_of(L);
    r->memory.pressed = pressed;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, tick);
    lua_setfield(L, -2, "__gc");
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_TICK);
    make_tick(L);
    lua_gc(L, LUA_GCSETPAUSE, 100 * 1000); /* after a cycle the next begins by our trigger only */
    lua_gc(L, LUA_GCCOLLECT, 0);
}

void collect_rebase(struct runner *r)
{
    r->live = r->rest = r->memory.used;
    r->memory.trigger = r->live + budget(r, r->live);
}

void collect_after_reply(struct runner *r)
{
    struct runner_channel *ch = r->ch;
    if (r->collecting && r->memory.used > r->left)
        r->newborn += r->memory.used - r->left;
    if (!r->collecting && r->memory.used > r->rest + start(r)) {
        r->collecting = true;
        r->newborn = 0;
    }
    if (!r->collecting)
        return;
    do
        lua_gc(r->L, LUA_GCSTEP, SLICE_KB);
    while (r->collecting && ring_empty(&ch->work) && ring_empty(&ch->data));
    if (r->collecting)
        lua_gc(r->L, LUA_GCSTOP, 0); /* until the next reply, or until pressed */
    r->left = r->memory.used;
}
