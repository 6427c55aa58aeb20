/* hostcall_cache: cache.get and cache.set. A function's cache is its own, so no permission is asked;
 * versions of one function share it. */
#include "svc/cache.h"

#include "base/clock.h"
#include "base/rec.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"

#define TTL_MAX_MS (366ull * 86400 * 1000)

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

void hostcall_cache_get(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT;
    struct str value;
    bool found = cache_get(h->cache, call->fn->id, rec_str(call->args, HC_KEY), now_ms(), &value);
    rec_put_u64(&result, HC_EXISTS, found);
    if (found)
        rec_put_str(&result, HC_VALUE, value);
    hostcall_end(call, 0, &result, NULL);
}

/* Without HC_VALUE it deletes. */
void hostcall_cache_set(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct str key = rec_str(call->args, HC_KEY), value = rec_str(call->args, HC_VALUE);
    uint64_t ttl_ms = rec_u64(call->args, HC_TTL_MS, 0);
    int rc = 0;
    if (!value.p)
        cache_delete(h->cache, call->fn->id, key);
    else if (ttl_ms > TTL_MAX_MS)
        rc = err_set(&err, E_INVALID, "A ttl is at most a year");
    else
        rc = cache_set(h->cache, call->fn->id, key, value, ttl_ms, now_ms());
    if (rc == E_INVALID && !err.code)
        err_set(&err, rc, "A cache key has 1 to %d bytes", CACHE_KEY_MAX);
    else if (rc == E_LIMIT)
        err_set(&err, rc, "A cached value has at most %d bytes", CACHE_VALUE_MAX);
    hostcall_end(call, rc, NULL, &err);
}
