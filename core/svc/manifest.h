/* manifest: what a project (function.lua) or a blueprint wants to exist, read from JSON.
 *
 *   {"name", "description", "handler", "runtime", "memory_mb", "timeout_s", "environment": {K: V},
 *    "permissions": [[ACTION or [ACTION…], RESOURCE or [RESOURCE…]], …],
 *    "triggers": [{"s3": BUCKET, "events": ["ObjectCreated:*"], "prefix", "suffix"},
 *                 {"schedule": EXPRESSION, "timezone", "input": any, "missed": "once" "skip" "all",
 *                  "overlap": "run" "skip"},
 *                 {"url": true, "auth": "none"}]}
 *
 * The table was evaluated inside a jail (lua/manifest.lua), so its content is as untrusted as any
 * request. Resources may be written short: "uploads/…" for s3, a namespace for perilune:Kv…, a
 * function's name for lambda; anything that begins with "arn:" or is "*" is taken as it is. */
#ifndef SVC_MANIFEST_H
#define SVC_MANIFEST_H

#include <jansson.h>

#include "base/arena.h"
#include "svc/bucket.h"
#include "svc/function.h"

struct manifest {
    struct str name, description, handler, runtime;
    uint32_t memory_mb, timeout_s;
    struct fn_env *env;
    size_t env_count;
    struct str role_policy; /* JSON document, "" when no permissions were asked for */
    struct str *granted;    /* "s3:GetObject on arn:aws:s3:::uploads/…", for the preview */
    size_t granted_count;
    struct str *namespaces; /* kv namespaces named in full by the permissions */
    size_t namespace_count;
    struct manifest_bucket { /* an S3 trigger: bucket and rule; trigger.function_arn is filled in */
        struct str bucket;
        struct trigger trigger;
    } * triggers;
    size_t trigger_count;
    struct manifest_schedule {
        struct str name, expr, zone; /* zone "": UTC */
        struct str input;            /* JSON text, "" none */
        uint64_t missed, overlap;    /* enum schedule_missed, schedule_overlap */
    } * schedules;
    size_t schedule_count;
    bool url;
};

/* Everything in *out lies in the arena. E_INVALID with a text that names the member. */
int manifest_parse(json_t *json, const char *region, struct arena *a, struct manifest *out,
                   struct err *err);

#endif
