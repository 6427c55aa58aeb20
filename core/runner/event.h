/* event: what a handler receives: the event as Lua values, and the context.
 *
 * A JSON event is read straight into values. The call of a function URL arrives as a record of its
 * fields and becomes the table of payload format 2.0 without a JSON text in between. Strings of a
 * request are UTF-8 (mended when they are not); a body that is not UTF-8 is given as base64, with
 * isBase64Encoded, as the format has it. */
#ifndef RUNNER_EVENT_H
#define RUNNER_EVENT_H

#include "runner/self.h"

struct event { /* one INVOKE, valid while it is turned into values */
    struct frame_invoke head;
    struct str arn, client_context, bytes;
};

/* Pushes the event. False: the JSON is none (nothing pushed). */
LJMP bool event_push(lua_State *L, const struct event *e);
LJMP void event_push_context(lua_State *L, const struct event *e);
/* Once the function is known: makes the fields of the context that never change. */
LJMP void event_setup_context(lua_State *L);

#endif
