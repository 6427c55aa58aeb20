/* call: host calls: what a function may ask of the core, as one blocking Lua function.
 *
 *     call(number, TAG, value, TAG, value, …)  ->  table of named fields | nil, error object
 *
 * The Lua modules wrap it. Arguments are encoded by the kind of their tag and nil ones are left
 * out; a result becomes a table whose keys are the tags' names ("body", "etag", …). The runner
 * waits in here: nothing else of the function runs meanwhile, so a host call works anywhere, in
 * callbacks of the library and in coroutines too. */
#ifndef RUNNER_CALL_H
#define RUNNER_CALL_H

#include "runner/self.h"

/* Pushes the function `call`. */
LJMP void call_push(lua_State *L);
/* Pushes a table: tag names ("bucket") and call names ("s3.get") to their numbers. */
LJMP void call_push_numbers(lua_State *L);

/* Pushes an error object: code, message, __tostring. */
LJMP void call_push_error(lua_State *L, struct str code, struct str message);
/* new_error(code, message): the same as a Lua function. */
int call_new_error(lua_State *L);

#endif
