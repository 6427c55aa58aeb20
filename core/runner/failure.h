/* failure: how a run went wrong, as the caller reads it and as the log shows it.
 *
 *   {"errorMessage": …, "errorType": …, "requestId": …, "stackTrace": ["handler.lua:12: in …", …]}
 *
 * A plain error is a Runtime.LuaError; a table with an errorType, or an error object of a host call
 * with its code, names its own type. The stack is read after the fact, from the dead coroutine, so
 * no code of the function has a hand in it. Everything is bounded and UTF-8. */
#ifndef RUNNER_FAILURE_H
#define RUNNER_FAILURE_H

#include "runner/self.h"

/* Frees nothing; a zeroed struct is empty and may be reused for the next failure. */
void failure_deinit(struct failure *f);
/* From a coroutine that ended with `status` of lua_resume: its error and its stack. Runs on L,
 * which is protected; pops the error off co. */
LJMP void failure_take(lua_State *L, lua_State *co, int status, struct failure *f);
/* From our own findings. */
void failure_set(struct failure *f, uint32_t code, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The error that out of memory is. */
void failure_memory(struct runner *r, struct failure *f);
/* Appends the error object. */
void failure_write(const struct failure *f, const char *request_id, struct buf *out);
/* Logs it as one event. */
void failure_log(struct runner *r, const struct failure *f);

/* The stack of `co` from `level` as lines; for traceback and for the deadline. */
void failure_trace(lua_State *co, int level, struct buf *out);
/* traceback([thread,] [message [, level]]), as debug.traceback has it. */
int failure_traceback(lua_State *L);
/* misuse(message): raises it at the line of the function's own code that is running. */
int failure_misuse(lua_State *L);

#endif
