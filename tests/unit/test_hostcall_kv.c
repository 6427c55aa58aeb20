/* test_hostcall_kv: single calls and transactions of the key-value store. */
#include "hostcall_help.h"

/* --- transactions -------------------------------------------------------------------------------
 */

static void part(enum hostcall_op kind, const char *key, const char *value, uint64_t version)
{
    size_t mark = rec_begin(&args, HC_OP);
    rec_put_u64(&args, HC_KIND, kind);
    if (kind == OP_INVOKE) {
        arg(HC_FUNCTION, key);
        arg(HC_PAYLOAD, value);
    } else {
        arg(HC_NAMESPACE, "n");
        arg(HC_KEY, key);
        rec_put_u64(&args, HC_VERSION, version);
        if (value)
            arg(HC_VALUE, value);
    }
    rec_end(&args, mark);
}

static struct str value_of(const char *key, uint64_t *version)
{
    arg(HC_NAMESPACE, "n");
    arg(HC_KEY, key);
    struct answer *a = run(HC_KV_GET);
    *version = rec_u64(buf_str(&a->result), HC_VERSION, 0);
    return field(a, HC_VALUE);
}

static void commits_all_or_nothing(void **state)
{
    (void)state;
    uint64_t a = 0, none = 0;
    grant("{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}");
    int puts = queued.puts, kicks = queued.kicks;
    part(OP_CHECK, "a", NULL, 0);
    part(OP_SET, "a", "1", 0);
    part(OP_SET, "b", "1", 0);
    part(OP_INVOKE, "other", "{\"x\":1}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, 0);
    assert_true(queued.puts == puts + 1 && queued.kicks == kicks + 1);
    assert_string_equal(queued.payload, "{\"x\":1}");
    assert_true(str_is(value_of("a", &a), "1") && a > 0);
    part(OP_CHECK, "a", NULL, 0); /* it is there by now */
    part(OP_SET, "a", "2", 0);
    part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_CONFLICT);
    assert_int_equal(queued.puts, puts + 1);
    part(OP_CHECK, "a", NULL, a);
    part(OP_CHECK, "never", NULL, 0);
    part(OP_DELETE, "b", NULL, 0);
    part(OP_SET, "a", "2", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, 0);
    assert_true(str_is(value_of("a", &a), "2") && value_of("b", &none).n == 0 && none == 0);
    queued.rc = E_THROTTLED; /* the queue is full: what was written before is undone */
    part(OP_SET, "a", "3", 0);
    part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_THROTTLED);
    queued.rc = 0;
    assert_true(str_is(value_of("a", &none), "2") && none == a);
    part(OP_INVOKE, "other", "{", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_BAD_JSON);
    part(OP_INVOKE, "nobody", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_NOT_FOUND);
    part((enum hostcall_op)9, "a", NULL, 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_INVALID);
    part(OP_SET, "", "v", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_INVALID);
    for (int i = 0; i < 201; i++)
        part(OP_CHECK, "a", NULL, a);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_LIMIT);
    for (int i = 0; i < 101; i++)
        part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_LIMIT);
    char *big = malloc(250001);
    memset(big, '1', 250000);
    big[250000] = 0;
    for (int i = 0; i < 4; i++)
        part(OP_INVOKE, "other", big, 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, 0); /* looked at off the loop */
    for (int i = 0; i < 5; i++)
        part(OP_SET, "a", big, 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_LIMIT);
    free(big);
    grant("{\"Effect\":\"Allow\",\"Action\":\"perilune:KvWrite\",\"Resource\":\"*\"}");
    part(OP_SET, "a", "9", 0);
    part(OP_CHECK, "a", NULL, a);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_DENIED);
    part(OP_SET, "a", "9", 0);
    part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_DENIED);
}

static void kv_round(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"perilune:Kv*\",\"Resource\":\"*\"}");
    args_for(HC_KV_GET);
    struct answer *a = run(HC_KV_GET);
    assert_int_equal(a->rc, 0);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_EXISTS, 9), 0);
    args_for(HC_KV_SET);
    a = run(HC_KV_SET);
    uint64_t version = rec_u64(buf_str(&a->result), HC_VERSION, 0);
    assert_true(version > 0);
    args_for(HC_KV_GET);
    a = run(HC_KV_GET);
    assert_str(field(a, HC_VALUE), "v");
    assert_int_equal(rec_u64(buf_str(&a->result), HC_VERSION, 0), version);
    args_for(HC_KV_SET);
    rec_put_u64(&args, HC_IF_ABSENT, 1);
    assert_int_equal(run(HC_KV_SET)->rc, E_PRECONDITION);
    args_for(HC_KV_SET);
    rec_put_u64(&args, HC_IF_VERSION, version + 7);
    assert_int_equal(run(HC_KV_SET)->rc, E_PRECONDITION);
    args_for(HC_KV_INCR);
    assert_int_equal(run(HC_KV_INCR)->rc, E_INVALID); /* "v" is no number */
    args_for(HC_KV_DELETE);
    a = run(HC_KV_DELETE);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_EXISTS, 9), 1);
    args_for(HC_KV_DELETE);
    a = run(HC_KV_DELETE);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_EXISTS, 9), 0);
    args_for(HC_KV_INCR);
    rec_put_u64(&args, HC_N, (uint64_t)-3);
    rec_put_u64(&args, HC_INIT, 10);
    a = run(HC_KV_INCR);
    assert_int_equal((int64_t)rec_u64(buf_str(&a->result), HC_N, 0), 7);
    char *big = calloc(1, KV_VALUE_MAX + 1);
    arg(HC_NAMESPACE, "counts");
    arg(HC_KEY, "k");
    rec_put_str(&args, HC_VALUE, str_of(big, KV_VALUE_MAX + 1));
    assert_int_equal(run(HC_KV_SET)->rc, E_LIMIT);
    free(big);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(commits_all_or_nothing),
        T(kv_round),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&args);
    return rc;
}
