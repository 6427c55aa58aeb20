/* schedules: what the handlers of `events` (rules) and `scheduler` share: one write job on one row. */
#ifndef API_SCHEDULES_H
#define API_SCHEDULES_H

#include "api/gate.h"
#include "svc/schedule.h"

struct schedules_job {
    struct job job; /* first */
    struct call *c;
    struct schedule_name name; /* in the arena */
    struct buf rec;            /* what becomes of the row; by `change` */
    struct err err;
    /* Store thread: row is the present one, p NULL when there is none. 0 and j->rec (empty: the row
     * is removed), or a refusal with j->err. May run more than once. */
    int (*change)(struct schedules_job *j, struct str row);
    /* Loop thread, after the commit: answers; NULL: {} with the row's status. */
    void (*reply)(struct schedules_job *j);
    void *user;
};
/* In the arena; NULL (and the call has been answered) without memory. */
struct schedules_job *schedules_job(struct call *c, const char *kind, struct str group,
                                    struct str name);
void schedules_submit(struct schedules_job *j);

/* All fields of row but those tagged so (0 ends the list). */
void schedules_keep(struct buf *out, struct str row, const uint16_t *but);
/* For `change`: the row, enabled or not; what was due while it was not is not made up for. */
int schedules_set_state(struct schedules_job *j, struct str row, bool disabled);
/* Is that text a schedule expression, its zone one that there is, its function here? E_VALIDATION
 * with the texts of both services. */
int schedules_check_zone(struct str zone, struct err *err);
int schedules_check_target(struct call *c, struct str arn, struct err *err);
/* The RetryPolicy of a target; a member that is not given is SCHEDULES_NOT_GIVEN. where: the target
 * in an error's text. */
#define SCHEDULES_NOT_GIVEN INT64_MIN
struct schedules_retry {
    int64_t retries, max_age_s;
};
int schedules_read_retry(const json_t *target, const char *where, struct schedules_retry *out,
                         struct err *err);
/* TARGET_RETRIES and TARGET_MAX_AGE_S, when given. */
void schedules_put_retry(struct buf *out, const struct schedules_retry *retry);
/* [A-Za-z0-9._-]{1,64} */
int schedules_check_name(struct str name, const char *member, struct err *err);
enum { SCHEDULES_LOOKS = 2000 }; /* rows of a listing that are looked at for one page */
/* Rows of that kind whose names begin with prefix, behind token ("": from the first); until each
 * returns false. Returns the last for which it did not, in the arena: the next page's token. */
struct str schedules_page(struct call *c, const char *kind, struct str prefix, struct str token,
                          bool (*each)(void *ctx, const struct schedule_name *n, struct str rec),
                          void *ctx);
/* scheduler_groups.c: E_NOT_FOUND for any but the one ("": that one), and its ARN in the arena. */
#define SCHEDULER_GROUP "default"
int scheduler_check_group(struct str group, struct err *err);
struct str scheduler_group_arn(struct call *c);
/* The ARN of a row in the arena. */
struct str schedules_arn(struct call *c, const struct schedule_name *n);

#endif
