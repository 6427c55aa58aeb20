/* durations: how long things took, counted in classes: a percentile without keeping each.
 *
 * A class is a `per_doubling`-th of a power of two wide: with 6 a percentile is exact to some 12 %, with
 * 2 to some 40 %. Counters are the caller's. */
#ifndef SVC_DURATIONS_H
#define SVC_DURATIONS_H

#include <stddef.h>
#include <stdint.h>

/* The class of that many microseconds, among so many; the last one takes all that is longer. */
size_t duration_class(uint64_t us, unsigned per_doubling, size_t classes);
/* The middle of the class in which that part (0…1) of what was counted has ended, in ms; 0 for none. */
double duration_percentile(const uint32_t *counts, size_t classes, unsigned per_doubling,
                           double part);

#endif
