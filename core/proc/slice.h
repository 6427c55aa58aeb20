/* slice: who waits briefly for the processor.
 *
 * The scheduler gives each runnable thread its share whatever happens here; a short slice only says
 * that it wants the share in small pieces and soon. The loop and the runners do: they work for some
 * tens of microseconds and sleep again, and beside a function that computes they would else wait for
 * the end of its turn, up to a tick of 4 ms. */
#ifndef PROC_SLICE_H
#define PROC_SLICE_H

/* For the calling thread, and what it starts from now on: the shortest slice, and `nice` (0 to 19;
 * never less than it has). Kernels before 6.12 take the niceness only. */
void slice_short(int nice);

#endif
