/* clock: civil dates by Howard Hinnant's days-from-civil arithmetic, so that no libc time zone
 * state is involved. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>

static _Atomic int64_t store_offset_ms; /* store time minus CLOCK_BOOTTIME; 0: not set */

uint64_t clock_mono_ns(void)
{
    return (uint64_t)clock_read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return clock_read_ns(CLOCK_REALTIME) / 1000000;
}

static int64_t boot_ms(void)
{
    return clock_read_ns(CLOCK_BOOTTIME) / 1000000;
}

void clock_store_floor(int64_t last_ms)
{
    int64_t wall = clock_wall_ms();
    store_offset_ms = (wall > last_ms ? wall : last_ms + 1) - boot_ms();
}

int64_t clock_store_ms(void)
{
    if (store_offset_ms == 0)
        clock_store_floor(0);
    return boot_ms() + store_offset_ms;
}

static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

int64_t clock_join(int year, int month, int day, int hour, int minute, int second)
{
    return (((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000;
}

void clock_split(int64_t ms, struct clock_parts *out)
{
    int64_t s = ms / 1000 - (ms % 1000 < 0);
    int64_t z = s / 86400 - (s % 86400 < 0);
    int sod = (int)(s - z * 86400);
    out->weekday = (int)((z % 7 + 11) % 7);
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    out->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    out->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    out->year = (int)(yoe + era * 400 + (out->month <= 2));
    out->hour = sod / 3600;
    out->minute = sod / 60 % 60;
    out->second = sod % 60;
}

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static void iso(int64_t ms, char *out, size_t size, const char *zone)
{
    struct clock_parts t;
    clock_split(ms, &t);
    snprintf(out, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03u%s", (unsigned)t.year % 10000,
             (unsigned)t.month % 100, (unsigned)t.day % 100, (unsigned)t.hour % 100,
             (unsigned)t.minute % 100, (unsigned)t.second % 100,
             (unsigned)(((ms % 1000) + 1000) % 1000), zone);
}

void clock_iso8601(int64_t ms, char out[static 25])
{
    iso(ms, out, 25, "Z");
}

void clock_lambda(int64_t ms, char out[static 29])
{
    iso(ms, out, 29, "+0000");
}

void clock_http(int64_t ms, char out[static 30])
{
    struct clock_parts t;
    clock_split(ms, &t);
    snprintf(out, 30, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[t.weekday], (unsigned)t.day % 100,
             months[t.month - 1], (unsigned)t.year % 10000, (unsigned)t.hour % 100,
             (unsigned)t.minute % 100, (unsigned)t.second % 100);
}

static bool in_range(int mo, int d, int h, int mi, int s)
{
    return mo >= 1 && mo <= 12 && d >= 1 && d <= 31 && h >= 0 && h <= 23 && mi >= 0 && mi <= 59 &&
           s >= 0 && s <= 60;
}

bool clock_parse(struct str s, int64_t *ms)
{
    char z[40], mon[4];
    int y, mo = 0, d, h, mi, sec, end = 0;
    if (s.n >= sizeof z || memchr(s.p, 0, s.n))
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    if (sscanf(z, "%4d%2d%2dT%2d%2d%2dZ%n", &y, &mo, &d, &h, &mi, &sec, &end) == 6 && end == 16) {
        /* the basic form of x-amz-date */
    } else if (sscanf(z, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &d, mon, &y, &h, &mi,
                      &sec, &end) == 6 &&
               end > 0) {
        for (mo = 1; mo <= 12 && strcmp(mon, months[mo - 1]) != 0; mo++)
            ;
    } else if (sscanf(z, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &sec, &end) == 6 &&
               end == 19) {
        int frac = 0, width = 0;
        if (z[end] == '.')
            for (width = 1; z[end + width] >= '0' && z[end + width] <= '9'; width++)
                if (width <= 3)
                    frac = frac * 10 + (z[end + width] - '0');
        for (int i = width; i > 0 && i < 4; i++)
            frac *= 10;
        end += width;
        if (z[end++] != 'Z' || !in_range(mo, d, h, mi, sec))
            return false;
        *ms = clock_join(y, mo, d, h, mi, sec) + frac;
        return (size_t)end == s.n;
    } else {
        return false;
    }
    if (!in_range(mo, d, h, mi, sec) || (size_t)end != s.n)
        return false;
    *ms = clock_join(y, mo, d, h, mi, sec);
    return true;
}
