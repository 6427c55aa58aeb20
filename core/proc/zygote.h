/* zygote: the small process that forks runners, and how the core asks it to.
 *
 * The core executes /proc/self/exe once more with the environment {TZ=UTC0} and one socket: a clean
 * address space that never held a secret. That process is single-threaded, holds nothing of its
 * children but their process ids, forks a runner for each request, reaps it and reports its end. It
 * dies with the core, the runners die with it.
 *
 * The core's side is asynchronous on the loop; all callbacks come from there. */
#ifndef PROC_ZYGOTE_H
#define PROC_ZYGOTE_H

#include <sys/types.h>
#include <uv.h>

#include "base/err.h"
#include "proc/channel_runner.h"

/* --- the zygote's own program -------------------------------------------------------------------
 */

/* True when this process was executed to be the zygote. */
bool zygote_is(int argc, char **argv);
struct zygote_program {
    void (*prepare)(void);                  /* NULL, or what is done once before any fork */
    void (*rehearse)(void);                 /* NULL, or the like of a first invocation, without a
                                              channel, in a child that is thrown away */
    void (*run)(struct runner_channel *ch); /* in each runner, inside the jail */
};
/* The zygote's life; returns the exit status. */
int zygote_main(int argc, char **argv, const struct zygote_program *program);

/* --- the core's side ----------------------------------------------------------------------------
 */

struct zygote;

struct zygote_ops {
    /* The runner asked for under this token runs. The pidfd is the callee's. */
    void (*spawned)(void *ctx, uint32_t token, pid_t pid, int pidfd);
    /* It ended (after spawned): its wait status and its largest resident size. */
    void (*exited)(void *ctx, uint32_t token, int wait_status, uint64_t peak_rss);
    /* It could not be forked. */
    void (*failed)(void *ctx, uint32_t token, int error);
    /* The zygote is gone: the core must end. */
    void (*died)(void *ctx);
};

/* Executes the zygote and returns at once, so that it makes itself ready while the caller opens its
 * store (and before: no descriptor of the store exists yet). E_INTERNAL. */
int zygote_begin(bool weak, struct zygote **out, struct err *err);
/* Waits (at most ten seconds) until it has closed a jail around a trial child; from then on it
 * serves the loop. *layers receives the layers in force. E_INTERNAL with the name of the layer that
 * cannot be applied, unless weak; z is gone then. */
int zygote_ready(struct zygote *z, uv_loop_t *loop, const struct zygote_ops *ops, void *ctx,
                 uint32_t *layers, struct err *err);
/* Asks for a runner on this channel; descriptors are duplicated, not taken. 0, or -errno (EAGAIN:
 * too many requests under way). */
int zygote_spawn(struct zygote *z, uint32_t token, int memfd, int bell);
/* No callback comes any more; the zygote and every runner end. Memory goes with the loop's next
 * turn. */
void zygote_close(struct zygote *z);

#endif
