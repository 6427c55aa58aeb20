/* schedule_expr: fields become sets of bits; the next time is found by walking days.
 *
 * A year has at most 366 days to look at, each with a few comparisons; years that the expression
 * excludes are passed over whole. Within a day the minutes are tried in their order, turned into an
 * instant, and the first one after the given instant is the answer: that one comparison is what
 * makes gaps and repeated hours come out right. */
#include "svc/schedule_expr.h"

#include "base/clock.h"

enum { DAY = 86400, YEARS_AHEAD = 40 };

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const day_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

/* --- fields ------------------------------------------------------------------------------------- */

struct field {
    int min, max;
    const char *const *names;
    int name_count, name_base; /* value of the first name */
    void (*set)(struct schedule_expr *e, int value);
};

static void set_minute(struct schedule_expr *e, int v)
{
    e->minutes |= 1ULL << v;
}

static void set_hour(struct schedule_expr *e, int v)
{
    e->hours |= 1U << v;
}

static void set_day(struct schedule_expr *e, int v)
{
    e->days |= 1U << v;
}

static void set_month(struct schedule_expr *e, int v)
{
    e->months |= (uint16_t)(1U << v);
}

static void set_weekday_aws(struct schedule_expr *e, int v) /* 1 Sunday … 7 */
{
    e->weekdays |= (uint8_t)(1U << (v - 1));
}

static void set_weekday(struct schedule_expr *e, int v) /* 0 Sunday … 6, 7 Sunday */
{
    e->weekdays |= (uint8_t)(1U << (v % 7));
}

static void set_year(struct schedule_expr *e, int v)
{
    v -= SCHEDULE_YEAR_MIN;
    e->years[v / 8] |= (unsigned char)(1U << v % 8);
}

static const struct field minute = {0, 59, NULL, 0, 0, set_minute};
static const struct field hour = {0, 23, NULL, 0, 0, set_hour};
static const struct field day = {1, 31, NULL, 0, 0, set_day};
static const struct field month = {1, 12, month_names, 12, 1, set_month};
static const struct field weekday_aws = {1, 7, day_names, 7, 1, set_weekday_aws};
static const struct field weekday = {0, 7, day_names, 7, 0, set_weekday};
static const struct field year = {SCHEDULE_YEAR_MIN, SCHEDULE_YEAR_MAX, NULL, 0, 0, set_year};

static bool value_of(const struct field *f, struct str s, int *out)
{
    uint64_t v;
    for (int i = 0; i < f->name_count; i++) {
        if (str_ieq(s, str_c(f->names[i]))) {
            *out = f->name_base + i;
            return true;
        }
    }
    if (s.n > 4 || !str_u64(s, &v) || v < (uint64_t)f->min || v > (uint64_t)f->max)
        return false;
    *out = (int)v;
    return true;
}

/* One element of a list: *, a, a-b, each with /step. */
static bool read_element(struct schedule_expr *e, const struct field *f, struct str s)
{
    struct str step_text = s, range = str_cut(&step_text, '/'), to = range,
               from = str_cut(&to, '-');
    uint64_t step = 1;
    int low = f->min, high = f->max;
    if (step_text.p && (!str_u64(step_text, &step) || step == 0 || step > (uint64_t)f->max))
        return false;
    if (to.p) {
        if (!value_of(f, from, &low) || !value_of(f, to, &high) || low > high)
            return false;
    } else if (!str_is(range, "*")) {
        if (!value_of(f, range, &low))
            return false;
        high = step_text.p ? f->max : low;
    }
    for (int v = low; v <= high; v += (int)step)
        f->set(e, v);
    return true;
}

static bool read_field(struct schedule_expr *e, const struct field *f, struct str s)
{
    if (!s.n)
        return false;
    while (s.p)
        if (!read_element(e, f, str_cut(&s, ',')))
            return false;
    return true;
}

/* AWS's day of the month: L, LW, 15W beside what all fields take. */
static bool read_day(struct schedule_expr *e, struct str s)
{
    int v;
    if (str_is(s, "?"))
        return true;
    while (s.p) {
        struct str one = str_cut(&s, ',');
        if (str_ieq(one, STR("L")))
            e->last_day = true;
        else if (str_ieq(one, STR("LW")))
            e->last_working_day = true;
        else if (one.n > 1 && (one.p[one.n - 1] | 32) == 'w' &&
                 value_of(&day, str_of(one.p, one.n - 1), &v))
            e->nearest |= 1U << v;
        else if (!read_element(e, &day, one))
            return false;
    }
    return true;
}

