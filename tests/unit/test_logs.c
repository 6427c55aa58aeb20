/* The log store: write, read at once, restart, tear, cap, page, filter, follow. */
#include "logs_help.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "svc/logs_group.h"

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

/* In the end; not for ever. */
static void shrinks_to(uint64_t bytes)
{
    for (int i = 0; i < 300 && folder_bytes(NULL) > bytes; i++)
        spin(100);
    assert_true(folder_bytes(NULL) <= bytes);
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
    shrinks_to((2 << 20) + (2 << 20) / 10);
    ask_all("/aws/lambda/f7"); /* the youngest is whole, the oldest has given */
    assert_true(got.n > 3000);
    ask_all("/aws/lambda/f0");
    assert_true(got.n < 1000);
    close_logs();
    total_max = 1 << 20; /* a smaller cap at the next start */
    open_logs();
    shrinks_to(1 << 20);
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

/* The group's events, page by page. */
static size_t count_all(void)
{
    struct log_query q = {.group = STR(G), .limit = 20000};
    size_t n = 0;
    do {
        ask(&q);
        n += got.n;
        q.after = got.last;
    } while (got.more);
    return n;
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
    assert_int_equal(count_all(), 10000 - dropped + 2 * RUN + 1);
    signal(SIGXFSZ, SIG_DFL);
}

/* A flood into a new group, all of it between two ticks of the timer: it is written out as it comes. */
static void flood_into_a_new_group(void **state)
{
    enum { LINES = 1000, BURST = 250 }; /* 8 MB in bursts of 2 MB; 4 MiB may wait */
    (void)state;
    static char line[8000];
    memset(line, 'f', sizeof line);
    struct log_stream *s = hello();
    for (int i = 0; i < LINES; i++) {
        log_line(s, T0 + i, LOG_INFO, id1, str_of(line, sizeof line));
        if (i % BURST == BURST - 1) {
            uv_timer_stop(&logs->timer);
            uv_run(&loop, UV_RUN_DEFAULT); /* what has been begun ends */
        }
    }
    log_stream_close(s);
    close_logs();
    open_logs();
    assert_int_equal(count_all(), LINES);
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
        CASE(folder_taken_away),
        CASE(disk_full),
        CASE(killed),
        CASE(huge_lines),
        CASE(flood_into_a_new_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
