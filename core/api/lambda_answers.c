/* lambda_answers: what tools ask about parts of Lambda that are not here, or that are the same for
 * every function: layers, code signing, event source mappings, the runtime's updates, scaling, and
 * the guard against loops. True answers, most of them empty. */
#include "api/lambda.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/function_conf.h"

/* Answers with an empty page of MEMBER. */
static void empty_page(struct call *c, const char *member)
{
    struct err err = {0};
    int rc = lambda_check(c, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, json_pack("{s:[]}", member));
}

void lambda_list_layers(struct call *c)
{
    empty_page(c, "Layers");
}

void lambda_list_event_source_mappings(struct call *c)
{
    empty_page(c, "EventSourceMappings");
}

/* The row of the function that the path names, or the call ends here; *rec dies with t. */
static bool open_function(struct call *c, struct store_txn **t, struct str *name,
                          struct str *qualifier, struct str *rec)
{
    struct err err = {0};
    int rc = lambda_target(c, name, qualifier, &err);
    if (rc) {
        call_error(c, rc, &err);
        return false;
    }
    *t = store_read(c->svc->store);
    rc = function_record(*t, c->svc->region, *name, *qualifier, rec, &err);
    if (rc == 0)
        return true;
    store_read_end(*t);
    call_error(c, rc, &err);
    return false;
}

/* A function without a configuration for code signing: no member. */
void lambda_get_function_code_signing_config(struct call *c)
{
    struct str name, qualifier, rec;
    struct store_txn *t;
    if (!open_function(c, &t, &name, &qualifier, &rec))
        return;
    store_read_end(t);
    call_json(c, c->op->status, json_object());
}

void lambda_get_function_scaling_config(struct call *c)
{
    struct str name, qualifier, rec;
    struct store_txn *t;
    if (!open_function(c, &t, &name, &qualifier, &rec))
        return;
    store_read_end(t);
    call_json(c, c->op->status,
              json_pack("{s:o}", "FunctionArn", json_text(lambda_arn(c, name, qualifier))));
}

/* --- what one text of the function's row says -------------------------------------------------- */

struct setting {
    struct lambda_job j;
    uint16_t tag;
    struct str value, qualifier;
};

static int apply(struct job *job, struct store_txn *t)
{
    struct setting *k = (struct setting *)job;
    return function_text_set(t, k->j.c->svc->region, k->j.name, k->tag, k->value, &k->j.err);
}

static json_t *recursion(struct str loop)
{
    return json_pack("{s:o}", "RecursiveLoop", json_text(loop.n ? loop : STR("Terminate")));
}

void lambda_get_function_recursion_config(struct call *c)
{
    struct str name, qualifier, rec;
    struct store_txn *t;
    if (!open_function(c, &t, &name, &qualifier, &rec))
        return;
    json_t *o = recursion(rec_str(rec, FN_RECURSIVE_LOOP));
    store_read_end(t);
    call_json(c, c->op->status, o);
}

static void reply_recursion(struct lambda_job *j)
{
    call_json(j->c, j->c->op->status, recursion(((struct setting *)j)->value));
}

static void put(struct call *c, uint16_t tag, const char *member,
                void (*reply)(struct lambda_job *j))
{
    struct setting *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_whole_target(c, &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = json_member_str(c->json, member, &k->value, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->tag = tag;
    lambda_submit(&k->j, c, name, apply, reply);
}

void lambda_put_function_recursion_config(struct call *c)
{
    put(c, FN_RECURSIVE_LOOP, "RecursiveLoop", reply_recursion);
}

static json_t *runtime(struct call *c, struct str name, struct str qualifier, struct str mode)
{
    return json_pack("{s:o,s:o}", "UpdateRuntimeOn", json_text(mode.n ? mode : STR("Auto")),
                     "FunctionArn", json_text(lambda_arn(c, name, qualifier)));
}

void lambda_get_runtime_management_config(struct call *c)
{
    struct str name, qualifier, rec;
    struct store_txn *t;
    if (!open_function(c, &t, &name, &qualifier, &rec))
        return;
    json_t *o = runtime(c, name, qualifier, rec_str(rec, FN_UPDATE_RUNTIME_ON));
    store_read_end(t);
    call_json(c, c->op->status, o);
}

static void reply_runtime(struct lambda_job *j)
{
    call_json(j->c, j->c->op->status,
              runtime(j->c, j->name, STR(""), ((struct setting *)j)->value));
}

/* There is one runtime, the server's own: only its updates with the server can be asked for. */
void lambda_put_runtime_management_config(struct call *c)
{
    put(c, FN_UPDATE_RUNTIME_ON, "UpdateRuntimeOn", reply_runtime);
}
