/* schedule_expr: what is taken, what is refused, and when it is due, in ten zones across their changes
 * of 2026 and 2027. */
#include "svc/schedule_expr.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "unit.h"

static void refused(void **state)
{
    static const char *const bad[] = {
        "",
        "rate()",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(1.5 hours)",
        "rate(5 seconds)",
        "rate(5  minutes)",
        "rate(5 minutes) ",
        "RATE(5 minutes)",
        "cron()",
        "cron(* * * * * *)",
        "cron(0 9 ? * ? *)",
        "cron(0 9 1 * MON *)",
        "cron(60 9 ? * MON *)",
        "cron(0 24 ? * MON *)",
        "cron(0 9 0 * ? *)",
        "cron(0 9 32 * ? *)",
        "cron(0 9 1 13 ? *)",
        "cron(0 9 ? * 8 *)",
        "cron(0 9 ? * MON 1969)",
        "cron(0 9 ? * MON 2200)",
        "cron(0 9 ? * 3#6 *)",
        "cron(0 9 ? * 3#0 *)",
        "cron(0/0 9 ? * MON *)",
        "cron(5-1 9 ? * MON *)",
        "cron(, 9 ? * MON *)",
        "cron(0 9 ? * MON)",
        "cron(0 9 ? * MON * *)",
        "cron(0 9 W * ? *)",
        "at(2026-02-30T00:00:00)",
        "at(2026-01-01)",
        "at(2026-01-01T24:00:00)",
        "at(2026-01-01T00:00:00Z)",
        "* * * *",
        "60 * * * *",
        "* * * * 8",
        "@daily",
        "cron(0 9 ? * MON *",
        "cron 0 9 ? * MON *",
    };
    struct schedule_expr e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        if (schedule_parse(str_c(bad[i]), &e, &err) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_string_equal(err.text, "Parameter ScheduleExpression is not valid.");
    }
}

static int64_t parse_time(const char *text)
{
    int y, mo, d, h, mi;
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &y, &mo, &d, &h, &mi), 5);
    return clock_join(y, mo, d, h, mi, 0) / 1000;
}

