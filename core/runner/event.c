/* event: see the header. The values are pushed in the order in which the constructors of
 * lua/payload.lua take them. */
#include "runner/event.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/rec.h"
#include "runner/ljson.h"
#include "runner/text.h"

enum { STACK = 40 }; /* the constructor's arguments and what making them takes */

/* Mended when it is not UTF-8. */
static LJMP void push_text(lua_State *L, struct str s)
{
    if (!text_valid(s)) {
        struct buf *scratch = runner_scratch(L);
        text_mend(scratch, s);
        if (scratch->rc)
            runner_no_memory(L);
        s = buf_str(scratch);
    }
    lua_pushlstring(L, s.n ? s.p : "", s.n);
}

/* --- payload format 2.0 --- */

struct request { /* the record's fields, found in one walk */
    struct str method, path, query, domain, source_ip, api_id, protocol, body, user_agent, iam,
        fields;
    int64_t time_ms;
    int headers, cookies;
};

static void scan_request(struct str rec, struct request *q)
{
    uint16_t tag;
    struct str v;
    *q = (struct request){.fields = rec, .body = {NULL, 0}};
    while (rec_next(&rec, &tag, &v))
        switch (tag) {
        case URL_METHOD:
            q->method = v;
            break;
        case URL_RAW_PATH:
            q->path = v;
            break;
        case URL_RAW_QUERY:
            q->query = v;
            break;
        case URL_HEADER:
            q->headers++;
            if (str_eq(rec_str(v, 1), STR("user-agent")))
                q->user_agent = rec_str(v, 2);
            break;
        case URL_COOKIE:
            q->cookies++;
            break;
        case URL_DOMAIN:
            q->domain = v;
            break;
        case URL_SOURCE_IP:
            q->source_ip = v;
            break;
        case URL_API_ID:
            q->api_id = v;
            break;
        case URL_TIME_MS:
            q->time_ms = (int64_t)rec_int(v, 0);
            break;
        case URL_BODY:
            q->body = v;
            break;
        case URL_PROTOCOL:
            q->protocol = v;
            break;
        case URL_IAM:
            q->iam = v;
            break;
        default:
            break;
        }
}

static LJMP void push_headers(lua_State *L, const struct request *q)
{
    struct str rest = q->fields, v;
    uint16_t tag;
    lua_createtable(L, 0, q->headers);
    while (rec_next(&rest, &tag, &v)) {
        if (tag != URL_HEADER)
            continue;
        push_text(L, rec_str(v, 1));
        push_text(L, rec_str(v, 2));
        lua_rawset(L, -3);
    }
}

static LJMP void push_cookies(lua_State *L, const struct request *q)
{
    struct str rest = q->fields, v;
    uint16_t tag;
    int i = 0;
    if (q->cookies == 0) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, q->cookies, 0);
    while (rec_next(&rest, &tag, &v))
        if (tag == URL_COOKIE) {
            push_text(L, v);
            lua_rawseti(L, -2, ++i);
        }
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ARRAY);
    lua_setmetatable(L, -2);
}

/* One name or value of the query, decoded; as it stands when an escape is broken. */
static LJMP void push_decoded(lua_State *L, struct str s)
{
    struct buf *scratch = runner_scratch(L);
    if (str_index(s, '%', 0) < 0 && str_index(s, '+', 0) < 0) {
        push_text(L, s);
    } else if (uri_decode(scratch, s, true) && text_valid(buf_str(scratch))) {
        lua_pushlstring(L, scratch->n ? scratch->p : "", scratch->n);
    } else {
        if (scratch->rc)
            runner_no_memory(L);
        push_text(L, s);
    }
}

