/* logs: what the handlers of CloudWatch Logs share. Members of the request come with AWS's refusals. */
#ifndef API_LOGS_H
#define API_LOGS_H

#include "api/gate.h"
#include "svc/logs.h"

/* E_INVALID with AWS's text about a member of the request that breaks a constraint. c NULL: a member
 * of something inside, whose value is not shown. */
int logs_api_invalid(const struct call *c, struct err *err, const char *member,
                     const char *constraint);
int logs_api_bad_token(struct err *err);

/* The group: logGroupName, or the name inside logGroupIdentifier or resourceArn (a name or an ARN).
 * Exactly one of them. E_NOT_FOUND: an ARN of another region or account. */
int logs_api_take_group(struct call *c, struct str *out, struct err *err);
/* logStreamName, which is required. */
int logs_api_take_stream(struct call *c, struct str *out, struct err *err);
/* limit: 1 to max, max when not given. */
int logs_api_take_limit(struct call *c, int64_t max, size_t *out, struct err *err);
/* A text that may be left out: "" then. */
int logs_api_take_prefix(struct call *c, const char *member, struct str *out, struct err *err);

/* Ends a call that answers nothing. */
void logs_api_changed(void *ctx, int rc, const struct err *err);

#endif
