/* runner: the program inside the jail: one Lua state of one function version.
 *
 * It is forked with its state made, waits for LOAD, runs the handler file's top level (the init
 * phase), then executes invocations one at a time until it is told to retire or its memory is
 * gone. It has no files, no sockets, no environment: all it knows came through the channel. */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stdnoreturn.h>

#include "proc/channel_runner.h"

/* In the zygote, before it forks: makes what every runner starts with, a Lua state with all modules
 * in it, and shares copy-on-write. No user's code has a part in it. Takes no input; fatal() when the
 * binary is broken. */
void runner_prepare(void);

/* In a child that is thrown away: a function is loaded and called as by a URL, all but the channel. */
void runner_rehearse(void);

/* In the runner, after the jail is closed. */
noreturn void runner_main(struct runner_channel *ch);

#endif
