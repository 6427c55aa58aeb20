/* serve_opts: one table of flags drives parsing, environment, defaults and help. */
#include "cli/serve_opts.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/paths.h"

enum kind { TEXT, COUNT, BYTES, SECONDS, SWITCH };

#define FIELD(f) offsetof(struct serve_opts, f)

static const struct row {
    const char *flag;
    enum kind kind;
    size_t at;
    const char *dflt, *arg, *help;
} rows[] = {
    {"data", TEXT, FIELD(data), NULL, "DIR", "data folder"},
    {"listen", TEXT, FIELD(listen), "127.0.0.1:1969", "HOST:PORT", "where the API listens"},
    {"console-listen", TEXT, FIELD(console_listen), NULL, "HOST:PORT",
     "where the console listens, or none (the API's port + 1)"},
    {"console-url", TEXT, FIELD(console_url), NULL, "URL",
     "how browsers reach the console, behind a proxy"},
    {"console-dir", TEXT, FIELD(console_dir), NULL, "DIR",
     "serve the console from a built tree, to work on it"},
    {"public-url", TEXT, FIELD(public_url), NULL, "URL",
     "how clients reach the API, in function URLs and links"},
    {"region", TEXT, FIELD(region), "us-east-1", "NAME", "region in every ARN"},
    {"trusted-proxy", TEXT, FIELD(trusted_proxy), NULL, "ADDRESS",
     "take the client's address from its X-Forwarded-For"},
    {"domain", TEXT, FIELD(domain), NULL, "NAME", "serve buckets at BUCKET.NAME too"},
    {"user", TEXT, FIELD(user), NULL, "NAME", "become this user when started as root"},
    {"jit", TEXT, FIELD(jit), "on", "on|off", "compile hot Lua"},
    {"max-runners", COUNT, FIELD(max_runners), "256", "N", "runner processes at most"},
    {"concurrency", COUNT, FIELD(concurrency), "1000", "N",
     "invocations under way at most, those that wait among them"},
    {"memory", BYTES, FIELD(memory), "0", "BYTES",
     "memory of all runners (0: half of the machine)"},
    {"idle-timeout", SECONDS, FIELD(idle_timeout_s), "60", "SECONDS", "retire a warm runner after"},
    {"fetch-idle", SECONDS, FIELD(fetch_idle_s), "60", "SECONDS", "end perilune-fetch after"},
    {"ca-file", TEXT, FIELD(ca_file), NULL, "FILE",
     "certificates that outbound HTTPS trusts (the system's)"},
    {"lifecycle-day", SECONDS, FIELD(lifecycle_day_s), "86400", "SECONDS",
     "a day of lifecycle rules (shorter: to try them out)"},
    {"queue-max-rows", COUNT, FIELD(queue_max_rows), "10000000", "N", "waiting events at most"},
    {"queue-max-bytes", BYTES, FIELD(queue_max_bytes), "16G", "BYTES", "their payloads at most"},
    {"event-rate", COUNT, FIELD(event_rate), "0", "N",
     "events of one function begun in a second at most (0: any number)"},
    {"runs-keep", COUNT, FIELD(runs_keep), "1000", "N", "runs of each function that stay listed"},
    {"runs-sample", COUNT, FIELD(runs_sample), "100", "N",
     "awaited runs of each function that stay listed, errors and successes alike"},
    {"runs-age", SECONDS, FIELD(runs_age_s), "604800", "SECONDS", "how long they do"},
    {"store-max", BYTES, FIELD(store_max), "256G", "BYTES", "size limit of meta.mdb"},
    {"log-max", BYTES, FIELD(log_max), "1G", "BYTES", "all log groups together"},
    {"allow-weak-jail", SWITCH, FIELD(allow_weak_jail), NULL, "",
     "start although a jail layer is missing"},
    {"behind-tls-proxy", SWITCH, FIELD(behind_tls_proxy), NULL, "", "TLS ends before this server"},
    {"verbose", SWITCH, FIELD(verbose), NULL, "", "more messages"},
};

static int help(void)
{
    puts("usage: perilune serve [flags]\n\nRuns the server in the foreground. Every flag is also "
         "read "
         "from PERILUNE_<FLAG>.\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char left[48];
        snprintf(left, sizeof left, "--%s %s", rows[i].flag, rows[i].arg);
        printf("  %-28s %s%s%s%s\n", left, rows[i].help, rows[i].dflt ? " (" : "",
               rows[i].dflt ? rows[i].dflt : "", rows[i].dflt ? ")" : "");
    }
    return 3;
}

/* "64M", "1G", "4096", "1.5G" is refused. */
static bool parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    struct str s = str_c(text);
    const char *unit = s.n ? strchr(units, s.p[s.n - 1] & ~0x20) : NULL;
    unsigned shift = unit && *unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (shift)
        s.n--;
    if (!str_u64(s, out) || *out > UINT64_MAX >> shift)
        return false;
    *out <<= shift;
    return true;
}

