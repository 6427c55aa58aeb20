/* evaluate: runs a manifest's Lua (function.lua, blueprint.lua) in a sealed runner and gives its
 * table.
 *
 * The runner has the whole jail and no host calls, 32 MB and 2 s; it ends after the one run. */
#ifndef SVC_EVALUATE_H
#define SVC_EVALUATE_H

#include <jansson.h>

#include "svc/pool.h"
#include "svc/zipfile.h"

/* Calls `function` of lua/manifest.lua with `event` (JSON text), `files` being beside it; all are
 * copied. done(ctx, 0, result) with the result borrowed, or E_INVALID with the Lua error's text, or
 * E_THROTTLED … */
void evaluate(struct pool *p, const struct zipfile_entry *files, size_t n, const char *function,
              struct str event,
              void (*done)(void *ctx, int rc, json_t *result, const struct err *err), void *ctx);

#endif
