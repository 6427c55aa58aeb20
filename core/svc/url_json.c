/* url_json: trees of jansson, since nobody waits for them: they are made on the store's thread. */
#include "svc/url_json.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/rec.h"
#include "proc/frame.h"

#define NOT_KEPT "(not kept)"

static bool is_secret(struct str name)
{
    return str_is(name, "authorization") || str_is(name, "proxy-authorization") ||
           str_is(name, "x-amz-security-token");
}

static json_t *headers_json(struct str rec, bool answer)
{
    json_t *o = json_object();
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        json_t *name = tag == URL_HEADER ? json_text(rec_str(v, 1)) : NULL;
        if (!name)
            continue;
        bool hide = !answer && is_secret(rec_str(v, 1));
        json_object_set_new(o, json_string_value(name),
                            hide ? json_string(NOT_KEPT) : json_text(rec_str(v, 2)));
        json_decref(name);
    }
    return o;
}

/* Their names: "session=(not kept)". */
static json_t *cookies_json(struct str rec)
{
    json_t *list = json_array();
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        struct buf b = BUF_INIT;
        if (tag != URL_COOKIE)
            continue;
        buf_add(&b, str_cut(&v, '='));
        buf_lit(&b, "=" NOT_KEPT);
        json_array_append_new(list, json_text(buf_str(&b)));
        buf_deinit(&b);
    }
    return list;
}

static json_t *decoded(struct str s)
{
    struct buf b = BUF_INIT;
    json_t *v = json_text(uri_decode(&b, s, true) ? buf_str(&b) : s);
    buf_deinit(&b);
    return v;
}

/* What a name has already is joined by a comma. */
static json_t *query_json(struct str query)
{
    json_t *o = json_object();
    while (query.n) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');
        if (!name.n && !value.n)
            continue;
        json_t *key = decoded(name), *v = decoded(value);
        const json_t *old = json_object_get(o, json_string_value(key));
        json_object_set_new(
            o, json_string_value(key),
            old ? json_sprintf("%s,%s", json_string_value(old), json_string_value(v))
                : json_incref(v));
        json_decref(key);
        json_decref(v);
    }
    return o;
}

static void set_body(json_t *o, struct str rec)
{
    struct str body = rec_str(rec, URL_BODY);
    struct buf b = BUF_INIT;
    json_t *text = json_stringn(body.n ? body.p : "", body.n); /* NULL when it is no UTF-8 */
    if (!text)
        base64_encode(&b, body);
    json_object_set_new(o, "isBase64Encoded", json_boolean(!text));
    if (body.n)
        json_object_set_new(o, "body", text ? json_incref(text) : json_text(buf_str(&b)));
    json_decref(text);
    buf_deinit(&b);
}

static json_t *http_json(struct str rec, const json_t *headers)
{
    json_t *o = json_object(), *agent = json_object_get(headers, "user-agent");
    json_object_set_new(o, "method", json_text(rec_str(rec, URL_METHOD)));
    json_object_set_new(o, "path", json_text(rec_str(rec, URL_RAW_PATH)));
    json_object_set_new(o, "protocol", json_text(rec_str(rec, URL_PROTOCOL)));
    json_object_set_new(o, "sourceIp", json_text(rec_str(rec, URL_SOURCE_IP)));
    json_object_set(o, "userAgent", agent ? agent : json_null());
    return o;
}

static json_t *context_json(struct str rec, const json_t *headers, const char *request_id)
{
    json_t *o = json_object();
    struct str domain = rec_str(rec, URL_DOMAIN), rest = domain, iam = rec_str(rec, URL_IAM);
    uint64_t time_ms = rec_u64(rec, URL_TIME_MS, 0);
    json_object_set_new(o, "accountId", json_string(iam.n ? "000000000000" : "anonymous"));
    json_object_set_new(o, "apiId", json_text(rec_str(rec, URL_API_ID)));
    if (iam.n)
        json_object_set_new(o, "authorizer",
                            json_pack("{s:{s:o, s:o}}", "iam", "userArn",
                                      json_text(rec_str(iam, 2)), "userId",
                                      json_text(rec_str(iam, 3))));
    json_object_set_new(o, "domainName", json_text(domain));
    json_object_set_new(o, "domainPrefix", json_text(str_cut(&rest, '.')));
    json_object_set_new(o, "http", http_json(rec, headers));
    json_object_set_new(o, "requestId", json_string(request_id));
    json_object_set_new(o, "routeKey", json_string("$default"));
    json_object_set_new(o, "stage", json_string("$default"));
    json_object_set_new(o, "timeEpoch", json_integer((json_int_t)time_ms));
    return o;
}

void url_json_event(struct buf *out, struct str rec, const char *request_id)
{
    json_t *o = json_object(), *headers = headers_json(rec, false), *cookies = cookies_json(rec);
    struct str query = rec_str(rec, URL_RAW_QUERY);
    json_object_set_new(o, "version", json_string("2.0"));
    json_object_set_new(o, "routeKey", json_string("$default"));
    json_object_set_new(o, "rawPath", json_text(rec_str(rec, URL_RAW_PATH)));
    json_object_set_new(o, "rawQueryString", json_text(query));
    if (json_array_size(cookies))
        json_object_set(o, "cookies", cookies);
    json_object_set(o, "headers", headers);
    if (query.n)
        json_object_set_new(o, "queryStringParameters", query_json(query));
    json_object_set_new(o, "requestContext", context_json(rec, headers, request_id));
    set_body(o, rec);
    json_write(out, o);
    json_decref(headers);
    json_decref(cookies);
    json_decref(o);
}

void url_json_answer(struct buf *out, struct str rec)
{
    json_t *o = json_object(), *cookies = cookies_json(rec);
    json_object_set_new(o, "statusCode", json_integer((json_int_t)rec_u64(rec, URL_STATUS, 200)));
    json_object_set_new(o, "headers", headers_json(rec, true));
    if (json_array_size(cookies))
        json_object_set(o, "cookies", cookies);
    set_body(o, rec);
    json_write(out, o);
    json_decref(cookies);
    json_decref(o);
}

void url_json_cut(struct buf *out, struct str rec, size_t body_max)
{
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        size_t n = tag == URL_BODY && v.n > body_max ? body_max : v.n;
        while (n < v.n && n && ((unsigned char)v.p[n] & 0xC0) == 0x80)
            n--; /* not amid a character */
        rec_put_str(out, tag, str_of(v.p, n));
    }
}
