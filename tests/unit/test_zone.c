/* zone: every offset as libc has it; gaps and repeated hours; broken files. */
#include "base/zone.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

static const char *const names[] = {
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Europe/Dublin",
    "America/Santiago",
    "Antarctica/Troll",
    "Africa/Casablanca",
};

static void as_libc_has_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct zone *z = zone_load(str_c(names[i]));
        assert_non_null(z);
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t t = -1000000000; t < 5500000000; t += 1234567) {
            struct tm tm;
            time_t at = (time_t)t;
            localtime_r(&at, &tm);
            if (zone_offset_s(z, t) != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, libc %ld", names[i], (long long)t, zone_offset_s(z, t),
                         tm.tm_gmtoff);
        }
        zone_free(z);
    }
    setenv("TZ", "UTC0", 1);
    tzset();
}

static int64_t at(int y, int mo, int d, int h, int mi)
{
    return clock_join(y, mo, d, h, mi, 0) / 1000;
}

/* A civil time and what it is in UTC. */
static void civil_times(void **state)
{
    static const struct {
        const char *zone;
        int local[5], utc[5];
    } rows[] = {
        {"Europe/Paris", {2026, 1, 1, 12, 0}, {2026, 1, 1, 11, 0}},
        {"Europe/Paris", {2026, 3, 29, 1, 59}, {2026, 3, 29, 0, 59}},
        {"Europe/Paris", {2026, 3, 29, 2, 0}, {2026, 3, 29, 1, 0}}, /* skipped: 03:00 it is */
        {"Europe/Paris", {2026, 3, 29, 2, 30}, {2026, 3, 29, 1, 0}},
        {"Europe/Paris", {2026, 3, 29, 3, 0}, {2026, 3, 29, 1, 0}},
        {"Europe/Paris", {2026, 10, 25, 2, 30}, {2026, 10, 25, 0, 30}}, /* twice: the first */
        {"Europe/Paris", {2026, 10, 25, 3, 0}, {2026, 10, 25, 2, 0}},
        {"America/New_York", {2027, 3, 14, 2, 15}, {2027, 3, 14, 7, 0}},
        {"America/New_York", {2027, 11, 7, 1, 15}, {2027, 11, 7, 5, 15}},
        {"Australia/Lord_Howe", {2026, 10, 4, 2, 10}, {2026, 10, 3, 15, 30}}, /* half an hour */
        {"Australia/Lord_Howe", {2026, 4, 5, 1, 45}, {2026, 4, 4, 14, 45}},
        {"Asia/Kathmandu", {2026, 6, 1, 0, 0}, {2026, 5, 31, 18, 15}},
        {"Africa/Cairo", {2026, 4, 24, 0, 30}, {2026, 4, 23, 22, 0}},   /* the gap is at midnight */
        {"Pacific/Apia", {2011, 12, 30, 12, 0}, {2011, 12, 30, 10, 0}}, /* a day that was not */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int *l = rows[i].local, *u = rows[i].utc;
        struct zone *z = zone_load(str_c(rows[i].zone));
        int64_t got = zone_instant_s(z, at(l[0], l[1], l[2], l[3], l[4]));
        if (got != at(u[0], u[1], u[2], u[3], u[4]))
            fail_msg("row %zu: off by %lld s", i,
                     (long long)(got - at(u[0], u[1], u[2], u[3], u[4])));
        zone_free(z);
    }
}

static void refused_names(void **state)
{
    static const char *const bad[] = {
        "",       "Nowhere/City", "../../etc/passwd", "/etc/passwd", "Europe/../Europe/Paris",
        "Europe", "a b",          "posixrules\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(zone_load(str_c(bad[i])));
}

/* Every file cut anywhere, and every byte of its structure changed, is taken or refused. */
static void broken_files(void **state)
{
    static char bytes[ZONE_FILE_MAX], copy[ZONE_FILE_MAX];
    int fd = open("/usr/share/zoneinfo/America/Santiago", O_RDONLY);
    (void)state;
    assert_true(fd >= 0);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_true(n > 100);
    for (ssize_t cut = 0; cut < n; cut++) {
        char *exact = malloc((size_t)cut + 1);
        memcpy(exact, bytes, (size_t)cut);
        assert_null(zone_parse(str_of(exact, (size_t)cut)));
        free(exact);
    }
    for (ssize_t i = 0; i < n; i++) {
        memcpy(copy, bytes, (size_t)n);
        copy[i] = (char)(copy[i] ^ 0x55);
        struct zone *z = zone_parse(str_of(copy, (size_t)n));
        if (z)
            zone_instant_s(z, 1800000000);
        zone_free(z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_libc_has_it),
        cmocka_unit_test(civil_times),
        cmocka_unit_test(refused_names),
        cmocka_unit_test(broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
