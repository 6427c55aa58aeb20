/* runner: frames in, frames out.
 *
 *     zygote:     make the state, once, before any fork
 *     spare:      draw a seed, READY 0, wait for LOAD
 *     loaded:     run the handler's file, READY 1
 *     invocation: INVOKE → values → the handler in its coroutine → REPLY → a little collecting
 *
 * Lua is entered in two places, `load` and `run`, each through lua_pcall on the main thread; in
 * them the function's code runs in a coroutine, so that its stack can be read after an error. All
 * that C needs of the state is in registry slots. After out of memory the state is not touched
 * again: the process replies and ends. */
#include <luajit.h> /* before base/str.h, which poisons what it mentions */

#include "runner/runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"
#include "runner/answer.h"
#include "runner/call.h"
#include "runner/collect.h"
#include "runner/event.h"
#include "runner/failure.h"
#include "runner/output.h"
#include "runner/self.h"
#include "runner/state.h"
#include "svc/logs.h"

enum { EXIT_QUIET = 0, EXIT_MEMORY = 0, EXIT_PROTOCOL = 70, ENV_NAME = 1, ENV_VALUE };

static struct runner self;

static void build_state(struct runner *r);

void runner_prepare(void)
{
    if (!self.L)
        build_state(&self);
}

/* --- the deadline --- */

static void deadline_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct runner *r = runner_of(L);
    struct buf text = BUF_INIT;
    lua_sethook(L, NULL, 0, 0);
    buf_lit(&text, "The time limit was reached in:\n");
    failure_trace(L, 0, &text);
    output_notice(r, LOG_WARN, str_of(text.p, text.n ? text.n - 1 : 0));
    buf_deinit(&text);
}

/* In the signal handler. Compiled loops never look; interpreted ones do at their next step. */
static void deadline_passed(void *ctx)
{
    struct runner *r = ctx;
    r->hooked = 1;
    if (r->L)
        lua_sethook(r->L, deadline_hook, LUA_MASKCOUNT | LUA_MASKLINE | LUA_MASKCALL, 1);
}

/* --- running a function in the coroutine --- */

/* The function and its `args` arguments are on top of L: runs them in the coroutine. True: its
 * results are left on *co. False: f says why, and the next call gets a new coroutine. */
static LJMP bool in_coroutine(lua_State *L, int args, lua_State **co, struct failure *f)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_THREAD);
    *co = lua_tothread(L, -1);
    lua_insert(L, -2 - args); /* stays below, so that it lives */
    lua_settop(*co, 0);
    luaL_checkstack(*co, args + 2, "arguments");
    lua_xmove(L, *co, args + 1);
    int status = lua_resume(*co, args);
    if (status == 0)
        return true;
    failure_take(L, *co, status, f);
    if (f->code != FRAME_ERROR_MEMORY) {
        lua_newthread(L);
        lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_THREAD);
    }
    return false;
}

/* Calls body, which reports in r->failure, with lua_pcall: what it throws itself is memory, or our
 * own mistake. */
static void protected_call(struct runner *r, enum slot slot, lua_CFunction body)
{
    lua_State *L = r->L;
    int status;
    if (body) {
        status = lua_cpcall(L, body, NULL);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
        status = lua_pcall(L, 0, 0, 0);
    }
    if (status == 0)
        return;
    const char *text = lua_tostring(L, -1);
    if (status == LUA_ERRMEM || r->memory.refused)
        failure_memory(r, &r->failure);
    else
        failure_set(&r->failure, FRAME_ERROR_FUNCTION, "Runtime.Unknown", "%s",
                    text ? text : "an error without text");
    lua_settop(L, 0);
}

/* --- the state --- */

static int run(lua_State *L);

static int keep_run(lua_State *L)
{
    lua_pushcfunction(L, run);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_RUN);
    return 0;
}

