/* hostcall_commit: kv.commit, the end of a function's transaction.
 *
 * The runner has kept what it read (keys and their versions) and what it wants written. One job
 * compares all versions, then writes all keys and queues all events: both happen or neither, and a
 * crash has no middle to leave behind. A version that has changed is E_CONFLICT; the function then
 * runs again. Every part is asked of the role by itself: a read for a comparison, a write, an
 * invocation. */
#include "base/id.h"
#include "base/jscan.h"
#include "base/log.h"
#include "base/rec.h"
#include "base/work.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"
#include "svc/kv.h"
#include "svc/queue.h"

enum {
    PARTS_MAX = 200,          /* a comparison and a write for each of 100 keys or events */
    EVENTS_MAX = 100,         /* of them */
    BYTES_MAX = 1024 * 1024,  /* keys, values and payloads */
    SCAN_ON_LOOP = 64 * 1024, /* bytes of payloads */
};

struct event {
    struct fn *fn;
    struct str qualifier;
    char request_id[37];
};

struct commit {
    struct job job; /* first */
    struct work work;
    struct hostcalls *h;
    struct hostcall *call;
    struct event events[EVENTS_MAX]; /* in the order of the OP_INVOKEs */
    size_t event_count;
    bool valid; /* all payloads are JSON */
};

static void end(struct commit *c, int rc, const struct err *err)
{
    struct hostcall *call = c->call;
    for (size_t i = 0; i < c->event_count; i++)
        fn_unref(c->events[i].fn);
    free(c);
    hostcall_end(call, rc, NULL, err);
}

/* Walks the parts: *rest starts as the arguments. */
static bool next_part(struct str *rest, struct str *op, enum hostcall_op *kind)
{
    uint16_t tag;
    while (rec_next(rest, &tag, op))
        if (tag == HC_OP) {
            *kind = (enum hostcall_op)rec_u64(*op, HC_KIND, 0);
            return true;
        }
    return false;
}

/* --- checks ------------------------------------------------------------------------------------
 */

static int check_key(struct str op, enum hostcall_op kind, struct err *err)
{
    size_t n = rec_str(op, HC_KEY).n;
    if (n == 0 || n > KV_KEY_MAX)
        return err_set(err, E_INVALID, "A kv key has 1 to %d bytes", KV_KEY_MAX);
    if (kind == OP_SET && rec_str(op, HC_VALUE).n > KV_VALUE_MAX)
        return err_set(err, E_LIMIT, "A kv value has at most %d bytes", KV_VALUE_MAX);
    return 0;
}

static int check_event(struct commit *c, struct str op, struct err *err)
{
    struct str name, qualifier;
    if (c->event_count == EVENTS_MAX)
        return err_set(err, E_LIMIT, "A transaction invokes at most %d functions", EVENTS_MAX);
    if (rec_u64(op, HC_DELAY_MS, 0) > HOSTCALL_DELAY_MAX_MS)
        return err_set(err, E_INVALID, "A delay lasts at most 365 days");
    struct event *e = &c->events[c->event_count];
    int rc = hostcall_function_name(c->h, op, &name, &qualifier, err);
    if (rc == 0)
        rc = function_get(c->h->o.functions, name, qualifier, &e->fn, err);
    if (rc)
        return rc;
    e->qualifier = qualifier;
    id_uuid(e->request_id);
    c->event_count++;
    return 0;
}

/* What the role has to say to one part. *seen: the namespace that was asked about last, by kind. */
static int ask(struct commit *c, struct str op, enum hostcall_op kind, struct str seen[3],
               struct err *err)
{
    struct str ns = rec_str(op, HC_NAMESPACE);
    struct str *last = &seen[kind == OP_CHECK ? 0 : 1];
    if (kind == OP_INVOKE)
        return hostcall_allow(c->h, c->call, op, "lambda:InvokeFunction", HOSTCALL_FUNCTION, err);
    if (last->p && str_eq(*last, ns))
        return 0;
    int rc =
        hostcall_allow(c->h, c->call, op, kind == OP_CHECK ? "perilune:KvRead" : "perilune:KvWrite",
                       HOSTCALL_KV, err);
    *last = ns;
    return rc;
}

