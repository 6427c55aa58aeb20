/* module: the Lua modules written in C. Each registers its functions into the table at the top of
 * the stack; state.c decides where that table appears. */
#ifndef RUNNER_MODULE_H
#define RUNNER_MODULE_H

#include "runner/self.h"

LJMP void module_json(lua_State *L);   /* encode, decode, array, null, empty_array */
LJMP void module_cjson(lua_State *L);  /* the same codec by cjson's contract */
LJMP void module_crypto(lua_State *L); /* digests, hmac, random, uuid, equals */
LJMP void module_base64(lua_State *L); /* encode, decode, url_encode, url_decode */
LJMP void module_hex(lua_State *L);    /* encode, decode */
LJMP void module_time(lua_State *L);   /* now, iso8601, parse */
LJMP void module_log(lua_State *L);    /* emit, write: for lua/log.lua and lua/base.lua */
LJMP void module_os(lua_State *L);     /* getenv */

#endif
