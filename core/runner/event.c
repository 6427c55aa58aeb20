/* event: see the header. The names of all fields are upvalues of the closure that runs an
 * invocation: pushing one is a copy, making one anew would hash and search it each time (35 names:
 * 0.7 us of a hello's 3). */
#include "runner/event.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/rec.h"
#include "runner/ljson.h"
#include "runner/text.h"

enum key {
    KEY_NONE,
#define X(name) KEY_##name,
#include "runner/event_keys.def"
#undef X
    /* values that are always the same */
    TEXT_2_0,
    TEXT_default,
    TEXT_anonymous,
    KEY_END
};

LJMP int event_push_keys(lua_State *L)
{
#define X(name) lua_pushliteral(L, #name);
#include "runner/event_keys.def"
#undef X
    lua_pushliteral(L, "2.0");
    lua_pushliteral(L, "$default");
    lua_pushliteral(L, "anonymous");
    return KEY_END - 1;
}

static void push_key(lua_State *L, enum key k)
{
    lua_pushvalue(L, lua_upvalueindex((int)k));
}

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

/* Sets field k of the table at the top. */
static LJMP void set_text(lua_State *L, enum key k, struct str s)
{
    push_key(L, k);
    push_text(L, s);
    lua_rawset(L, -3);
}

static LJMP void set_same(lua_State *L, enum key k, enum key value)
{
    push_key(L, k);
    push_key(L, value);
    lua_rawset(L, -3);
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

static LJMP void set_headers(lua_State *L, struct request *q)
{
    struct str rest = q->fields, v;
    uint16_t tag;
    push_key(L, KEY_headers);
    lua_createtable(L, 0, q->headers);
    while (rec_next(&rest, &tag, &v)) {
        if (tag != URL_HEADER)
            continue;
        struct str name = rec_str(v, 1), value = rec_str(v, 2);
        push_text(L, name);
        push_text(L, value);
        lua_rawset(L, -3);
        if (str_eq(name, STR("user-agent")))
            q->user_agent = value;
    }
    lua_rawset(L, -3);
}

static LJMP void set_cookies(lua_State *L, const struct request *q)
{
    struct str rest = q->fields, v;
    uint16_t tag;
    int i = 0;
    if (q->cookies == 0)
        return;
    push_key(L, KEY_cookies);
    lua_createtable(L, q->cookies, 0);
    while (rec_next(&rest, &tag, &v))
        if (tag == URL_COOKIE) {
            push_text(L, v);
            lua_rawseti(L, -2, ++i);
        }
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ARRAY);
    lua_setmetatable(L, -2);
    lua_rawset(L, -3);
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

static LJMP void set_query(lua_State *L, const struct request *q)
{
    struct str rest = q->query;
    if (rest.n == 0)
        return;
    push_key(L, KEY_queryStringParameters);
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
    lua_rawset(L, -3);
}

static LJMP void set_body(lua_State *L, const struct request *q)
{
    bool plain = text_valid(q->body);
    if (q->body.n) {
        push_key(L, KEY_body);
        if (plain) {
            lua_pushlstring(L, q->body.p, q->body.n);
        } else {
            struct buf *scratch = runner_scratch(L);
            base64_encode(scratch, q->body);
            if (scratch->rc)
                runner_no_memory(L);
            lua_pushlstring(L, scratch->p, scratch->n);
        }
        lua_rawset(L, -3);
    }
    push_key(L, KEY_isBase64Encoded);
    lua_pushboolean(L, !plain);
    lua_rawset(L, -3);
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

static LJMP void set_http(lua_State *L, const struct request *q)
{
    push_key(L, KEY_http);
    lua_createtable(L, 0, 5);
    set_text(L, KEY_method, q->method);
    set_text(L, KEY_path, q->path);
    set_text(L, KEY_protocol, q->protocol);
    set_text(L, KEY_sourceIp, q->source_ip);
    set_text(L, KEY_userAgent, q->user_agent);
    lua_rawset(L, -3);
}

/* Who signed; sets the account too. */
static LJMP void set_caller(lua_State *L, const struct request *q)
{
    struct str arn = rec_str(q->iam, 2), account = arn;
    for (int i = 0; i < 4; i++)
        str_cut(&account, ':');
    account = str_cut(&account, ':');
    set_text(L, KEY_accountId, account);
    push_key(L, KEY_authorizer);
    lua_createtable(L, 0, 1);
    push_key(L, KEY_iam);
    lua_createtable(L, 0, 5);
    set_text(L, KEY_accessKey, rec_str(q->iam, 1));
    set_text(L, KEY_accountId, account);
    set_text(L, KEY_callerId, rec_str(q->iam, 3));
    set_text(L, KEY_userArn, arn);
    set_text(L, KEY_userId, rec_str(q->iam, 3));
    lua_rawset(L, -3);
    lua_rawset(L, -3);
}

static LJMP void set_request_context(lua_State *L, const struct request *q)
{
    struct runner *r = runner_of(L);
    struct str rest = q->domain;
    push_key(L, KEY_requestContext);
    lua_createtable(L, 0, 10);
    if (q->iam.p)
        set_caller(L, q);
    else
        set_same(L, KEY_accountId, TEXT_anonymous);
    set_text(L, KEY_apiId, q->api_id);
    set_text(L, KEY_domainName, q->domain);
    set_text(L, KEY_domainPrefix, str_cut(&rest, '.'));
    set_http(L, q);
    set_text(L, KEY_requestId, str_of(r->request_id, 36));
    set_same(L, KEY_routeKey, TEXT_default);
    set_same(L, KEY_stage, TEXT_default);
    set_text(L, KEY_time, stamp(r, q->time_ms));
    push_key(L, KEY_timeEpoch);
    lua_pushnumber(L, (lua_Number)q->time_ms);
    lua_rawset(L, -3);
    lua_rawset(L, -3);
}

static LJMP void push_request(lua_State *L, struct str rec)
{
    struct request q;
    scan_request(rec, &q);
    lua_createtable(L, 0, 7 + (q.cookies > 0) + (q.query.n > 0) + (q.body.n > 0));
    set_same(L, KEY_version, TEXT_2_0);
    set_same(L, KEY_routeKey, TEXT_default);
    set_text(L, KEY_rawPath, q.path);
    set_text(L, KEY_rawQueryString, q.query);
    set_headers(L, &q);
    set_cookies(L, &q);
    set_query(L, &q);
    set_request_context(L, &q);
    set_body(L, &q);
}

LJMP bool event_push(lua_State *L, const struct event *e)
{
    struct ljson_problem problem;
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
    lua_createtable(L, 0, 5);
    push_key(L, KEY_aws_request_id);
    lua_pushlstring(L, e->head.request_id, sizeof e->head.request_id);
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    lua_rawset(L, -4); /* aws_request_id; the id stays below */
    push_key(L, KEY_request_id);
    lua_insert(L, -2);
    lua_rawset(L, -3);
    set_text(L, KEY_invoked_function_arn, e->arn);
    push_key(L, KEY_attempt);
    lua_pushnumber(L, e->head.attempt);
    lua_rawset(L, -3);
    if (e->client_context.n) {
        push_key(L, KEY_client_context);
        if (ljson_read(L, e->client_context, 0, &problem))
            lua_rawset(L, -3);
        else
            lua_pop(L, 1);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_CONTEXT);
    lua_setmetatable(L, -2);
}

static LJMP void set_field(lua_State *L, const char *name, struct str s)
{
    push_text(L, s);
    lua_setfield(L, -2, name);
}

LJMP void event_setup_context(lua_State *L)
{
    struct runner *r = runner_of(L);
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 8);
    set_field(L, "function_name", r->name);
    set_field(L, "function_version", r->version);
    set_field(L, "log_group_name", r->log_group);
    set_field(L, "log_stream_name", r->log_stream);
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