/* AWS's day of the week: L (Saturday), 6L, 3#2. */
static bool read_weekday(struct schedule_expr *e, struct str s)
{
    int v;
    uint64_t nth;
    if (str_is(s, "?"))
        return true;
    struct str count = s, which = str_cut(&count, '#');
    if (count.p) {
        if (!value_of(&weekday_aws, which, &v) || !str_u64(count, &nth) || nth < 1 || nth > 5)
            return false;
        e->nth_weekdays = (uint8_t)(1U << (v - 1));
        e->nth = (uint8_t)nth;
        return true;
    }
    while (s.p) {
        struct str one = str_cut(&s, ',');
        if (str_ieq(one, STR("L")))
            set_weekday_aws(e, 7);
        else if (one.n > 1 && (one.p[one.n - 1] | 32) == 'l' &&
                 value_of(&weekday_aws, str_of(one.p, one.n - 1), &v))
            e->last_weekdays |= (uint8_t)(1U << (v - 1));
        else if (!read_element(e, &weekday_aws, one))
            return false;
    }
    return true;
}

static bool read_cron(struct schedule_expr *e, struct str s)
{
    struct str f[7];
    size_t n = 0;
    while (s.p) {
        struct str one = str_cut(&s, ' ');
        if (one.n && n < 7)
            f[n++] = one;
    }
    e->kind = SCHEDULE_CRON;
    if (n != 5 && n != 6)
        return false;
    if (!read_field(e, &minute, f[0]) || !read_field(e, &hour, f[1]) ||
        !read_field(e, &month, f[3]))
        return false;
    if (n == 6)
        return str_is(f[2], "?") != str_is(f[4], "?") && read_day(e, f[2]) &&
               read_weekday(e, f[4]) && read_field(e, &year, f[5]);
    /* plain cron: with both days given, either will do; a star gives nothing */
    bool any_day = f[2].p[0] == '*', any_weekday = f[4].p[0] == '*';
    e->either = !any_day && !any_weekday;
    memset(e->years, 0xff, sizeof e->years);
    return read_field(e, &day, f[2]) && read_field(e, &weekday, f[4]);
}

/* --- rate, at ----------------------------------------------------------------------------------- */

static bool read_rate(struct schedule_expr *e, struct str s)
{
    static const struct {
        const char *one, *many;
        int64_t s;
    } units[] = {{"minute", "minutes", 60}, {"hour", "hours", 3600}, {"day", "days", DAY}};
    struct str unit = s, count = str_cut(&unit, ' ');
    uint64_t n;
    if (!unit.p || !str_u64(count, &n) || n == 0 || n > 1000000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!str_is(unit, n == 1 ? units[i].one : units[i].many))
            continue;
        e->kind = SCHEDULE_RATE;
        e->every_s = (int64_t)n * units[i].s;
        return true;
    }
    return false;
}

static bool two(struct str s, size_t at, int *out)
{
    char a = s.p[at], b = s.p[at + 1];
    *out = (a - '0') * 10 + (b - '0');
    return a >= '0' && a <= '9' && b >= '0' && b <= '9';
}

/* 2026-12-24T18:00:00 */
static bool read_at(struct schedule_expr *e, struct str s)
{
    int century, y, mo, d, h, mi, sec;
    struct clock_parts p;
    if (s.n != 19 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' || s.p[13] != ':' ||
        s.p[16] != ':')
        return false;
    if (!two(s, 0, &century) || !two(s, 2, &y) || !two(s, 5, &mo) || !two(s, 8, &d) ||
        !two(s, 11, &h) || !two(s, 14, &mi) || !two(s, 17, &sec))
        return false;
    y += century * 100;
    if (y < SCHEDULE_YEAR_MIN || y > SCHEDULE_YEAR_MAX || mo < 1 || mo > 12 || h > 23 || mi > 59 ||
        sec > 59)
        return false;
    int64_t ms = clock_join(y, mo, d, h, mi, sec);
    clock_split(ms, &p);
    e->kind = SCHEDULE_AT;
    e->at_local_s = ms / 1000;
    return p.day == d && p.month == mo; /* no 31st of April */
}

/* What stands between "name(" and ")". */
static bool inside(struct str s, const char *name, struct str *out)
{
    struct str prefix = str_c(name);
    if (!str_starts(s, prefix) || s.n < prefix.n + 2 || s.p[prefix.n] != '(' || s.p[s.n - 1] != ')')
        return false;
    *out = str_of(s.p + prefix.n + 1, s.n - prefix.n - 2);
    return true;
}

int schedule_parse(struct str text, struct schedule_expr *out, struct err *err)
{
    struct str in;
    bool ok = false;
    *out = (struct schedule_expr){0};
    if (text.n <= SCHEDULE_TEXT_MAX) {
        if (inside(text, "rate", &in))
            ok = read_rate(out, in);
        else if (inside(text, "at", &in))
            ok = read_at(out, in);
        else if (inside(text, "cron", &in))
            ok = read_cron(out, in);
        else
            ok = str_index(text, '(', 0) < 0 && read_cron(out, text);
    }
    return ok ? 0 : err_set(err, E_INVALID, "Parameter ScheduleExpression is not valid.");
}

