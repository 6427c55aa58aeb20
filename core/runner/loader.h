/* loader: from the bytes of the package to functions: text only, under the file's own name.
 *
 * The search and the cache of modules are in lua/require.lua; here are the steps it needs C for. */
#ifndef RUNNER_LOADER_H
#define RUNNER_LOADER_H

#include "runner/self.h"

/* Sets fields of the table at the top of the stack:
 *   file(path) -> bytes | nil, size     nil, nil: not in the package; size: ask the core for it
 *   compile(bytes, path) -> function | nil, message
 *   note(type, message)                 if the run ends with this message, that is the error's type
 */
LJMP void loader_register(lua_State *L);

#endif