static void open_state(struct runner *r)
{
    state_open(r);
    if (lua_cpcall(r->L, keep_run, NULL))
        fatal("no memory for a Lua state");
}

/* --- LOAD --- */

static uint32_t u32_field(struct str rec, uint16_t tag, uint32_t dflt)
{
    uint64_t v = rec_u64(rec, tag, dflt);
    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* Waits for LOAD and takes its record, which is kept. */
static void receive_load(struct runner *r)
{
    struct runner_frame f;
    struct runner_inbox in;
    uint32_t total;
    for (;;) {
        channel_runner_next(r->ch, false, &f);
        if (f.type == FRAME_RETIRE)
            channel_runner_exit(EXIT_QUIET);
        if (f.type == FRAME_LOAD && f.body.n >= sizeof total)
            break;
        channel_runner_pop(r->ch);
    }
    memcpy(&total, f.body.p, sizeof total);
    char *p = malloc(total ? total : 1);
    if (!p)
        fatal("no memory for a package of %u bytes", total);
    bool whole = channel_runner_inbox_open(r->ch, &in, p, total, str_from(f.body, sizeof total),
                                           FRAME_F_LOAD, f.id);
    channel_runner_pop(r->ch);
    while (!whole) {
        channel_runner_next(r->ch, false, &f);
        if (f.type == FRAME_RETIRE)
            channel_runner_exit(EXIT_QUIET);
        if (f.type == FRAME_CHUNK && f.flags & FRAME_F_LOAD)
            whole = channel_runner_inbox_add(&in, f.body);
        channel_runner_pop(r->ch);
    }
    r->load = str_of(p, total);
}

static void read_load(struct runner *r)
{
    struct str rec = r->load;
    r->name = rec_str(rec, LOAD_NAME);
    r->version = rec_str(rec, LOAD_VERSION);
    r->arn = rec_str(rec, LOAD_ARN);
    r->handler = rec_str(rec, LOAD_HANDLER);
    r->region = rec_str(rec, LOAD_REGION);
    r->log_group = rec_str(rec, LOAD_LOG_GROUP);
    r->log_stream = rec_str(rec, LOAD_LOG_STREAM);
    r->memory_mb = u32_field(rec, LOAD_MEMORY_MB, 128);
    r->timeout_ms = u32_field(rec, LOAD_TIMEOUT_MS, 3000);
    r->sealed = rec_u64(rec, LOAD_SEALED, 0) != 0;
    r->spec = rec_u64(rec, LOAD_SPEC, 0) != 0;
}

static LJMP void set_variable(lua_State *L, const char *name, struct str value)
{
    lua_pushstring(L, name);
    lua_pushlstring(L, value.n ? value.p : "", value.n);
    lua_rawset(L, -3);
}

/* os.getenv: the platform's names, and the function's own over them. True when they say that this
 * function wants no compiler. */
static LJMP bool setup_environment(lua_State *L, struct runner *r)
{
    struct str rest = r->load, v;
    uint16_t tag;
    bool no_jit = false;
    lua_createtable(L, 0, 12);
    set_variable(L, "AWS_REGION", r->region);
    set_variable(L, "AWS_DEFAULT_REGION", r->region);
    set_variable(L, "AWS_LAMBDA_FUNCTION_NAME", r->name);
    set_variable(L, "AWS_LAMBDA_FUNCTION_VERSION", r->version);
    set_variable(L, "AWS_LAMBDA_LOG_GROUP_NAME", r->log_group);
    set_variable(L, "AWS_LAMBDA_LOG_STREAM_NAME", r->log_stream);
    set_variable(L, "_HANDLER", r->handler);
    lua_pushfstring(L, "%d", (int)r->memory_mb);
    lua_setfield(L, -2, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
    while (rec_next(&rest, &tag, &v)) {
        if (tag != LOAD_ENV)
            continue;
        struct str name = rec_str(v, ENV_NAME), value = rec_str(v, ENV_VALUE);
        lua_pushlstring(L, name.n ? name.p : "", name.n);
        lua_pushlstring(L, value.n ? value.p : "", value.n);
        lua_rawset(L, -3);
        no_jit |= str_eq(name, STR("PERILUNE_JIT")) && str_eq(value, STR("off"));
    }
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ENV);
    return no_jit;
}

/* The init phase: everything a function may do at its top level. */
static int load(lua_State *L)
{
    struct runner *r = runner_of(L);
    lua_State *co;
    bool no_jit = setup_environment(L, r);
    if (no_jit || !rec_u64(r->load, LOAD_JIT, 1))
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    event_setup_context(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_LOAD);
    lua_pushlstring(L, r->handler.n ? r->handler.p : "", r->handler.n);
    if (!in_coroutine(L, 1, &co, &r->failure))
        return 0;
    lua_xmove(co, L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_HANDLER);
    return 0;
}

static void load_function(struct runner *r)
{
    receive_load(r);
    uint64_t start = clock_mono_ns();
    read_load(r);
    if (r->spec) {
        open_state(r); /* the spare's own stays behind unused */
        if (lua_cpcall(r->L, state_own_seed, NULL))
            fatal("no memory for a Lua state");
    }
    channel_runner_limit_memory(r->memory_mb);
    r->memory.cap = (uint64_t)r->memory_mb << 20;
    collect_rebase(r);
    memory_mark(&r->memory);
    memset(r->request_id, '0', 36);
    r->request_id[8] = r->request_id[13] = r->request_id[18] = r->request_id[23] = '-';
    r->deadline_ns = start + 10 * 1000000000ull;
    output_begin(r);
    protected_call(r, 0, load);
    collect_rebase(r);
    if (r->failure.code) {
        if (r->failure.code != FRAME_ERROR_MEMORY)
            r->failure.code = FRAME_ERROR_INIT;
        failure_log(r, &r->failure);
        r->init = r->failure; /* buffers move along */
        r->failure = (struct failure){0};
    }
    output_end(r);
    runner_trim(r);
    struct frame_ready ready = {.init_us = (clock_mono_ns() - start) / 1000,
                                .memory_peak = r->memory.peak,
                                .ok = r->init.code == 0};
    channel_runner_send(r->ch, FRAME_READY, 0, 1, str_of((const char *)&ready, sizeof ready),
                        STR(""));
}

/* --- INVOKE --- */

static struct event current;

static int run(lua_State *L)
{
    struct runner *r = runner_of(L);
    lua_State *co;
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_HANDLER);
    if (!event_push(L, &current)) {
        failure_set(&r->failure, FRAME_ERROR_FUNCTION, "Runtime.UnmarshalError",
                    "The event is not JSON");
        return 0;
    }
    event_push_context(L, &current);
    runner_trim(r);
    if (!in_coroutine(L, 2, &co, &r->failure))
        return 0;
    lua_settop(co, 1);
    lua_xmove(co, L, 1);
    answer_write(L, current.head.event_kind, &r->failure);
    return 0;
}

