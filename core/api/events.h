/* events: what the handlers of rules share with those of their tags. */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "api/schedules.h"
#include "base/json.h"

#define EVENTS_BUS STR("default") /* the one that there is */

/* E_NOT_FOUND with AWS's text. */
int events_absent(struct str rule, struct err *err);
/* The row of a rule; that, when there is none. */
int events_get(struct store_txn *t, struct str rule, struct str *rec, struct err *err);
/* The member Tags, a list of {Key, Value}, or NULL; it is checked, and lasts as long as the call. */
int events_take_tags(struct call *c, json_t **out, struct err *err);
/* Those tags as fields of a rule's row. */
void events_put_tags(struct buf *rec, const json_t *tags);

#endif
