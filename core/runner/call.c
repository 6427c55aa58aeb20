/* call: the table of fields says how each argument and result travels; the rest is one exchange.
 *
 * Results come in any order. Whoever waits for one puts the others aside: only their first frames
 * can come, since the rest of a payload waits for our credit, which is granted to one at a time.
 *
 * Everything read from Lua goes into the runner's own buffer before the frame is sent, and a result
 * is copied out of the ring before a Lua value is made of it, so that an error thrown on the way
 * leaves the channel in order. */
#include "runner/call.h"

#include "base/err.h"
#include "base/rec.h"
#include "svc/hostcall_tags.h"

enum kind { NONE, BYTES, INT, FLAG, TIME, MAP, LIST, ROWS };

static const struct {
    const char *name; /* the field's key in results and in the table of numbers */
    enum kind kind;
} fields[] = {
    [HC_NAME] = {"name", BYTES},
    [HC_BODY] = {"body", BYTES},
    [HC_MS] = {"ms", INT},
    [HC_BUCKET] = {"bucket", BYTES},
    [HC_KEY] = {"key", BYTES},
    [HC_RANGE] = {"range", BYTES},
    [HC_CONTENT_TYPE] = {"content_type", BYTES},
    [HC_META] = {"metadata", MAP},
    [HC_IF_NONE_MATCH] = {"if_none_match", FLAG},
    [HC_ETAG] = {"etag", BYTES},
    [HC_SIZE] = {"size", INT},
    [HC_LAST_MODIFIED] = {"last_modified", TIME},
    [HC_PREFIX] = {"prefix", BYTES},
    [HC_DELIMITER] = {"delimiter", BYTES},
    [HC_CURSOR] = {"cursor", BYTES},
    [HC_LIMIT] = {"limit", INT},
    [HC_ENTRY] = {"entries", ROWS},
    [HC_COMMON_PREFIX] = {"common_prefixes", LIST},
    [HC_NAMESPACE] = {"namespace", BYTES},
    [HC_VALUE] = {"value", BYTES},
    [HC_VERSION] = {"version", INT},
    [HC_TTL_MS] = {"ttl_ms", INT},
    [HC_IF_ABSENT] = {"if_absent", FLAG},
    [HC_IF_VERSION] = {"if_version", INT},
    [HC_N] = {"n", INT},
    [HC_INIT] = {"init", INT},
    [HC_FUNCTION] = {"function", BYTES},
    [HC_QUALIFIER] = {"qualifier", BYTES},
    [HC_PAYLOAD] = {"payload", BYTES},
    [HC_FUNCTION_ERROR] = {"function_error", FLAG},
    [HC_DELAY_MS] = {"delay_ms", INT},
    [HC_REQUEST_ID] = {"request_id", BYTES},
    [HC_EXISTS] = {"exists", FLAG},
    [HC_OP] = {"op", ROWS},
    [HC_KIND] = {"kind", INT},
    [HC_KEEP_TTL] = {"keep_ttl", FLAG},
    [HC_URL] = {"url", BYTES},
    [HC_METHOD] = {"method", BYTES},
    [HC_HEADERS] = {"headers", MAP},
    [HC_MAX_BYTES] = {"max_bytes", INT},
    [HC_STATUS] = {"status", INT},
    [HC_FROM_BUCKET] = {"from_bucket", BYTES},
    [HC_FROM_KEY] = {"from_key", BYTES},
    [HC_EXPIRES_S] = {"expires_s", INT},
    [HC_HANDLE] = {"handle", INT},
    [HC_LEFT] = {"left", INT},
};
enum {
    FIELDS = sizeof fields / sizeof *fields,
    ARGS_MAX = 7 * 1024 * 1024,
    BEGUN_BYTES_MAX = 8 * 1024 * 1024, /* arguments of begun calls together, the first one apart */
    EXIT_PROTOCOL = 70,
    MAP_NAME = 1,
    MAP_VALUE
};
_Static_assert(ARGS_MAX + 1024 * 1024 <= (int)FRAME_REASSEMBLY_MAX, "the core takes what we send");

