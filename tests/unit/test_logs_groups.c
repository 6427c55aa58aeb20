/* The log store's groups and streams: made, listed, deleted, tagged, kept for days, thousands of
 * them, and events that come from outside. */
#include "logs_help.h"

#include <sys/stat.h>
#include <unistd.h>

#include "svc/logs_group.h"

static struct {
    char names[64][600];
    int64_t created[64], first[64], last[64];
    uint32_t days[64];
    size_t n, bytes;
    bool more, done;
    int rc;
} listed;

static void on_groups(void *ctx, int rc, const struct log_group_list *list)
{
    (void)ctx;
    listed.rc = rc;
    listed.done = true;
    listed.more = list->more;
    listed.n = list->count;
    listed.bytes = 0;
    for (size_t i = 0; i < list->count && i < 64; i++) {
        snprintf(listed.names[i], 600, "%.*s", STR_FMT(list->groups[i].name));
        listed.created[i] = list->groups[i].created_ms;
        listed.days[i] = list->groups[i].retention_days;
        listed.bytes += list->groups[i].stored_bytes;
    }
}

static void ask_groups(const char *prefix, const char *after, size_t limit)
{
    listed.done = false;
    logs_groups(logs, str_c(prefix), STR(""), str_c(after), limit, on_groups, NULL);
    while (!listed.done)
        uv_run(&loop, UV_RUN_ONCE);
}

static void on_streams(void *ctx, int rc, const struct log_stream_list *list, const struct err *err)
{
    (void)ctx;
    (void)err;
    listed.rc = rc;
    listed.done = true;
    listed.n = list->count;
    for (size_t i = 0; i < list->count && i < 64; i++) {
        snprintf(listed.names[i], 600, "%.*s", STR_FMT(list->streams[i].name));
        listed.created[i] = list->streams[i].created_ms;
        listed.first[i] = list->streams[i].first_ms;
        listed.last[i] = list->streams[i].last_ms;
    }
}

static void ask_streams(const char *group, const char *prefix)
{
    listed.done = false;
    logs_streams(logs, str_c(group), str_c(prefix), NULL, on_streams, NULL);
    while (!listed.done)
        uv_run(&loop, UV_RUN_ONCE);
}

static void on_change(void *ctx, int rc, const struct err *err)
{
    (void)err;
    *(int *)ctx = rc;
}

static int changed(void (*f)(struct logs *, struct str, void (*)(void *, int, const struct err *),
                             void *),
                   const char *group)
{
    int rc = 1;
    f(logs, str_c(group), on_change, &rc);
    while (rc == 1)
        uv_run(&loop, UV_RUN_ONCE);
    return rc;
}

static void make_group(struct logs *l, struct str group, log_done_cb *done, void *ctx)
{
    logs_create_group(l, group, NULL, 0, done, ctx);
}

