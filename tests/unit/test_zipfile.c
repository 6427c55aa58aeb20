/* Small zips in memory: a round trip, the same bytes each time, and what is no zip. */
#include "unit.h"

#include "svc/zipfile.h"

static const struct zipfile_entry entries[] = {
    {{"handler.lua", 11}, {"return 1234", 11}},
    {{"lib/empty.lua", 13}, {"", 0}},
};

static void round_trip(void **state)
{
    struct buf zip = BUF_INIT, again = BUF_INIT, out = BUF_INIT;
    (void)state;
    assert_int_equal(zipfile_write(entries, 2, &zip), 0);
    assert_int_equal(zipfile_write(entries, 2, &again), 0);
    assert_true(str_eq(buf_str(&zip), buf_str(&again)));
    assert_int_equal(zipfile_read(buf_str(&zip), "handler.lua", 100, &out), 0);
    assert_true(str_is(buf_str(&out), "return 1234"));
    buf_clear(&out);
    assert_int_equal(zipfile_read(buf_str(&zip), "lib/empty.lua", 100, &out), 0);
    assert_int_equal(out.n, 0);
    assert_int_equal(zipfile_read(buf_str(&zip), "other.lua", 100, &out), E_NOT_FOUND);
    assert_int_equal(zipfile_read(buf_str(&zip), "handler.lua", 10, &out), E_LIMIT);
    for (size_t cut = 0; cut < zip.n; cut++)
        assert_int_not_equal(zipfile_read(str_of(zip.p, cut), "handler.lua", 100, &out), 0);
    buf_deinit(&zip);
    buf_deinit(&again);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