static bool set(struct serve_opts *o, const struct row *r, const char *value)
{
    char *field = (char *)o + r->at;
    uint64_t n = 0;
    switch (r->kind) {
    case TEXT:
        memcpy(field, &value, sizeof value);
        return value[0] != 0;
    case SWITCH:
        *(bool *)(void *)field = !(str_is(str_c(value), "0") || str_is(str_c(value), "no"));
        return true;
    case SECONDS:
    case COUNT:
        if (!str_u64(str_c(value), &n))
            return false;
        break;
    case BYTES:
        if (!parse_bytes(value, &n))
            return false;
        break;
    }
    memcpy(field, &n, sizeof n);
    return true;
}

static int bad(const char *what, const char *value)
{
    fprintf(stderr, "perilune serve: %s%s%s (try: perilune serve --help)\n", what,
            value ? ": " : "", value ? value : "");
    return 2;
}

static int bad_value(const struct row *r, const char *value)
{
    static const char *const wants[] = {
        [TEXT] = "a value",
        [COUNT] = "a number",
        [BYTES] = "a number of bytes, as 512M",
        [SECONDS] = "a number of seconds",
        [SWITCH] = "yes or no",
    };
    char what[96];
    snprintf(what, sizeof what, "--%s takes %s%s", r->flag, wants[r->kind], value ? ", not" : "");
    return bad(what, value);
}

static int from_environment(struct serve_opts *o)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[64] = "PERILUNE_", *p = name + 9;
        for (const char *f = rows[i].flag; *f; f++)
            *p++ = *f == '-' ? '_' : (char)(*f - 32);
        *p = 0;
        const char *value = getenv(name);
        if (value && !set(o, &rows[i], value))
            return bad("bad value in the environment", name);
        if (!value && rows[i].dflt)
            set(o, &rows[i], rows[i].dflt);
    }
    return 0;
}

static const struct row *find(struct str flag)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_is(flag, rows[i].flag))
            return &rows[i];
    return NULL;
}

int serve_opts_parse(int argc, char **argv, struct serve_opts *o)
{
    memset(o, 0, sizeof *o);
    int rc = from_environment(o);
    for (int i = 1; i < argc && rc == 0; i++) {
        struct str rest = str_c(argv[i]);
        if (str_is(rest, "--help") || str_is(rest, "-h"))
            return help();
        if (!str_starts(rest, STR("--")))
            return bad("unexpected argument", argv[i]);
        rest = str_from(rest, 2);
        struct str flag = str_cut(&rest, '=');
        const struct row *r = find(flag);
        if (!r)
            return bad("unknown flag", argv[i]);
        const char *value = rest.p ? rest.p : r->kind == SWITCH ? "yes" : NULL;
        if (!value && ++i < argc)
            value = argv[i];
        if (!value || !set(o, r, value))
            return bad_value(r, value);
    }
    if (rc == 0 && !str_is(str_c(o->jit), "on") && !str_is(str_c(o->jit), "off"))
        return bad("--jit takes on or off", NULL);
    if (rc == 0 && o->lifecycle_day_s == 0)
        return bad("--lifecycle-day takes a number of seconds", NULL);
    if (!o->data)
        o->data = paths_data();
    return rc;
}

const struct cli_flag *serve_opts_flags(void)
{
    enum { ROWS = sizeof rows / sizeof *rows, NAME = 32 };
    static struct cli_flag flags[ROWS + 1];
    static char names[ROWS][NAME];
    for (size_t i = 0; i < ROWS && !flags[ROWS - 1].name; i++) {
        snprintf(names[i], NAME, "--%s", rows[i].flag);
        flags[i] =
            (struct cli_flag){names[i], 0, *rows[i].arg ? rows[i].arg : NULL, rows[i].help, true};
    }
    return flags;
}

json_t *serve_opts_json(const struct serve_opts *o)
{
    static const char *const kinds[] = {"text", "count", "bytes", "seconds", "switch"};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *field = (const char *)o + rows[i].at, *text;
        uint64_t n;
        json_t *value;
        if (rows[i].kind == TEXT) {
            memcpy(&text, field, sizeof text);
            value = text ? json_text(str_c(text)) : json_null();
        } else if (rows[i].kind == SWITCH) {
            value = json_boolean(*(const bool *)field);
        } else {
            memcpy(&n, field, sizeof n);
            value = json_integer((json_int_t)n);
        }
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:s?}", "flag",
                                              rows[i].flag, "arg", rows[i].arg, "help",
                                              rows[i].help, "kind", kinds[rows[i].kind], "value",
                                              value, "default", rows[i].dflt));
    }
    return list;
}
