/* watch: one uv_fs_event a folder. After each burst of events the tree is walked again, before
 * anybody looks at what has changed: so what changes meanwhile is told as well. */
#include "cli/watch.h"

#include "base/log.h"
#include "cli/cli.h"
#include "cli/tree.h"

enum { FOLDERS_MAX = 2000 };

struct folder {
    uv_fs_event_t event; /* first: its data is the watch */
    struct folder *next;
};

struct watch {
    uv_loop_t *loop;
    uv_timer_t timer;
    char *root;
    struct folder *folders;
    size_t count;
    void (*changed)(void *ctx);
    void *ctx;
};

static void on_timer(uv_timer_t *t);

static void folder_closed(uv_handle_t *h)
{
    free(h); /* the folder, whose first member it is */
}

static void on_event(uv_fs_event_t *e, const char *name, int events, int status)
{
    struct watch *w = e->data;
    (void)events, (void)status;
    if (!name || name[0] != '.') /* what an editor or we ourselves keep beside */
        uv_timer_start(&w->timer, on_timer, WATCH_QUIET_MS, 0);
}

static int add(void *ctx, const char *path, const char *inside, bool is_folder)
{
    struct watch *w = ctx;
    (void)inside;
    if (!is_folder)
        return 0;
    if (w->count == FOLDERS_MAX)
        return cli_fail(CLI_FAILED, "more than %d folders to watch", FOLDERS_MAX);
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        fatal("out of memory");
    uv_fs_event_init(w->loop, &f->event);
    f->event.data = w;
    f->next = w->folders;
    w->folders = f;
    w->count++;
    int rc = uv_fs_event_start(&f->event, on_event, path, 0);
    return rc == 0 || rc == UV_ENOENT
               ? 0
               : cli_fail(CLI_FAILED, "cannot watch %s: %s", path, uv_strerror(rc));
}

static void drop_all(struct watch *w)
{
    while (w->folders) {
        struct folder *f = w->folders;
        w->folders = f->next;
        uv_close((uv_handle_t *)&f->event, folder_closed);
    }
    w->count = 0;
}

/* All anew: a folder that was removed and made again bears the same name and is another. */
static int rescan(struct watch *w)
{
    drop_all(w);
    return tree_walk(w->root, true, add, w);
}

static void on_timer(uv_timer_t *t)
{
    struct watch *w = t->data;
    rescan(w);
    w->changed(w->ctx);
}

struct watch *watch_open(uv_loop_t *loop, const char *folder, void (*changed)(void *ctx), void *ctx)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w || !(w->root = strdup(folder)))
        fatal("out of memory");
    w->loop = loop;
    w->changed = changed;
    w->ctx = ctx;
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    if (rescan(w) == 0)
        return w;
    watch_close(w);
    return NULL;
}

static void timer_closed(uv_handle_t *h)
{
    struct watch *w = h->data;
    free(w->root);
    free(w);
}

void watch_close(struct watch *w)
{
    drop_all(w);
    uv_close((uv_handle_t *)&w->timer, timer_closed);
}
