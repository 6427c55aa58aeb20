/* state: makes the Lua state and the environment that functions see.
 *
 * The environment is not Lua's own with things taken out: it is a new table, filled from an
 * allow-list (tables in state.c) and from our modules. The original globals stay behind as the
 * private environment of our own Lua code, where no function can reach them, so a function that
 * breaks its globals breaks only itself. */
#ifndef RUNNER_STATE_H
#define RUNNER_STATE_H

#include "runner/self.h"

/* Compiles the embedded Lua modules once; state_open does it when nobody has. */
void state_prepare(void);
/* Fills r->L; fatal() when the binary's own modules do not load. */
void state_open(struct runner *r);
/* For lua_cpcall, before any user's code: every runner draws its own random numbers. */
int state_own_seed(lua_State *L);
/* For tests: runners end by _exit and close nothing. */
void state_close(struct runner *r);

#endif
