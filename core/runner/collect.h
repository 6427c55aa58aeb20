/* collect: when Lua's collector works.
 *
 * After replies, in slices, so that an invocation does not wait for it; within one only when the
 * garbage passes a budget, and then to the end of the cycle. The budget shrinks with what is left
 * under the cap: LuaJIT does not collect before it reports that memory is gone, and left to its own
 * pacing it needs hundreds of allocations for a cycle, which with large strings is gigabytes. */
#ifndef RUNNER_COLLECT_H
#define RUNNER_COLLECT_H

#include "runner/self.h"

/* Takes the collector over. */
LJMP void collect_open(lua_State *L);
/* The cap is set, or the init phase is over: what is in use now counts as there to stay. */
void collect_rebase(struct runner *r);
/* After a reply: a slice when one is due, more while nobody waits. */
void collect_after_reply(struct runner *r);

#endif