/* --- the next time ------------------------------------------------------------------------------ */

static int days_of(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[m - 1] + (m == 2 && ((y % 4 == 0 && y % 100) || y % 400 == 0));
}

/* The day of the month on which nW falls: the nearest from Monday to Friday, in the same month. */
static int nearest(int n, int weekday_of_n, int last)
{
    if (weekday_of_n == 6)
        return n > 1 ? n - 1 : n + 2;
    if (weekday_of_n == 0)
        return n < last ? n + 1 : n - 2;
    return n;
}

static bool by_month_day(const struct schedule_expr *e, const struct clock_parts *p, int last)
{
    if (e->days >> p->day & 1)
        return true;
    if (e->last_day && p->day == last)
        return true;
    int last_weekday = (p->weekday + (last - p->day)) % 7;
    if (e->last_working_day && p->day == nearest(last, last_weekday, last))
        return true;
    for (int n = 1; e->nearest && n <= last; n++) {
        int weekday_of_n = ((p->weekday + n - p->day) % 7 + 7) % 7;
        if ((e->nearest >> n & 1) && p->day == nearest(n, weekday_of_n, last))
            return true;
    }
    return false;
}

static bool by_weekday(const struct schedule_expr *e, const struct clock_parts *p, int last)
{
    unsigned bit = 1U << p->weekday;
    return (e->weekdays & bit) || ((e->last_weekdays & bit) && p->day + 7 > last) ||
           ((e->nth_weekdays & bit) && (p->day - 1) / 7 + 1 == e->nth);
}

static bool on_day(const struct schedule_expr *e, const struct clock_parts *p)
{
    int last = days_of(p->year, p->month);
    if (!(e->months >> p->month & 1))
        return false;
    bool asks_day = e->days || e->last_day || e->last_working_day || e->nearest,
         asks_weekday = e->weekdays || e->last_weekdays || e->nth_weekdays;
    bool day_fits = !asks_day || by_month_day(e, p, last),
         weekday_fits = !asks_weekday || by_weekday(e, p, last);
    return e->either ? day_fits || weekday_fits : day_fits && weekday_fits;
}

static bool in_year(const struct schedule_expr *e, int y)
{
    y -= SCHEDULE_YEAR_MIN;
    return y >= 0 && e->years[y / 8] >> y % 8 & 1;
}

static int64_t instant(const struct zone *zone, int64_t local_s)
{
    return zone ? zone_instant_s(zone, local_s) : local_s;
}

/* The first time on that civil day after after_s, or -1. */
static int64_t time_on_day(const struct schedule_expr *e, const struct zone *zone, int64_t day_s,
                           int64_t after_s)
{
    for (int h = 0; h < 24; h++) {
        if (!(e->hours >> h & 1))
            continue;
        for (int m = 0; m < 60; m++) {
            if (!(e->minutes >> m & 1))
                continue;
            int64_t t = instant(zone, day_s + h * 3600 + m * 60);
            if (t > after_s)
                return t;
        }
    }
    return -1;
}

static int64_t next_cron(const struct schedule_expr *e, const struct zone *zone, int64_t after_s)
{
    struct clock_parts p;
    int64_t local = after_s + (zone ? zone_offset_s(zone, after_s) : 0);
    int64_t day_s = (local < 0 ? local - DAY + 1 : local) / DAY * DAY;
    clock_split(day_s * 1000, &p);
    int looked = 0; /* after forty years every combination of day and weekday has come */
    for (int y = p.year; y <= SCHEDULE_YEAR_MAX && looked < YEARS_AHEAD; y++) {
        if (!in_year(e, y)) {
            day_s = clock_join(y + 1, 1, 1, 0, 0, 0) / 1000;
            continue;
        }
        looked++;
        for (clock_split(day_s * 1000, &p); p.year == y;
             day_s += DAY, clock_split(day_s * 1000, &p)) {
            int64_t t = on_day(e, &p) ? time_on_day(e, zone, day_s, after_s) : -1;
            if (t >= 0)
                return t;
        }
    }
    return -1;
}

int64_t schedule_next_s(const struct schedule_expr *e, const struct zone *zone, int64_t base_s,
                        int64_t after_s)
{
    if (e->kind == SCHEDULE_RATE)
        return base_s + (after_s < base_s ? 1 : (after_s - base_s) / e->every_s + 1) * e->every_s;
    if (e->kind == SCHEDULE_AT) {
        int64_t t = instant(zone, e->at_local_s);
        return t > after_s ? t : -1;
    }
    return next_cron(e, zone, after_s);
}