/* --- arguments --- */

static LJMP struct str argument_bytes(lua_State *L, int idx, const char *what)
{
    struct str s = {NULL, 0};
    if (lua_type(L, idx) == LUA_TSTRING || lua_type(L, idx) == LUA_TNUMBER)
        s.p = lua_tolstring(L, idx, &s.n);
    else
        luaL_error(L, "%s must be a string, not a %s", what, luaL_typename(L, idx));
    return s;
}

static LJMP void put_map(lua_State *L, struct buf *out, uint16_t tag, int idx)
{
    luaL_checktype(L, idx, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        size_t mark = rec_begin(out, tag);
        lua_pushvalue(L, -2); /* a copy: lua_tolstring would change a number that is a key */
        rec_put_str(out, MAP_NAME, argument_bytes(L, -1, "a metadata name"));
        lua_pop(L, 1);
        rec_put_str(out, MAP_VALUE, argument_bytes(L, -1, "a metadata value"));
        rec_end(out, mark);
        lua_pop(L, 1);
    }
}

static LJMP void put_argument(lua_State *L, struct buf *out, uint16_t tag, int idx);

static LJMP uint16_t check_tag(lua_State *L, int idx)
{
    int tag = (int)luaL_checkinteger(L, idx);
    if (tag <= 0 || tag >= FIELDS || !fields[tag].kind)
        luaL_error(L, "not a tag");
    return (uint16_t)tag;
}

/* A list of lists {TAG, value, …}. */
static LJMP void put_rows(lua_State *L, struct buf *out, uint16_t tag, int idx)
{
    luaL_checktype(L, idx, LUA_TTABLE);
    luaL_checkstack(L, 4, "rows");
    int count = (int)lua_objlen(L, idx);
    for (int i = 1; i <= count; i++) {
        size_t mark = rec_begin(out, tag);
        lua_rawgeti(L, idx, i);
        luaL_checktype(L, -1, LUA_TTABLE);
        int row = lua_gettop(L), n = (int)lua_objlen(L, row);
        for (int k = 1; k < n; k += 2) {
            lua_rawgeti(L, row, k);
            lua_rawgeti(L, row, k + 1);
            put_argument(L, out, check_tag(L, -2), row + 2);
            lua_settop(L, row);
        }
        lua_pop(L, 1);
        rec_end(out, mark);
    }
}

static LJMP void put_argument(lua_State *L, struct buf *out, uint16_t tag, int idx)
{
    switch (fields[tag].kind) {
    case BYTES:
        rec_put_str(out, tag, argument_bytes(L, idx, fields[tag].name));
        break;
    case FLAG:
        if (lua_toboolean(L, idx))
            rec_put_u64(out, tag, 1);
        break;
    case INT:
        rec_put_u64(out, tag, (uint64_t)(int64_t)luaL_checknumber(L, idx));
        break;
    case MAP:
        put_map(L, out, tag, idx);
        break;
    case ROWS:
        put_rows(L, out, tag, idx);
        break;
    default:
        luaL_error(L, "%s is no argument", fields[tag].name);
    }
}

/* Writes all into r->out; false when they are more than a call may carry. */
static LJMP bool put_arguments(lua_State *L, struct runner *r)
{
    uint64_t room = runner_room(L);
    int top = lua_gettop(L);
    buf_clear(&r->out);
    r->out.limit = room < ARGS_MAX ? (room ? room : 1) : ARGS_MAX;
    for (int i = 2; i < top; i += 2) {
        uint16_t tag = check_tag(L, i);
        if (!lua_isnil(L, i + 1))
            put_argument(L, &r->out, tag, i + 1);
    }
    if (r->out.rc && room < ARGS_MAX)
        runner_no_memory(L);
    return r->out.rc == 0;
}

/* --- the exchange --- */

