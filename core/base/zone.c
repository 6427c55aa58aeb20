/* zone: reading TZif files.
 *
 * Such a file lists the instants at which an offset changed, up to some year, and ends with a rule in
 * POSIX's TZ notation for all that comes after ("CET-1CEST,M3.5.0,M10.5.0/3"). Everything read is
 * checked against the file's size: the file is the system's, but a broken one must not break us. */
#include "base/zone.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { HEADER = 44, DAY = 86400 };
#define KEEP_NS (600 * 1000000000ull)

struct rule {  /* when a part of the year begins: local time of what was before */
    char kind; /* 'M' month.week.weekday, 'J' day 1…365 without leap days, 'N' day 0…365 */
    int month, week, day;
    int32_t time_s;
};

struct zone {
    size_t count;
    int64_t *at;         /* instants of change, ascending */
    int32_t *offset;     /* from that instant on */
    int32_t first;       /* before all of them */
    bool has_rule, dst;  /* what comes after them; dst: it changes twice a year */
    int32_t std, summer; /* offsets */
    struct rule begin, end;
};

/* --- the rule ----------------------------------------------------------------------------------- */

static bool take_number(struct str *s, int max, int *out)
{
    int v = 0;
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && v <= max)
        v = v * 10 + (s->p[n++] - '0');
    *s = str_from(*s, n);
    *out = v;
    return n > 0 && v <= max;
}

static bool take(struct str *s, char c)
{
    if (!s->n || *s->p != c)
        return false;
    *s = str_from(*s, 1);
    return true;
}

/* [+-]h[h][:mm[:ss]] */
static bool take_time(struct str *s, int32_t *out)
{
    bool minus = take(s, '-');
    int h, m = 0, sec = 0;
    if (!minus)
        take(s, '+');
    if (!take_number(s, 167, &h))
        return false;
    if (take(s, ':') && (!take_number(s, 59, &m) || (take(s, ':') && !take_number(s, 59, &sec))))
        return false;
    *out = (h * 60 + m) * 60 + sec;
    if (minus)
        *out = -*out;
    return true;
}

static bool take_name(struct str *s)
{
    size_t n = 0;
    if (take(s, '<')) {
        ptrdiff_t end = str_index(*s, '>', 0);
        if (end < 0)
            return false;
        *s = str_from(*s, (size_t)end + 1);
        return true;
    }
    while (n < s->n && ((s->p[n] >= 'A' && s->p[n] <= 'Z') || (s->p[n] >= 'a' && s->p[n] <= 'z')))
        n++;
    *s = str_from(*s, n);
    return n >= 3;
}

static bool take_rule(struct str *s, struct rule *r)
{
    bool ok;
    *r = (struct rule){.kind = 'N', .time_s = 2 * 3600};
    if (take(s, 'M')) {
        r->kind = 'M';
        ok = take_number(s, 12, &r->month) && take(s, '.') && take_number(s, 5, &r->week) &&
             take(s, '.') && take_number(s, 6, &r->day) && r->month >= 1 && r->week >= 1;
    } else {
        if (take(s, 'J'))
            r->kind = 'J';
        ok = take_number(s, 365, &r->day);
    }
    return ok && (!take(s, '/') || take_time(s, &r->time_s));
}

static bool parse_rule(struct zone *z, struct str s)
{
    if (!take_name(&s) || !take_time(&s, &z->std))
        return false;
    z->std = -z->std; /* POSIX counts westwards */
    z->summer = z->std + 3600;
    z->has_rule = true;
    if (!s.n)
        return true;
    if (!take_name(&s))
        return false;
    if (s.n && *s.p != ',') {
        if (!take_time(&s, &z->summer))
            return false;
        z->summer = -z->summer;
    }
    z->dst = true;
    return take(&s, ',') && take_rule(&s, &z->begin) && take(&s, ',') && take_rule(&s, &z->end) &&
           !s.n;
}

static bool leap(int year)
{
    return (year % 4 == 0 && year % 100) || year % 400 == 0;
}

/* Civil seconds at which the rule strikes in that year. */
static int64_t strikes(const struct rule *r, int year)
{
    if (r->kind != 'M') {
        int day = r->kind == 'J' ? r->day - 1 + (leap(year) && r->day >= 60) : r->day;
        return clock_join(year, 1, 1, 0, 0, 0) / 1000 + (int64_t)day * DAY + r->time_s;
    }
    struct clock_parts p;
    int64_t first = clock_join(year, r->month, 1, 0, 0, 0);
    clock_split(first, &p);
    int day = 1 + (r->day - p.weekday + 7) % 7 + (r->week - 1) * 7;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = days[r->month - 1] + (r->month == 2 && leap(year));
    while (day > last)
        day -= 7;
    return first / 1000 + (int64_t)(day - 1) * DAY + r->time_s;
}

static int32_t by_rule(const struct zone *z, int64_t utc_s)
{
    struct clock_parts p;
    if (!z->dst)
        return z->std;
    clock_split((utc_s + z->std) * 1000, &p);
    int64_t begin = strikes(&z->begin, p.year) - z->std, end = strikes(&z->end, p.year) - z->summer;
    bool summer = begin < end ? utc_s >= begin && utc_s < end : !(utc_s >= end && utc_s < begin);
    return summer ? z->summer : z->std;
}

/* --- the file ----------------------------------------------------------------------------------- */

static uint32_t be32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t be64(const char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
};

