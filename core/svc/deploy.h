/* deploy: makes everything a manifest asks for in one transaction, and removes it again.
 *
 * A deployment is a function with its role, bucket notifications, URL and, where a trigger's bucket
 * is missing, that bucket. What was made is noted in T_LINKS under the function's name, so that a
 * second deployment updates exactly that and one command takes all of it away. */
#ifndef SVC_DEPLOY_H
#define SVC_DEPLOY_H

#include "svc/logs.h"
#include "svc/manifest.h"
#include "svc/package.h"
#include "svc/pool.h"
#include "svc/role.h"

struct deploy_env { /* what a deployment touches; outlives every request */
    struct pool *pool;
    struct store *store;
    struct functions *functions;
    struct roles *roles;
    struct logs *logs;
    struct schedules *schedules;
    const char *region;
};

struct deploy_req {
    const struct manifest *manifest; /* valid until done */
    struct package *package;         /* valid until done; NULL on a dry run */
    struct str source;               /* "blueprint s3-upload" or "deploy"; copied */
    bool dry_run;                    /* look only */
    bool update;                     /* an existing function may be replaced; else E_EXISTS */
    /* report: see deploy_report.h; its version is the one published, absent on a dry run;
     * borrowed */
    void (*done)(void *ctx, int rc, json_t *report, const struct err *err);
    void *ctx;
    /* May whoever asks do that? 0, or E_DENIED. A deployment writes the role and hands it to the
     * function: iam:PutRolePolicy and iam:PassRole on it. */
    int (*may)(void *ctx, const char *action, struct str resource, struct err *err);
};
void deploy_apply(const struct deploy_env *env, const struct deploy_req *req);
/* Removes what the deployment NAME made. Its buckets go when they are empty, else they are named in
 * the report's "kept". E_NOT_FOUND when no deployment has that name. */
void deploy_remove(const struct deploy_env *env, struct str name,
                   void (*done)(void *ctx, int rc, json_t *report, const struct err *err),
                   void *ctx);
/* [{"name","source","created":[…]}], a new reference. */
json_t *deploy_list(const struct deploy_env *env);

#endif