static void send_call(struct runner *r, int number)
{
    struct frame_call head = {
        .invocation = r->invocation, .number = (uint16_t)number, .size = (uint32_t)r->out.n};
    struct str bytes = str_of((const char *)&head, sizeof head);
    channel_runner_send_payload(r->ch, FRAME_CALL, ++r->calls, bytes, buf_str(&r->out),
                                FRAME_F_CALL);
    if (memory_hold(&r->memory, r->out.cap)) /* seen by the peak */
        memory_drop(&r->memory, r->out.cap);
}

/* --- what comes back --- */

void call_forget(struct runner *r)
{
    r->calls_past = r->calls;
    r->begun = 0;
    r->begun_bytes = 0;
    for (uint32_t i = 0; i < r->early_count; i++)
        buf_deinit(&r->early[i].frame);
    r->early_count = 0;
}

static void note_begun(struct runner *r)
{
    r->open[r->begun++] = (struct begun){r->calls, (uint32_t)r->out.n};
    r->begun_bytes += r->out.n;
}

static void note_taken(struct runner *r, uint32_t id)
{
    for (uint32_t i = 0; i < r->begun; i++)
        if (r->open[i].id == id) {
            r->begun_bytes -= r->open[i].bytes;
            r->open[i] = r->open[--r->begun];
            return;
        }
}

/* Puts a result aside, in place of nothing: there are at most CALLS_MAX calls without a taken one.
 */
static void put_aside(struct runner *r, const struct runner_frame *f)
{
    if (r->early_count == CALLS_MAX)
        channel_runner_exit(EXIT_PROTOCOL);
    struct early *e = &r->early[r->early_count++];
    *e = (struct early){.id = f->id};
    buf_add(&e->frame, f->body);
    if (e->frame.rc)
        channel_runner_exit(EXIT_PROTOCOL);
}

/* The next frame of `data` that is of a call of this invocation. */
static void next_frame(struct runner *r, struct runner_frame *f)
{
    for (;;) {
        channel_runner_next(r->ch, false, f);
        if (f->type == FRAME_RETIRE)
            channel_runner_exit(0);
        bool ours = f->id > r->calls_past && f->id <= r->calls;
        if (ours &&
            (f->type == FRAME_RESULT || (f->type == FRAME_CHUNK && f->flags & FRAME_F_CALL)))
            return;
        channel_runner_pop(r->ch);
    }
}

/* The first frame of the result of call *id, or of any when that is 0; into `frame`, so that the
 * ring is free. */
static void next_result(struct runner *r, uint32_t *id, struct buf *frame)
{
    struct runner_frame f;
    for (uint32_t i = 0; i < r->early_count; i++) {
        if (*id && r->early[i].id != *id)
            continue;
        *id = r->early[i].id;
        buf_deinit(frame);
        *frame = r->early[i].frame;
        memmove(&r->early[i], &r->early[i + 1], (--r->early_count - i) * sizeof *r->early);
        return;
    }
    for (bool found = false; !found;) {
        next_frame(r, &f);
        found = f.type == FRAME_RESULT && (!*id || f.id == *id);
        if (found) {
            *id = f.id;
            buf_clear(frame);
            buf_add(frame, f.body);
        } else if (f.type == FRAME_RESULT) {
            put_aside(r, &f);
        }
        channel_runner_pop(r->ch);
    }
}

/* Takes the chunks of a payload whose credit has been granted. */
static void take_chunks(struct runner *r, uint32_t id, struct runner_inbox *in)
{
    struct runner_frame f;
    for (bool whole = false; !whole;) {
        next_frame(r, &f);
        if (f.type == FRAME_CHUNK && f.id == id)
            whole = channel_runner_inbox_add(in, f.body);
        else if (f.type == FRAME_RESULT)
            put_aside(r, &f);
        channel_runner_pop(r->ch);
    }
}

