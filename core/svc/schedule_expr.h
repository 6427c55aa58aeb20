/* schedule_expr: when a schedule is due. Pure functions on text and numbers.
 *
 *   rate(5 minutes)                        every so often, from when it was made
 *   at(2026-12-24T18:00:00)                once, on the clock of its zone
 *   cron(0 9 ? * MON-FRI *)                AWS's six fields: minute hour day-of-month month
 *                                          day-of-week year; one of the two days is "?"
 *   cron(0 9 * * 1-5)  or  0 9 * * 1-5     plain cron's five: day-of-month or day-of-week
 *
 * Fields take * , - / and names of months and days; in AWS's form also L (last), W (nearest weekday)
 * and # (the n-th of its kind). Civil times that daylight saving skips are due at the first instant
 * after the gap, those that come twice at the first. */
#ifndef SVC_SCHEDULE_EXPR_H
#define SVC_SCHEDULE_EXPR_H

#include "base/err.h"
#include "base/zone.h"

enum schedule_kind { SCHEDULE_RATE, SCHEDULE_AT, SCHEDULE_CRON };
enum { SCHEDULE_YEAR_MIN = 1970, SCHEDULE_YEAR_MAX = 2199, SCHEDULE_TEXT_MAX = 256 };

struct schedule_expr {
    enum schedule_kind kind;
    int64_t every_s;    /* rate */
    int64_t at_local_s; /* at: civil */
    /* cron: bit n is value n */
    uint64_t minutes;
    uint32_t hours, days;  /* days 1…31 */
    uint16_t months;       /* 1…12 */
    uint8_t weekdays;      /* 0 Sunday … 6 */
    uint8_t last_weekdays; /* the last such day of the month */
    uint8_t nth_weekdays;  /* the nth such day of the month */
    uint8_t nth;           /* 1…5 */
    uint32_t nearest;      /* the weekday nearest to these days, within the month */
    bool last_day, last_working_day;
    bool either; /* day-of-month or day-of-week will do (plain cron, both given) */
    unsigned char years[(SCHEDULE_YEAR_MAX - SCHEDULE_YEAR_MIN) / 8 + 1];
};

/* 0, or E_INVALID with AWS's text. */
int schedule_parse(struct str text, struct schedule_expr *out, struct err *err);
/* The first instant after after_s at which it is due; -1: never again. base_s: when a rate began;
 * zone NULL: UTC. */
int64_t schedule_next_s(const struct schedule_expr *e, const struct zone *zone, int64_t base_s,
                        int64_t after_s);

#endif