/* Takes the whole INVOKE into r->inbox and pops it; false when the cap has no room for it. */
static bool receive_event(struct runner *r, struct runner_frame *f, struct event *e)
{
    struct runner_inbox in;
    struct str rest = str_from(f->body, sizeof e->head);
    size_t fixed = (size_t)e->head.arn_size + e->head.context_size;
    size_t size = fixed + e->head.event_size;
    if (fixed > rest.n)
        channel_runner_exit(EXIT_PROTOCOL);
    buf_clear(&r->inbox);
    r->inbox.limit = size;
    bool room = size <= r->inbox.cap;
    if (!room && runner_hold(r->L, size))
        room = buf_reserve(&r->inbox, size) != NULL;
    if (!room && size) {
        channel_runner_pop(r->ch);
        return false;
    }
    char *p = r->inbox.p;
    uint32_t id = f->id;
    memcpy(p, rest.p, fixed);
    e->arn = str_of(p, e->head.arn_size);
    e->client_context = str_of(p + e->head.arn_size, e->head.context_size);
    e->bytes = str_of(p + fixed, e->head.event_size);
    bool whole = channel_runner_inbox_open(r->ch, &in, p + fixed, e->head.event_size,
                                           str_from(rest, fixed), FRAME_F_INVOCATION, id);
    channel_runner_pop(r->ch);
    while (!whole) {
        channel_runner_next(r->ch, false, f);
        if (f->type == FRAME_RETIRE)
            channel_runner_exit(EXIT_QUIET);
        if (f->type == FRAME_CHUNK && f->id == id && f->flags & FRAME_F_INVOCATION)
            whole = channel_runner_inbox_add(&in, f->body);
        channel_runner_pop(r->ch);
    }
    return true;
}

