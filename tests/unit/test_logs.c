/* The log store: write, read at once, restart, tear, cap, page, filter, follow. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "folder_help.h"
#include "svc/logs.h"

static uv_loop_t loop;
static char dir[FOLDER_MAX];
static struct logs *logs;
static uint64_t total_max = 1 << 30, group_max = 64 << 20;

static const char id1[] = "11111111-2222-3333-4444-555555555555";
static const char id2[] = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
static const int64_t T0 = 1790000000000;

static void open_logs(void)
{
    struct err err = {0};
    logs = logs_open(&loop, dir, total_max, group_max, &err);
    assert_non_null(logs);
}

static void close_logs(void)
{
    logs_close(logs);
    logs = NULL;
}

static int set_up(void **state)
{
    (void)state;
    folder_make(dir);
    uv_loop_init(&loop);
    open_logs();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (logs)
        close_logs();
    total_max = 1 << 30;
    group_max = 64 << 20;
    folder_remove(dir);
    return uv_loop_close(&loop);
}

static void spin(int ms)
{
    uint64_t end = clock_mono_ns() + (uint64_t)ms * 1000000;
    do {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(500);
    } while (clock_mono_ns() < end);
}

/* --- reading into a plain list -----------------------------------------------------------------
 */

struct seen {
    uint64_t id;
    int64_t at;
    char stream[80], text[300], request[40];
    enum log_severity level;
};
static struct {
    struct seen events[20000];
    size_t n;
    bool more, done;
    uint64_t last;
    int rc;
    char err[200];
} got;

static void on_page(void *ctx, int rc, const struct log_page *page, const struct err *err)
{
    (void)ctx;
    got.rc = rc;
    got.done = true;
    got.more = page->more;
    got.last = page->last;
    snprintf(got.err, sizeof got.err, "%s", rc ? err_text(err, rc) : "");
    for (size_t i = 0; rc == 0 && i < page->count && got.n < 20000; i++) {
        const struct log_event *e = &page->events[i];
        struct seen *s = &got.events[got.n++];
        s->id = e->id;
        s->at = e->timestamp_ms;
        s->level = e->level;
        snprintf(s->stream, sizeof s->stream, "%.*s", STR_FMT(e->stream));
        snprintf(s->text, sizeof s->text, "%.*s", STR_FMT(e->message));
        snprintf(s->request, sizeof s->request, "%.*s", STR_FMT(e->request_id));
    }
}

static void ask(const struct log_query *q)
{
    got.n = 0;
    got.done = false;
    logs_read(logs, q, NULL, on_page, NULL);
    while (!got.done)
        uv_run(&loop, UV_RUN_ONCE);
}

static void ask_all(const char *group)
{
    struct log_query q = {.group = str_c(group), .limit = 20000};
    ask(&q);
    assert_int_equal(got.rc, 0);
}

#define G "/aws/lambda/hello"
#define S "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef"

static struct log_stream *hello(void)
{
    return log_stream_open(logs, STR(G), STR(S));
}

static void one_run(struct log_stream *s, int64_t at)
{
    struct log_report warm = {
        .duration_us = 1280, .billed_ms = 2, .memory_mb = 128, .memory_peak = (2 << 20) + 1};
    struct log_report cold = warm;
    cold.init_us = 160;
    cold.status = "timeout";
    log_start(s, at, id1, STR("$LATEST"));
    log_line(s, at + 1, LOG_INFO, id1, STR("plain line"));
    log_line(s, at + 1, LOG_ERROR, id1, STR("two\nlines\tand tab"));
    log_end(s, at + 2, id1);
    log_report(s, at + 2, id1, &warm);
    log_start(s, at + 3, id2, STR("7"));
    log_end(s, at + 4, id2);
    log_report(s, at + 4, id2, &cold);
    log_line(s, at + 5, LOG_WARN, NULL, STR("no request"));
    log_line(s, at + 5, LOG_DEBUG, "odd id", STR(""));
}

