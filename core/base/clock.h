/* clock: the three times of this program, and the two ways AWS writes one.
 *
 * Deadlines use clock_mono_*, which no one can set back. Wall time is for schedules, signatures and
 * log stamps. Store time (ids, retries, expiry) never runs backwards across restarts: it starts at
 * max(wall, last stored) and then follows CLOCK_BOOTTIME; the store gives the floor at its start.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <time.h>

#include "base/str.h"

/* What that clock of the machine says (clock_read.c). Nobody but the three below asks it. */
int64_t clock_read_ns(clockid_t which);

uint64_t clock_mono_ns(void);
/* Milliseconds since 1970, wall. */
int64_t clock_wall_ms(void);
/* Store time in ms since 1970; clock_store_floor must have been called (else it is wall at first
 * use). */
int64_t clock_store_ms(void);
/* Called once by store_open with the last stored time: later clock_store_ms values exceed it. */
void clock_store_floor(int64_t last_ms);

/* "2026-11-23T11:32:04.123Z"; out holds at least 25 bytes, NUL-terminated. */
void clock_iso8601(int64_t ms, char out[static 25]);
/* "2026-11-23T11:32:04.123+0000", Lambda's LastModified; at least 29 bytes. */
void clock_lambda(int64_t ms, char out[static 29]);
/* "Mon, 23 Nov 2026 11:32:04 GMT", HTTP's date; at least 30 bytes. */
void clock_http(int64_t ms, char out[static 30]);
/* Civil UTC parts for other formats. */
struct clock_parts {
    int year, month, day, hour, minute, second, weekday; /* month 1..12, weekday 0 = Sunday */
};
void clock_split(int64_t ms, struct clock_parts *out);
/* ms since 1970 of a UTC civil time (month 1..12). */
int64_t clock_join(int year, int month, int day, int hour, int minute, int second);
/* "Mon, 23 Nov 2026 11:32:04 GMT" or "20261123T113204Z" or ISO 8601 with Z: true and *ms. */
bool clock_parse(struct str s, int64_t *ms);

#endif
