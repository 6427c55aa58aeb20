/* slice: who waits briefly for the processor.
 *
 * The scheduler gives each runnable thread its share whatever happens here; a slice only says in how
 * large pieces it wants that share, and who wants small ones gets them soon. The loop and the runners
 * work for some tens of microseconds and sleep again: beside a function that computes they would else
 * wait for the end of its turn, a tick of 4 ms, and beside several for several ticks. A runner that
 * computes takes its share in large pieces for as long as that run goes on, and so yields to all who
 * do not. One that goes on computing where there are more of them than processors gets a smaller share
 * besides, a ninth of that of the others. To give it back is a privilege (RLIMIT_NICE, which is
 * LimitNICE= of systemd, or CAP_SYS_NICE): without it the process keeps the smaller share. */
#ifndef PROC_SLICE_H
#define PROC_SLICE_H

#include <stdbool.h>
#include <sys/types.h>

/* For the calling thread, and what it starts from now on: the shortest slice, and `nice` (0 to 19;
 * never less than it has). Kernels before 6.12 take the niceness only. */
void slice_short(int nice);
/* What slice_set wants of RLIMIT_NICE to take niceness back, for who may raise it: 20 - that of runners. */
enum { SLICE_RLIMIT_NICE = 15 };
/* For another process of ours: long slices, or the shortest, and a niceness, as far as it is allowed. */
void slice_set(pid_t pid, bool is_long, int nice);
/* Its niceness, and that of one like it which goes on computing. */
int slice_nice(pid_t pid);
int slice_nicer(int nice);

#endif
