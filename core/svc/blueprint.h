/* blueprint: Lua templates that make a function with its role, triggers and bucket.
 *
 * The templates are built into the binary (blueprints/NAME/…). blueprint.lua is evaluated in a
 * sealed runner; its parameters reach the code as environment variables, never spliced into source.
 */
#ifndef SVC_BLUEPRINT_H
#define SVC_BLUEPRINT_H

#include "svc/deploy.h"
#include "svc/pool.h"

struct blueprint_env {
    struct pool *pool;
    const struct deploy_env *deploy;
    const char
        *endpoint; /* "http://HOST:PORT", how the server is reached; may be filled in later */
};

/* json and err are borrowed. */
typedef void blueprint_done(void *ctx, int rc, json_t *json, const struct err *err);

/* deploy_req.may, with the same ctx. */
typedef int blueprint_may(void *ctx, const char *action, struct str resource, struct err *err);

/* ["s3-upload", …], a new reference. */
json_t *blueprint_names(void);
/* {"name","title","summary","params":[…],"files":[…]}; E_NOT_FOUND. */
void blueprint_describe(const struct blueprint_env *env, struct str name, blueprint_done *done,
                        void *ctx);
/* parameters: an object, defaults fill the rest; borrowed. The report is deploy's, with
 * "blueprint", "parameters", "try" (a command or what else to do next) and, when it has one, "url". E_INVALID names
 * every parameter that is wrong; E_EXISTS when the function is there. */
void blueprint_instantiate(const struct blueprint_env *env, struct str name, json_t *parameters,
                           bool dry_run, blueprint_may *may, blueprint_done *done, void *ctx);

#endif
