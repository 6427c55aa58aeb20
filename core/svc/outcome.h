/* outcome: how an invocation ended that got no reply of its own, as its caller reads it.
 *
 * Pure: from a wait status and what is known of the runner to error type, text and log status. */
#ifndef SVC_OUTCOME_H
#define SVC_OUTCOME_H

#include "base/buf.h"

struct outcome {
    const char *type;   /* "Sandbox.Timedout", "Runtime.OutOfMemory", "Runtime.ExitError" */
    const char *status; /* of the REPORT: "timeout" or "error" */
    bool violation;     /* SIGSYS: the function tried to leave its jail */
    char text[160];     /* what follows "RequestId: <uuid> Error: " */
};

void outcome_timeout(struct outcome *o, uint32_t timeout_ms);
void outcome_memory(struct outcome *o, uint32_t memory_mb);
/* The runner ended by itself. memory_refused: its allocator had refused memory in this run. A
 * SIGKILL that is not ours is the kernel's, for want of memory. */
void outcome_exit(struct outcome *o, int wait_status, bool memory_refused, uint32_t memory_mb);
/* It broke the protocol and was killed for that. */
void outcome_broken(struct outcome *o);
/* {"errorType":…,"errorMessage":"RequestId: … Error: …"} appended to out. */
void outcome_json(const struct outcome *o, const char *request_id, struct buf *out);

#endif