/* Takes the result of call *id (0: any) into r->inbox; false when there is no memory for it. */
static LJMP bool receive(lua_State *L, struct runner *r, uint32_t *id, int *rc, struct str *result)
{
    struct frame_result head;
    struct runner_inbox in;
    next_result(r, id, &r->first);
    struct str body = buf_str(&r->first);
    if (body.n < sizeof head)
        channel_runner_exit(EXIT_PROTOCOL);
    memcpy(&head, body.p, sizeof head);
    note_taken(r, *id);
    buf_clear(&r->inbox);
    r->inbox.limit = head.size;
    bool room = head.size <= r->inbox.cap;
    if (!room && runner_hold(L, head.size))
        room = buf_reserve(&r->inbox, head.size) != NULL;
    if (!room && head.size)
        return false;
    if (!channel_runner_inbox_open(r->ch, &in, r->inbox.p, head.size, str_from(body, sizeof head),
                                   FRAME_F_CALL, *id))
        take_chunks(r, *id, &in);
    *result = str_of(r->inbox.p, head.size);
    *rc = head.rc;
    return true;
}

/* --- results --- */

static LJMP void push_fields(lua_State *L, struct str rec);

static LJMP void push_bytes(lua_State *L, struct str s)
{
    lua_pushlstring(L, s.n ? s.p : "", s.n);
}

/* The table under key fields[tag].name of the table at idx, made when it is missing. */
static LJMP void push_inner(lua_State *L, int idx, uint16_t tag)
{
    lua_pushstring(L, fields[tag].name);
    lua_rawget(L, idx);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushstring(L, fields[tag].name);
    lua_pushvalue(L, -2);
    lua_rawset(L, idx);
}

/* Adds a field that may come several times to its table. */
static LJMP void add_repeated(lua_State *L, int idx, uint16_t tag, struct str v)
{
    push_inner(L, idx, tag);
    if (fields[tag].kind == MAP) {
        push_bytes(L, rec_str(v, MAP_NAME));
        push_bytes(L, rec_str(v, MAP_VALUE));
        lua_rawset(L, -3);
    } else {
        if (fields[tag].kind == ROWS)
            push_fields(L, v);
        else
            push_bytes(L, v);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    }
    lua_pop(L, 1);
}

static LJMP void push_fields(lua_State *L, struct str rec)
{
    uint16_t tag;
    struct str v;
    luaL_checkstack(L, 8, "result");
    lua_createtable(L, 0, 6);
    int idx = lua_gettop(L);
    while (rec_next(&rec, &tag, &v)) {
        enum kind kind = tag < FIELDS ? fields[tag].kind : NONE;
        if (kind == MAP || kind == ROWS || kind == LIST)
            add_repeated(L, idx, tag, v);
        if (kind == BYTES || kind == INT || kind == TIME || kind == FLAG) {
            lua_pushstring(L, fields[tag].name);
            if (kind == BYTES)
                push_bytes(L, v);
            else if (kind == FLAG)
                lua_pushboolean(L, rec_int(v, 0) != 0);
            else
                lua_pushnumber(L, (double)(int64_t)rec_int(v, 0) / (kind == TIME ? 1000.0 : 1.0));
            lua_rawset(L, idx);
        }
    }
}

static int error_tostring(lua_State *L)
{
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "code");
        lua_rawget(L, 1);
        lua_pushliteral(L, "message");
        lua_rawget(L, 1);
        if (lua_isstring(L, -2) && lua_isstring(L, -1)) {
            lua_pushliteral(L, ": ");
            lua_insert(L, -2);
            lua_concat(L, 3);
            return 1;
        }
    }
    lua_pushliteral(L, "error");
    return 1;
}

LJMP void call_push_error(lua_State *L, struct str code, struct str message)
{
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "code");
    push_bytes(L, code);
    lua_rawset(L, -3);
    lua_pushliteral(L, "message");
    push_bytes(L, message);
    lua_rawset(L, -3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ERROR);
    if (lua_isnil(L, -1)) { /* the first one of this state */
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushcfunction(L, error_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushliteral(L, "error");
        lua_setfield(L, -2, "__metatable");
        lua_pushvalue(L, -1);
        lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ERROR);
    }
    lua_setmetatable(L, -2);
}

