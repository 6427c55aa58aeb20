/* test_event: events that a person keeps beside a function, to try it with.
 *
 * T_TEST_EVENTS, function id and name -> {JSON text, when it was changed}. They go with the function. */
#ifndef SVC_TEST_EVENT_H
#define SVC_TEST_EVENT_H

#include "store/store.h"

enum { TEST_EVENT_NAME_MAX = 64, TEST_EVENT_SIZE_MAX = 64 * 1024, TEST_EVENTS_MAX = 50 };

struct test_event { /* borrowed from the transaction */
    struct str name, json;
    int64_t changed_ms;
};

/* 1 to 64 of A-Z a-z 0-9 blank - _ and '.': 0 or E_INVALID with a text. */
int test_event_name_check(struct str name, struct err *err);
/* In a job: json is JSON text. E_QUOTA beyond TEST_EVENTS_MAX. */
int test_event_put(struct store_txn *t, uint64_t function_id, struct str name, struct str json,
                   int64_t now_ms, struct err *err);
/* In a job: E_NOT_FOUND with a text. */
int test_event_del(struct store_txn *t, uint64_t function_id, struct str name, struct err *err);
/* In a job: all of a function that goes. */
int test_event_drop(struct store_txn *t, uint64_t function_id);
/* In order of name. */
void test_event_each(struct store_txn *t, uint64_t function_id,
                     void (*each)(void *ctx, const struct test_event *e), void *ctx);

#endif
