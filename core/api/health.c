/* health: what the server says about itself to machines.
 *
 * /healthz is open and cheap: it reads two flags. /metrics is for loopback or a signed root caller,
 * since the operations' names and rates say something about the owner; a request that a proxy
 * forwards is not local, whatever its address. Counters are plain integers of the loop thread. */
#include "api/health.h"

#include "base/clock.h"
#include "svc/pool.h"
#include "svc/queue.h"
#include "svc/watchdog.h"

enum { CLASSES = 4 }; /* 2xx (and 1xx), 3xx, 4xx, 5xx */

static struct {
    uint64_t answers[CLASSES];
    uint64_t ns;
} counts[GATE_OPS_MAX + 1]; /* by row; the last for requests without one */

bool health_is_local(const struct http_req *req)
{
    struct str peer = str_c(req->peer);
    bool forwarded = http_header(req, "x-forwarded-for").p || http_header(req, "forwarded").p ||
                     http_header(req, "via").p || http_header(req, "x-real-ip").p;
    return !forwarded && (str_starts(peer, STR("127.")) || str_is(peer, "::1") ||
                          str_starts(peer, STR("::ffff:127.")));
}

void health_count(const struct op *op, int status, uint64_t ns)
{
    size_t row =
        op >= gate_ops && op < gate_ops + gate_op_count ? (size_t)(op - gate_ops) : GATE_OPS_MAX;
    int class = status < 300 ? 0 : status / 100 - 2;
    if (row > GATE_OPS_MAX)
        row = GATE_OPS_MAX;
    counts[row].answers[class < CLASSES ? class : CLASSES - 1]++;
    counts[row].ns += ns;
}

static void answer(struct http_req *req, int status, const char *type, const struct buf *b)
{
    struct http_header h[] = {{STR("Content-Type"), str_c(type)},
                              {STR("x-amzn-RequestId"), str_c(req->id)},
                              {STR("Cache-Control"), STR("no-store")}};
    http_reply(req, status, h, 3, buf_str(b));
}

void health_reply(struct services *svc, struct http_req *req)
{
    bool ok = store_writable(svc->store);
    struct str layers = str_c(pool_jail_layers(svc->pool));
    struct buf b = BUF_INIT;
    buf_printf(&b, "{\"status\":\"%s\",\"jail\":[", ok ? "ok" : "read-only");
    for (bool first = true; layers.n; first = false) {
        struct str one = str_cut(&layers, ',');
        buf_printf(&b, "%s\"%.*s\"", first ? "" : ",", STR_FMT(one));
    }
    buf_lit(&b, "]}\n");
    answer(req, ok ? 200 : 503, "application/json", &b);
    buf_deinit(&b);
}

/* --- metrics ----------------------------------------------------------------------------------
 */

static void number(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    buf_printf(b, "# HELP perilune_%s %s\n# TYPE perilune_%s %s\nperilune_%s %.17g\n", name, help,
               name, type, name, v);
}

static void requests(struct buf *b)
{
    static const char *const classes[] = {"2xx", "3xx", "4xx", "5xx"};
    buf_lit(b, "# HELP perilune_requests_total Answered API calls.\n"
               "# TYPE perilune_requests_total counter\n");
    for (size_t i = 0; i <= GATE_OPS_MAX; i++) {
        const struct op *op = i < gate_op_count ? &gate_ops[i] : NULL;
        for (int k = 0; k < CLASSES; k++)
            if (counts[i].answers[k])
                buf_printf(b,
                           "perilune_requests_total{service=\"%s\",operation=\"%s\",code=\"%s\"} "
                           "%llu\n",
                           op ? op->service : "", op ? op->name : "", classes[k],
                           (unsigned long long)counts[i].answers[k]);
    }
    buf_lit(b, "# HELP perilune_request_seconds_total Time from head to answer.\n"
               "# TYPE perilune_request_seconds_total counter\n");
    for (size_t i = 0; i < gate_op_count && i < GATE_OPS_MAX; i++)
        if (counts[i].ns)
            buf_printf(b, "perilune_request_seconds_total{service=\"%s\",operation=\"%s\"} %.9f\n",
                       gate_ops[i].service, gate_ops[i].name, (double)counts[i].ns / 1e9);
}

void health_metrics(struct services *svc, struct http_req *req)
{
    struct pool_stats p;
    struct queue_stats q;
    struct watchdog_stats w;
    struct buf b = BUF_INIT;
    pool_stats(svc->pool, &p);
    queue_stats(svc->queue, &q);
    watchdog_stats(&w);
    number(&b, "uptime_seconds", "gauge", "Since the server started.",
           (double)(clock_wall_ms() - svc->started_ms) / 1000);
    number(&b, "store_writable", "gauge", "0 while the store takes no writes.",
           store_writable(svc->store));
    number(&b, "runners", "gauge", "Runner processes that hold a function.", p.runners);
    number(&b, "runners_spare", "gauge", "Runners that wait for a function.", p.spares);
    number(&b, "runners_busy", "gauge", "Runners in an invocation.", p.busy);
    number(&b, "invocations_waiting", "gauge", "Invocations that wait for a runner.", p.waiting);
    number(&b, "invocations_total", "counter", "Invocations run.", (double)p.invocations);
    number(&b, "invocation_errors_total", "counter", "Invocations that ended in an error.",
           (double)p.errors);
    number(&b, "throttles_total", "counter", "Invocations refused with 429.", (double)p.throttles);
    number(&b, "kills_total", "counter", "Runners killed at a deadline.", (double)p.kills);
    number(&b, "cold_starts_total", "counter", "Functions loaded into a runner.",
           (double)p.cold_starts);
    number(&b, "events_queued", "gauge", "Asynchronous events due.", (double)q.queued);
    number(&b, "events_running", "gauge", "Asynchronous events under way.", (double)q.running);
    number(&b, "events_waiting", "gauge", "Asynchronous events that wait for a retry.",
           (double)q.waiting);
    number(&b, "events_bytes", "gauge", "Payloads of events that are to run.", (double)q.bytes);
    number(&b, "events_late_seconds", "gauge", "How long the event that is due longest has waited.",
           (double)q.late_ms / 1000);
    number(&b, "events_dead", "gauge", "Events on the dead list.", (double)q.dead);
    number(&b, "loop_turns_total", "counter", "Turns of the event loop.", (double)w.turns);
    number(&b, "loop_turns_over_2ms_total", "counter", "Turns longer than 2 ms.",
           (double)w.over_2ms);
    number(&b, "loop_turns_over_20ms_total", "counter", "Turns longer than 20 ms.",
           (double)w.over_20ms);
    number(&b, "loop_longest_seconds", "gauge", "The longest turn.", (double)w.longest_us / 1e6);
    number(&b, "loop_turns_cpu_over_2ms_total", "counter",
           "Turns that used the processor for more than 2 ms.", (double)w.cpu_over_2ms);
    number(&b, "loop_longest_cpu_seconds", "gauge", "The longest turn in time of the processor.",
           (double)w.cpu_longest_us / 1e6);
    requests(&b);
    answer(req, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
    buf_deinit(&b);
}
