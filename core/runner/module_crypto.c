/* module_crypto: digests and friends, raw and as hex. libcrypto was set up before the fork; inside
 * the jail it needs nothing of the system but memory. */
#include "runner/module.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/id.h"

enum { RANDOM_MAX = 1024 * 1024 };

static LJMP struct str check_bytes(lua_State *L, int idx)
{
    struct str s;
    s.p = luaL_checklstring(L, idx, &s.n);
    return s;
}

static LJMP int push_digest(lua_State *L, enum hash_alg alg, const unsigned char *digest, bool hex)
{
    char text[2 * HASH_MAX + 1];
    size_t n = hash_size(alg);
    if (hex)
        hex_encode(digest, n, text);
    lua_pushlstring(L, hex ? text : (const char *)digest, hex ? 2 * n : n);
    return 1;
}

static LJMP int digest(lua_State *L, enum hash_alg alg, bool hex)
{
    unsigned char out[HASH_MAX];
    hash_once(alg, check_bytes(L, 1), out);
    return push_digest(L, alg, out, hex);
}

#define DIGEST(name, alg)                                                                          \
    static int name(lua_State *L)                                                                  \
    {                                                                                              \
        return digest(L, alg, false);                                                              \
    }                                                                                              \
    static int name##_hex_of(lua_State *L)                                                         \
    {                                                                                              \
        return digest(L, alg, true);                                                               \
    }
DIGEST(sha256, HASH_SHA256)
DIGEST(sha1, HASH_SHA1)
DIGEST(md5, HASH_MD5)

static LJMP int keyed(lua_State *L, bool hex)
{
    static const char *const names[] = {"sha256", "sha1", "md5", "sha512", NULL};
    static const enum hash_alg algs[] = {HASH_SHA256, HASH_SHA1, HASH_MD5, HASH_SHA512};
    unsigned char out[HASH_MAX];
    enum hash_alg alg = algs[luaL_checkoption(L, 1, NULL, names)];
    struct str key = check_bytes(L, 2), message = check_bytes(L, 3);
    hmac_once(alg, key, message, out);
    return push_digest(L, alg, out, hex);
}

static int hmac(lua_State *L)
{
    return keyed(L, false);
}

static int hmac_hex(lua_State *L)
{
    return keyed(L, true);
}

static int random_string(lua_State *L)
{
    lua_Number n = luaL_checknumber(L, 1);
    luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "0 to 1048576 bytes");
    void *bytes = lua_newuserdata(L, (size_t)n);
    random_bytes(bytes, (size_t)n);
    lua_pushlstring(L, bytes, (size_t)n);
    return 1;
}

static int uuid(lua_State *L)
{
    char text[37];
    id_uuid(text);
    lua_pushlstring(L, text, 36);
    return 1;
}

static int equals(lua_State *L)
{
    lua_pushboolean(L, str_eq_secret(check_bytes(L, 1), check_bytes(L, 2)));
    return 1;
}

LJMP void module_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {{"sha256", sha256},
                                         {"sha256_hex", sha256_hex_of},
                                         {"sha1", sha1},
                                         {"sha1_hex", sha1_hex_of},
                                         {"md5", md5},
                                         {"md5_hex", md5_hex_of},
                                         {"hmac", hmac},
                                         {"hmac_hex", hmac_hex},
                                         {"random", random_string},
                                         {"uuid", uuid},
                                         {"equals", equals},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
