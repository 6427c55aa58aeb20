/* function_conf: what is set on a function, a version or an alias besides code and configuration.
 *
 * All of these run inside jobs and write one row. What belongs to the function as a whole (tags,
 * reserved concurrency, the loop guard) is set on $LATEST's. E_NOT_FOUND with AWS's text when there
 * is no such row. */
#ifndef SVC_FUNCTION_CONF_H
#define SVC_FUNCTION_CONF_H

#include "svc/function.h"

struct fn_url {      /* p NULL: unchanged on update */
    struct str auth; /* "NONE", "AWS_IAM" */
    struct str cors; /* JSON object text; "" or "{}": none */
    struct str mode; /* "BUFFERED", "RESPONSE_STREAM" */
};
/* Makes or changes the URL; url NULL removes it. */
int function_url_set(struct store_txn *t, struct str name, struct str qualifier,
                     const struct fn_url *url, struct err *err);

/* Adds and replaces tags. E_INVALID beyond FUNCTION_TAGS_MAX. */
int function_tag(struct store_txn *t, const char *region, struct str name,
                 const struct fn_env *tags, size_t count, struct err *err);
int function_untag(struct store_txn *t, const char *region, struct str name, const struct str *keys,
                   size_t count, struct err *err);

/* What of the account's concurrency `limit` always stays for functions that have reserved none. */
uint64_t function_unreserved_min(uint64_t limit);
/* Reserved concurrency; -1 removes. E_INVALID when it would leave the others less than that. */
int function_reserve(struct store_txn *t, const char *region, struct str name, int64_t reserved,
                     uint64_t limit, struct err *err);
/* Provisioned executions of a version or an alias; 0 removes. E_INVALID, E_CONFLICT. */
int function_provision(struct store_txn *t, const char *region, struct str name,
                       struct str qualifier, uint64_t executions, uint64_t limit, struct err *err);
/* In any transaction: those of all versions and aliases of a function, but `except` ("" none). */
uint64_t function_provisioned(struct store_txn *t, struct str name, struct str except);

struct fn_async { /* event-invoke configuration */
    bool retries_set, age_set, success_set, failure_set;
    uint64_t retries, max_age_s;
    struct str on_success, on_failure; /* ARNs of functions, "" none */
};
/* merge: what is not set stays, and there must be one already; else it is replaced. async NULL
 * removes. E_NOT_FOUND, E_INVALID. */
int function_async_set(struct store_txn *t, const char *region, struct str name,
                       struct str qualifier, const struct fn_async *async, bool merge,
                       struct err *err);

/* Replaces one text field of $LATEST's row. */
int function_text_set(struct store_txn *t, const char *region, struct str name, uint16_t tag,
                      struct str value, struct err *err);

#endif
