/* waker: one eventfd, one poll handle. */
#include "base/waker.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"

int waker_init(struct waker *w)
{
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return w->fd < 0 ? E_IO : 0;
}

void waker_deinit(struct waker *w)
{
    close(w->fd);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct waker *w = poll->data;
    eventfd_t n;
    (void)status, (void)events;
    (void)eventfd_read(w->fd, &n); /* before what was published is looked at */
    w->rung(w);
}

int waker_listen(struct waker *w, uv_loop_t *loop, void (*rung)(struct waker *w))
{
    w->rung = rung;
    w->poll.data = w;
    if (uv_poll_init(loop, &w->poll, w->fd) != 0)
        return E_IO;
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct waker *w = handle->data;
    w->closed(w);
}

void waker_close(struct waker *w, void (*closed)(struct waker *w))
{
    w->closed = closed;
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

void waker_ref(struct waker *w)
{
    uv_ref((uv_handle_t *)&w->poll);
}

void waker_unref(struct waker *w)
{
    uv_unref((uv_handle_t *)&w->poll);
}

void waker_ring(struct waker *w)
{
    while (eventfd_write(w->fd, 1) != 0 && errno == EINTR)
        ;
}
