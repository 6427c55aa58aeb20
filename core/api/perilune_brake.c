/* perilune_brake: how many events of a function may be begun in a second.
 *
 *   GET /perilune/v1/functions/F/event-rate   {"event_rate":25}; null: as the server has it (--event-rate)
 *   PUT /perilune/v1/functions/F/event-rate   the same; null or 0 takes it away
 *
 * Events above the rate wait in the queue for a later second; calls that somebody waits for are not
 * counted. */
#include "api/lambda.h"
#include "base/json.h"
#include "svc/function_conf.h"
#include "svc/queue.h"

enum { RATE_MAX = 1000000 };

struct braking {
    struct lambda_job j; /* first */
    uint64_t function_id;
    int64_t rate; /* 0: none of its own */
    char text[24];
};

static json_t *rate_json(uint64_t rate)
{
    return json_pack("{s:o}", "event_rate", rate ? json_integer((json_int_t)rate) : json_null());
}

static int apply(struct job *job, struct store_txn *t)
{
    struct braking *k = (struct braking *)job;
    struct str policy;
    function_find(t, k->j.name, STR(""), &k->function_id, &policy);
    return function_text_set(t, k->j.c->svc->region, k->j.name, FN_EVENT_RATE, str_c(k->text),
                             &k->j.err);
}

static void reply(struct lambda_job *j)
{
    struct braking *k = (struct braking *)j;
    queue_resume(j->c->svc->queue, k->function_id);
    call_json(j->c, j->c->op->status, rate_json((uint64_t)k->rate));
}

void perilune_brake_put(struct call *c)
{
    struct braking *k = arena_zalloc(c->arena, sizeof *k);
    json_t *rate = json_object_get(c->json, "event_rate");
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_whole_target(c, &name, &err) : E_LIMIT;
    if (rc == 0 && !json_is_null(rate))
        rc = json_member_int(c->json, "event_rate", &k->rate, &err);
    if (rc == 0 && (!rate || k->rate < 0 || k->rate > RATE_MAX))
        rc = err_set(&err, E_INVALID, "event_rate is null or a number from 0 to %d", RATE_MAX);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    if (k->rate)
        snprintf(k->text, sizeof k->text, "%lld", (long long)k->rate);
    lambda_submit(&k->j, c, name, apply, reply);
}

void perilune_brake_get(struct call *c)
{
    struct fn *fn = NULL;
    struct err err = {0};
    struct str name;
    int rc = lambda_whole_target(c, &name, &err);
    if (rc == 0)
        rc = function_get(c->svc->functions, name, STR(""), &fn, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    call_json(c, 200, rate_json(fn->event_rate));
    fn_unref(fn);
}
