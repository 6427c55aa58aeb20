/* url_cors: CORS of function URLs, by the configuration that the function has.
 *
 * A preflight is answered here, signed or not, and does not run the function. Every other answer to a
 * request with an Origin that is let in gets the headers, in place of the function's own. */
#include "api/url_call.h"
#include "base/json.h"

/* One of the list's texts, or "*". */
static bool lists(const json_t *list, struct str text, bool any_case)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        struct str s = json_bytes(item);
        if (str_is(s, "*") || str_eq(s, text) || (any_case && str_ieq(s, text)))
            return true;
    }
    return false;
}

/* The list's texts with commas, in the arena; p NULL when there are none. */
static struct str joined(struct url_call *u, const char *member)
{
    const json_t *list = json_object_get(u->fn->url_cors, member);
    struct buf b = BUF_INIT;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (i)
            buf_addc(&b, ',');
        buf_add(&b, json_bytes(item));
    }
    struct str out = b.n ? arena_dup(u->req->arena, buf_str(&b)) : (struct str){NULL, 0};
    buf_deinit(&b);
    return out;
}

static void add(struct url_call *u, struct str name, struct str value)
{
    if (value.p)
        u->cors_headers[u->cors_count++] = (struct http_header){name, value};
}

/* Access-Control-Allow-Origin, and -Credentials; false when the origin is not let in. */
static bool allow_origin(struct url_call *u, struct str origin)
{
    const json_t *cors = u->fn->url_cors, *origins = json_object_get(cors, "AllowOrigins");
    bool credentials = json_is_true(json_object_get(cors, "AllowCredentials"));
    if (!origin.n || !lists(origins, origin, false))
        return false;
    bool all = str_is(json_bytes(json_array_get(origins, 0)), "*") && !credentials;
    add(u, STR("Access-Control-Allow-Origin"), all ? STR("*") : origin);
    if (credentials)
        add(u, STR("Access-Control-Allow-Credentials"), STR("true"));
    return true;
}

void url_cors_headers(struct url_call *u)
{
    u->cors = true;
    if (allow_origin(u, http_header(u->req, "origin")))
        add(u, STR("Access-Control-Expose-Headers"), joined(u, "ExposeHeaders"));
    add(u, STR("Vary"), STR("Origin"));
}

/* Every header that the page wants to send must be allowed. */
static bool headers_allowed(struct url_call *u)
{
    const json_t *list = json_object_get(u->fn->url_cors, "AllowHeaders");
    struct str asked = http_header(u->req, "access-control-request-headers");
    while (asked.n) {
        struct str one = str_trim(str_cut(&asked, ','));
        if (one.n && !lists(list, one, true))
            return false;
    }
    return true;
}

static void preflight_headers(struct url_call *u, struct str method)
{
    const json_t *cors = u->fn->url_cors, *age = json_object_get(cors, "MaxAge");
    if (lists(json_object_get(cors, "AllowMethods"), method, false) && headers_allowed(u) &&
        allow_origin(u, http_header(u->req, "origin"))) {
        add(u, STR("Access-Control-Allow-Methods"), joined(u, "AllowMethods"));
        add(u, STR("Access-Control-Allow-Headers"), joined(u, "AllowHeaders"));
        if (json_is_integer(age))
            add(u, STR("Access-Control-Max-Age"),
                arena_printf(u->req->arena, "%lld", (long long)json_integer_value(age)));
    }
    add(u, STR("Vary"), STR("Origin,Access-Control-Request-Method,Access-Control-Request-Headers"));
}

bool url_cors_preflight(struct url_call *u)
{
    struct http_header headers[URL_CORS_HEADERS + 1];
    struct str method = http_header(u->req, "access-control-request-method");
    if (!str_is(u->req->method, "OPTIONS") || !http_header(u->req, "origin").n || !method.n)
        return false;
    preflight_headers(u, method);
    memcpy(headers, u->cors_headers, u->cors_count * sizeof *headers);
    headers[u->cors_count] = (struct http_header){STR("x-amzn-RequestId"), str_c(u->req->id)};
    http_reply(u->req, 200, headers, u->cors_count + 1, STR(""));
    return true;
}
