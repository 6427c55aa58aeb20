/* lambda_tags: TagResource, UntagResource, ListTags. Functions only have tags, named by their ARN. */
#include "api/gate_call.h"
#include "api/lambda.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/function_conf.h"

struct tagging {
    struct lambda_job j;
    const struct fn_env *tags;
    struct str *keys; /* to remove */
    size_t count;
};

/* The function whose ARN the path bears. */
static int target(struct call *c, struct str *name, struct err *err)
{
    struct str qualifier;
    int rc = lambda_check(c, err);
    if (rc == 0)
        rc = lambda_name(c, c->param[0], name, &qualifier, err);
    if (rc == 0 && qualifier.n)
        return err_set(err, E_INVALID,
                       "Tags on function aliases and versions are not supported. Please specify a "
                       "function ARN.");
    return rc;
}

static int apply_tag(struct job *job, struct store_txn *t)
{
    struct tagging *k = (struct tagging *)job;
    return function_tag(t, k->j.c->svc->region, k->j.name, k->tags, k->count, &k->j.err);
}

static int apply_untag(struct job *job, struct store_txn *t)
{
    struct tagging *k = (struct tagging *)job;
    return function_untag(t, k->j.c->svc->region, k->j.name, k->keys, k->count, &k->j.err);
}

void lambda_tag_resource(struct call *c)
{
    struct tagging *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? target(c, &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = lambda_read_tags(c, &k->tags, &k->count, &err);
    if (rc == 0 && k->count == 0)
        rc = err_set(&err, E_INVALID, "An error occurred and the request cannot be processed.");
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply_tag, lambda_reply_empty);
}

/* ?tagKeys=a&tagKeys=b */
static int read_keys(struct call *c, struct tagging *k)
{
    const struct call_private *v = c->private_;
    k->keys = arena_alloc(c->arena, (v->param_count + 1) * sizeof *k->keys);
    for (size_t i = 0; k->keys && i < v->param_count; i++)
        if (str_is(v->params[i].name, "tagKeys"))
            k->keys[k->count++] = v->params[i].value;
    return k->keys ? 0 : E_LIMIT;
}

void lambda_untag_resource(struct call *c)
{
    struct tagging *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? target(c, &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = read_keys(c, k);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply_untag, lambda_reply_empty);
}

json_t *lambda_tags(struct str rec)
{
    json_t *tags = json_object();
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        struct str key = tag == FN_TAG ? rec_str(v, 1) : STR("");
        if (key.n)
            json_object_setn_new(tags, key.p, key.n, json_text(rec_str(v, 2)));
    }
    return tags;
}

void lambda_list_tags(struct call *c)
{
    struct err err = {0};
    struct str name, rec;
    json_t *o = NULL;
    int rc = target(c, &name, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = function_row(t, c->svc->region, name, STR(""), &rec, &err);
        if (rc == 0)
            o = json_pack("{s:o}", "Tags", lambda_tags(rec));
        store_read_end(t);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}
