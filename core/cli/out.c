/* out: printing, the only place that knows whether stdout is a terminal. */
#include "cli/out.h"

#include <float.h>
#include <math.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

static bool is_terminal(void)
{
    static int known = -1;
    if (known < 0)
        known = isatty(1);
    return known;
}

static bool colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return is_terminal() && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

/* The shortest decimal that reads back as the same number. Fifteen digits hold any that was written
 * with fewer ("%g" adds no zeros), but for the smallest, which have fewer themselves. */
static void put_real(struct buf *out, double v)
{
    char text[40];
    for (int digits = fabs(v) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_add(out, str_c(text));
    if (!strpbrk(text, ".e"))
        buf_lit(out, ".0"); /* not an integer to whoever tells them apart */
}

static size_t string_length(const char *s)
{
    size_t n = 1;
    while (s[n] != '"')
        n += s[n] == '\\' ? 2 : 1;
    return n + 1;
}

/* jansson writes all real numbers of a text with the same number of digits: 0.10000000000000001. */
char *out_dumps(const json_t *v, size_t flags)
{
    struct buf out = BUF_INIT;
    char *text = json_dumps(v, flags | JSON_ENCODE_ANY);
    for (const char *s = text; s && *s;) {
        size_t digits = strspn(s, "-+.0123456789e");
        bool number = digits && *s != 'e'; /* the last letter of true and false */
        size_t n = number ? digits : *s == '"' ? string_length(s) : 1;
        if (number && strcspn(s, ".e") < n)
            put_real(&out, strtod(s, NULL));
        else
            buf_add(&out, str_of(s, n));
        s += n;
    }
    free(text);
    buf_addc(&out, 0);
    if (!text || out.rc)
        fatal("out of memory");
    return out.p;
}

void out_dump(const json_t *v, size_t flags)
{
    char *text = out_dumps(v, flags);
    fputs(text, stdout);
    free(text);
}

int out_json(json_t *json)
{
    out_dump(json, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
    return CLI_OK;
}

/* C0 controls but newline and tab, DEL, and the two-byte UTF-8 form of the C1 controls. */
static size_t control_at(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
        return 1;
    return c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0 ? 2 : 0;
}

void out_text(struct str s)
{
    if (s.n && !is_terminal()) {
        fwrite(s.p, 1, s.n, stdout);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        size_t n = control_at(s, i);
        if (n == 0)
            putchar(s.p[i]);
        else
            printf("\\x%02x", (unsigned char)s.p[i + n - 1]);
        i += n > 1;
    }
}

void out_field(const char *name, const char *value)
{
    if (!value || !*value)
        return;
    printf("%-12s ", name);
    out_text(str_c(value));
    putchar('\n');
}

/* --- tables ------------------------------------------------------------------------------------
 */

enum { COLUMNS_MAX = 16 };

struct out_table {
    size_t columns, rows, cap;
    char **cells; /* rows * columns */
};

struct out_table *out_table_new(size_t columns)
{
    struct out_table *t = calloc(1, sizeof *t);
    ASSERT(columns > 0 && columns <= COLUMNS_MAX);
    if (!t)
        fatal("out of memory");
    t->columns = columns;
    return t;
}

void out_row(struct out_table *t, const char *const *cells)
{
    if (t->rows == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 32;
        t->cells = realloc(t->cells, t->cap * t->columns * sizeof *t->cells);
        if (!t->cells)
            fatal("out of memory");
    }
    for (size_t i = 0; i < t->columns; i++) {
        char *copy = strdup(cells[i] ? cells[i] : "");
        if (!copy)
            fatal("out of memory");
        t->cells[t->rows * t->columns + i] = copy;
    }
    t->rows++;
}

/* Columns on the terminal, near enough: UTF-8 continuation bytes count nothing. */
static size_t width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void out_table_end(struct out_table *t)
{
    size_t most[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->rows * t->columns; i++)
        if (width(t->cells[i]) > most[i % t->columns])
            most[i % t->columns] = width(t->cells[i]);
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        size_t column = i % t->columns;
        out_text(str_c(t->cells[i]));
        if (column + 1 < t->columns)
            printf("%*s", (int)(most[column] - width(t->cells[i]) + 2), "");
        else
            putchar('\n');
    }
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

void out_colour(enum out_colour c)
{
    static const char *const codes[] = {"\033[0m",  "\033[31m", "\033[33m", "\033[2m",
                                        "\033[32m", "\033[35m", "\033[36m", "\033[1m"};
    if (colours())
        fputs(codes[c], stdout);
}

const char *out_str(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

long long out_int(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void out_things(const char *verb, const json_t *list)
{
    size_t i;
    json_t *thing;
    json_array_foreach(list, i, thing)
    {
        printf("  %-9s ", verb);
        if (json_is_string(thing)) {
            out_text(str_c(json_string_value(thing)));
        } else {
            printf("%-12s ", out_str(thing, "type"));
            out_text(str_c(out_str(thing, "name")));
        }
        putchar('\n');
    }
}

int out_names(const json_t *list)
{
    size_t i;
    json_t *thing;
    json_array_foreach(list, i, thing)
    {
        out_text(str_c(out_str(thing, "name")));
        putchar('\n');
    }
    return CLI_OK;
}

const char *out_size(uint64_t bytes)
{
    static char texts[4][32];
    static unsigned turn;
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char *text = texts[turn++ % 4];
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit < 4; unit++)
        n /= 1024;
    snprintf(text, sizeof texts[0], unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return text;
}
