/* perilune_usage: what functions used, by day, and what AWS would ask for the same.
 *
 *   GET /perilune/v1/usage                   {"usage":[{"function","deleted","day","requests",
 *       ?from=2026-11-01&to=2026-11-30         "errors","billed_ms","gb_s","duration_ms",
 *       &function=&limit=&cursor=              "peak_bytes","list_usd"}], "list_price":{…}, "cursor"}
 *
 * Days are UTC's, both ends included; without them the last thirty. What deleted functions used
 * stays in the sum, as it stays on AWS's bill. list_usd is AWS Lambda's list
 * price (x86, us-east-1, no free tier) for these requests and GB-seconds, where a function has 128 MB
 * at least. Counted each second by svc/meter. */
#include "api/gate.h"
#include "base/clock.h"
#include "base/json.h"
#include "svc/function.h"
#include "svc/meter.h"

enum { PAGE_MAX = 1000, DAYS = 30, DAY_MS = 86400000, LEAST_MB = 128 };
#define REQUEST_USD 0.0000002
#define GB_SECOND_USD 0.0000166667

static void write_day(uint32_t day, char text[static 25])
{
    clock_iso8601((int64_t)day * DAY_MS, text);
    text[10] = 0;
}

static int read_day(struct call *c, const char *name, uint32_t dflt, uint32_t *out, struct err *err)
{
    struct str s = call_query(c, name);
    char text[25];
    int64_t ms = 0;
    *out = dflt;
    if (!s.n)
        return 0;
    snprintf(text, sizeof text, "%.*sT00:00:00Z", s.n > 10 ? 10 : (int)s.n, s.p);
    if (s.n != 10 || !clock_parse(str_c(text), &ms) || ms < 0)
        return err_set(err, E_INVALID, "'%s' must be a day, such as 2026-11-27", name);
    *out = (uint32_t)(ms / DAY_MS);
    return 0;
}

static int read_query(struct call *c, struct usage_query *q, struct usage_cursor *at,
                      struct err *err)
{
    struct str limit = call_query(c, "limit"), day = call_query(c, "cursor"),
               id = str_cut(&day, '.');
    uint32_t today = (uint32_t)(clock_wall_ms() / DAY_MS);
    uint64_t n = PAGE_MAX, d = 0;
    int rc = read_day(c, "to", today, &q->to, err);
    if (rc == 0)
        rc = read_day(c, "from", q->to >= DAYS ? q->to - DAYS + 1 : 0, &q->from, err);
    if (rc == 0 && q->from > q->to)
        rc = err_set(err, E_INVALID, "'from' is after 'to'");
    if (rc == 0 && limit.p && (!str_u64(limit, &n) || n < 1 || n > PAGE_MAX))
        rc = err_set(err, E_INVALID, "'limit' must be a number from 1 to %d", PAGE_MAX);
    if (rc == 0 && id.n && (!str_u64(id, &at->function_id) || !str_u64(day, &d) || d > UINT32_MAX))
        rc = err_set(err, E_INVALID, "'cursor' is none that was given here");
    q->function = call_query(c, "function");
    q->limit = (size_t)n;
    at->day = (uint32_t)d;
    return rc;
}

static double list_usd(const struct usage_row *r)
{
    uint64_t least = r->v[USAGE_BILLED_MS] * LEAST_MB, mb_ms = r->v[USAGE_MB_MS];
    return (double)r->v[USAGE_REQUESTS] * REQUEST_USD +
           (double)(mb_ms > least ? mb_ms : least) / 1024000 * GB_SECOND_USD;
}

struct listing {
    struct store_txn *t;
    json_t *rows;
};

static void add_row(void *ctx, const struct usage_row *r)
{
    struct listing *l = ctx;
    char day[25];
    json_t *o = json_object();
    write_day(r->day, day);
    json_object_set_new(o, "function", json_text(r->function));
    json_object_set_new(o, "deleted", json_boolean(!function_exists(l->t, r->function)));
    json_object_set_new(o, "day", json_string(day));
    json_object_set_new(o, "requests", json_integer((json_int_t)r->v[USAGE_REQUESTS]));
    json_object_set_new(o, "errors", json_integer((json_int_t)r->v[USAGE_ERRORS]));
    json_object_set_new(o, "billed_ms", json_integer((json_int_t)r->v[USAGE_BILLED_MS]));
    json_object_set_new(o, "gb_s", json_real((double)r->v[USAGE_MB_MS] / 1024000));
    json_object_set_new(o, "duration_ms", json_real((double)r->v[USAGE_DURATION_US] / 1000));
    json_object_set_new(o, "peak_bytes", json_integer((json_int_t)r->v[USAGE_PEAK_BYTES]));
    json_object_set_new(o, "list_usd", json_real(list_usd(r)));
    json_array_append_new(l->rows, o);
}

/* Nothing of a function that there is not: its name may be a slip. */
static int check_function(const struct listing *l, const struct usage_query *q, struct err *err)
{
    if (!q->function.n || json_array_size(l->rows) || function_exists(l->t, q->function))
        return 0;
    return err_set(err, E_NOT_FOUND, "Function not found: %.*s, and nothing was used by its name",
                   q->function.n < 200 ? (int)q->function.n : 200, q->function.p);
}

void perilune_usage(struct call *c)
{
    struct err err = {0};
    struct usage_query q = {0};
    struct usage_cursor at = {0};
    char from[25], to[25], cursor[64];
    int rc = read_query(c, &q, &at, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    bool first = !call_query(c, "cursor").n;
    struct listing l = {store_read(c->svc->store), json_array()};
    usage_list(l.t, &q, &at, add_row, &l);
    if (first && !at.more)
        rc = check_function(&l, &q, &err);
    store_read_end(l.t);
    if (rc) {
        json_decref(l.rows);
        call_error(c, rc, &err);
        return;
    }
    json_t *page = json_object();
    write_day(q.from, from);
    write_day(q.to, to);
    snprintf(cursor, sizeof cursor, "%llu.%u", (unsigned long long)at.function_id, at.day);
    json_object_set_new(page, "from", json_string(from));
    json_object_set_new(page, "to", json_string(to));
    json_object_set_new(page, "usage", l.rows);
    json_object_set_new(page, "list_price",
                        json_pack("{s:s, s:f, s:f, s:i}", "currency", "USD", "request", REQUEST_USD,
                                  "gb_second", GB_SECOND_USD, "least_mb", LEAST_MB));
    json_object_set_new(page, "cursor", at.more ? json_string(cursor) : json_null());
    call_json(c, 200, page);
}
