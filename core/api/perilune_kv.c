/* perilune_kv: the key-value store and the secrets, for people and their tools.
 *
 *   GET    /perilune/v1/kv                    {"namespaces":["NS", …], "cursor":…}
 *   GET    /perilune/v1/kv/NS                 {"items":[{"key","version","size","expires"?,"value"?}],
 *          ?prefix=&limit=&cursor=&values=1    "cursor": text or null}
 *   GET    /perilune/v1/kv/NS/KEY             the value's bytes; its version is the ETag
 *   PUT    /perilune/v1/kv/NS/KEY             body: the value's bytes -> {"version":N}
 *          ?ttl=SECONDS&if_absent=1&if_version=N
 *   DELETE /perilune/v1/kv/NS/KEY             {"existed":true}
 *          ?if_version=N
 *   GET    /perilune/v1/secrets               {"secrets":[{"name","created","changed"}], "cursor":…}
 *   PUT    /perilune/v1/secrets/NAME          body: the value's bytes -> {"name","created"}
 *   DELETE /perilune/v1/secrets/NAME          204
 *
 * A key or name is one segment: "/" in it is %2F. In JSON, bytes that are no UTF-8 travel as
 * "key_base64" and "value_base64" instead. Nothing here answers a secret's value. Functions reach
 * the same rows by host calls (svc/hostcall_kv.c, svc/hostcall_secret.c) under the same names of
 * resources: kv/NS, secret/NAME. */
#include "api/gate.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/log.h"
#include "svc/kv.h"
#include "svc/secret.h"

enum { PAGE_BYTES_MAX = 64 * 1024, NAMESPACES_MAX = 1000 };

struct write { /* in the call's arena */
    struct job job;
    struct call *call;
    struct buf sealed;
    uint64_t ttl_ms, if_version, version;
    bool if_absent, existed, created;
};

/* --- arguments ---------------------------------------------------------------------------------
 */

/* A query parameter as a number within max; dflt when it is not given. */
static int number(struct call *c, const char *name, uint64_t dflt, uint64_t max, uint64_t *out,
                  struct err *err)
{
    struct str s = call_query(c, name);
    *out = dflt;
    if (s.p && (!str_u64(s, out) || *out > max))
        return err_set(err, E_INVALID, "'%s' must be a number from 0 to %llu", name,
                       (unsigned long long)max);
    return 0;
}

static int flag(struct call *c, const char *name, bool *out, struct err *err)
{
    struct str s = call_query(c, name);
    *out = str_is(s, "1") || str_is(s, "true");
    if (s.n && !*out && !str_is(s, "0") && !str_is(s, "false"))
        return err_set(err, E_INVALID, "'%s' must be 1 or 0", name);
    return 0;
}

static int check_place(struct call *c, struct err *err)
{
    if (kv_namespace_check(c->param[0]) != 0)
        return err_set(err, E_INVALID,
                       "A namespace has 1 to 64 of A-Z, a-z, 0-9, '.', '-' and '_'");
    if (c->param[1].n > KV_KEY_MAX)
        return err_set(err, E_INVALID, "A kv key has 1 to %d bytes", KV_KEY_MAX);
    return 0;
}

static int check_secret_name(struct call *c, struct err *err)
{
    return secret_name_check(c->param[0]) == 0
               ? 0
               : err_set(err, E_INVALID, "A secret's name has 1 to %d of A-Z, a-z, 0-9 and -_./+=@",
                         SECRET_NAME_MAX);
}

/* Cursors are opaque: a key in base64. */
static int read_cursor(struct call *c, struct buf *out, struct err *err)
{
    struct str s = call_query(c, "cursor");
    buf_init(out, KV_KEY_MAX);
    return !s.n || (base64url_decode(out, s) && !out->rc)
               ? 0
               : err_set(err, E_INVALID, "'cursor' is none that was given here");
}

static json_t *make_cursor(struct str last)
{
    struct buf b = BUF_INIT;
    if (!last.n)
        return json_null();
    base64url_encode(&b, last);
    json_t *s = json_text(buf_str(&b));
    buf_deinit(&b);
    return s;
}

/* --- kv: reading -------------------------------------------------------------------------------
 */

static void set_bytes(json_t *o, const char *name, struct str v)
{
    char other[32];
    struct buf b = BUF_INIT;
    json_t *text = json_stringn(v.n ? v.p : "", v.n); /* NULL when it is no UTF-8 */
    if (text) {
        json_object_set_new(o, name, text);
        return;
    }
    base64_encode(&b, v);
    snprintf(other, sizeof other, "%s_base64", name);
    json_object_set_new(o, other, json_text(buf_str(&b)));
    buf_deinit(&b);
}

static void set_time(json_t *o, const char *name, int64_t ms)
{
    char text[25];
    clock_iso8601(ms, text);
    json_object_set_new(o, name, json_string(text));
}

