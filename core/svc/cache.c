/* cache: one table of entries, chained by hash; two lists by last use, of all and of each function.
 *
 * A function's list and sum live in a struct owner that comes with its first entry and goes with its
 * last. Keys and values lie behind the entry's struct, in one allocation. Expired entries are
 * dropped when they are met; until then they count, and age out like the others. */
#include "svc/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/pages.h"

enum { BUCKETS = 65536, OWNERS = 256 };

struct link {
    struct link *prev, *next;
};

struct owner {
    struct owner *chain;
    uint64_t function_id;
    size_t bytes;
    struct link used; /* its entries, most recently used first */
};

struct entry {
    struct entry *chain;
    struct owner *owner;
    struct link all, own; /* in the two lists by last use */
    uint64_t hash, expires_ms;
    size_t key_n, value_n;
    char bytes[];
};

struct cache {
    struct entry *table[BUCKETS];
    struct owner *owners[OWNERS];
    struct link used; /* most recently used first */
    size_t bytes;
};

static struct entry *of_all(struct link *l)
{
    return (struct entry *)((char *)l - offsetof(struct entry, all));
}

static struct entry *of_own(struct link *l)
{
    return (struct entry *)((char *)l - offsetof(struct entry, own));
}

static void list_init(struct link *head)
{
    head->prev = head->next = head;
}

static void list_push(struct link *head, struct link *l)
{
    l->prev = head;
    l->next = head->next;
    head->next->prev = l;
    head->next = l;
}

static void list_drop(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
}

struct cache *cache_open(void)
{
    struct cache *c = pages_zero(sizeof *c);
    if (!c)
        fatal("out of memory");
    list_init(&c->used);
    return c;
}

static size_t cost(const struct entry *e)
{
    return sizeof *e + e->key_n + e->value_n + 16; /* 16: the allocator's */
}

static struct entry **find(struct cache *c, uint64_t function_id, struct str key, uint64_t hash)
{
    struct entry **at = &c->table[hash % BUCKETS];
    while (*at && ((*at)->hash != hash || (*at)->owner->function_id != function_id ||
                   !str_eq(str_of((*at)->bytes, (*at)->key_n), key)))
        at = &(*at)->chain;
    return at;
}

static void drop(struct cache *c, struct entry **at)
{
    struct entry *e = *at;
    struct owner *o = e->owner;
    *at = e->chain;
    list_drop(&e->all);
    list_drop(&e->own);
    c->bytes -= cost(e);
    o->bytes -= cost(e);
    free(e);
    if (o->used.next != &o->used)
        return;
    struct owner **p = &c->owners[o->function_id % OWNERS];
    while (*p != o)
        p = &(*p)->chain;
    *p = o->chain;
    free(o);
}

static void drop_entry(struct cache *c, struct entry *e)
{
    drop(c, find(c, e->owner->function_id, str_of(e->bytes, e->key_n), e->hash));
}

void cache_close(struct cache *c)
{
    while (c->used.next != &c->used)
        drop_entry(c, of_all(c->used.next));
    pages_zero_free(c, sizeof *c);
}

bool cache_get(struct cache *c, uint64_t function_id, struct str key, uint64_t now_ms,
               struct str *value)
{
    struct entry **at = find(c, function_id, key, str_hash(key, function_id)), *e = *at;
    if (!e)
        return false;
    if (e->expires_ms && e->expires_ms <= now_ms) {
        drop(c, at);
        return false;
    }
    list_drop(&e->all);
    list_push(&c->used, &e->all);
    list_drop(&e->own);
    list_push(&e->owner->used, &e->own);
    *value = str_of(e->bytes + e->key_n, e->value_n);
    return true;
}

static struct owner *owner_of(struct cache *c, uint64_t function_id)
{
    struct owner **head = &c->owners[function_id % OWNERS], *o;
    for (o = *head; o; o = o->chain)
        if (o->function_id == function_id)
            return o;
    o = calloc(1, sizeof *o);
    if (!o)
        fatal("out of memory");
    o->function_id = function_id;
    list_init(&o->used);
    o->chain = *head;
    return *head = o;
}

int cache_set(struct cache *c, uint64_t function_id, struct str key, struct str value,
              uint64_t ttl_ms, uint64_t now_ms)
{
    uint64_t hash = str_hash(key, function_id);
    if (key.n < 1 || key.n > CACHE_KEY_MAX)
        return E_INVALID;
    if (value.n > CACHE_VALUE_MAX)
        return E_LIMIT;
    struct entry *e = malloc(sizeof *e + key.n + value.n);
    if (!e)
        return 0; /* a cache may forget */
    cache_delete(c, function_id, key);
    *e = (struct entry){
        .owner = owner_of(c, function_id),
        .hash = hash,
        .expires_ms = ttl_ms ? now_ms + ttl_ms : 0,
        .key_n = key.n,
        .value_n = value.n,
    };
    memcpy(e->bytes, key.p, key.n);
    if (value.n)
        memcpy(e->bytes + key.n, value.p, value.n);
    e->chain = c->table[hash % BUCKETS];
    c->table[hash % BUCKETS] = e;
    list_push(&c->used, &e->all);
    list_push(&e->owner->used, &e->own);
    c->bytes += cost(e);
    e->owner->bytes += cost(e);
    /* the new one is the first of both lists and fits alone, so it stays */
    while (e->owner->bytes > CACHE_FUNCTION_MAX)
        drop_entry(c, of_own(e->owner->used.prev));
    while (c->bytes > CACHE_ALL_MAX)
        drop_entry(c, of_all(c->used.prev));
    return 0;
}

void cache_delete(struct cache *c, uint64_t function_id, struct str key)
{
    struct entry **at = find(c, function_id, key, str_hash(key, function_id));
    if (*at)
        drop(c, at);
}

size_t cache_bytes(const struct cache *c)
{
    return c->bytes;
}
