/* follower: a pipe on the loop, cut into lines. */
#include "cli/follower.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/child.h"
#include "cli/out.h"

enum { AGAIN_MS = 300, LINE_MAX_BYTES = 2 << 20, PATIENCE_MS = 500 };

struct follower {
    uv_loop_t *loop;
    char name[72];
    pid_t pid;                /* 0: none runs */
    int64_t from_ms, last_ms; /* wall: older lines are not ours; the newest line's */
    uv_pipe_t pipe;
    uv_timer_t timer;
    struct buf line;
    int handles; /* open ones: timer, pipe */
    bool closing;
    char block[16 * 1024];
};

static void begin(struct follower *f);

/* --- printing ----------------------------------------------------------------------------------
 */

void follower_stamp(int64_t wall_ms, const char *name)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    localtime_r(&s, &tm);
    out_colour(OUT_DIM);
    printf("%02d:%02d:%02d.%03d ", tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
    out_colour(OUT_PLAIN);
    out_colour(OUT_CYAN);
    fputs(name, stdout);
    out_colour(OUT_PLAIN);
    fputs("  ", stdout);
}

/* The value behind a REPORT's "label: ", up to the tab. */
static struct str report_value(struct str line, const char *label)
{
    ptrdiff_t at = str_find(line, str_c(label));
    struct str rest = at < 0 ? STR("") : str_from(line, (size_t)at + strlen(label));
    return str_cut(&rest, '\t');
}

static void print_report(struct str text)
{
    struct str took = report_value(text, "\tDuration: "),
               used = report_value(text, "Max Memory Used: ");
    struct str init = report_value(text, "Init Duration: ");
    out_colour(OUT_DIM);
    printf("%.*s, %.*s", STR_FMT(took), STR_FMT(used));
    if (init.n)
        printf(", cold start %.*s", STR_FMT(init));
    out_colour(OUT_PLAIN);
}

static enum out_colour colour_of(const char *level)
{
    if (strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0)
        return OUT_RED;
    if (strcmp(level, "warn") == 0)
        return OUT_YELLOW;
    return strcmp(level, "info") == 0 ? OUT_GREEN : OUT_DIM;
}

static void print_event(struct follower *f, const json_t *e)
{
    struct str text = json_bytes(json_object_get(e, "message"));
    if (out_int(e, "timestamp") < f->from_ms)
        return;
    f->last_ms = out_int(e, "timestamp");
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\t'))
        text.n--;
    if (str_starts(text, STR("START RequestId: ")) || str_starts(text, STR("END RequestId: ")))
        return;
    follower_stamp(out_int(e, "timestamp"), f->name);
    if (str_starts(text, STR("REPORT RequestId: "))) {
        print_report(text);
    } else {
        out_colour(colour_of(out_str(e, "level")));
        out_text(text);
        out_colour(OUT_PLAIN);
    }
    putchar('\n');
}

/* --- the child ---------------------------------------------------------------------------------
 */

static void on_again(uv_timer_t *t)
{
    struct follower *f = t->data;
    if (f->last_ms)
        f->from_ms = f->last_ms + 1;
    begin(f);
}

static void handle_closed(uv_handle_t *h)
{
    struct follower *f = h->data;
    if (--f->handles == 0) {
        buf_deinit(&f->line);
        free(f);
    } else if (!f->closing)
        uv_timer_start(&f->timer, on_again, AGAIN_MS, 0);
}

static void end_child(struct follower *f)
{
    if (f->pid)
        child_stop(f->pid, PATIENCE_MS);
    f->pid = 0;
    if (f->handles > 1 && !uv_is_closing((uv_handle_t *)&f->pipe))
        uv_close((uv_handle_t *)&f->pipe, handle_closed);
}

static void on_alloc(uv_handle_t *h, size_t wanted, uv_buf_t *out)
{
    struct follower *f = h->data;
    (void)wanted;
    *out = uv_buf_init(f->block, sizeof f->block);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct follower *f = s->data;
    if (n < 0) {
        end_child(f);
        return;
    }
    struct str rest = str_of(buf->base, (size_t)n);
    for (ptrdiff_t end; (end = str_index(rest, '\n', 0)) >= 0;) {
        buf_add(&f->line, str_of(rest.p, (size_t)end));
        json_t *e = f->line.rc ? NULL : json_parse(buf_str(&f->line), NULL);
        if (json_is_object(e))
            print_event(f, e);
        json_decref(e);
        buf_clear(&f->line);
        rest = str_from(rest, (size_t)end + 1);
    }
    buf_add(&f->line, rest);
    fflush(stdout);
}

static void begin(struct follower *f)
{
    char program[] = "perilune", logs[] = "logs", follow[] = "--follow", json[] = "--json";
    char since[48], end[] = "--";
    char *argv[] = {program, logs, follow, json, since, end, f->name, NULL};
    enum { MARGIN_S = 5 }; /* until the child has reckoned its own "since" */
    snprintf(since, sizeof since, "--since=%llds",
             (long long)((clock_wall_ms() - f->from_ms) / 1000 + MARGIN_S));
    int ends[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (pipe2(ends, O_CLOEXEC) != 0)
        fatal("no pipe: %m");
    f->pid = child_start(argv, ends[1], null, NULL);
    close(ends[1]);
    close(null);
    if (f->pid < 0)
        f->pid = 0;
    uv_pipe_init(f->loop, &f->pipe, 0);
    f->pipe.data = f;
    f->handles++;
    buf_clear(&f->line);
    uv_pipe_open(&f->pipe, ends[0]);
    uv_read_start((uv_stream_t *)&f->pipe, on_alloc, on_read);
}

struct follower *follower_open(uv_loop_t *loop, const char *name, int64_t from_wall_ms)
{
    struct follower *f = calloc(1, sizeof *f);
    if (!f)
        fatal("out of memory");
    f->loop = loop;
    f->from_ms = from_wall_ms;
    snprintf(f->name, sizeof f->name, "%s", name);
    buf_init(&f->line, LINE_MAX_BYTES);
    uv_timer_init(loop, &f->timer);
    f->timer.data = f;
    f->handles = 1;
    begin(f);
    return f;
}

void follower_close(struct follower *f)
{
    f->closing = true;
    end_child(f);
    uv_close((uv_handle_t *)&f->timer, handle_closed);
}