int call_new_error(lua_State *L)
{
    struct str code, message;
    code.p = luaL_checklstring(L, 1, &code.n);
    message.p = luaL_checklstring(L, 2, &message.n);
    call_push_error(L, code, message);
    return 1;
}

static LJMP int give_error(lua_State *L, struct str code, struct str message)
{
    lua_pushnil(L);
    call_push_error(L, code, message);
    return 2;
}

/* Writes the arguments: the number of values pushed, 0 when all is well. */
static LJMP int prepare(lua_State *L, struct runner *r, int *number)
{
    *number = (int)luaL_checkinteger(L, 1);
    luaL_argcheck(L, *number > 0 && *number < HC_CALL_COUNT, 1, "not a host call");
    if (r->sealed)
        return give_error(L, STR("AccessDenied"), STR("host calls cannot be made here"));
    if (!put_arguments(L, r))
        return give_error(L, STR("TooLarge"), STR("the arguments of one call may be 7 MiB"));
    lua_settop(L, 0);
    return 0;
}

/* Waits for the result of call *id (0: any) and pushes it. */
static LJMP int give_result(lua_State *L, struct runner *r, uint32_t *id)
{
    struct str result;
    int rc, pushed = 1;
    if (!receive(L, r, id, &rc, &result))
        runner_no_memory(L);
    if (rc == 0) {
        push_fields(L, result);
    } else {
        struct str code = rec_str(result, HC_ERR_CODE), text = rec_str(result, HC_ERR_TEXT);
        pushed = give_error(L, code.p ? code : str_c(err_row(rc)->lua),
                            text.p ? text : str_c(err_row(rc)->text));
    }
    runner_trim(r);
    return pushed;
}

static int call(lua_State *L)
{
    struct runner *r = runner_of(L);
    int number, pushed = prepare(L, r, &number);
    if (pushed)
        return pushed;
    send_call(r, number);
    note_begun(r);
    uint32_t id = r->calls;
    return give_result(L, r, &id);
}

static int begin(lua_State *L)
{
    struct runner *r = runner_of(L);
    int number;
    if (r->begun >= CALLS_MAX - 1) /* one is for `call` */
        return 0;
    int pushed = prepare(L, r, &number);
    if (pushed)
        return pushed;
    if (r->begun == 0 || r->begun_bytes + r->out.n <= BEGUN_BYTES_MAX) {
        send_call(r, number);
        note_begun(r);
        lua_pushnumber(L, r->calls);
        pushed = 1;
    }
    runner_trim(r);
    return pushed;
}

static int take(lua_State *L)
{
    struct runner *r = runner_of(L);
    uint32_t id = 0;
    if (r->begun == 0)
        return luaL_error(L, "no host call is open");
    lua_settop(L, 0);
    lua_pushnil(L);
    int pushed = give_result(L, r, &id);
    lua_pushnumber(L, id);
    lua_replace(L, 1);
    return 1 + pushed;
}

LJMP void call_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"call", call}, {"begin", begin}, {"take", take}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

LJMP void call_push_numbers(lua_State *L)
{
    static const char *const names[] = {
#define X(number, name, action, resource) [number] = name,
#include "svc/hostcall.def"
#undef X
    };
    lua_createtable(L, 0, FIELDS + HC_CALL_COUNT);
    for (int tag = 0; tag < FIELDS; tag++)
        if (fields[tag].kind) {
            lua_pushinteger(L, tag);
            lua_setfield(L, -2, fields[tag].name);
        }
    for (int number = 1; number < HC_CALL_COUNT; number++) {
        lua_pushinteger(L, number);
        lua_setfield(L, -2, names[number]);
    }
}
