/* self: what the files of the runner share: the one struct behind the Lua state.
 *
 * C functions called from Lua find it through the state's allocator (runner_of), so that no
 * upvalue, global or registry key that a function could reach leads to it.
 *
 * LJMP marks what may leave by longjmp (a Lua error). Such a function reads its arguments first and
 * holds no memory of malloc but the buffers of this struct, which outlive any jump. */
#ifndef RUNNER_SELF_H
#define RUNNER_SELF_H

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <time.h>

#include "base/buf.h"
#include "proc/channel_runner.h"
#include "runner/memory.h"

#define LJMP

/* Keys of the registry, where the runtime keeps what it needs out of the function's reach. */
enum slot {
    SLOT_THREAD = 1,   /* the coroutine that runs the handler */
    SLOT_RUN,          /* invocation body */
    SLOT_HANDLER,      /* the function to call */
    SLOT_LOAD,         /* lua/require.lua's function that loads the handler's file */
    SLOT_CONTEXT,      /* metatable of context tables */
    SLOT_ARRAY,        /* metatable that marks arrays */
    SLOT_ERROR,        /* metatable of error objects */
    SLOT_ENV,          /* environment variables */
    SLOT_TOSTRING,     /* the tostring that functions see */
    SLOT_TICK,         /* metatable of the collector's tick */
    SLOT_MAKE_REQUEST, /* lua/payload.lua's constructors */
    SLOT_MAKE_CONTEXT,
};

enum { LOG_LINES_MAX = 1024 * 1024 }; /* bytes of log of one invocation */

enum { CALLS_MAX = FRAME_CALLS_MAX, MASKS_MAX = 256 };

struct begun { /* call.c */
    uint32_t id, bytes;
};

struct early { /* call.c */
    uint32_t id;
    struct buf frame; /* the whole body of the RESULT; its CHUNKs wait for credit */
};

struct output {                  /* output.c */
    uint64_t sent;               /* bytes of this invocation */
    uint64_t cut;                /* bytes that were not sent */
    struct buf line;             /* being put together */
    struct buf part[2];          /* begun lines of io.stdout, io.stderr */
    struct str masks[MASKS_MAX]; /* texts that no line may show; malloc'd, for the runner's life */
    uint32_t mask_count;
    struct buf masked[2]; /* a line without them */
};

struct failure {               /* failure.c */
    uint32_t code;             /* FRAME_ERROR_*, 0: none */
    char type[64];             /* "Runtime.LuaError" */
    struct buf message, trace; /* trace: lines, each with its newline */
};

struct runner {
    struct memory memory; /* first: the allocator's ud is the runner */
    struct runner_channel *ch;
    lua_State *L;       /* main thread; the function's code runs in a coroutine */
    const void *array;  /* address of SLOT_ARRAY, to compare with */
    struct buf out;     /* answer or arguments being written */
    struct buf scratch; /* strings being unescaped, texts being mended */
    struct buf inbox;   /* payload that arrives in parts */
    struct buf first;   /* the first frame of a result */
    size_t held;        /* bytes of the above counted in memory */
    uint64_t live;      /* bytes in use when the last collection ended */
    uint64_t rest;      /* the same of the last one between invocations, without the newborn */
    uint64_t newborn;   /* bytes made since it began: it does not tell which of them are garbage */
    uint64_t left;      /* in use after its last slice */
    bool collecting;    /* slices of one are being done after replies */
    struct output output;

    struct str load; /* rec of LOAD_* fields, kept */
    struct str name, version, arn, handler, region, log_group, log_stream;
    uint32_t memory_mb, timeout_ms;
    bool sealed; /* no host calls */
    bool spec;   /* host calls are played in memory */

    uint32_t invocation; /* id; 0 in the init phase */
    uint32_t calls;      /* id of the last host call */
    uint32_t calls_past; /* id of the last one of earlier invocations: their results are stale */
    uint32_t begun;      /* calls whose result Lua has not taken yet … */
    struct begun open[CALLS_MAX];  /* … these */
    size_t begun_bytes;            /* of their arguments */
    struct early early[CALLS_MAX]; /* results that came while another one was waited for … */
    uint32_t early_count;          /* … oldest first */
    char request_id[37];
    uint64_t deadline_ns;
    volatile sig_atomic_t hooked; /* the deadline's signal has armed a hook */

    struct failure failure; /* of the invocation that just ended */
    struct failure init;    /* of the init phase; its code is 0 while there is none */
    char note[512];         /* text of the last import or syntax error that require raised */
    const char *note_type;  /* its type, "" none */
    time_t stamp_s;         /* second that `stamp` shows */
    char stamp[32];         /* requestContext.time */
};

static inline struct runner *runner_of(lua_State *L)
{
    void *ud;
    lua_getallocf(L, &ud);
    return ud;
}

/* The scratch buffer, empty, with what the cap leaves as its limit. */
struct buf *runner_scratch(lua_State *L);
/* Frees what is large of the buffers; after a call or an invocation. */
void runner_trim(struct runner *r);
/* Bytes left under the cap, after a collection when few are. */
LJMP uint64_t runner_room(lua_State *L);
/* memory_hold, tried again after a collection; counted in r->held until runner_trim. */
LJMP bool runner_hold(lua_State *L, size_t n);
/* Raises the error that counts as out of memory. */
noreturn LJMP void runner_no_memory(lua_State *L);

#endif
