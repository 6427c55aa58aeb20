/* lifecycle: when objects and uploads are due. */
#include "svc/lifecycle.h"

#include "base/clock.h"
#include "base/rec.h"
#include "unit.h"

enum { DAY = 24 * 3600 * 1000 };

static struct buf rules;
static int64_t born; /* 2026-11-23T11:32:04Z */

static void one_rule(const struct lifecycle_rule *r)
{
    buf_clear(&rules);
    lifecycle_encode(&rules, r);
}

static bool due_at(const char *key, uint64_t size, int64_t now_ms, int64_t day_ms)
{
    struct object_meta m = {.key = str_c(key), .size = size, .modified_ms = born};
    return lifecycle_object_due(buf_str(&rules), &m, now_ms, day_ms);
}

static void days_end_at_midnight(void **state)
{
    (void)state;
    int64_t midnight = clock_join(2026, 11, 25, 0, 0, 0);
    one_rule(&(struct lifecycle_rule){.enabled = true, .days = 1});
    assert_false(due_at("k", 1, born + DAY, DAY));
    assert_false(due_at("k", 1, midnight - 1, DAY));
    assert_true(due_at("k", 1, midnight, DAY));
    assert_true(due_at("k", 1, midnight + 100 * (int64_t)DAY, DAY));
    /* days of another length end where they end */
    assert_false(due_at("k", 1, born + 999, 1000));
    assert_true(due_at("k", 1, born + 1000, 1000));
    one_rule(&(struct lifecycle_rule){.enabled = true, .days = INT32_MAX});
    assert_false(due_at("k", 1, midnight, DAY));
    one_rule(&(struct lifecycle_rule){.days = 1});
    assert_false(due_at("k", 1, midnight, DAY));
}

static void dates(void **state)
{
    (void)state;
    int64_t date = clock_join(2026, 11, 20, 0, 0, 0);
    one_rule(&(struct lifecycle_rule){.enabled = true, .has_date = true, .date_ms = date});
    assert_false(due_at("k", 1, date - 1, DAY));
    assert_true(due_at("k", 1, date, DAY)); /* whenever it was made */
}

static void filters(void **state)
{
    (void)state;
    int64_t late = born + 3 * (int64_t)DAY;
    one_rule(&(struct lifecycle_rule){
        .enabled = true, .days = 1, .prefix = STR("tmp/"), .has_larger = true, .larger_than = 10});
    assert_true(due_at("tmp/a", 11, late, DAY));
    assert_false(due_at("tmp/a", 10, late, DAY));
    assert_false(due_at("tmp", 11, late, DAY));
    one_rule(&(struct lifecycle_rule){
        .enabled = true, .days = 1, .has_smaller = true, .smaller_than = 10});
    assert_true(due_at("a", 9, late, DAY));
    assert_false(due_at("a", 10, late, DAY));

    struct buf wanted = BUF_INIT, has = BUF_INIT;
    object_pair_put(&wanted, STR("a"), STR("1"));
    object_pair_put(&wanted, STR("b"), STR("2"));
    one_rule(&(struct lifecycle_rule){.enabled = true, .days = 1, .tags = buf_str(&wanted)});
    object_pair_put(&has, STR("b"), STR("2"));
    struct object_meta m = {.key = STR("k"), .modified_ms = born, .tags = buf_str(&has)};
    assert_false(lifecycle_object_due(buf_str(&rules), &m, late, DAY));
    object_pair_put(&has, STR("a"), STR("1"));
    m.tags = buf_str(&has);
    assert_true(lifecycle_object_due(buf_str(&rules), &m, late, DAY));
    buf_deinit(&wanted);
    buf_deinit(&has);
}

static void uploads(void **state)
{
    (void)state;
    one_rule(&(struct lifecycle_rule){.enabled = true, .abort_days = 2, .prefix = STR("p")});
    assert_false(due_at("p", 1, born + 9 * (int64_t)DAY, DAY));
    assert_false(lifecycle_upload_due(buf_str(&rules), STR("p"), born, born + DAY, DAY));
    assert_true(
        lifecycle_upload_due(buf_str(&rules), STR("px"), born, born + 3 * (int64_t)DAY, DAY));
    assert_false(
        lifecycle_upload_due(buf_str(&rules), STR("x"), born, born + 3 * (int64_t)DAY, DAY));
    one_rule(&(struct lifecycle_rule){.enabled = true, .days = 1});
    assert_false(
        lifecycle_upload_due(buf_str(&rules), STR("p"), born, born + 3 * (int64_t)DAY, DAY));
}

static void records_come_back(void **state)
{
    (void)state;
    uint16_t tag;
    struct str rest, rec;
    struct lifecycle_rule r;
    one_rule(&(struct lifecycle_rule){.enabled = true,
                                      .prefix = STR("p"),
                                      .days = 3,
                                      .noncurrent_days = 4,
                                      .expired_delete_marker = true});
    rest = buf_str(&rules);
    assert_true(rec_next(&rest, &tag, &rec));
    assert_true(lifecycle_decode(rec, &r));
    assert_true(r.enabled && r.expired_delete_marker && !r.has_date && !r.has_larger);
    assert_true(str_is(r.prefix, "p"));
    assert_int_equal(r.days, 3);
    assert_int_equal(r.noncurrent_days, 4);
    assert_false(lifecycle_decode(str_of(rec.p, rec.n - 1), &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_end_at_midnight),
        cmocka_unit_test(dates),
        cmocka_unit_test(filters),
        cmocka_unit_test(uploads),
        cmocka_unit_test(records_come_back),
    };
    born = clock_join(2026, 11, 23, 11, 32, 4);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&rules);
    return rc;
}
