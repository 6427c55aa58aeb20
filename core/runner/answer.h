/* answer: what a handler returned, as bytes for the caller.
 *
 * A direct call gets JSON. A function URL gets a record of URL_* fields: what the table says when
 * it has a statusCode, else 200 with the value as JSON. */
#ifndef RUNNER_ANSWER_H
#define RUNNER_ANSWER_H

#include "runner/self.h"

/* Writes the value at the top of L into r->out. False: f says what is wrong with it. */
LJMP bool answer_write(lua_State *L, uint32_t event_kind, struct failure *f);

#endif