/* A header and the bytes of the block behind it, with `wide` bytes a time. */
static bool read_header(struct str s, size_t wide, struct counts *c, size_t *block)
{
    if (s.n < HEADER || memcmp(s.p, "TZif", 4) != 0 || s.p[4] < '2')
        return false;
    *c = (struct counts){be32(s.p + 20), be32(s.p + 24), be32(s.p + 28),
                         be32(s.p + 32), be32(s.p + 36), be32(s.p + 40)};
    uint64_t n = (uint64_t)c->time * (wide + 1) + (uint64_t)c->type * 6 + c->chars +
                 (uint64_t)c->leap * (wide + 4) + c->isstd + c->isut;
    *block = (size_t)n;
    return n <= ZONE_FILE_MAX && s.n - HEADER >= n;
}

static bool read_block(struct zone *z, const char *p, const struct counts *c)
{
    const unsigned char *index = (const unsigned char *)p + (size_t)c->time * 8;
    const char *types = (const char *)index + c->time;
    z->at = calloc(c->time + 1, sizeof *z->at);
    z->offset = calloc(c->time + 1, sizeof *z->offset);
    if (!z->at || !z->offset || c->type == 0)
        return false;
    for (uint32_t i = 0; i < c->time; i++) {
        if (index[i] >= c->type || (i && be64(p + 8 * i) <= z->at[i - 1]))
            return false;
        z->at[i] = be64(p + 8 * i);
        z->offset[i] = (int32_t)be32(types + 6 * index[i]);
    }
    z->count = c->time;
    z->first = (int32_t)be32(types);
    for (uint32_t i = 0; i < c->type; i++)
        if ((int32_t)be32(types + 6 * i) <= -26 * 3600 || (int32_t)be32(types + 6 * i) >= 27 * 3600)
            return false;
    return true;
}

struct zone *zone_parse(struct str s)
{
    struct counts c;
    size_t block;
    if (!read_header(s, 4, &c, &block))
        return NULL;
    s = str_from(s, HEADER + block); /* the 32-bit block, for readers of long ago */
    if (!read_header(s, 8, &c, &block))
        return NULL;
    struct zone *z = calloc(1, sizeof *z);
    struct str footer = str_from(s, HEADER + block);
    bool ok = z && read_block(z, s.p + HEADER, &c) && take(&footer, '\n');
    if (ok) {
        struct str line = str_cut(&footer, '\n');
        ok = footer.p && (!line.n || parse_rule(z, line));
    }
    if (ok)
        return z;
    zone_free(z);
    return NULL;
}

/* Names come from clients: a path below the folder and nothing else. */
static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && c != '_' && c != '-' && c != '+' && (c != '/' || i == 0))
            return false;
    }
    return name.n > 0 && name.n <= ZONE_NAME_MAX;
}

struct zone *zone_load(struct str name)
{
    char path[128], *bytes = NULL;
    struct zone *z = NULL;
    if (!name_ok(name))
        return NULL;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", STR_FMT(name));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && (bytes = malloc(ZONE_FILE_MAX))) {
        ssize_t n = read(fd, bytes, ZONE_FILE_MAX);
        if (n > 0)
            z = zone_parse(str_of(bytes, (size_t)n));
    }
    free(bytes);
    if (fd >= 0)
        close(fd);
    if (!z && str_is(name, "UTC") && (z = calloc(1, sizeof *z)))
        z->has_rule = true;
    return z;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

const struct zone *zone_named(struct str name)
{
    enum { SLOTS = 64 };
    static struct {
        char name[ZONE_NAME_MAX + 1];
        struct zone *zone;
        uint64_t read_ns;
    } kept[SLOTS];
    uint32_t slot = 0;
    for (size_t i = 0; i < name.n; i++)
        slot = slot * 31 + (unsigned char)name.p[i];
    slot %= SLOTS;
    uint64_t now_ns = clock_mono_ns();
    bool fresh = now_ns - kept[slot].read_ns < KEEP_NS;
    if (kept[slot].zone && fresh && str_is(name, kept[slot].name))
        return kept[slot].zone;
    struct zone *z = zone_load(name);
    if (!z)
        return NULL;
    zone_free(kept[slot].zone);
    kept[slot].zone = z;
    kept[slot].read_ns = now_ns;
    snprintf(kept[slot].name, sizeof kept[slot].name, "%.*s", STR_FMT(name));
    return z;
}

/* --- asking ------------------------------------------------------------------------------------- */

int32_t zone_offset_s(const struct zone *z, int64_t utc_s)
{
    size_t low = 0, high = z->count; /* the number of changes at or before it */
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (z->at[mid] <= utc_s)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == z->count && z->has_rule)
        return by_rule(z, utc_s);
    return low ? z->offset[low - 1] : z->first;
}

int64_t zone_instant_s(const struct zone *z, int64_t local_s)
{
    int32_t before = zone_offset_s(z, local_s - DAY), after = zone_offset_s(z, local_s + DAY);
    int64_t early = local_s - before, late = local_s - after;
    bool early_ok = zone_offset_s(z, early) == before, late_ok = zone_offset_s(z, late) == after;
    if (early_ok && late_ok)
        return early < late ? early : late;
    if (early_ok || late_ok)
        return early_ok ? early : late;
    while (early - late >
           1) { /* in the gap: where the offset changes, after late, at early at most */
        int64_t mid = late + (early - late) / 2;
        if (zone_offset_s(z, mid) == before)
            late = mid;
        else
            early = mid;
    }
    return early;
}
