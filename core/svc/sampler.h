/* sampler: runs that somebody waited for, some of them, for the ledger.
 *
 * All errors and all successes while there are few; of a crowd a share (ERRORS_A_SECOND and
 * SUCCESSES_A_SECOND over all functions). Nothing is written on a run's way: a copy is taken, and
 * once a second one job writes what has come. A crash may cost that second. Events longer than
 * EVENT_MAX are passed over. Those of function URLs and their answers are copied as the records that
 * they are, and made into JSON by that job. */
#ifndef SVC_SAMPLER_H
#define SVC_SAMPLER_H

#include "store/store.h"
#include "svc/invoke.h"

struct sampler;

/* keep: of each function, as many successes and as many errors; 0: nothing is taken. */
struct sampler *sampler_start(struct store *s, uint64_t keep);
/* pool_opts.ended; ctx is a struct sampler. */
void sampler_take(void *ctx, const struct invoke_req *req, const struct invoke_result *r);
/* Writes what is left; no run ends any more. NULL is allowed. */
void sampler_stop(struct sampler *s);

#endif