static void groups_and_streams(void **state)
{
    (void)state;
    char longest[513];
    memset(longest, 'L', 512);
    longest[512] = 0;
    ask_groups("", "", 50);
    assert_int_equal(listed.n, 0);
    struct log_stream *s = hello(), *t = log_stream_open(logs, STR(G), STR("other"));
    one_run(s, T0);
    log_line(t, T0 + 500, LOG_INFO, NULL, STR("x"));
    log_line(t, T0 + 400, LOG_INFO, NULL, STR("y"));
    ask_groups("", "", 50); /* a group that has no folder yet */
    assert_int_equal(listed.n, 1);
    assert_string_equal(listed.names[0], G);
    for (int i = 0; i < 2; i++) {
        ask_streams(G, "");
        assert_int_equal(listed.n, 2);
        assert_string_equal(listed.names[0], S);
        assert_string_equal(listed.names[1], "other");
        assert_int_equal(listed.first[0], T0);
        assert_int_equal(listed.last[0], T0 + 5);
        assert_int_equal(listed.first[1], T0 + 400);
        assert_int_equal(listed.last[1], T0 + 500);
        assert_int_equal(listed.created[1], T0 + 500);
        ask_streams(G, "oth");
        assert_int_equal(listed.n, 1);
        spin(60);
    }
    assert_int_equal(changed(make_group, "/a/b"), 0);
    assert_int_equal(changed(make_group, longest), 0);
    assert_int_equal(changed(make_group, ".."), 0);
    assert_int_equal(changed(make_group, "/a/b"), E_EXISTS);
    assert_int_equal(changed(make_group, G), E_EXISTS);
    assert_int_equal(changed(make_group, "a b"), E_VALIDATION);
    for (int i = 0; i < 2; i++) {
        ask_groups("", "", 50);
        assert_int_equal(listed.n, 4);
        assert_string_equal(listed.names[0], "..");
        assert_string_equal(listed.names[1], "/a/b");
        assert_string_equal(listed.names[2], G);
        assert_string_equal(listed.names[3], longest);
        assert_true(listed.bytes > 500);
        assert_true(listed.created[2] == T0);
        assert_true(listed.created[1] > 1600000000000);
        ask_groups("/a", "", 1);
        assert_int_equal(listed.n, 1);
        assert_true(listed.more);
        ask_groups("/a", listed.names[0], 1);
        assert_string_equal(listed.names[0], G);
        assert_false(listed.more);
        if (i == 0) {
            log_stream_close(s);
            log_stream_close(t);
            close_logs();
            open_logs();
        }
    }
    assert_int_equal(changed(logs_remove_group, "/a/b"), 0);
    assert_int_equal(changed(logs_remove_group, "/a/b"), E_NOT_FOUND);
    assert_int_equal(changed(logs_remove_group, longest), 0);
    assert_int_equal(changed(logs_remove_group, ".."), 0);
    ask_groups("", "", 50);
    assert_int_equal(listed.n, 1);
    ask_streams("/none", "");
    assert_int_equal(listed.rc, E_NOT_FOUND);
}

static void removal(void **state)
{
    (void)state;
    struct log_stream *s = hello();
    one_run(s, T0);
    spin(60);
    ask_all(G);
    uint64_t last = got.last;
    assert_int_equal(changed(logs_remove_group, G), 0);
    struct log_query q = {.group = STR(G), .limit = 10};
    ask(&q);
    assert_int_equal(got.rc, E_NOT_FOUND);
    one_run(s, T0); /* an open stream begins it anew, with new ids */
    ask_all(G);
    assert_int_equal(got.n, RUN);
    assert_true(got.events[0].id > last);
    logs_delete_group(logs, STR(G)); /* while it waits to be written */
    one_run(s, T0 + 77);
    ask_all(G);
    assert_int_equal(got.n, RUN);
    assert_int_equal(got.events[0].at, T0 + 77);
    spin(60);
    log_stream_close(s);
    close_logs();
    open_logs();
    ask_all(G);
    assert_int_equal(got.n, RUN);
    check_run(0);
    logs_delete_group(logs, STR(G));
    logs_delete_group(logs, STR("/none"));
    logs_delete_group(logs, STR("not valid!"));
}

/* Somebody removes the folder under a running server: what comes later is kept. */
static long resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * 4;
}

static void many_groups(void **state)
{
    (void)state;
    enum { N = 1000 };
    for (int i = 0; i < N; i++) {
        char name[60];
        snprintf(name, sizeof name, "/aws/lambda/f%05d", i);
        struct log_stream *s = log_stream_open(logs, str_c(name), STR(S));
        one_run(s, T0);
        log_stream_close(s);
        if (i % 100 == 0)
            spin(1);
    }
    spin(200);
    close_logs();
    long before = resident_kib();
    uint64_t begin = clock_mono_ns();
    open_logs();
    assert_true(clock_mono_ns() - begin < 20000000); /* opening reads nothing */
    spin(300);
#if defined(__SANITIZE_ADDRESS__) /* which keeps what is freed */
    before += 100 * 1024;
#endif
    assert_true(resident_kib() - before < 1024);
    ask_groups("/aws/lambda/f009", "/aws/lambda/f00998", 50);
    assert_int_equal(listed.n, 1);
    assert_string_equal(listed.names[0], "/aws/lambda/f00999");
    ask_all("/aws/lambda/f00999");
    assert_int_equal(got.n, RUN);
    check_run(0);
}

