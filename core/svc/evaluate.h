/* evaluate: runs a manifest's Lua (function.lua, blueprint.lua) in a sealed runner and gives its
 * table.
 *
 * The runner has the whole jail and no host calls, 32 MB and 2 s; it ends after the one run. */
#ifndef SVC_EVALUATE_H
#define SVC_EVALUATE_H

#include <jansson.h>

#include "svc/pool.h"
#include "svc/zipfile.h"

/* A function version made of files in memory, for a pool's runners and no store. Its files travel to
 * the runner whole. */
struct sealed {
    const struct zipfile_entry *files;
    size_t count;
    const char *name, *handler; /* "manifest", "manifest.project" */
    uint32_t timeout_ms, memory_mb;
    bool spec; /* the state of 'perilune test' (struct fn) */
};
/* Copies everything; one reference, the caller's. NULL when the files are too large (4 MiB; of specs
 * 48 MiB). */
struct fn *sealed_fn(const struct sealed *s);

/* Calls `function` of lua/manifest.lua with `event` (JSON text), `files` being beside it; all are
 * copied. done(ctx, 0, result) with the result borrowed, or E_INVALID with the Lua error's text, or
 * E_THROTTLED … */
void evaluate(struct pool *p, const struct zipfile_entry *files, size_t n, const char *function,
              struct str event,
              void (*done)(void *ctx, int rc, json_t *result, const struct err *err), void *ctx);

#endif