static void reply(struct runner *r, uint32_t kind, uint64_t start_ns)
{
    struct frame_reply head = {.kind = REPLY_JSON, .error = r->failure.code};
    if (head.error) {
        buf_clear(&r->out);
        r->out.limit = 0;
        failure_write(&r->failure, r->request_id, &r->out);
        memcpy(head.error_type, r->failure.type, sizeof head.error_type);
    } else if (kind == EVENT_URL) {
        head.kind = REPLY_HTTP;
    }
    uint64_t now_ns = clock_mono_ns();
    struct str fixed = str_of((const char *)&head, sizeof head);
    head.size = (uint32_t)r->out.n;
    head.memory_peak = r->memory.peak;
    head.duration_us = (uint32_t)((now_ns - start_ns) / 1000);
    if (sizeof head + r->out.n <= FRAME_BODY_MAX)
        channel_runner_reply(r->ch, r->invocation, fixed, buf_str(&r->out), start_ns, now_ns);
    else
        channel_runner_send_payload(r->ch, FRAME_REPLY, r->invocation, fixed, buf_str(&r->out),
                                    FRAME_F_INVOCATION);
}

/* The init phase failed: every invocation fails with its error. */
static void repeat_init_failure(struct runner *r)
{
    if (r->init.code == FRAME_ERROR_MEMORY) {
        failure_memory(r, &r->failure);
        return;
    }
    r->failure.code = r->init.code;
    memcpy(r->failure.type, r->init.type, sizeof r->failure.type);
    buf_clear(&r->failure.message);
    buf_clear(&r->failure.trace);
    buf_add(&r->failure.message, buf_str(&r->init.message));
    buf_add(&r->failure.trace, buf_str(&r->init.trace));
}

static void invoke(struct runner *r, struct runner_frame *f)
{
    struct event *e = &current;
    if (f->body.n < sizeof e->head) {
        channel_runner_pop(r->ch);
        return;
    }
    memcpy(&e->head, f->body.p, sizeof e->head);
    if (!channel_runner_start(r->ch, e->head.slot, f->id)) {
        channel_runner_pop(r->ch);
        return;
    }
    uint64_t start = clock_mono_ns();
    r->invocation = f->id;
    r->deadline_ns = start + r->timeout_ms * 1000000ull;
    r->failure.code = 0;
    r->note_type = NULL;
    call_forget(r);
    if (r->hooked) { /* left by an invocation that ended just in time */
        lua_sethook(r->L, NULL, 0, 0);
        r->hooked = 0;
    }
    memcpy(r->request_id, e->head.request_id, sizeof e->head.request_id);
    memory_mark(&r->memory);
    output_begin(r);
    bool room = receive_event(r, f, e);
    if (r->init.code)
        repeat_init_failure(r);
    else if (!room)
        failure_memory(r, &r->failure);
    else
        protected_call(r, SLOT_RUN, NULL);
    if (r->failure.code && !r->init.code)
        failure_log(r, &r->failure);
    output_end(r);
    reply(r, e->head.event_kind, start);
    if (r->failure.code == FRAME_ERROR_MEMORY)
        channel_runner_exit(EXIT_MEMORY);
    runner_trim(r);
    r->invocation = 0;
    collect_after_reply(r);
}

