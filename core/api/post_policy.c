/* post_policy: conditions on the fields of a form.
 *
 * Every field but the policy itself, its signature and those that begin with x-ignore- must be named
 * by a condition, so that whoever holds a signed policy can add nothing to what it allows. */
#include "api/post_policy.h"

#include "base/clock.h"
#include "base/json.h"

struct str form_field_get(const struct form_field_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_ieq(l->f[i].name, str_c(name)))
            return l->f[i].value;
    return str_of(NULL, 0);
}

enum { CONDITIONS_MAX = 500 };

struct checking {
    const struct form_field_list *fields;
    struct str bucket;
    json_t *named; /* an object: fields that a condition names, in lower case */
    uint64_t *min, *max;
    struct err *err;
};

static int malformed(struct checking *k, const char *what)
{
    return err_set(k->err, E_FORM_POLICY, "Invalid Policy: %s", what);
}

static int failed(struct checking *k, const char *op, struct str name, struct str want)
{
    return err_set(k->err, E_DENIED,
                   "Invalid according to Policy: Policy Condition failed: [\"%s\", \"$%.*s\", "
                   "\"%.*s\"]",
                   op, (int)(name.n < 100 ? name.n : 100), name.p,
                   (int)(want.n < 200 ? want.n : 200), want.p);
}

static void lower(struct str s, char out[static 128])
{
    size_t n = s.n < 127 ? s.n : 127;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    out[n] = 0;
}

static int check_field(struct checking *k, bool prefix, struct str name, struct str want)
{
    char key[128];
    lower(name, key);
    struct str got = form_field_get(k->fields, key);
    if (!got.p && strcmp(key, "bucket") == 0)
        got = k->bucket;
    json_object_set_new(k->named, key, json_true());
    bool fits = prefix ? str_starts(got, want) : got.p && str_eq(got, want);
    return fits ? 0 : failed(k, prefix ? "starts-with" : "eq", name, want);
}

static bool size_of(const json_t *v, uint64_t *out)
{
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *out = (uint64_t)json_integer_value(v);
        return true;
    }
    return str_u64(json_bytes(v), out);
}

/* ["eq", "$name", "value"], ["starts-with", …], ["content-length-range", 1, 10] */
static int check_list(struct checking *k, const json_t *c)
{
    struct str op = json_bytes(json_array_get(c, 0)), name = json_bytes(json_array_get(c, 1));
    struct str value = json_bytes(json_array_get(c, 2));
    uint64_t min, max;
    if (json_array_size(c) != 3)
        return malformed(k, "a condition that is a list has three elements");
    if (str_ieq(op, STR("content-length-range"))) {
        if (!size_of(json_array_get(c, 1), &min) || !size_of(json_array_get(c, 2), &max))
            return malformed(k, "content-length-range takes two numbers");
        *k->min = min > *k->min ? min : *k->min;
        *k->max = max < *k->max ? max : *k->max;
        return 0;
    }
    bool prefix = str_ieq(op, STR("starts-with"));
    if ((!prefix && !str_ieq(op, STR("eq"))) || !value.p || name.n < 2 || name.p[0] != '$')
        return malformed(k, "a condition is not understood");
    return check_field(k, prefix, str_from(name, 1), value);
}

static int check_condition(struct checking *k, json_t *c)
{
    const char *name;
    json_t *value;
    int rc = 0;
    if (json_is_array(c))
        return check_list(k, c);
    if (json_object_size(c) == 0)
        return malformed(k, "a condition is empty");
    json_object_foreach(c, name, value)
    {
        if (rc == 0)
            rc = json_is_string(value) ? check_field(k, false, str_c(name), json_bytes(value))
                                       : malformed(k, "a condition is no text");
    }
    return rc;
}

static bool needs_none(const char *name)
{
    static const char *const free_names[] = {"policy", "signature", "awsaccesskeyid", "bucket",
                                             "x-amz-signature"};
    for (size_t i = 0; i < sizeof free_names / sizeof *free_names; i++)
        if (strcmp(name, free_names[i]) == 0)
            return true;
    return str_starts(str_c(name), STR("x-ignore-"));
}

static int check_all_named(struct checking *k)
{
    for (size_t i = 0; i < k->fields->n; i++) {
        char name[128];
        lower(k->fields->f[i].name, name);
        if (!needs_none(name) && !json_object_get(k->named, name))
            return err_set(k->err, E_DENIED, "Invalid according to Policy: Extra input fields: %s",
                           name);
    }
    return 0;
}

static int check_document(struct checking *k, const json_t *doc, int64_t now_ms)
{
    const json_t *conditions = json_object_get(doc, "conditions");
    struct str expiration = json_bytes(json_object_get(doc, "expiration"));
    int64_t until;
    int rc = 0;
    if (!json_is_object(doc) || !expiration.p || !clock_parse(expiration, &until))
        return malformed(k, "it has no expiration");
    if (!json_is_array(conditions) || json_array_size(conditions) > CONDITIONS_MAX)
        return malformed(k, "it has no list of conditions, or one that is too long");
    if (now_ms > until)
        return err_set(k->err, E_DENIED, "Invalid according to Policy: Policy expired.");
    for (size_t i = 0; i < json_array_size(conditions) && rc == 0; i++)
        rc = check_condition(k, json_array_get(conditions, i));
    return rc ? rc : check_all_named(k);
}

int post_policy_check(struct str json, const struct form_field_list *fields, struct str bucket,
                      int64_t now_ms, uint64_t *min, uint64_t *max, struct err *err)
{
    struct checking k = {.fields = fields, .bucket = bucket, .min = min, .max = max, .err = err};
    json_t *doc = json_parse(json, NULL);
    *min = 0;
    *max = UINT64_MAX;
    k.named = json_object();
    int rc = doc && k.named ? check_document(&k, doc, now_ms) : malformed(&k, "Invalid JSON.");
    json_decref(doc);
    json_decref(k.named);
    return rc;
}
