/* bucket_policy: compiled policies of buckets, found by the version of the row they were made from.
 *
 * A request whose bucket has no policy costs one read of the bucket's row; one that has costs the
 * read of its row's version too. The cache is small and round: a server has few buckets with
 * policies, and compiling one again takes microseconds. */
#include "svc/bucket_policy.h"

#include "auth/arn.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/bucket_conf.h"

enum { CACHED = 64 };

struct bucket_policies {
    struct store *store;
    struct cached {
        uint64_t version; /* 0: free */
        struct policy *policy;
    } cached[CACHED];
    size_t next; /* slot to use next */
};

struct bucket_policies *bucket_policies_open(struct store *s)
{
    struct bucket_policies *p = calloc(1, sizeof *p);
    if (!p)
        fatal("out of memory");
    p->store = s;
    return p;
}

void bucket_policies_close(struct bucket_policies *p)
{
    for (size_t i = 0; i < CACHED; i++)
        policy_free(p->cached[i].policy);
    free(p);
}

static const char deny_all[] = "{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\","
                               "\"Action\":\"*\",\"Resource\":\"*\"}]}";

static struct policy *compiled(struct bucket_policies *p, const struct bucket_conf_row *row)
{
    for (size_t i = 0; i < CACHED; i++)
        if (p->cached[i].version == row->version)
            return p->cached[i].policy;
    struct policy *made = policy_parse(row->text, POLICY_RESOURCE, NULL);
    if (!made) {
        log_error("the policy of a bucket cannot be read: nobody may do anything there");
        made = policy_parse(STR(deny_all), POLICY_RESOURCE, NULL);
    }
    struct cached *slot = &p->cached[p->next++ % CACHED];
    policy_free(slot->policy);
    *slot = (struct cached){row->version, made};
    return made;
}

/* "arn:aws:s3:::NAME[/KEY]" -> NAME; empty when it is none. */
static struct str bucket_of(struct str arn)
{
    static const char prefix[] = "arn:aws:s3:::";
    if (!str_starts(arn, STR(prefix)))
        return STR("");
    struct str rest = str_from(arn, sizeof prefix - 1);
    return str_cut(&rest, '/');
}

bool bucket_public_access_blocked(struct store_txn *t, struct str bucket, uint16_t which)
{
    struct bucket_conf_row row;
    return bucket_conf_get(t, bucket, CONF_PUBLIC_ACCESS, &row) == 0 &&
           rec_u64(row.rules, which, 0) != 0;
}

const struct policy *bucket_policy_find(struct bucket_policies *p, struct str resource,
                                        bool stranger)
{
    struct bucket_conf_row row;
    struct str bucket = bucket_of(resource);
    const struct policy *found = NULL;
    if (!p || bucket.n == 0)
        return NULL;
    struct store_txn *t = store_read(p->store);
    if (bucket_conf_get(t, bucket, CONF_POLICY, &row) == 0 &&
        !(stranger && bucket_public_access_blocked(t, bucket, PUBLIC_ACCESS_RESTRICT)))
        found = compiled(p, &row);
    store_read_end(t);
    return found;
}

/* --- judging a document -------------------------------------------------------------------------
 */

/* v is a value or a list of them: calls each with every text until one answers false. */
static bool all_texts(const json_t *v, bool (*each)(void *ctx, struct str text), void *ctx)
{
    if (!json_is_array(v))
        return each(ctx, json_bytes(v));
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!each(ctx, json_bytes(json_array_get(v, i))))
            return false;
    return true;
}

/* The bucket itself, or what lies in it, perhaps among others: only this one is ever asked about. */
static bool is_inside(void *ctx, struct str resource)
{
    struct str name = bucket_of(resource);
    return name.n && arn_match(name, *(struct str *)ctx);
}

static int check_resources(const json_t *statement, struct str bucket, struct err *err)
{
    static const char *const names[] = {"Resource", "NotResource"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(statement, names[i]);
        if (v && !all_texts(v, is_inside, &bucket))
            return err_set(err, E_BAD_POLICY, "Policy has invalid resource");
    }
    return 0;
}