/* Expression, zone, an instant, and the next ones, all in UTC; "" ends, "never" is never. */
static const struct {
    const char *expr, *zone, *after, *next[4];
} rows[] = {
    {"rate(1 minute)", "UTC", "2026-01-01 00:00", {"2026-01-01 00:01", "2026-01-01 00:02"}},
    {"rate(7 hours)", "UTC", "2026-01-01 08:00", {"2026-01-01 14:00", "2026-01-01 21:00"}},
    {"rate(1 day)", "UTC", "2025-12-31 00:00", {"2026-01-02 00:00"}},
    {"at(2026-12-24T18:00:00)", "Europe/Paris", "2026-01-01 00:00", {"2026-12-24 17:00", "never"}},
    {"at(2026-03-29T02:30:00)", "Europe/Paris", "2026-01-01 00:00", {"2026-03-29 01:00", "never"}},
    {"cron(0 9 ? * MON-FRI *)",
     "Europe/Paris",
     "2026-11-27 08:00",
     {"2026-11-30 08:00", "2026-12-01 08:00"}},
    {"0 9 * * 1-5", "Europe/Paris", "2026-11-27 07:59", {"2026-11-27 08:00", "2026-11-30 08:00"}},
    {"cron(0 9 * * 1-5)", "Europe/Paris", "2026-11-27 08:00", {"2026-11-30 08:00"}},
    {"cron(0/15 * * * ? *)",
     "UTC",
     "2026-01-01 00:20",
     {"2026-01-01 00:30", "2026-01-01 00:45", "2026-01-01 01:00"}},
    {"cron(10 0 L * ? *)",
     "UTC",
     "2026-02-01 00:00",
     {"2026-02-28 00:10", "2026-03-31 00:10", "2026-04-30 00:10"}},
    {"cron(0 0 LW * ? *)",
     "UTC",
     "2026-01-01 00:00",
     {"2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"}},
    {"cron(0 0 15W * ? *)", "UTC", "2026-08-01 00:00", {"2026-08-14 00:00", "2026-09-15 00:00"}},
    {"cron(0 0 1W * ? *)", "UTC", "2026-08-01 00:00", {"2026-08-03 00:00", "2026-09-01 00:00"}},
    {"cron(0 8 ? * 2#1 *)", "UTC", "2026-01-01 00:00", {"2026-01-05 08:00", "2026-02-02 08:00"}},
    {"cron(0 8 ? * 6L *)", "UTC", "2026-01-01 00:00", {"2026-01-30 08:00", "2026-02-27 08:00"}},
    {"cron(0 8 ? * L *)", "UTC", "2026-01-01 00:00", {"2026-01-03 08:00"}},
    {"cron(0 0 29 2 ? *)", "UTC", "2026-01-01 00:00", {"2028-02-29 00:00", "2032-02-29 00:00"}},
    {"cron(0 0 29 FEB ? 2027)", "UTC", "2026-01-01 00:00", {"never"}},
    {"cron(0 0 1 1 ? 2199)", "UTC", "2026-01-01 00:00", {"2199-01-01 00:00", "never"}},
    {"cron(0 0 31 4 ? *)", "UTC", "2026-01-01 00:00", {"never"}},
    {"0 0 13 * 5",
     "UTC",
     "2026-01-31 00:00",
     {"2026-02-06 00:00", "2026-02-13 00:00", "2026-02-20 00:00"}}, /* either */
    {"30 4 1,15 * *", "UTC", "2026-01-02 00:00", {"2026-01-15 04:30", "2026-02-01 04:30"}},
    {"0 0 * * 7", "UTC", "2026-01-01 00:00", {"2026-01-04 00:00"}},
    {"*/20 5-6 * JAN,mar *", "UTC", "2026-01-31 06:39", {"2026-01-31 06:40", "2026-03-01 05:00"}},
    /* gaps: due at the first instant after; repeated hours: the first time only */
    {"30 2 * * *", "Europe/Paris", "2026-03-28 02:00", {"2026-03-29 01:00", "2026-03-30 00:30"}},
    {"30 2 * * *", "Europe/Paris", "2026-10-24 02:00", {"2026-10-25 00:30", "2026-10-26 01:30"}},
    {"30 2 * * *", "Europe/Paris", "2027-03-27 02:00", {"2027-03-28 01:00", "2027-03-29 00:30"}},
    {"30 2 * * *",
     "America/New_York",
     "2026-03-07 12:00",
     {"2026-03-08 07:00", "2026-03-09 06:30"}},
    {"30 1 * * *",
     "America/New_York",
     "2026-10-31 12:00",
     {"2026-11-01 05:30", "2026-11-02 06:30"}},
    {"30 1 * * *",
     "America/New_York",
     "2027-11-06 12:00",
     {"2027-11-07 05:30", "2027-11-08 06:30"}},
    {"30 2 * * *",
     "America/Los_Angeles",
     "2027-03-13 12:00",
     {"2027-03-14 10:00", "2027-03-15 09:30"}},
    {"30 1 * * *", "Europe/London", "2026-03-28 12:00", {"2026-03-29 01:00", "2026-03-30 00:30"}},
    {"30 1 * * *", "Europe/London", "2027-10-30 12:00", {"2027-10-31 00:30", "2027-11-01 01:30"}},
    {"30 2 * * *",
     "Australia/Sydney",
     "2026-10-03 00:00",
     {"2026-10-03 16:00", "2026-10-04 15:30"}},
    {"30 2 * * *",
     "Australia/Sydney",
     "2027-04-02 16:00",
     {"2027-04-03 15:30", "2027-04-04 16:30"}},
    {"15 2 * * *",
     "Australia/Lord_Howe",
     "2026-10-03 00:00",
     {"2026-10-03 15:30", "2026-10-04 15:15"}},
    {"45 1 * * *",
     "Australia/Lord_Howe",
     "2027-04-03 00:00",
     {"2027-04-03 14:45", "2027-04-04 15:15"}},
    {"30 0 * * *", "Africa/Cairo", "2026-04-22 23:00", {"2026-04-23 22:00", "2026-04-24 21:30"}},
    {"30 23 * * *",
     "America/Santiago",
     "2026-09-04 12:00",
     {"2026-09-05 03:30", "2026-09-06 03:30", "2026-09-07 02:30"}},
    {"30 0 * * *",
     "America/Santiago",
     "2026-09-05 12:00",
     {"2026-09-06 04:00", "2026-09-07 03:30"}},
    {"0 12 * * *", "Asia/Kolkata", "2026-06-01 00:00", {"2026-06-01 06:30", "2026-06-02 06:30"}},
    {"0 12 * * *", "America/Sao_Paulo", "2026-06-01 00:00", {"2026-06-01 15:00"}},
    {"30 2 * * *",
     "Pacific/Auckland",
     "2026-09-25 12:00",
     {"2026-09-25 14:30", "2026-09-26 14:00", "2026-09-27 13:30"}},
};

static void due(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct schedule_expr e;
        struct zone *z = zone_load(str_c(rows[i].zone));
        assert_non_null(z);
        if (schedule_parse(str_c(rows[i].expr), &e, NULL))
            fail_msg("refused: %s", rows[i].expr);
        int64_t t = parse_time(rows[i].after), base = parse_time("2026-01-01 00:00");
        for (size_t k = 0; k < 4 && rows[i].next[k]; k++) {
            const char *want = rows[i].next[k];
            char got[25];
            t = schedule_next_s(&e, z, base, t);
            clock_iso8601(t < 0 ? 0 : t * 1000, got);
            if (t != (strcmp(want, "never") ? parse_time(want) : -1))
                fail_msg("%s in %s, %zu: %s, not %s", rows[i].expr, rows[i].zone, k, got, want);
            if (t < 0)
                break;
        }
        zone_free(z);
    }
}

/* Whatever the expression: later than asked, on its own minute, and asking from just before it finds it
 * again. */
static void laws(void **state)
{
    static const char *const exprs[] = {"*/7 * * * *", "cron(5 3/4 ? JAN-JUN TUE *)", "0 2 * * *",
                                        "cron(59 23 L * ? *)", "rate(11 minutes)"};
    static const char *const zones[] = {"UTC", "Europe/Paris", "Australia/Lord_Howe",
                                        "America/Santiago"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 4; k++) {
            struct schedule_expr e;
            struct zone *z = zone_load(str_c(zones[k]));
            assert_int_equal(schedule_parse(str_c(exprs[i]), &e, NULL), 0);
            int64_t t = 1790000000;
            for (int n = 0; n < 3000; n++) {
                int64_t next = schedule_next_s(&e, z, 1790000000, t);
                if (next < 0 && n > 1000) /* the end of the years */
                    break;
                assert_true(next > t);
                assert_int_equal(schedule_next_s(&e, z, 1790000000, next - 1), next);
                t = next;
            }
            zone_free(z);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(due),
        cmocka_unit_test(laws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