/* --- streams, retention, tags, events from outside ---------------------------------------------- */

static int stream_changed(void (*f)(struct logs *, struct str, struct str, log_done_cb *, void *),
                          const char *stream)
{
    int rc = 1;
    f(logs, STR(G), str_c(stream), on_change, &rc);
    while (rc == 1)
        uv_run(&loop, UV_RUN_ONCE);
    return rc;
}

static int retention(uint32_t days)
{
    int rc = 1;
    logs_set_retention(logs, STR(G), days, on_change, &rc);
    while (rc == 1)
        uv_run(&loop, UV_RUN_ONCE);
    return rc;
}

static struct {
    bool done;
    int rc;
    struct log_put_result r;
} placed;

static void on_put(void *ctx, int rc, const struct log_put_result *r, const struct err *err)
{
    (void)ctx;
    (void)err;
    placed.done = true;
    placed.rc = rc;
    if (rc == 0)
        placed.r = *r;
}

static int place(const char *stream, const struct log_put_event *events, size_t n)
{
    placed.done = false;
    logs_put(logs, STR(G), str_c(stream), events, n, on_put, NULL);
    while (!placed.done)
        uv_run(&loop, UV_RUN_ONCE);
    return placed.rc;
}

static int place_one(const char *stream, int64_t at_ms, const char *text)
{
    struct log_put_event e = {at_ms, str_c(text)};
    return place(stream, &e, 1);
}

static void reopen(void)
{
    close_logs();
    open_logs();
}

static void streams_made_and_deleted(void **state)
{
    (void)state;
    int64_t now = clock_wall_ms();
    assert_int_equal(stream_changed(logs_create_stream, "a"), E_NOT_FOUND); /* no group */
    assert_int_equal(place_one("a", now, "x"), E_NOT_FOUND);
    assert_int_equal(changed(make_group, G), 0);
    assert_int_equal(place_one("a", now, "x"), E_NOT_FOUND);
    assert_int_equal(stream_changed(logs_create_stream, "a"), 0);
    assert_int_equal(stream_changed(logs_create_stream, "b"), 0);
    assert_int_equal(stream_changed(logs_create_stream, "a"), E_EXISTS);
    assert_int_equal(stream_changed(logs_remove_stream, "c"), E_NOT_FOUND);
    for (int i = 0; i < 2; i++, reopen()) {
        ask_streams(G, "");
        assert_int_equal(listed.n, 2);
        assert_string_equal(listed.names[0], "a");
        assert_int_equal(listed.last[0], i ? now + 1 : 0);
        struct str b = STR("b");
        struct log_query q = {.group = STR(G),
                              .streams = &b,
                              .stream_count = 1,
                              .stream_must_exist = true,
                              .limit = 10};
        ask(&q);
        assert_int_equal(got.rc, 0); /* empty, but there */
        assert_int_equal(place_one("a", now + i, i ? "two" : "one"), 0);
        assert_int_equal(place_one("a", now + 1, "more"), 0);
    }
    ask_all(G);
    assert_int_equal(got.n, 4);
    struct log_stream *s = log_stream_open(logs, STR(G), STR("a")); /* open while it is deleted */
    log_line(s, now, LOG_INFO, NULL, STR("not flushed"));
    assert_int_equal(stream_changed(logs_remove_stream, "a"), 0);
    assert_int_equal(stream_changed(logs_remove_stream, "a"), E_NOT_FOUND);
    ask_all(G);
    assert_int_equal(got.n, 0);
    ask_streams(G, "");
    assert_int_equal(listed.n, 1);
    assert_int_equal(place_one("a", now, "x"), E_NOT_FOUND);
    log_line(s, now, LOG_INFO, NULL, STR("anew"));
    log_stream_close(s);
    for (int i = 0; i < 2; i++, reopen()) {
        ask_all(G);
        assert_int_equal(got.n, 1);
        assert_string_equal(got.events[0].text, "anew");
        ask_streams(G, "");
        assert_int_equal(listed.n, 2);
        struct log_query q = {.group = STR(G), .limit = 10, .backward = true};
        ask(&q);
        assert_int_equal(got.n, 1);
    }
    assert_int_equal(stream_changed(logs_create_stream, "a"), E_EXISTS); /* by its event */
}