struct listing {
    json_t *items;
    bool values;
};

static void list_entry(void *ctx, struct str key, const struct kv_item *item)
{
    struct listing *l = ctx;
    json_t *o = json_object();
    set_bytes(o, "key", key);
    json_object_set_new(o, "version", json_integer((json_int_t)item->version));
    json_object_set_new(o, "size", json_integer((json_int_t)item->value.n));
    if (item->expires_ms)
        set_time(o, "expires", item->expires_ms);
    if (l->values)
        set_bytes(o, "value", item->value);
    json_array_append_new(l->items, o);
}

void perilune_kv_list(struct call *c)
{
    struct err err = {0};
    struct buf after, last = BUF_INIT;
    uint64_t limit = 0;
    struct listing l = {0};
    bool truncated;
    int rc = read_cursor(c, &after, &err);
    if (rc || (rc = check_place(c, &err)) ||
        (rc = number(c, "limit", 100, KV_LIST_MAX, &limit, &err)) ||
        (rc = flag(c, "values", &l.values, &err))) {
        call_error(c, rc, &err);
        buf_deinit(&after);
        return;
    }
    struct kv_list q = {
        .ns = c->param[0],
        .prefix = call_query(c, "prefix"),
        .after = buf_str(&after),
        .limit = limit ? (size_t)limit : 1,
        .max_bytes = PAGE_BYTES_MAX,
        .keys_only = !l.values,
    };
    l.items = json_array();
    struct store_txn *t = store_read(c->svc->store);
    rc = kv_list(t, &q, list_entry, &l, &truncated, &last);
    store_read_end(t);
    json_t *page = json_object();
    json_object_set_new(page, "items", l.items);
    json_object_set_new(page, "cursor", make_cursor(buf_str(&last)));
    buf_deinit(&after);
    buf_deinit(&last);
    if (rc == 0) {
        call_json(c, 200, page);
        return;
    }
    json_decref(page);
    call_error(c, rc, NULL);
}

void perilune_kv_namespaces(struct call *c)
{
    struct err err = {0};
    struct buf after;
    int rc = read_cursor(c, &after, &err);
    if (rc) {
        call_error(c, rc, &err);
        buf_deinit(&after);
        return;
    }
    json_t *names = json_array(), *page = json_object();
    struct store_txn *t = store_read(c->svc->store);
    struct str at = buf_str(&after), ns;
    bool more;
    while ((more = kv_namespace_next(t, at, &ns)) && json_array_size(names) < NAMESPACES_MAX) {
        json_array_append_new(names, json_text(ns));
        at = ns;
    }
    json_object_set_new(page, "namespaces", names);
    json_object_set_new(page, "cursor", make_cursor(more ? at : STR("")));
    store_read_end(t);
    buf_deinit(&after);
    call_json(c, 200, page);
}

