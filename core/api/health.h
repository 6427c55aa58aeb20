/* health: /healthz and /metrics, and the counters behind the latter. */
#ifndef API_HEALTH_H
#define API_HEALTH_H

#include "api/gate.h"

/* {"status":"ok"|"read-only","jail":[…]}, 200 or 503. Open to all. */
void health_reply(struct services *svc, struct http_req *req);
/* Prometheus text. The caller has checked who asks. */
void health_metrics(struct services *svc, struct http_req *req);
/* From this machine, and not through a proxy that speaks for another. */
bool health_is_local(const struct http_req *req);
/* One answered call; op NULL when none was found. */
void health_count(const struct op *op, int status, uint64_t ns);

#endif