static void retention_hides_and_removes(void **state)
{
    (void)state;
    const int64_t day = 86400000, now = clock_wall_ms();
    char folder[200], path[600];
    assert_int_equal(retention(1), E_NOT_FOUND);
    assert_int_equal(changed(make_group, G), 0);
    assert_int_equal(stream_changed(logs_create_stream, "a"), 0);
    assert_int_equal(place_one("a", now - 5 * day, "old"), 0);
    assert_int_equal(place_one("a", now - 2 * day, "older than a day"), 0);
    assert_int_equal(place_one("a", now, "new"), 0);
    assert_int_equal(placed.r.expired_end, -1);
    assert_int_equal(retention(3), 0);
    ask_all(G);
    assert_int_equal(got.n, 2);
    spin(80);
    ask_all(G); /* from the files */
    assert_int_equal(got.n, 2);
    ask_groups("", "", 10);
    assert_int_equal(listed.days[0], 3);
    struct log_put_event batch[] = {{now - 20 * day, STR("a")},
                                    {now - 4 * day, STR("b")},
                                    {now, STR("c")},
                                    {now + day, STR("d")}};
    assert_int_equal(place("a", batch, 4), 0);
    assert_int_equal(placed.r.too_old_end, 1);
    assert_int_equal(placed.r.expired_end, 2);
    assert_int_equal(placed.r.too_new_start, 3);
    reopen();
    ask_all(G);
    assert_int_equal(got.n, 3);
    /* a segment whose file is old enough goes when the store is opened */
    close_logs();
    snprintf(folder, sizeof folder, "%s/g+aws+lambda+hello", dir);
    DIR *d = opendir(folder);
    size_t files = 0;
    for (struct dirent *e; (e = readdir(d));) {
        struct timespec old[2] = {{.tv_sec = (now - 4 * day) / 1000},
                                  {.tv_sec = (now - 4 * day) / 1000}};
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (strstr(e->d_name, ".log")) {
            files++;
            assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
        }
    }
    closedir(d);
    assert_true(files > 0);
    uint64_t before = folder_bytes("g+aws+lambda+hello");
    open_logs();
    for (int i = 0; i < 500 && folder_bytes("g+aws+lambda+hello") == before; i++)
        spin(10);
    assert_true(folder_bytes("g+aws+lambda+hello") < before);
    ask_all(G);
    assert_int_equal(got.n, 0);
    ask_streams(G, ""); /* it was made, and stays */
    assert_int_equal(listed.n, 1);
    assert_int_equal(retention(0), 0);
    ask_groups("", "", 10);
    assert_int_equal(listed.days[0], 0);
}

static void on_tags(void *ctx, int rc, const struct log_tag *tags, size_t n, const struct err *err)
{
    struct buf *out = ctx;
    (void)err;
    buf_clear(out);
    buf_printf(out, "%d", rc);
    for (size_t i = 0; i < n && rc == 0; i++)
        buf_printf(out, " %.*s=%.*s", STR_FMT(tags[i].key), STR_FMT(tags[i].value));
}

