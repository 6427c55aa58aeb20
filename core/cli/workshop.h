/* workshop: the real runtime on this machine, without a server: a zygote, a pool of jailed runners,
 * and functions made of files in memory. What test, check and dev run code in. */
#ifndef CLI_WORKSHOP_H
#define CLI_WORKSHOP_H

#include <jansson.h>

#include "base/err.h"
#include "svc/evaluate.h"

struct workshop;

/* NULL after a message. PERILUNE_ALLOW_WEAK_JAIL is honoured as the server does. */
struct workshop *workshop_open(void);
void workshop_close(struct workshop *w);

/* Calls the function and waits. Takes the event. 0 and *result (the caller's); else E_* and a text:
 * what the function raised, that it ran out of time or memory, or why it could not run. */
int workshop_call(struct workshop *w, struct fn *fn, json_t *event, json_t **result,
                  struct err *err);
/* The manifest that `files` hold as function.lua, as the server reads it. 0 and *out, or E_* with a
 * text. */
int workshop_manifest(struct workshop *w, struct str function_lua, json_t **out, struct err *err);

#endif
