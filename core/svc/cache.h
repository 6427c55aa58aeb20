/* cache: what functions keep in this node's memory between runs, each function for itself.
 *
 * Bounded in bytes, per function and in all; what was used least recently goes first. Nothing is
 * promised: an entry may be gone at any time, and all are at a restart. Loop thread. */
#ifndef SVC_CACHE_H
#define SVC_CACHE_H

#include "base/buf.h"

enum {
    CACHE_KEY_MAX = 400,
    CACHE_VALUE_MAX = 1024 * 1024,
    CACHE_FUNCTION_MAX = 8 * 1024 * 1024, /* keys, values and what an entry costs */
    CACHE_ALL_MAX = 64 * 1024 * 1024,
};

struct cache;
struct cache *cache_open(void);
void cache_close(struct cache *c);

/* False when there is none, or its time is over. Borrowed until the next call of any function here.
 */
bool cache_get(struct cache *c, uint64_t function_id, struct str key, uint64_t now_ms,
               struct str *value);
/* ttl_ms 0: until it is pushed out. E_INVALID (key), E_LIMIT (value). */
int cache_set(struct cache *c, uint64_t function_id, struct str key, struct str value,
              uint64_t ttl_ms, uint64_t now_ms);
void cache_delete(struct cache *c, uint64_t function_id, struct str key);
size_t cache_bytes(const struct cache *c);

#endif