static void want_tags(const char *want)
{
    struct buf out = BUF_INIT;
    logs_tags(logs, STR(G), on_tags, &out);
    while (out.n == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_str(buf_str(&out), want);
    buf_deinit(&out);
}

static int tag(const char *key, const char *value)
{
    int rc = 1;
    struct log_tag t = {str_c(key), str_c(value)};
    if (value)
        logs_set_tags(logs, STR(G), &t, 1, on_change, &rc);
    else
        logs_drop_tags(logs, STR(G), &t.key, 1, on_change, &rc);
    while (rc == 1)
        uv_run(&loop, UV_RUN_ONCE);
    return rc;
}

static void tags(void **state)
{
    (void)state;
    char names[48][8], none[20];
    snprintf(none, sizeof none, "%d", E_NOT_FOUND);
    want_tags(none);
    assert_int_equal(tag("a", "1"), E_NOT_FOUND);
    struct log_stream *s = hello(); /* a group by its events, which has no folder yet */
    one_run(s, T0);
    assert_int_equal(tag("b", "2"), 0);
    assert_int_equal(tag("a", "1"), 0);
    assert_int_equal(tag("b", "3"), 0);
    assert_int_equal(tag("c", ""), 0);
    want_tags("0 a=1 b=3 c=");
    assert_int_equal(tag("b", NULL), 0);
    assert_int_equal(tag("never", NULL), 0);
    log_stream_close(s);
    reopen();
    want_tags("0 a=1 c=");
    struct log_tag many[48];
    int rc = 1;
    for (int i = 0; i < 48; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        many[i] = (struct log_tag){str_c(names[i]), STR("x")};
    }
    logs_set_tags(logs, STR(G), many, 48, on_change, &rc);
    while (rc == 1)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(rc, 0);
    assert_int_equal(tag("more", "x"), E_TAGS);
    assert_int_equal(tag("t7", "y"), 0);
    ask_all(G);
    check_run(0);
    assert_int_equal(changed(logs_remove_group, G), 0);
    want_tags(none);
}

/* What cannot be kept is refused as a whole, never half taken. */
static void too_much_at_once(void **state)
{
    (void)state;
    static char big[200000];
    struct log_put_event events[5];
    int64_t now = clock_wall_ms();
    memset(big, 'x', sizeof big);
    assert_int_equal(changed(make_group, G), 0);
    assert_int_equal(stream_changed(logs_create_stream, "a"), 0);
    for (int i = 0; i < 5; i++)
        events[i] = (struct log_put_event){now, str_of(big, sizeof big)};
    size_t taken = 0, refused = 0;
    for (int i = 0; i < 50; i++) {
        int rc = place("a", events, 5);
        assert_true(rc == 0 || rc == E_THROTTLED);
        taken += rc == 0 ? 5 : 0;
        refused += rc != 0;
    }
    assert_true(refused > 0);
    spin(200);
    struct log_query q = {.group = STR(G), .limit = 100};
    size_t seen = 0;
    do {
        ask(&q);
        seen += got.n;
        q.after = got.last;
    } while (got.more);
    assert_int_equal(seen, taken);
    assert_int_equal(place("a", events, 5), 0); /* there is room again */
}

/* A crowd of functions that each ran once: their groups do not stay in memory for a minute. */
static void a_crowd_of_groups_is_forgotten(void **state)
{
    (void)state;
    enum { N = KEEP_MANY + 200 };
    char name[40];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "/aws/lambda/f%d", i);
        struct log_stream *s = log_stream_open(logs, str_c(name), STR(S));
        log_line(s, T0 + i, LOG_INFO, "", STR("once"));
        log_stream_close(s);
    }
    assert_int_equal(logs->groups, N);
    uv_ref((uv_handle_t *)&logs->keeper); /* nothing else keeps this loop running */
    for (int left = 200; left > 0 && logs->groups > KEEP_MANY; left--)
        spin(100);
    assert_in_range(logs->groups, 1, KEEP_MANY);
    ask_all("/aws/lambda/f0");
    assert_int_equal(got.n, 1);
    spin(1700);
    size_t few = logs->groups;
    assert_in_range(few, 1, KEEP_MANY);
    spin(2500); /* few enough: they stay */
    assert_int_equal(logs->groups, few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(groups_and_streams),
        CASE(removal),
        CASE(streams_made_and_deleted),
        CASE(retention_hides_and_removes),
        CASE(tags),
        CASE(too_much_at_once),
        CASE(many_groups),
        CASE(a_crowd_of_groups_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