void perilune_kv_get(struct call *c)
{
    struct err err = {0};
    struct kv_item item;
    char expires[25];
    int rc = check_place(c, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct store_txn *t = store_read(c->svc->store);
    rc = kv_get(t, c->param[0], c->param[1], &item);
    if (rc == 0) {
        call_set_header(c, "ETag",
                        arena_printf(c->arena, "\"%llu\"", (unsigned long long)item.version));
        if (item.expires_ms) {
            clock_iso8601(item.expires_ms, expires);
            call_set_header(c, "x-perilune-expires", str_c(expires));
        }
        call_bytes(c, 200, "application/octet-stream", item.value);
    } else {
        if (rc == E_NOT_FOUND)
            err_set(&err, rc, "There is no such key in namespace %.*s", STR_FMT(c->param[0]));
        call_error(c, rc, &err);
    }
    store_read_end(t);
}

/* --- kv: writing -------------------------------------------------------------------------------
 */

static struct write *write_new(struct call *c, int (*apply)(struct job *job, struct store_txn *t),
                               void (*done)(struct job *job, int rc))
{
    struct write *w = arena_zalloc(c->arena, sizeof *w);
    if (!w)
        return NULL;
    w->call = c;
    w->job = (struct job){.apply = apply, .done = done};
    return w;
}

static int kv_put_apply(struct job *job, struct store_txn *t)
{
    struct write *w = (struct write *)job;
    struct call *c = w->call;
    return kv_set(t, c->param[0], c->param[1], c->body, w->ttl_ms, w->if_absent, w->if_version,
                  &w->version);
}

static void kv_put_done(struct job *job, int rc)
{
    struct write *w = (struct write *)job;
    if (rc == 0)
        call_json(w->call, 200, json_pack("{s:I}", "version", (json_int_t)w->version));
    else
        call_error(w->call, rc, NULL);
}

void perilune_kv_put(struct call *c)
{
    struct err err = {0};
    struct write *w = write_new(c, kv_put_apply, kv_put_done);
    uint64_t ttl_s;
    int rc = w ? 0 : E_LIMIT;
    if (rc || (rc = check_place(c, &err)) || (rc = number(c, "ttl", 0, 3000000000, &ttl_s, &err)) ||
        (rc = number(c, "if_version", 0, INT64_MAX, &w->if_version, &err)) ||
        (rc = flag(c, "if_absent", &w->if_absent, &err))) {
        call_error(c, rc, &err);
        return;
    }
    w->ttl_ms = ttl_s * 1000;
    store_submit(c->svc->store, &w->job);
}

static int kv_delete_apply(struct job *job, struct store_txn *t)
{
    struct write *w = (struct write *)job;
    struct call *c = w->call;
    return kv_delete(t, c->param[0], c->param[1], w->if_version, &w->existed);
}

static void kv_delete_done(struct job *job, int rc)
{
    struct write *w = (struct write *)job;
    if (rc == 0)
        call_json(w->call, 200, json_pack("{s:b}", "existed", (int)w->existed));
    else
        call_error(w->call, rc, NULL);
}

void perilune_kv_delete(struct call *c)
{
    struct err err = {0};
    struct write *w = write_new(c, kv_delete_apply, kv_delete_done);
    int rc = w ? 0 : E_LIMIT;
    if (rc || (rc = check_place(c, &err)) ||
        (rc = number(c, "if_version", 0, INT64_MAX, &w->if_version, &err))) {
        call_error(c, rc, &err);
        return;
    }
    w->job.frees_space = true;
    store_submit(c->svc->store, &w->job);
}

/* --- secrets -----------------------------------------------------------------------------------
 */

struct names {
    json_t *rows;
    struct buf *last;
};

static void secret_entry(void *ctx, const struct secret_info *s)
{
    struct names *n = ctx;
    json_t *o = json_object();
    json_object_set_new(o, "name", json_text(s->name));
    set_time(o, "created", s->created_ms);
    set_time(o, "changed", s->changed_ms);
    json_array_append_new(n->rows, o);
    buf_clear(n->last);
    buf_add(n->last, s->name);
}

void perilune_secret_list(struct call *c)
{
    struct err err = {0};
    struct buf after, last = BUF_INIT;
    int rc = read_cursor(c, &after, &err);
    if (rc) {
        call_error(c, rc, &err);
        buf_deinit(&after);
        return;
    }
    struct names n = {json_array(), &last};
    struct store_txn *t = store_read(c->svc->store);
    bool more = secret_list(t, buf_str(&after), SECRET_LIST_MAX, secret_entry, &n);
    store_read_end(t);
    json_t *page = json_object();
    json_object_set_new(page, "secrets", n.rows);
    json_object_set_new(page, "cursor", make_cursor(more ? buf_str(&last) : STR("")));
    buf_deinit(&after);
    buf_deinit(&last);
    call_json(c, 200, page);
}

static int secret_put_apply(struct job *job, struct store_txn *t)
{
    struct write *w = (struct write *)job;
    return secret_put(t, w->call->param[0], buf_str(&w->sealed), clock_wall_ms(), &w->created);
}

static void secret_put_done(struct job *job, int rc)
{
    struct write *w = (struct write *)job;
    buf_deinit(&w->sealed);
    if (rc == 0)
        call_json(w->call, 200,
                  json_pack("{s:o, s:b}", "name", json_text(w->call->param[0]), "created",
                            (int)w->created));
    else
        call_error(w->call, rc, NULL);
}

void perilune_secret_put(struct call *c)
{
    struct err err = {0};
    struct write *w = write_new(c, secret_put_apply, secret_put_done);
    int rc = w ? check_secret_name(c, &err) : E_LIMIT;
    if (rc == 0 && c->body.n == 0)
        rc = err_set(&err, E_INVALID, "A secret's value has 1 to %d bytes", SECRET_VALUE_MAX);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    secret_seal(c->svc->store, c->param[0], c->body, &w->sealed);
    store_submit(c->svc->store, &w->job);
}

static int secret_delete_apply(struct job *job, struct store_txn *t)
{
    return secret_del(t, ((struct write *)job)->call->param[0]);
}

static void secret_delete_done(struct job *job, int rc)
{
    struct call *c = ((struct write *)job)->call;
    struct err err = {0};
    if (rc == 0) {
        call_empty(c, c->op->status);
        return;
    }
    if (rc == E_NOT_FOUND)
        err_set(&err, rc, "There is no secret named %.*s", STR_FMT(c->param[0]));
    call_error(c, rc, &err);
}

void perilune_secret_delete(struct call *c)
{
    struct err err = {0};
    struct write *w = write_new(c, secret_delete_apply, secret_delete_done);
    int rc = w ? check_secret_name(c, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    w->job.frees_space = true;
    store_submit(c->svc->store, &w->job);
}
