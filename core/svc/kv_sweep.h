/* kv_sweep: removes expired rows of the key-value store, in slices between which everybody else
 * gets the writer. Looks every second; a look without anything due is one read. */
#ifndef SVC_KV_SWEEP_H
#define SVC_KV_SWEEP_H

#include "store/store.h"

struct kv_sweep;
struct kv_sweep *kv_sweep_start(struct store *s);
/* Before store_close. The memory goes with the loop's next turn and the slice under way. */
void kv_sweep_stop(struct kv_sweep *k);

#endif
