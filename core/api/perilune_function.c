/* perilune_function: what the console keeps and asks beside a function.
 *
 *   GET    /perilune/v1/functions/F/test-events         {"events":[{"name","event","updated_ms"}]}
 *   PUT    /perilune/v1/functions/F/test-events/NAME    body: the event's JSON
 *   DELETE /perilune/v1/functions/F/test-events/NAME
 *   GET    /perilune/v1/functions/F/metrics             {"step_ms","points":[{"t","requests","errors",
 *              "p50_ms","p99_ms","max_ms","memory_bytes"}]}: the last hour, the newest point still grows
 *   GET    /perilune/v1/functions/F/denial              {"denial": null or what its role lacked last} */
#include "api/lambda.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/jscan.h"
#include "base/json.h"
#include "svc/pulse.h"
#include "svc/test_event.h"
#include "svc/trend.h"

struct keeping {
    struct lambda_job j;
    struct str event; /* its name */
    uint64_t function_id;
};

/* The function that the path names. */
static int find(struct call *c, struct str *name, uint64_t *id, struct err *err)
{
    struct str rec;
    int rc = lambda_whole_name(c, c->param[0], name, err);
    if (rc)
        return rc;
    struct store_txn *t = store_read(c->svc->store);
    rc = function_record(t, c->svc->region, *name, STR(""), &rec, err);
    *id = rc ? 0 : rec_u64(rec, FN_ID, 0);
    store_read_end(t);
    return rc;
}

/* Its id; 0 when there is none such, which has been answered. */
static uint64_t known(struct call *c)
{
    struct err err = {0};
    struct str name;
    uint64_t id;
    int rc = find(c, &name, &id, &err);
    if (rc)
        call_error(c, rc, &err);
    return rc ? 0 : id;
}

/* --- test events ------------------------------------------------------------------------------- */

static void add_event(void *ctx, const struct test_event *e)
{
    struct buf *b = ctx;
    buf_lit(b, "{\"name\":");
    json_quote(b, e->name);
    buf_printf(b, ",\"updated_ms\":%lld,\"event\":", (long long)e->changed_ms);
    buf_add(b, e->json);
    buf_lit(b, "},");
}

void perilune_test_events(struct call *c)
{
    struct buf b = BUF_INIT;
    uint64_t id = known(c);
    if (!id)
        return;
    struct store_txn *t = store_read(c->svc->store);
    buf_lit(&b, "{\"events\":[");
    test_event_each(t, id, add_event, &b);
    store_read_end(t);
    if (b.n && b.p[b.n - 1] == ',')
        b.n--;
    buf_lit(&b, "]}");
    if (b.rc)
        call_error(c, b.rc, NULL);
    else
        call_bytes(c, 200, "application/json", buf_str(&b));
    buf_deinit(&b);
}

static int apply_put(struct job *job, struct store_txn *t)
{
    struct keeping *k = (struct keeping *)job;
    return test_event_put(t, k->function_id, k->event, k->j.c->body, clock_wall_ms(), &k->j.err);
}

static int apply_del(struct job *job, struct store_txn *t)
{
    struct keeping *k = (struct keeping *)job;
    return test_event_del(t, k->function_id, k->event, &k->j.err);
}

static void change(struct call *c, int (*apply)(struct job *job, struct store_txn *t), bool put)
{
    struct keeping *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? find(c, &name, &k->function_id, &err) : E_LIMIT;
    if (rc == 0)
        rc = test_event_name_check(c->param[1], &err);
    if (rc == 0 && put && !jscan_valid(c->body))
        rc = err_set(&err, E_BAD_JSON, "The event is not JSON.");
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->event = c->param[1];
    lambda_submit(&k->j, c, name, apply, lambda_reply_empty);
}

void perilune_test_event_put(struct call *c)
{
    change(c, apply_put, true);
}

void perilune_test_event_delete(struct call *c)
{
    change(c, apply_del, false);
}

/* --- what was denied --------------------------------------------------------------------------- */

/* An inline policy that grants just that; its name says which, so that granting twice is granting
 * once. */
static json_t *policy_json(const struct pulse_denial *d)
{
    char both[sizeof d->resource + 128], hex[65], name[129], action[64];
    snprintf(both, sizeof both, "%s %s", d->action, d->resource);
    sha256_hex(str_c(both), hex);
    snprintf(action, sizeof action, "%s", d->action);
    for (char *p = action; *p; p++)
        *p = *p == ':' ? '-' : *p;
    snprintf(name, sizeof name, "grant-%s-%.12s", action, hex);
    json_t *statement = json_pack("{s:s, s:s, s:o}", "Effect", "Allow", "Action", d->action,
                                  "Resource", json_text(str_c(d->resource)));
    return json_pack("{s:s, s:{s:s, s:[o]}}", "name", name, "document", "Version", "2012-10-17",
                     "Statement", statement);
}

void perilune_denial(struct call *c)
{
    uint64_t id = known(c);
    if (!id)
        return;
    const struct pulse_denial *d = pulse_denial(c->svc->pulse, id);
    json_t *o = d ? json_pack("{s:s, s:o, s:I, s:s, s:o, s:o}", "action", d->action, "resource",
                              json_text(str_c(d->resource)), "timestamp",
                              (json_int_t)d->timestamp_ms, "request_id", d->request_id, "role",
                              json_text(str_c(d->role)), "policy", policy_json(d))
                  : json_null();
    call_json(c, 200, json_pack("{s:o}", "denial", o));
}

/* --- metrics ----------------------------------------------------------------------------------- */

void perilune_metrics(struct call *c)
{
    struct trend_point points[TREND_POINTS];
    uint64_t id = known(c);
    if (!id)
        return;
    size_t n = trend_points(c->svc->trend, id, points);
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            rows, json_pack("{s:I, s:i, s:i, s:f, s:f, s:f, s:I}", "t", (json_int_t)points[i].t_ms,
                            "requests", (int)points[i].requests, "errors", (int)points[i].errors,
                            "p50_ms", points[i].p50_ms, "p99_ms", points[i].p99_ms, "max_ms",
                            points[i].max_ms, "memory_bytes", (json_int_t)points[i].memory_peak));
    call_json(c, 200, json_pack("{s:i, s:o}", "step_ms", TREND_STEP_MS, "points", rows));
}