static bool is_s3_action(void *ctx, struct str action)
{
    (void)ctx;
    return str_is(action, "*") || (action.n > 3 && str_ieq(str_of(action.p, 3), STR("s3:")));
}

static int check_actions(const json_t *statement, struct err *err)
{
    static const char *const names[] = {"Action", "NotAction"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(statement, names[i]);
        if (v && !all_texts(v, is_s3_action, NULL))
            return err_set(err, E_BAD_POLICY, "Policy has invalid action");
    }
    return 0;
}

/* The statements of a document: the i-th, or NULL. One alone needs no list. */
static const json_t *statement_at(const json_t *doc, size_t i)
{
    const json_t *all = json_object_get(doc, "Statement");
    if (json_is_array(all))
        return json_array_get(all, i);
    return i == 0 ? all : NULL;
}

int bucket_policy_check(struct str json, struct str bucket, struct err *err)
{
    if (json.n > BUCKET_POLICY_MAX)
        return err_set(err, E_POLICY_LENGTH, "Your policy exceeds the maximum allowed size");
    if (json.n == 0 || json.p[0] != '{')
        return err_set(err, E_BAD_POLICY,
                       "Policies must be valid JSON and the first byte must be '{'");
    struct policy *p = policy_parse(json, POLICY_RESOURCE, err);
    if (!p)
        return E_BAD_POLICY;
    policy_free(p);
    json_t *doc = json_parse(json, NULL);
    const json_t *statement;
    int rc = doc ? 0 : E_BAD_POLICY;
    if (rc == 0 && !statement_at(doc, 0))
        rc = err_set(err, E_BAD_POLICY, "Could not parse the policy: Statement is empty!");
    for (size_t i = 0; rc == 0 && (statement = statement_at(doc, i)); i++) {
        rc = check_resources(statement, bucket, err);
        if (rc == 0)
            rc = check_actions(statement, err);
    }
    json_decref(doc);
    return rc;
}

/* --- public or not ------------------------------------------------------------------------------
 */

static bool is_no_wildcard(void *ctx, struct str text)
{
    (void)ctx;
    return !str_is(text, "*");
}

static bool names_everybody(const json_t *principal)
{
    if (json_is_object(principal))
        principal = json_object_get(principal, "AWS");
    return principal && !all_texts(principal, is_no_wildcard, NULL);
}

static bool has_no_pattern(void *ctx, struct str text)
{
    (void)ctx;
    return str_index(text, '*', 0) < 0 && str_index(text, '?', 0) < 0 &&
           str_find(text, STR("${")) < 0 && !str_ends(text, STR("/0"));
}

/* Does one of the conditions ask for a fixed value of a key that strangers cannot choose? */
static bool is_narrowed(const json_t *conditions)
{
    static const char *const keys[] = {
        "aws:sourceip",     "aws:sourcearn",   "aws:sourcevpc",      "aws:sourcevpce",
        "aws:sourceowner",  "aws:userid",      "aws:sourceaccount",  "aws:principalarn",
        "aws:principalorg", "aws:sourceorgid", "aws:principalorgid", "aws:principalaccount"};
    const char *op, *key;
    const json_t *pairs, *value;
    json_object_foreach((json_t *)(uintptr_t)conditions, op, pairs)
    {
        if (strstr(op, "Not") || strstr(op, "IfExists") || strcmp(op, "Null") == 0)
            continue;
        json_object_foreach((json_t *)(uintptr_t)pairs, key, value)
        {
            for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
                if (str_ieq(str_c(key), str_c(keys[i])) && all_texts(value, has_no_pattern, NULL))
                    return true;
        }
    }
    return false;
}

bool bucket_policy_is_public(struct str json)
{
    json_t *doc = json_parse(json, NULL);
    const json_t *s;
    bool public = false;
    for (size_t i = 0; doc && !public && (s = statement_at(doc, i)); i++)
    public =
        str_is(json_bytes(json_object_get(s, "Effect")), "Allow") &&
        (names_everybody(json_object_get(s, "Principal")) || json_object_get(s, "NotPrincipal")) &&
        !is_narrowed(json_object_get(s, "Condition"));
    json_decref(doc);
    return public;
}