static const char *const texts[] = {
    "START RequestId: 11111111-2222-3333-4444-555555555555 Version: $LATEST",
    "plain line",
    "two\nlines\tand tab",
    "END RequestId: 11111111-2222-3333-4444-555555555555",
    "REPORT RequestId: 11111111-2222-3333-4444-555555555555\tDuration: 1.28 ms\tBilled Duration: 2 "
    "ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB\t",
    "START RequestId: aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee Version: 7",
    "END RequestId: aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "REPORT RequestId: aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\tDuration: 1.28 ms\tBilled Duration: 2 "
    "ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB\tInit Duration: 0.16 ms\tStatus: timeout",
    "no request",
    "",
};
enum { RUN = sizeof texts / sizeof *texts };

static void check_run(size_t from)
{
    assert_true(got.n >= from + RUN);
    for (size_t i = 0; i < RUN; i++) {
        const struct seen *s = &got.events[from + i];
        assert_string_equal(s->text, texts[i]);
        assert_string_equal(s->stream, S);
        if (from + i)
            assert_true(s->id > got.events[from + i - 1].id);
    }
    assert_string_equal(got.events[from].request, id1);
    assert_string_equal(got.events[from + 7].request, id2);
    assert_string_equal(got.events[from + 8].request, "");
    assert_string_equal(got.events[from + 9].request, "odd id");
    assert_int_equal(got.events[from + 2].level, LOG_ERROR);
    assert_int_equal(got.events[from + 9].level, LOG_DEBUG);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void round_trip(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct log_report r = {
        .duration_us = 1280, .billed_ms = 2, .memory_mb = 128, .memory_peak = 3 << 20};
    log_report_text(&text, id1, &r);
    assert_str(buf_str(&text), texts[4]);
    buf_deinit(&text);

    struct log_stream *s = hello();
    one_run(s, T0);
    ask_all(G); /* before anything was written out */
    assert_int_equal(got.n, RUN);
    assert_false(got.more);
    check_run(0);
    assert_int_equal(got.events[0].at, T0);
    struct seen first = got.events[0], last = got.events[RUN - 1];
    spin(120);
    ask_all(G);
    assert_int_equal(got.n, RUN);
    check_run(0);
    assert_int_equal(got.events[0].id, first.id);
    log_stream_close(s);
    for (int i = 1; i <= 3; i++) { /* restart, same ids; more is added behind */
        close_logs();
        open_logs();
        ask_all(G);
        assert_int_equal(got.n, i * RUN);
        check_run((size_t)(i - 1) * RUN);
        assert_int_equal(got.events[0].id, first.id);
        assert_int_equal(got.events[RUN - 1].id, last.id);
        s = hello();
        one_run(s, T0 + i * 1000);
        ask_all(G);
        assert_int_equal(got.n, (i + 1) * RUN);
        check_run((size_t)i * RUN);
        log_stream_close(s);
    }
}

/* The clock was set back between two starts: ids must grow all the same. */
static void clock_set_back(void **state)
{
    (void)state;
    struct log_stream *s = hello();
    one_run(s, T0);
    log_stream_close(s);
    close_logs();
    open_logs();
    s = hello();
    one_run(s, T0 - 86400000); /* and read only once the group is open */
    ask_all(G);
    assert_int_equal(got.n, 2 * RUN);
    check_run(0);
    check_run(RUN);
    assert_int_equal(got.events[RUN].at, T0 - 86400000);
    spin(60);
    uint64_t id = got.events[RUN + 3].id;
    ask_all(G);
    assert_int_equal(got.events[RUN + 3].id, id);
    log_stream_close(s);
}

static void missing(void **state)
{
    (void)state;
    struct log_query q = {.group = STR("/no/such"), .limit = 10};
    ask(&q);
    assert_int_equal(got.rc, E_NOT_FOUND);
    assert_string_equal(got.err, "The specified log group does not exist.");
    static const char *const bad[] = {"", "a b", "../x\\", "caf\xc3\xa9", "a*"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        q.group = str_c(bad[i]);
        ask(&q);
        assert_int_equal(got.rc, E_VALIDATION);
        struct log_stream *s = log_stream_open(logs, q.group, STR("s")); /* swallowed */
        one_run(s, T0);
        log_stream_close(s);
    }
    struct log_stream *s = hello();
    one_run(s, T0);
    struct str absent = STR("absent");
    q = (struct log_query){.group = STR(G), .streams = &absent, .stream_count = 1, .limit = 10};
    ask(&q);
    assert_int_equal(got.rc, 0);
    assert_int_equal(got.n, 0);
    for (int i = 0; i < 2; i++) { /* from memory, then from the disk */
        absent = STR("absent");
        q.stream_must_exist = true;
        ask(&q);
        assert_int_equal(got.rc, E_NOT_FOUND);
        assert_string_equal(got.err, "The specified log stream does not exist.");
        absent = STR(S);
        q.start_ms = T0 + 100000;
        ask(&q);
        assert_int_equal(got.rc, 0);
        assert_int_equal(got.n, 0);
        if (i == 0) {
            log_stream_close(s);
            close_logs();
            open_logs();
        }
    }
    struct stat st;
    char path[200];
    snprintf(path, sizeof path, "%s/g+no+such", dir);
    assert_int_equal(stat(path, &st), -1); /* asking makes nothing */
}

static char *segment_path(bool newest)
{
    static char best[400];
    char folder[200];
    snprintf(folder, sizeof folder, "%s/g+aws+lambda+hello", dir);
    DIR *d = opendir(folder);
    struct dirent *e;
    char name[40] = "";
    while ((e = readdir(d)))
        if (strstr(e->d_name, ".log") && (!name[0] || (strcmp(e->d_name, name) > 0) == newest))
            snprintf(name, sizeof name, "%.39s", e->d_name);
    closedir(d);
    snprintf(best, sizeof best, "%s/%s", folder, name);
    return best;
}

static void torn_tail(void **state)
{
    (void)state;
    size_t size = 0;
    for (size_t cut = 0; cut < 150; cut += 7) {
        close_logs();
        folder_remove(dir);
        open_logs();
        struct log_stream *s = hello();
        one_run(s, T0);
        log_stream_close(s);
        close_logs();
        const char *path = segment_path(true);
        struct stat st;
        stat(path, &st);
        size = (size_t)st.st_size;
        assert_int_equal(truncate(path, (off_t)(size - cut)), 0);
        if (cut % 2) { /* and garbage behind */
            int fd = open(path, O_WRONLY | O_APPEND);
            assert_int_equal(write(fd, "garbage garbage garbage garbage garbage", 39), 39);
            close(fd);
        }
        open_logs();
        ask_all(G);
        size_t left = got.n;
        assert_true(cut == 0 ? left == RUN : left < RUN && left > RUN - 6);
        for (size_t i = 0; i < left; i++)
            assert_string_equal(got.events[i].text, texts[i]);
        s = hello();
        one_run(s, T0 + 50);
        spin(60);
        ask_all(G);
        assert_int_equal(got.n, left + RUN);
        check_run(left);
        log_stream_close(s);
    }
    assert_true(size > 150);
}

static void garbage(void **state)
{
    (void)state;
    unsigned seed = 42;
    group_max = 256 * 1024;
    close_logs();
    open_logs();
    for (int round = 0; round < 60; round++) {
        struct log_stream *s = hello();
        char line[200];
        for (int i = 0; i < 1500; i++) {
            memset(line, 'a' + i % 26, sizeof line);
            log_line(s, T0 + i, LOG_INFO, id1, str_of(line, (size_t)(i % 200)));
        }
        log_stream_close(s);
        close_logs();
        char folder[200];
        snprintf(folder, sizeof folder, "%s/g+aws+lambda+hello", dir);
        DIR *d = opendir(folder);
        struct dirent *e;
        while ((e = readdir(d))) {
            char path[500];
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            seed = seed * 1103515245u + 12345u;
            if (e->d_name[0] == '.' || seed >> 30 == 0)
                continue;
            int fd = open(path, O_RDWR);
            off_t n = lseek(fd, 0, SEEK_END);
            for (int k = 0; k < 3 && n; k++) {
                seed = seed * 1103515245u + 12345u;
                char byte = (char)(seed >> 24);
                assert_int_equal(pwrite(fd, &byte, 1, (off_t)((seed >> 4) % (unsigned)n)), 1);
            }
            if (seed >> 28 == 1 && ftruncate(fd, n / 2) < 0)
                fail();
            if (seed >> 28 == 2)
                unlink(path);
            close(fd);
        }
        closedir(d);
        open_logs();
        struct log_query q = {.group = STR(G), .limit = 20000, .backward = round % 2};
        ask(&q);
        assert_true(got.rc == 0);
        for (size_t i = 1; i < got.n; i++)
            assert_true(q.backward ? got.events[i].id < got.events[i - 1].id
                                   : got.events[i].id > got.events[i - 1].id);
    }
}

static uint64_t folder_bytes(const char *only)
{
    uint64_t sum = 0;
    DIR *d = opendir(dir);
    struct dirent *e, *f;
    while (d && (e = readdir(d))) {
        char path[600];
        struct stat st;
        if (e->d_name[0] == '.' || (only && strcmp(only, e->d_name) != 0))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        DIR *g = opendir(path);
        while (g && (f = readdir(g)))
            if (f->d_name[0] != '.' && fstatat(dirfd(g), f->d_name, &st, 0) == 0)
                sum += (uint64_t)st.st_size;
        if (g)
            closedir(g);
    }
    if (d)
        closedir(d);
    return sum;
}

static void write_lines(const char *group, int from, int count)
{
    struct log_stream *s = log_stream_open(logs, str_c(group), STR(S));
    char line[200];
    memset(line, '.', sizeof line);
    for (int i = from; i < from + count; i++) {
        char head[32];
        memcpy(line, head, (size_t)snprintf(head, sizeof head, "line %06d ", i));
        log_line(s, T0 + i, LOG_INFO, id1, str_of(line, sizeof line));
        if (i % 2000 == 1999) /* no faster than a disk can follow */
            spin(60);
    }
    log_stream_close(s);
}

static void group_cap(void **state)
{
    (void)state;
    close_logs();
    group_max = 1 << 20;
    open_logs();
    write_lines(G, 0, 20000); /* 4.8 MB */
    spin(120);
    assert_true(folder_bytes("g+aws+lambda+hello") <= (1 << 20) + 3 * 65536);
    assert_true(folder_bytes("g+aws+lambda+hello") >= 700000);
    for (int i = 0; i < 2; i++) {
        struct log_query q = {.group = STR(G), .limit = 20000, .backward = true};
        ask(&q);
        assert_true(got.n > 2500 && got.n < 5000);
        int last = 20000;
        for (size_t k = 0; k < got.n; k++) {
            int number = atoi(got.events[k].text + 5);
            assert_int_equal(number, last - 1);
            last = number;
        }
        close_logs();
        open_logs();
    }
}

static void total_cap(void **state)
{
    (void)state;
    close_logs();
    total_max = 2 << 20;
    group_max = 1 << 20;
    open_logs();
    for (int i = 0; i < 8; i++) {
        char group[40];
        snprintf(group, sizeof group, "/aws/lambda/f%d", i);
        write_lines(group, 0, 4000); /* 1 MB each */
        spin(150);
    }
    spin(2500);
    assert_true(folder_bytes(NULL) <= (2 << 20) + (2 << 20) / 10);
    ask_all("/aws/lambda/f7"); /* the youngest is whole, the oldest has given */
    assert_true(got.n > 3000);
    ask_all("/aws/lambda/f0");
    assert_true(got.n < 1000);
    close_logs();
    total_max = 1 << 20; /* a smaller cap at the next start */
    open_logs();
    spin(200);
    assert_true(folder_bytes(NULL) <= 1 << 20);
    ask_all("/aws/lambda/f7");
    assert_true(got.n > 2000);
}

static void paging(void **state)
{
    (void)state;
    static struct seen all[6000];
    static const char *const streams[] = {"a/1", "a/2", "b/1"};
    struct log_stream *s[3];
    for (int i = 0; i < 3; i++)
        s[i] = log_stream_open(logs, STR(G), str_c(streams[i]));
    for (int i = 0; i < 6000; i++) { /* part is on the disk, part in memory */
        char line[40];
        snprintf(line, sizeof line, "n %d", i);
        log_line(s[i * 7 % 3], T0 + i / 10, LOG_INFO, id1, str_c(line));
        if (i == 3000)
            spin(80);
    }
    ask_all(G);
    assert_int_equal(got.n, 6000);
    memcpy(all, got.events, sizeof all);
    for (int i = 0; i < 6000; i++)
        assert_int_equal(atoi(all[i].text + 2), i);
    for (int back = 0; back < 2; back++) {
        struct log_query q = {.group = STR(G), .limit = 97, .backward = back};
        size_t n = 0;
        do {
            ask(&q);
            assert_true(got.n <= 97);
            for (size_t i = 0; i < got.n; i++, n++)
                assert_int_equal(got.events[i].id, all[back ? 5999 - n : n].id);
            *(back ? &q.before : &q.after) = got.last;
        } while (got.more);
        assert_int_equal(n, 6000);
    }
    /* one stream, a prefix, a span of time, each forward and backward */
    struct str one = STR("a/2");
    for (int back = 0; back < 2; back++) {
        struct log_query q = {.group = STR(G), .limit = 20000, .backward = back};
        q.streams = &one;
        q.stream_count = 1;
        ask(&q);
        assert_int_equal(got.n, 2000);
        for (size_t i = 0; i < got.n; i++)
            assert_string_equal(got.events[i].stream, "a/2");
        q.stream_count = 0;
        q.stream_prefix = STR("a/");
        ask(&q);
        assert_int_equal(got.n, 4000);
        q.stream_prefix = STR("");
        q.start_ms = T0 + 100;
        q.end_ms = T0 + 200;
        ask(&q);
        assert_int_equal(got.n, 1000);
        assert_int_equal(got.events[back ? 999 : 0].at, T0 + 100);
        assert_int_equal(got.events[back ? 0 : 999].at, T0 + 199);
        q.start_ms = q.end_ms = 0;
        q.after = all[10].id;
        q.before = all[20].id;
        ask(&q);
        assert_int_equal(got.n, 9);
        /* any number may come as a token */
        q.after = all[10].id + 12345;
        q.before = 0;
        ask(&q);
        assert_int_equal(got.rc, 0);
        q.after = UINT64_MAX;
        ask(&q);
        assert_int_equal(got.n, 0);
    }
    for (int i = 0; i < 3; i++)
        log_stream_close(s[i]);
}

static void patterns(void **state)
{
    (void)state;
    static const char *const lines[] = {"ERROR disk is full", "warning: timeout after 3 s",
                                        "error disk", "say \"hi\" twice", "plain"};
    struct log_stream *s = hello();
    for (size_t i = 0; i < 5; i++)
        log_line(s, T0 + (int64_t)i, i == 0 ? LOG_ERROR : LOG_INFO, i == 1 ? id1 : id2,
                 str_c(lines[i]));
    static const struct {
        const char *pattern, *hits;
    } cases[] = {
        {"", "01234"},
        {"disk", "02"},
        {"ERROR", "0"},
        {"disk full", "0"},
        {"\"disk is\"", "0"},
        {"\"disk full\"", ""},
        {"?ERROR ?time", "01"},
        {"disk -full", "2"},
        {"-disk", "134"},
        {"-disk -\"plain\"", "13"},
        {"\"say \\\"hi\\\"\"", "3"},
        {"  disk\t", "02"},
        {"disk ?full ?error", "02"},
        {"?", ""},
        {"-", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_query q = {.group = STR(G), .limit = 100, .pattern = str_c(cases[i].pattern)};
        ask(&q);
        char hits[10] = "";
        for (size_t k = 0; k < got.n; k++)
            hits[k] = (char)('0' + got.events[k].at - T0);
        if (strcmp(hits, cases[i].hits) != 0)
            fail_msg("%s: %s instead of %s", cases[i].pattern, hits, cases[i].hits);
    }
    static const char *const bad[] = {"[a, b]", "%re", "\"open", "- x", "a ?\"open"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct log_query q = {.group = STR(G), .limit = 100, .pattern = str_c(bad[i])};
        ask(&q);
        if (got.rc != E_INVALID)
            fail_msg("%s was taken", bad[i]);
    }
    char many[1100];
    memset(many, 'x', sizeof many);
    struct log_query q = {.group = STR(G), .limit = 100, .pattern = str_of(many, 1025)};
    ask(&q);
    assert_int_equal(got.rc, E_INVALID);
    for (size_t i = 0; i < 1024; i++)
        many[i] = i % 2 ? ' ' : 'i';
    q.pattern = str_of(many, 1024);
    ask(&q);
    assert_int_equal(got.rc, 0);
    q = (struct log_query){.group = STR(G), .limit = 100, .level = LOG_ERROR};
    ask(&q);
    assert_int_equal(got.n, 1);
    q = (struct log_query){.group = STR(G), .limit = 100, .request_id = str_c(id1)};
    ask(&q);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.events[0].text, lines[1]);
    log_stream_close(s);
}

static int news_count;
static uint64_t news_last;
static size_t news_events;

static void on_news_page(void *ctx, int rc, const struct log_page *page, const struct err *err)
{
    (void)ctx;
    (void)err;
    if (rc)
        return;
    news_events += page->count;
    news_last = page->count ? page->last : news_last;
}

static void on_news(void *ctx)
{
    struct log_query q = {.group = STR(G), .limit = 1000, .after = news_last};
    news_count++;
    logs_read(logs, &q, NULL, on_news_page, ctx);
}

static void follow(void **state)
{
    (void)state;
    news_count = 0;
    news_last = news_events = 0;
    struct log_follower *f = logs_follow(logs, STR(G), on_news, NULL); /* no group yet */
    spin(20);
    assert_int_equal(news_count, 0);
    struct log_stream *s = hello();
    one_run(s, T0);
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(news_count, 1); /* once for the turn, without waiting for the disk */
    assert_int_equal(news_events, RUN);
    for (int i = 0; i < 50; i++) {
        one_run(s, T0 + 10 * i);
        spin(2);
    }
    spin(20);
    assert_int_equal(news_events, 51 * RUN);
    assert_true(news_count >= 10);
    logs_unfollow(f);
    one_run(s, T0);
    spin(20);
    assert_int_equal(news_events, 51 * RUN);
    log_stream_close(s);
    f = logs_follow(logs, STR("not valid!"), on_news, NULL);
    logs_unfollow(f);
}

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
static void folder_taken_away(void **state)
{
    (void)state;
    struct log_stream *s = hello();
    one_run(s, T0);
    spin(80);
    char folder[200];
    snprintf(folder, sizeof folder, "%s/g+aws+lambda+hello", dir);
    folder_remove(folder);
    one_run(s, T0 + 10);
    spin(1300);
    log_stream_close(s);
    close_logs();
    open_logs();
    ask_all(G);
    assert_true(got.n >= RUN);
    check_run(got.n - RUN);
    assert_int_equal(got.events[got.n - RUN].at, T0 + 10);
}

static void disk_full(void **state)
{
    (void)state;
    struct rlimit old, low;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    struct log_stream *s = hello();
    one_run(s, T0);
    spin(60);
    low = (struct rlimit){200000, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    static char line[1000];
    memset(line, 'z', sizeof line);
    uint64_t begin = clock_mono_ns();
    for (int i = 0; i < 10000; i++) {
        log_line(s, T0 + 10 + i, LOG_INFO, id1, str_of(line, sizeof line));
        if (i % 1000 == 0)
            spin(50);
    }
    assert_true(clock_mono_ns() - begin < 2000000000u);
    ask_all(G); /* readers go on, with what there is room for in memory */
    assert_true(got.n > RUN);
    check_run(0);
    setrlimit(RLIMIT_FSIZE, &old);
    spin(1300); /* tries again by itself */
    one_run(s, T0 + 99999);
    struct log_query q = {.group = STR(G), .limit = 20000, .pattern = STR("\"log lines were\"")};
    ask(&q);
    assert_int_equal(got.n, 1);
    int dropped = atoi(got.events[0].text + strlen("perilune: "));
    log_stream_close(s);
    close_logs();
    open_logs();
    size_t n = 0;
    q = (struct log_query){.group = STR(G), .limit = 20000};
    do {
        ask(&q);
        n += got.n;
        q.after = got.last;
    } while (got.more);
    assert_int_equal(n, 10000 - dropped + 2 * RUN + 1);
    signal(SIGXFSZ, SIG_DFL);
}

/* kill -9 at any moment: what is read afterwards is a whole beginning of what was written. */
static void killed(void **state)
{
    (void)state;
    close_logs();
    for (int round = 0; round < 15; round++) {
        folder_remove(dir);
        pid_t child = fork();
        if (child == 0) {
            struct err err;
            uv_loop_t own;
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            uv_loop_init(&own);
            struct logs *l = logs_open(&own, dir, 1 << 30, 1 << 20, &err);
            struct log_stream *s = log_stream_open(l, STR(G), STR(S));
            for (int i = 0;; i++) {
                char text[40];
                snprintf(text, sizeof text, "number %d", i);
                log_line(s, T0 + i, LOG_INFO, id1, str_c(text));
                if (i % 20 == 0) {
                    uv_run(&own, UV_RUN_NOWAIT);
                    usleep(300);
                }
            }
        }
        for (int i = 0; i < 5000 && folder_bytes(NULL) < 1000; i++)
            usleep(1000);
        usleep(5000 + (useconds_t)round * 17000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        open_logs();
        struct log_query q = {.group = STR(G), .limit = 20000};
        ask(&q);
        assert_int_equal(got.rc, 0);
        assert_true(got.n > 0);
        for (size_t i = 0; i < got.n; i++)
            assert_int_equal(atoi(got.events[i].text + 7), i);
        close_logs();
    }
    open_logs();
}

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

static void huge_lines(void **state)
{
    (void)state;
    static char text[300 * 1024];
    memset(text, 'h', sizeof text);
    struct log_stream *s = hello();
    log_line(s, T0, LOG_INFO, id1, str_of(text, sizeof text));
    log_line(s, T0 + 1, LOG_INFO, id1, str_of(text, 70000));
    log_line(s, T0 + 2, LOG_INFO, id1, STR("small"));
    for (int i = 0; i < 2; i++) {
        ask_all(G);
        assert_int_equal(got.n, 3);
        assert_string_equal(got.events[2].text, "small");
        if (i == 0) {
            log_stream_close(s);
            close_logs();
            open_logs();
        }
    }
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(round_trip),
        CASE(clock_set_back),
        CASE(missing),
        CASE(torn_tail),
        CASE(garbage),
        CASE(group_cap),
        CASE(total_cap),
        CASE(paging),
        CASE(patterns),
        CASE(follow),
        CASE(groups_and_streams),
        CASE(removal),
        CASE(streams_made_and_deleted),
        CASE(retention_hides_and_removes),
        CASE(tags),
        CASE(too_much_at_once),
        CASE(folder_taken_away),
        CASE(disk_full),
        CASE(killed),
        CASE(many_groups),
        CASE(huge_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
