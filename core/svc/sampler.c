/* sampler: a list of copies, written by one job at a time. The timer does not keep the loop alive. */
#include "svc/sampler.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/queue_row.h"
#include "svc/url_json.h"

enum {
    WRITE_MS = 1000,
    ERRORS_A_SECOND = 40,
    SUCCESSES_A_SECOND = 20,
    EVENT_MAX = 64 * 1024,       /* bytes */
    ROW_COST = 512,              /* as the queue counts it */
    ANSWER_HEAD_MAX = 64 * 1024, /* of a URL's answer, all but its body */
};

struct sample {
    struct sample *next;
    struct event_row row; /* its strings are in bytes */
    struct str payload;
    bool url;        /* payload is a rec of URL_* */
    bool url_answer; /* … and so is row.result */
    struct buf bytes;
};

struct sampler {
    struct job job; /* first: the one under way */
    uv_timer_t timer;
    struct store *store;
    uint64_t keep;
    struct sample *taken, **last; /* since the last job */
    struct sample *writing;
    int64_t second;
    unsigned errors, successes; /* taken in it */
    bool busy, stopped, closed;
};

static void samples_free(struct sample *s)
{
    for (struct sample *next; s; s = next) {
        next = s->next;
        buf_deinit(&s->bytes);
        free(s);
    }
}

static void free_when_over(struct sampler *s)
{
    if (!s->closed || s->busy)
        return;
    samples_free(s->taken);
    free(s);
}

/* --- writing -----------------------------------------------------------------------------------
 */

/* A job may be applied twice: the sample stays as it is. */
static int write_url(const struct sample *one, struct store_txn *t, uint64_t keep)
{
    struct buf event = BUF_INIT, answer = BUF_INIT;
    struct event_row row = one->row;
    char request_id[37];
    snprintf(request_id, sizeof request_id, "%.*s", STR_FMT(row.request_id));
    url_json_event(&event, one->payload, request_id);
    if (one->url_answer) {
        url_json_answer(&answer, row.result);
        row.result_bytes = row.result_bytes - row.result.n + answer.n; /* with what was cut off */
        row.result = buf_str(&answer);
        if (row.result.n > EVENT_RESULT_MAX)
            row.result.n = EVENT_RESULT_MAX;
    }
    row.bytes = event.n + ROW_COST;
    int rc = event.rc || answer.rc ? 0 : event_row_record(t, &row, buf_str(&event), keep);
    buf_deinit(&event);
    buf_deinit(&answer);
    return rc;
}

static int write_apply(struct job *job, struct store_txn *t)
{
    struct sampler *s = (struct sampler *)job;
    int rc = 0;
    for (struct sample *one = s->writing; one && rc == 0; one = one->next)
        rc = one->url ? write_url(one, t, s->keep)
                      : event_row_record(t, &one->row, one->payload, s->keep);
    return rc;
}

static void write_begin(struct sampler *s);

static void write_done(struct job *job, int rc)
{
    struct sampler *s = (struct sampler *)job;
    (void)rc; /* a disk that is full has no room for samples */
    samples_free(s->writing);
    s->writing = NULL;
    s->busy = false;
    if (s->stopped && s->taken)
        write_begin(s);
    free_when_over(s);
}

static void write_begin(struct sampler *s)
{
    if (s->busy || !s->taken)
        return;
    s->writing = s->taken;
    s->taken = NULL;
    s->last = &s->taken;
    s->busy = true;
    s->job = (struct job){.apply = write_apply, .done = write_done};
    store_submit(s->store, &s->job);
}

static void on_timer(uv_timer_t *timer)
{
    write_begin(timer->data);
}

/* --- taking ------------------------------------------------------------------------------------
 */

static bool wanted(struct sampler *s, const struct invoke_req *req, const struct invoke_result *r)
{
    if (s->stopped || req->asynchronous || r->rc || req->fn->id == 0 || req->event.n > EVENT_MAX)
        return false;
    int64_t second = (int64_t)(uv_now(store_loop(s->store)) / 1000);
    if (second != s->second) {
        s->second = second;
        s->errors = s->successes = 0;
    }
    return r->error ? s->errors++ < ERRORS_A_SECOND : s->successes++ < SUCCESSES_A_SECOND;
}

static struct str put(struct buf *b, struct str text, size_t max)
{
    size_t at = b->n, n = text.n < max ? text.n : max;
    buf_add(b, str_of(text.p, n));
    return str_of(b->p + at, n);
}

