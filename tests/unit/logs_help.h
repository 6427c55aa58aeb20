/* logs_help: a log store in a folder of its own, written to and read into a plain list. */
#ifndef LOGS_HELP_H
#define LOGS_HELP_H

#include "unit.h"

#include <dirent.h>

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

static inline void open_logs(void)
{
    struct err err = {0};
    logs = logs_open(&loop, dir, total_max, group_max, &err);
    assert_non_null(logs);
}

static inline void close_logs(void)
{
    logs_close(logs);
    logs = NULL;
}

static inline int set_up(void **state)
{
    (void)state;
    folder_make(dir);
    uv_loop_init(&loop);
    open_logs();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (logs)
        close_logs();
    total_max = 1 << 30;
    group_max = 64 << 20;
    folder_remove(dir);
    return uv_loop_close(&loop);
}

static inline void spin(int ms)
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

static inline void on_page(void *ctx, int rc, const struct log_page *page, const struct err *err)
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

static inline void ask(const struct log_query *q)
{
    got.n = 0;
    got.done = false;
    logs_read(logs, q, NULL, on_page, NULL);
    while (!got.done)
        uv_run(&loop, UV_RUN_ONCE);
}

static inline void ask_all(const char *group)
{
    struct log_query q = {.group = str_c(group), .limit = 20000};
    ask(&q);
    assert_int_equal(got.rc, 0);
}

#define G "/aws/lambda/hello"
#define S "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef"

static inline struct log_stream *hello(void)
{
    return log_stream_open(logs, STR(G), STR(S));
}

static inline void one_run(struct log_stream *s, int64_t at)
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

static inline void check_run(size_t from)
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

static inline uint64_t folder_bytes(const char *only)
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

static inline void write_lines(const char *group, int from, int count)
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
