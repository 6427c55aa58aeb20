/* durations: see the header. */
#include "svc/durations.h"

#include <math.h>

size_t duration_class(uint64_t us, unsigned per_doubling, size_t classes)
{
    double c = us < 1 ? 0 : log2((double)us) * per_doubling;
    return c < (double)(classes - 1) ? (size_t)c : classes - 1;
}

double duration_percentile(const uint32_t *counts, size_t classes, unsigned per_doubling,
                           double part)
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < classes; i++)
        all += counts[i];
    for (size_t i = 0; i < classes && all; i++) {
        seen += counts[i];
        if ((double)seen >= part * (double)all)
            return exp2(((double)i + 0.5) / per_doubling) / 1000;
    }
    return 0;
}