static void write_try(struct buf *b, const struct event_row *row, const struct invoke_result *r)
{
    size_t mark = rec_begin(b, TRY_EACH);
    rec_put_u64(b, TRY_STARTED_MS, (uint64_t)row->accepted_ms);
    rec_put_u64(b, TRY_ENDED_MS, (uint64_t)row->ended_ms);
    rec_put_u64(b, TRY_DURATION_US, r->duration_us);
    if (r->error)
        rec_put_str(b, TRY_ERROR_TYPE, r->error_type);
    rec_end(b, mark);
}

/* Bytes of a URL's answer without its body; 0 when it is none, or too large to be kept. */
static size_t answer_head(const struct invoke_result *r)
{
    size_t n =
        r->kind == REPLY_HTTP && !r->error ? r->payload.n - rec_str(r->payload, URL_BODY).n : 0;
    return n <= ANSWER_HEAD_MAX ? n : 0;
}

/* The answer, or as much of it as is kept. */
static void put_result(struct sample *one, const struct invoke_result *r)
{
    struct buf *b = &one->bytes;
    size_t at = b->n;
    one->row.result_bytes = r->payload.n;
    one->url_answer = answer_head(r) > 0;
    if (one->url_answer)
        url_json_cut(b, r->payload, EVENT_RESULT_MAX);
    else if (r->kind != REPLY_HTTP)
        put(b, r->payload, EVENT_RESULT_MAX);
    one->row.result = str_of(b->p + at, b->n - at);
}

void sampler_take(void *ctx, const struct invoke_req *req, const struct invoke_result *r)
{
    struct sampler *s = ctx;
    if (!s || !wanted(s, req, r))
        return;
    struct sample *one = calloc(1, sizeof *one);
    struct buf *b = one ? &one->bytes : NULL;
    struct str type = r->error_type.n ? r->error_type : STR("Unhandled");
    size_t latest = str_is(req->fn->qualifier, "$LATEST") ? 0 : req->fn->qualifier.n;
    size_t head = answer_head(r);
    if (!one || !buf_reserve(b, req->event.n + head + EVENT_RESULT_MAX + LINEAGE_MAX + 2048)) {
        free(one);
        return;
    }
    one->url = req->event_kind == EVENT_URL;
    one->row = (struct event_row){.id = store_new_id(s->store),
                                  .function_id = req->fn->id,
                                  .bytes = req->event.n + ROW_COST,
                                  .hops = req->hops,
                                  .tries = 1,
                                  .state = EVENT_DONE_ROW,
                                  .sync = true,
                                  .ended_ms = clock_store_ms()};
    one->row.accepted_ms = one->row.ended_ms - (int64_t)(r->duration_us / 1000);
    one->row.function = put(b, req->fn->name, 64);
    one->row.qualifier = put(b, str_of(req->fn->qualifier.p, latest), 128);
    one->row.source = put(b, str_c(req->source ? req->source : "invoke"), 16);
    one->row.request_id = put(b, str_c(req->request_id), 36);
    one->row.chain = put(b, req->chain, LINEAGE_MAX);
    one->row.client_context = STR("");
    one->payload = put(b, req->event.n ? req->event : STR("null"), EVENT_MAX);
    if (r->error) {
        one->row.error_type = put(b, type, 64);
        one->row.error = put(b, r->payload, EVENT_ERROR_MAX);
    } else {
        put_result(one, r);
    }
    size_t at = b->n;
    write_try(b, &one->row, r);
    one->row.history = str_of(b->p + at, b->n - at);
    *s->last = one;
    s->last = &one->next;
    if (!uv_is_active((uv_handle_t *)&s->timer)) {
        uv_timer_start(&s->timer, on_timer, WRITE_MS, 0);
        uv_unref((uv_handle_t *)&s->timer);
    }
}

/* -----------------------------------------------------------------------------------------------
 */

struct sampler *sampler_start(struct store *store, uint64_t keep)
{
    struct sampler *s = keep ? calloc(1, sizeof *s) : NULL;
    if (!keep)
        return NULL;
    if (!s)
        fatal("out of memory");
    s->store = store;
    s->keep = keep;
    s->last = &s->taken;
    uv_timer_init(store_loop(store), &s->timer);
    s->timer.data = s;
    return s;
}

static void on_closed(uv_handle_t *handle)
{
    struct sampler *s = handle->data;
    s->closed = true;
    free_when_over(s);
}

void sampler_stop(struct sampler *s)
{
    if (!s)
        return;
    s->stopped = true;
    write_begin(s);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}