static LJMP void push_parameters(lua_State *L, const struct request *q)
{
    struct str rest = q->query;
    if (rest.n == 0) {
        lua_pushnil(L);
        return;
    }
    lua_newtable(L);
    while (rest.n) {
        struct str value = str_cut(&rest, '&'), name = str_cut(&value, '=');
        if (name.n == 0 && value.n == 0)
            continue;
        push_decoded(L, name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3); /* what stands there already is joined by a comma */
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            push_decoded(L, value);
        } else {
            lua_pushliteral(L, ",");
            push_decoded(L, value);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

/* The body, and whether it is base64. */
static LJMP void push_body(lua_State *L, const struct request *q)
{
    bool plain = text_valid(q->body);
    if (q->body.n == 0) {
        lua_pushnil(L);
    } else if (plain) {
        lua_pushlstring(L, q->body.p, q->body.n);
    } else {
        struct buf *scratch = runner_scratch(L);
        base64_encode(scratch, q->body);
        if (scratch->rc)
            runner_no_memory(L);
        lua_pushlstring(L, scratch->p, scratch->n);
    }
    lua_pushboolean(L, !plain);
}

/* "23/Nov/2026:11:32:04 +0000", kept for the second it is valid. */
static struct str stamp(struct runner *r, int64_t ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t s = (time_t)(ms / 1000);
    if (s != r->stamp_s || !r->stamp[0]) {
        struct clock_parts p;
        clock_split(ms, &p);
        snprintf(r->stamp, sizeof r->stamp, "%02d/%.3s/%04d:%02d:%02d:%02d +0000", p.day,
                 months + 3 * (p.month - 1), p.year, p.hour, p.minute, p.second);
        r->stamp_s = s;
    }
    return str_c(r->stamp);
}

static LJMP void set_text(lua_State *L, const char *name, struct str s)
{
    push_text(L, s);
    lua_setfield(L, -2, name);
}

/* The account, and the authorizer: who signed. */
static LJMP void push_caller(lua_State *L, const struct request *q)
{
    struct str arn = rec_str(q->iam, 2), account = arn;
    if (!q->iam.p) {
        lua_pushliteral(L, "anonymous");
        lua_pushnil(L);
        return;
    }
    for (int i = 0; i < 4; i++)
        str_cut(&account, ':');
    account = str_cut(&account, ':');
    push_text(L, account);
    lua_createtable(L, 0, 1);
    lua_createtable(L, 0, 5);
    set_text(L, "accessKey", rec_str(q->iam, 1));
    set_text(L, "accountId", account);
    set_text(L, "callerId", rec_str(q->iam, 3));
    set_text(L, "userArn", arn);
    set_text(L, "userId", rec_str(q->iam, 3));
    lua_setfield(L, -2, "iam");
}

static LJMP void push_request(lua_State *L, struct str rec)
{
    struct runner *r = runner_of(L);
    struct request q;
    scan_request(rec, &q);
    struct str rest = q.domain;
    int base = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_MAKE_REQUEST);
    lua_pushlstring(L, r->request_id, 36);
    push_text(L, stamp(r, q.time_ms));
    lua_pushnumber(L, (lua_Number)q.time_ms);
    push_text(L, q.api_id);
    push_caller(L, &q);
    push_text(L, q.domain);
    push_text(L, str_cut(&rest, '.'));
    push_text(L, q.method);
    push_text(L, q.path);
    push_text(L, q.protocol);
    push_text(L, q.source_ip);
    push_text(L, q.user_agent);
    push_text(L, q.query);
    push_parameters(L, &q);
    push_headers(L, &q);
    push_cookies(L, &q);
    push_body(L, &q);
    lua_call(L, lua_gettop(L) - base - 1, 1);
}

LJMP bool event_push(lua_State *L, const struct event *e)
{
    struct ljson_problem problem;
    luaL_checkstack(L, STACK, "an event");
    if (e->head.event_kind == EVENT_URL) {
        push_request(L, e->bytes);
        return true;
    }
    return ljson_read(L, e->bytes, 0, &problem);
}

/* --- context --- */

static double remaining_ms(lua_State *L)
{
    uint64_t now = clock_mono_ns(), deadline = runner_of(L)->deadline_ns;
    return now < deadline ? (double)((deadline - now) / 1000) / 1000.0 : 0;
}

static int get_remaining_time_in_millis(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)(int64_t)remaining_ms(L));
    return 1;
}

static int remaining_s(lua_State *L)
{
    lua_pushnumber(L, remaining_ms(L) / 1000.0);
    return 1;
}

LJMP void event_push_context(lua_State *L, const struct event *e)
{
    struct ljson_problem problem;
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_MAKE_CONTEXT);
    lua_pushlstring(L, e->head.request_id, sizeof e->head.request_id);
    push_text(L, e->arn);
    lua_pushnumber(L, e->head.attempt);
    if (!e->client_context.n || !ljson_read(L, e->client_context, 0, &problem))
        lua_pushnil(L);
    lua_call(L, 4, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_CONTEXT);
    lua_setmetatable(L, -2);
}

LJMP void event_setup_context(lua_State *L)
{
    struct runner *r = runner_of(L);
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 8);
    set_text(L, "function_name", r->name);
    set_text(L, "function_version", r->version);
    set_text(L, "log_group_name", r->log_group);
    set_text(L, "log_stream_name", r->log_stream);
    lua_pushinteger(L, (lua_Integer)r->memory_mb);
    lua_setfield(L, -2, "memory_limit_in_mb");
    lua_pushcfunction(L, get_remaining_time_in_millis);
    lua_setfield(L, -2, "get_remaining_time_in_millis");
    lua_pushcfunction(L, remaining_s);
    lua_setfield(L, -2, "remaining_s");
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "context");
    lua_setfield(L, -2, "__metatable");
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_CONTEXT);
}