static int check(struct commit *c, size_t *payloads, struct err *err)
{
    struct str rest = c->call->args, op, seen[3] = {{NULL, 0}};
    enum hostcall_op kind;
    size_t parts = 0, bytes = 0;
    int rc = 0;
    while (rc == 0 && next_part(&rest, &op, &kind)) {
        if (kind < OP_CHECK || kind > OP_INVOKE)
            return err_set(err, E_INVALID, "A part of the transaction is of no known kind");
        if (++parts > PARTS_MAX)
            return err_set(err, E_LIMIT, "A transaction has at most %d parts", PARTS_MAX);
        *payloads += rec_str(op, HC_PAYLOAD).n;
        bytes += rec_str(op, HC_KEY).n + rec_str(op, HC_VALUE).n + rec_str(op, HC_PAYLOAD).n;
        rc = ask(c, op, kind, seen, err);
        if (rc == 0)
            rc = kind == OP_INVOKE ? check_event(c, op, err) : check_key(op, kind, err);
    }
    if (rc == 0 && parts == 0)
        rc = err_set(err, E_INVALID, "A transaction has at least one part");
    if (rc == 0 && bytes > BYTES_MAX)
        rc = err_set(err, E_LIMIT,
                     "A transaction has at most %d bytes of keys, values and payloads", BYTES_MAX);
    return rc;
}

/* --- the job -----------------------------------------------------------------------------------
 */

static int compare(struct commit *c, struct store_txn *t)
{
    struct str rest = c->call->args, op;
    enum hostcall_op kind;
    int rc = 0;
    while (rc == 0 && next_part(&rest, &op, &kind))
        if (kind == OP_CHECK)
            rc = kv_unchanged(t, rec_str(op, HC_NAMESPACE), rec_str(op, HC_KEY),
                              rec_u64(op, HC_VERSION, 0));
    return rc;
}

static int queue_event(struct commit *c, struct store_txn *t, struct str op, size_t i)
{
    struct str payload = rec_str(op, HC_PAYLOAD);
    struct queue_event e = {
        .function_id = c->events[i].fn->id,
        .function_name = c->events[i].fn->name,
        .qualifier = c->events[i].qualifier,
        .payload = payload.n ? payload : STR("null"),
        .source = "lambda",
        .source_arn = STR(""),
        .cause = hostcall_cause(c->call),
        .delay_ms = rec_u64(op, HC_DELAY_MS, 0),
    };
    memcpy(e.request_id, c->events[i].request_id, sizeof e.request_id);
    return queue_put(c->h->queue, t, &e);
}

static int write_part(struct commit *c, struct store_txn *t, struct str op, enum hostcall_op kind,
                      size_t *event)
{
    struct str ns = rec_str(op, HC_NAMESPACE), key = rec_str(op, HC_KEY);
    struct str value = rec_str(op, HC_VALUE);
    uint64_t version;
    bool existed;
    switch (kind) {
    case OP_SET:
        return rec_u64(op, HC_KEEP_TTL, 0) == 1
                   ? kv_replace(t, ns, key, value, &version)
                   : kv_set(t, ns, key, value, rec_u64(op, HC_TTL_MS, 0), false, 0, &version);
    case OP_DELETE:
        return kv_delete(t, ns, key, 0, &existed);
    case OP_INVOKE:
        return queue_event(c, t, op, (*event)++);
    default:
        return 0;
    }
}

static int apply(struct job *job, struct store_txn *t)
{
    struct commit *c = (struct commit *)job;
    struct str rest = c->call->args, op;
    enum hostcall_op kind;
    size_t event = 0;
    int rc = compare(c, t);
    while (rc == 0 && next_part(&rest, &op, &kind))
        rc = write_part(c, t, op, kind, &event);
    return rc;
}

static void done(struct job *job, int rc)
{
    struct commit *c = (struct commit *)job;
    for (size_t i = 0; rc == 0 && i < c->event_count; i++)
        queue_kick(c->h->queue, c->events[i].fn->id);
    end(c, rc, NULL);
}

/* --- payloads ----------------------------------------------------------------------------------
 */

static void scan(struct work *work)
{
    struct commit *c = work->data;
    struct str rest = c->call->args, op;
    enum hostcall_op kind;
    c->valid = true;
    while (c->valid && next_part(&rest, &op, &kind)) {
        struct str payload = rec_str(op, HC_PAYLOAD);
        if (kind == OP_INVOKE && payload.n)
            c->valid = jscan_valid(payload);
    }
}

static void scanned(struct commit *c)
{
    struct err err = {0};
    if (!c->valid) {
        int rc = err_set(&err, E_BAD_JSON, "A payload is no JSON text");
        end(c, rc, &err);
        return;
    }
    c->job = (struct job){.apply = apply, .done = done, .undo = true};
    store_submit(c->h->o.store, &c->job);
}

static void scan_done(struct work *work)
{
    scanned(work->data);
}

void hostcall_kv_commit(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    size_t payloads = 0;
    struct commit *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    c->h = h;
    c->call = call;
    c->work.data = c;
    int rc = check(c, &payloads, &err);
    if (rc) {
        end(c, rc, &err);
    } else if (payloads <= SCAN_ON_LOOP) {
        scan(&c->work);
        scanned(c);
    } else {
        work_start(h->o.loop, &c->work, scan, scan_done);
    }
}
