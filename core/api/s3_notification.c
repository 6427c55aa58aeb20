/* s3_notification: Put- and GetBucketNotificationConfiguration.
 *
 * The XML has names of its own (CloudFunctionConfiguration, CloudFunction, repeated Event), unlike
 * the JSON that the command line shows. A document replaces everything; an empty one removes
 * everything. Queues, topics and EventBridge do not exist here: naming one is refused, so that
 * nobody waits for events that will never come. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/xml.h"
#include "base/id.h"

struct notification_job {
    struct job job;
    struct call *c;
    struct trigger *list;
    size_t count;
    bool skip_validation;
    struct err err;
};

/* --- put ----------------------------------------------------------------------------------------
 */

static int read_filter_rule(const struct xml_node *rule, struct trigger *tr, struct err *err)
{
    struct str name = xml_child_text(rule, "Name");
    const struct xml_node *value = xml_child(rule, "Value");
    struct str *where = str_ieq(name, STR("prefix"))   ? &tr->prefix
                        : str_ieq(name, STR("suffix")) ? &tr->suffix
                                                       : NULL;
    if (!where)
        return err_set(err, E_INVALID, "filter rule name must be either prefix or suffix");
    if (!value)
        return E_BAD_XML;
    if (where->p)
        return err_set(err, E_INVALID, "Cannot specify more than one %s rule in a filter.",
                       where == &tr->prefix ? "prefix" : "suffix");
    *where = value->text; /* blanks count in keys */
    return 0;
}

static int read_filter(const struct xml_node *filter, struct trigger *tr, struct err *err)
{
    for (const struct xml_node *key = filter->child; key; key = key->next) {
        if (!str_is(key->name, "S3Key"))
            return E_BAD_XML;
        for (const struct xml_node *rule = key->child; rule; rule = rule->next) {
            if (!str_is(rule->name, "FilterRule"))
                return E_BAD_XML;
            int rc = read_filter_rule(rule, tr, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int read_function(struct call *c, const struct xml_node *n, struct trigger *tr,
                         struct err *err)
{
    tr->id = xml_child_text(n, "Id");
    tr->function_arn = xml_child_text(n, "CloudFunction");
    if (tr->id.n == 0) {
        char uuid[37];
        id_uuid(uuid);
        tr->id = arena_dup(c->arena, str_c(uuid));
    }
    if (tr->function_arn.n == 0)
        return E_BAD_XML;
    for (const struct xml_node *k = n->child; k; k = k->next) {
        int rc = 0;
        if (str_is(k->name, "Event")) {
            if (tr->event_count == TRIGGER_EVENTS_MAX)
                return err_set(err, E_INVALID, "A configuration takes at most %d events",
                               TRIGGER_EVENTS_MAX);
            tr->events[tr->event_count++] = k->text;
        } else if (str_is(k->name, "Filter")) {
            rc = read_filter(k, tr, err);
        } else if (!str_is(k->name, "Id") && !str_is(k->name, "CloudFunction")) {
            rc = E_BAD_XML;
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int refuse_other(const struct xml_node *n, struct err *err)
{
    const char *what = str_is(n->name, "QueueConfiguration")         ? "queue"
                       : str_is(n->name, "TopicConfiguration")       ? "topic"
                       : str_is(n->name, "EventBridgeConfiguration") ? "event bus"
                                                                     : NULL;
    if (!what)
        return E_BAD_XML;
    struct str arn = xml_child_text(n, *what == 'q' ? "Queue" : "Topic");
    err_set(err, E_INVALID, "Unable to validate the following destination configurations");
    snprintf(err->arg_name, sizeof err->arg_name, "%.*s, null", STR_FMT(arn));
    snprintf(err->arg_value, sizeof err->arg_value, "The destination %s does not exist", what);
    return E_INVALID;
}

static int read_document(struct notification_job *j)
{
    struct xml_node *root;
    struct call *c = j->c;
    int rc = xml_parse(c->arena, c->body, &root);
    if (rc)
        return rc;
    if (!str_is(root->name, "NotificationConfiguration"))
        return E_BAD_XML;
    j->list = arena_zalloc(c->arena, TRIGGERS_MAX * sizeof *j->list);
    if (!j->list)
        return E_LIMIT;
    for (const struct xml_node *n = root->child; n; n = n->next) {
        if (!str_is(n->name, "CloudFunctionConfiguration") &&
            !str_is(n->name, "LambdaFunctionConfiguration"))
            return refuse_other(n, &j->err);
        if (j->count == TRIGGERS_MAX)
            return err_set(&j->err, E_INVALID, "A bucket takes at most %d notifications",
                           TRIGGERS_MAX);
        rc = read_function(c, n, &j->list[j->count++], &j->err);
        if (rc)
            return rc;
    }
    return 0;
}

static int put_apply(struct job *job, struct store_txn *t)
{
    struct notification_job *j = (struct notification_job *)job;
    j->err = (struct err){0};
    return bucket_triggers_put(t, j->c->svc->region, j->c->param[0], j->list, j->count,
                               j->skip_validation, &j->err);
}

static void put_done(struct job *job, int rc)
{
    struct notification_job *j = (struct notification_job *)job;
    if (rc)
        call_error(j->c, rc, &j->err);
    else
        call_empty(j->c, 200);
}

void s3_put_notification(struct call *c)
{
    struct notification_job *j = arena_zalloc(c->arena, sizeof *j);
    int rc = j ? s3_bucket_check(c) : E_LIMIT;
    if (rc == 0) {
        j->c = c;
        j->skip_validation =
            str_ieq(call_header(c, "x-amz-skip-destination-validation"), STR("true"));
        rc = read_document(j);
    }
    if (rc) {
        call_error(c, rc, j ? &j->err : NULL);
        return;
    }
    j->job.apply = put_apply;
    j->job.done = put_done;
    store_submit(c->svc->store, &j->job);
}

/* --- get ----------------------------------------------------------------------------------------
 */

static void add_rule(struct buf *out, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_lit(out, "<FilterRule>");
    xml_element(out, "Name", str_c(name));
    xml_element(out, "Value", value);
    buf_lit(out, "</FilterRule>");
}

static bool add_trigger(void *ctx, const struct trigger *tr)
{
    struct buf *out = ctx;
    buf_lit(out, "<CloudFunctionConfiguration>");
    xml_element(out, "Id", tr->id);
    xml_element(out, "CloudFunction", tr->function_arn);
    for (size_t i = 0; i < tr->event_count; i++)
        xml_element(out, "Event", tr->events[i]);
    if (tr->prefix.n || tr->suffix.n) {
        buf_lit(out, "<Filter><S3Key>");
        add_rule(out, "prefix", tr->prefix);
        add_rule(out, "suffix", tr->suffix);
        buf_lit(out, "</S3Key></Filter>");
    }
    buf_lit(out, "</CloudFunctionConfiguration>");
    return true;
}

void s3_get_notification(struct call *c)
{
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, "NotificationConfiguration");
    struct store_txn *t = store_read(c->svc->store);
    int rc = bucket_triggers(t, c->param[0], add_trigger, &doc);
    store_read_end(t);
    buf_lit(&doc, "</NotificationConfiguration>");
    if (rc) {
        buf_deinit(&doc);
        call_error(c, rc, NULL);
        return;
    }
    s3_xml_reply(c, &doc);
}