/* --- the program --- */

/* Before the first fork: all runners begin with this state, sharing what they do not change. */
static void build_state(struct runner *r)
{
    memory_tune();
    memory_init(&r->memory, NULL, UINT64_MAX / 2);
    open_state(r);
}

static void become_spare(struct runner *r, struct runner_channel *ch)
{
    r->ch = r->memory.ch = ch;
    if (lua_cpcall(r->L, state_own_seed, NULL))
        fatal("no memory for a Lua state");
    channel_runner_on_deadline(deadline_passed, r);
    struct frame_ready ready = {.memory_peak = r->memory.used, .ok = 1};
    channel_runner_send(ch, FRAME_READY, 0, 0, str_of((const char *)&ready, sizeof ready), STR(""));
}

/* A small function, and a call of it: what most functions and calls touch. */
static void write_play(struct ring_shm *shm)
{
    struct ring data, work;
    struct buf rec = BUF_INIT, event = BUF_INIT;
    struct frame_invoke head = {.event_kind = EVENT_URL, .attempt = 1};
    ring_init(&data, shm, RING_DATA, true);
    ring_init(&work, shm, RING_WORK, true);
    rec_put_str(&rec, LOAD_NAME, STR("rehearsal"));
    rec_put_str(&rec, LOAD_VERSION, STR("$LATEST"));
    rec_put_str(&rec, LOAD_HANDLER, STR("handler.main"));
    rec_put_str(&rec, LOAD_REGION, STR("us-east-1"));
    size_t mark = rec_begin(&rec, LOAD_FILE);
    rec_put_str(&rec, 1, STR("handler.lua"));
    rec_put_str(&rec, 3,
                STR("local function main(event, context)\n"
                    "  local who = event.rawPath or 'world'\n"
                    "  return { statusCode = 200, headers = { ['content-type'] = 'text/plain' },\n"
                    "    body = 'hello ' .. who .. #context.aws_request_id }\n"
                    "end\n"
                    "return { main = main }\n"));
    rec_end(&rec, mark);
    rec_put_str(&event, URL_METHOD, STR("GET"));
    rec_put_str(&event, URL_RAW_PATH, STR("/rehearsal"));
    uint32_t total = (uint32_t)rec.n;
    head.event_size = (uint32_t)event.n;
    memset(head.request_id, '0', sizeof head.request_id);
    atomic_store(&shm->entry[0], entry_word(1, ENTRY_QUEUED));
    ring_write(&data, FRAME_LOAD, 0, 0, str_of((const char *)&total, sizeof total), buf_str(&rec));
    ring_write(&work, FRAME_INVOKE, 0, 1, str_of((const char *)&head, sizeof head),
               buf_str(&event));
    buf_deinit(&rec);
    buf_deinit(&event);
}

void runner_rehearse(void)
{
    struct runner *r = &self;
    struct runner_channel ch;
    struct runner_frame f;
    if (channel_runner_attach(&ch, ring_memfd(), -1))
        return;
    write_play(ch.shm);
    become_spare(r, &ch);
    load_function(r);
    channel_runner_next(&ch, true, &f);
    invoke(r, &f);
}

noreturn void runner_main(struct runner_channel *ch)
{
    struct runner *r = &self;
    struct runner_frame f;
    runner_prepare();
    become_spare(r, ch);
    load_function(r);
    for (;;) {
        channel_runner_next(ch, true, &f);
        if (f.type == FRAME_RETIRE)
            channel_runner_exit(EXIT_QUIET);
        if (f.type == FRAME_INVOKE)
            invoke(r, &f);
        else
            channel_runner_pop(ch);
    }
}
