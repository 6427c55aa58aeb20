/* test_event: a short list of rows a function, read whole. */
#include "svc/test_event.h"

#include "base/rec.h"
#include "store/key.h"

enum { ROW_JSON = 1, ROW_CHANGED_MS };

int test_event_name_check(struct str name, struct err *err)
{
    bool ok = name.n >= 1 && name.n <= TEST_EVENT_NAME_MAX;
    for (size_t i = 0; ok && i < name.n; i++) {
        char c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        ok = alnum || (c && strchr(" -_.", c));
    }
    return ok ? 0
              : err_set(err, E_INVALID,
                        "A test event's name has 1 to %d of A-Z, a-z, 0-9, blank, '-', '_' and '.'",
                        TEST_EVENT_NAME_MAX);
}

static struct key key_of(uint64_t function_id, struct str name)
{
    struct key k = {0};
    key_name(key_u64(&k, function_id), name);
    return k;
}

void test_event_each(struct store_txn *t, uint64_t function_id,
                     void (*each)(void *ctx, const struct test_event *e), void *ctx)
{
    struct key from = {0};
    struct str k, v;
    uint64_t id;
    struct store_cursor *c = store_cursor(t, T_TEST_EVENTS);
    bool any = store_seek(c, key_str(key_u64(&from, function_id)), &k, &v);
    while (any && key_take_u64(&k, &id) && id == function_id) {
        struct test_event e = {.json = rec_str(v, ROW_JSON),
                               .changed_ms = (int64_t)rec_u64(v, ROW_CHANGED_MS, 0)};
        if (key_take_name(&k, &e.name))
            each(ctx, &e);
        any = store_next(c, &k, &v);
    }
    store_cursor_close(c);
}

static void count(void *ctx, const struct test_event *e)
{
    (void)e;
    ++*(size_t *)ctx;
}

int test_event_put(struct store_txn *t, uint64_t function_id, struct str name, struct str json,
                   int64_t now_ms, struct err *err)
{
    struct key k = key_of(function_id, name);
    struct buf b = BUF_INIT;
    struct str old;
    size_t n = 0;
    int rc = store_get(t, T_TEST_EVENTS, key_str(&k), &old);
    if (rc == E_NOT_FOUND)
        test_event_each(t, function_id, count, &n);
    else if (rc)
        return rc;
    if (n >= TEST_EVENTS_MAX)
        return err_set(err, E_QUOTA, "A function keeps at most %d test events", TEST_EVENTS_MAX);
    rec_put_str(&b, ROW_JSON, json);
    rec_put_u64(&b, ROW_CHANGED_MS, (uint64_t)now_ms);
    rc = store_put(t, T_TEST_EVENTS, key_str(&k), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int test_event_del(struct store_txn *t, uint64_t function_id, struct str name, struct err *err)
{
    struct key k = key_of(function_id, name);
    struct str old;
    int rc = store_get(t, T_TEST_EVENTS, key_str(&k), &old);
    if (rc == E_NOT_FOUND)
        return err_set(err, rc, "The function has no test event of that name.");
    return rc ? rc : store_del(t, T_TEST_EVENTS, key_str(&k));
}

int test_event_drop(struct store_txn *t, uint64_t function_id)
{
    struct key from = {0};
    struct str k, v;
    int rc = 0;
    key_u64(&from, function_id);
    for (int i = 0; i < TEST_EVENTS_MAX && rc == 0; i++) {
        struct store_cursor *c = store_cursor(t, T_TEST_EVENTS);
        struct key row = {0};
        bool any = store_seek(c, key_str(&from), &k, &v) && str_starts(k, key_str(&from));
        if (any)
            key_bytes(&row, k);
        store_cursor_close(c);
        if (!any)
            break;
        rc = store_del(t, T_TEST_EVENTS, key_str(&row));
    }
    return rc;
}
