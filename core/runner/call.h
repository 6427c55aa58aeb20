/* call: host calls: what a function may ask of the core.
 *
 *     call(number, TAG, value, TAG, value, …)  ->  table of named fields | nil, error object
 *     begin(number, TAG, value, …)             ->  id | nil, error object | nothing: all places taken
 *     take()                                   ->  id, and then what `call` would have answered
 *
 * The Lua modules wrap them. Arguments are encoded by the kind of their tag and nil ones are left
 * out; a result becomes a table whose keys are the tags' names ("body", "etag", …). `call` waits in
 * here: nothing else of the function runs meanwhile, so a host call works anywhere, in callbacks of
 * the library and in coroutines too. `begin` and `take` are for lua/task.lua, which runs several
 * side by side: `take` waits for the next result of any begun call. */
#ifndef RUNNER_CALL_H
#define RUNNER_CALL_H

#include "runner/self.h"

/* Puts the functions call, begin and take into the table at the top. */
LJMP void call_register(lua_State *L);
/* A new invocation or the init phase begins: results of earlier calls are nobody's any more. */
void call_forget(struct runner *r);
/* Pushes a table: tag names ("bucket") and call names ("s3.get") to their numbers. */
LJMP void call_push_numbers(lua_State *L);

/* Pushes an error object: code, message, __tostring. */
LJMP void call_push_error(lua_State *L, struct str code, struct str message);
/* new_error(code, message): the same as a Lua function. */
int call_new_error(lua_State *L);

#endif
