/* queue_send: what becomes of an asynchronous call once it has ended: a record to the destination for
 * its success or its failure, the event itself to the function for dead letters.
 *
 * Each is an event of its own, written in the transaction that settles the first: the outcome is sent
 * on once, whenever the server ends. The function's role must let it invoke the target, now and not
 * only when it was configured. A record that would be too large goes without its payloads.
 *
 * An event that was stopped as a loop is sent on too, and what that causes has a count of its own, or
 * nobody could act on it. Not to a function that the chain has been through: each is told once, and
 * so the whole of it ends. */
#include "auth/arn.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/jscan.h"
#include "base/json.h"
#include "base/log.h"
#include "svc/queue_lane.h"
#include "svc/role.h"

struct sending {
    struct sending *next;
    char name[FUNCTION_NAME_MAX + 1], qualifier[129], request_id[37];
    struct buf payload;
    uint32_t hops;
    uint64_t function_id; /* once it was put; 0: it could not be */
};

/* Appends text when it is JSON that fits beside what is there, else null. */
static void add_payload(struct buf *b, struct str text)
{
    bool fits = text.n && b->n + text.n < EVENT_PAYLOAD_MAX - 1024;
    if (fits && jscan_valid(text))
        buf_add(b, text);
    else
        buf_lit(b, "null");
}

/* The record, as AWS writes it. */
static void write_record(struct buf *b, const struct flight *f, const char *why)
{
    const struct fn *fn = f->fn;
    char now[25];
    clock_iso8601(clock_wall_ms(), now);
    buf_printf(b,
               "{\"version\":\"1.0\",\"timestamp\":\"%s\",\"requestContext\":{\"requestId\":\"%s\","
               "\"functionArn\":\"%.*s:%.*s\",\"condition\":\"%s\",\"approximateInvokeCount\":%u},"
               "\"requestPayload\":",
               now, f->request_id, STR_FMT(fn->arn), STR_FMT(fn->qualifier), why, f->tries);
    add_payload(b, f->payload);
    if (f->response_version.n) {
        buf_printf(b, ",\"responseContext\":{\"statusCode\":200,\"executedVersion\":\"%.*s\"",
                   STR_FMT(f->response_version));
        if (f->response_error)
            buf_lit(b, ",\"functionError\":\"Unhandled\"");
        buf_lit(b, "},\"responsePayload\":");
        add_payload(b, f->response.n ? f->response : STR("null"));
    }
    buf_addc(b, '}');
}

static bool allowed(const struct flight *f, struct str target)
{
    struct roles *roles = f->queue->o.roles;
    struct err err = {0};
    int rc = roles ? role_allows(roles, f->fn->role, STR("lambda:InvokeFunction"), target, &err)
                   : E_DENIED;
    if (rc)
        log_warn("queue: the outcome of %s is not sent on: %s", f->request_id, err_text(&err, rc));
    return rc == 0;
}

static bool stopped(const struct flight *f)
{
    return f->hops >= INVOKE_HOPS_MAX && !f->fn->loops;
}

/* why NULL: the event itself. */
static void send_to(struct flight *f, struct str target, const char *why)
{
    struct str name, qualifier;
    struct sending *o;
    const struct lineage led = {f->hops, buf_str(&f->chain), str_c(f->function)};
    /* the region was checked when the target was set: only ours has been taken */
    struct arn parts;
    if (!target.n || !arn_parse(target, &parts) ||
        arn_function(target, parts.region, &name, &qualifier) != 0 ||
        (stopped(f) && lineage_has(&led, name)) || !allowed(f, target))
        return;
    if (!(o = calloc(1, sizeof *o)))
        fatal("out of memory");
    snprintf(o->name, sizeof o->name, "%.*s", STR_FMT(name));
    snprintf(o->qualifier, sizeof o->qualifier, "%.*s", STR_FMT(qualifier));
    id_uuid(o->request_id);
    if (why)
        write_record(&o->payload, f, why);
    else
        buf_add(&o->payload, f->payload);
    o->hops = stopped(f) ? 0 : f->hops + 1;
    o->next = f->sends;
    f->sends = o;
}

void send_outcome(struct flight *f, const char *why)
{
    const struct fn *fn = f->fn;
    if (!fn || fn->id != f->function_id)
        return;
    bool success = strcmp(why, "Success") == 0;
    send_to(f, success ? fn->on_success : fn->on_failure, why);
    if (!success)
        send_to(f, fn->dead_letter, NULL);
}

int send_put(struct flight *f, struct store_txn *t)
{
    const struct queue_opts *opts = &f->queue->o;
    for (struct sending *o = f->sends; o; o = o->next) {
        struct queue_event e = {.function_name = str_c(o->name),
                                .qualifier = str_c(o->qualifier),
                                .payload = buf_str(&o->payload),
                                .source = "lambda",
                                .source_arn = STR(""),
                                .cause = {o->hops, buf_str(&f->chain), str_c(f->function)}};
        struct str policy;
        memcpy(e.request_id, o->request_id, sizeof e.request_id);
        int rc = function_find(t, e.function_name, e.qualifier, &e.function_id, &policy);
        if (rc == 0)
            rc = event_row_add(t, opts->max_rows, opts->max_bytes, &e);
        o->function_id = rc ? 0 : e.function_id;
        if (rc && rc != E_NOT_FOUND && rc != E_THROTTLED && rc != E_LIMIT)
            return rc;
    }
    return 0;
}

void send_done(struct flight *f, int rc)
{
    struct sending *o = f->sends;
    f->sends = NULL;
    for (struct sending *next; o; o = next) {
        next = o->next;
        if (rc == 0 && o->function_id)
            queue_kick(f->queue, o->function_id);
        else if (rc == 0)
            log_warn(
                "queue: the outcome of %s was not sent on: function %s is gone or the queue is "
                "full",
                f->request_id, o->name);
        buf_deinit(&o->payload);
        free(o);
    }
}
