/* waker: how another thread wakes a loop.
 *
 * An eventfd that the loop polls, in place of libuv's async handle: whoever is woken by that spins until
 * the thread that rang has run on, and a thread that loses its processor between its two steps holds up
 * the loop for as long as it is away (milliseconds, where more threads want to run than there are
 * processors). Here ringing is one write and nobody waits for who rang.
 *
 * It carries nothing: publish first, then ring. Several rings may be answered by one call. */
#ifndef BASE_WAKER_H
#define BASE_WAKER_H

#include <uv.h>

struct waker {
    uv_poll_t poll;
    int fd;
    void (*rung)(struct waker *w);
    void (*closed)(struct waker *w);
    void *data; /* the caller's */
};

/* 0, or E_IO when there is no descriptor for it. */
int waker_init(struct waker *w);
/* Nobody rings any more, and no loop listens. */
void waker_deinit(struct waker *w);
/* From now on `rung` is called on the loop after each ring, also one that came before. Keeps the loop
 * alive unless waker_unref. 0 or E_IO. */
int waker_listen(struct waker *w, uv_loop_t *loop, void (*rung)(struct waker *w));
/* `closed` is called when the loop has forgotten it, at the end of its turn; then it may listen on
 * another loop. */
void waker_close(struct waker *w, void (*closed)(struct waker *w));
void waker_ref(struct waker *w);
void waker_unref(struct waker *w);
/* Any thread, as long as it is not deinit'ed. */
void waker_ring(struct waker *w);

#endif
