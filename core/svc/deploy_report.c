/* deploy_report: lists that stay short; they are searched from the start. */
#include "svc/deploy_report.h"

#include <string.h>

#include "base/json.h"

void deploy_report_add(json_t *report, const char *list, const char *type, struct str name)
{
    json_t *array = json_object_get(report, list), *item;
    size_t i;
    json_array_foreach(array, i, item)
    {
        if (str_eq(name, json_bytes(json_object_get(item, "name"))) &&
            strcmp(json_string_value(json_object_get(item, "type")), type) == 0)
            return;
    }
    json_array_append_new(array,
                          json_pack("{s:s, s:s#}", "type", type, "name", name.p, (int)name.n));
}

static bool holds(const json_t *list, struct str text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (str_eq(json_bytes(item), text)) return true;
    return false;
}

/* The i-th of one value or a list of them. */
static struct str nth(const json_t *v, size_t i)
{
    if (json_is_array(v))
        return json_bytes(json_array_get(v, i));
    return i == 0 ? json_bytes(v) : (struct str){NULL, 0};
}

static void compare_statement(json_t *report, const json_t *statement)
{
    const json_t *actions = json_object_get(statement, "Action");
    const json_t *resources = json_object_get(statement, "Resource");
    json_t *granted = json_object_get(report, "granted"),
           *gone = json_object_get(report, "revoked");
    struct str action, resource;
    for (size_t i = 0; (action = nth(actions, i)).p; i++)
        for (size_t k = 0; (resource = nth(resources, k)).p; k++) {
            struct buf text = BUF_INIT;
            buf_add(&text, action);
            buf_lit(&text, " on ");
            buf_add(&text, resource);
            if (!holds(granted, buf_str(&text)) && !holds(gone, buf_str(&text)))
                json_array_append_new(gone, json_text(buf_str(&text)));
            buf_deinit(&text);
        }
}

void deploy_report_revoked(json_t *report, struct str old_policy)
{
    json_t *doc = json_parse(old_policy, NULL), *statement;
    json_t *list = json_object_get(doc, "Statement");
    size_t i;
    if (json_is_object(list))
        compare_statement(report, list);
    json_array_foreach(list, i, statement) compare_statement(report, statement);
    json_decref(doc);
}
