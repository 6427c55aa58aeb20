/* schedule: what is due when: rules of `events`, schedules of `scheduler`, and those that functions
 * are deployed with, all kept as rows of T_SCHEDULES.
 *
 * KIND NUL GROUP NUL NAME NUL -> rec of SCHEDULE_* fields. The loop holds one entry for each enabled
 * row, ordered by when it is due by the wall clock. What is due becomes queue rows and a new
 * SCHEDULE_LAST in one transaction, so that no crash loses or doubles a run; what was due while
 * nobody was there is made up for at start as the schedule's policy says.
 *
 * Rates go by store time (their SCHEDULE_LAST_S too), so a wall clock that jumps means nothing to them. For cron and at such a jump
 * is noticed within a second: what it skips counts as missed, what it repeats is not run again; but
 * what was given up as missed and comes again because the clock was set back is run after all (the last
 * stretch of it). */
#ifndef SVC_SCHEDULE_H
#define SVC_SCHEDULE_H

#include "store/store.h"
#include "svc/queue.h"
#include "svc/schedule_expr.h"

enum {                    /* fields of a row */
       SCHEDULE_ID = 1,   /* u64 */
       SCHEDULE_EXPR,     /* text; absent: never due (a rule by pattern only) */
       SCHEDULE_ZONE,     /* "Europe/Paris"; absent: UTC */
       SCHEDULE_DISABLED, /* u64 1 */
       SCHEDULE_DESCRIPTION,
       SCHEDULE_CREATED_MS,     /* u64 wall; rates count from here */
       SCHEDULE_MODIFIED_MS,    /* u64 wall */
       SCHEDULE_START_MS,       /* u64 wall: not before */
       SCHEDULE_END_MS,         /* u64 wall: not after */
       SCHEDULE_TARGET,         /* repeated: rec of TARGET_* */
       SCHEDULE_LAST_S,         /* u64 s: up to here all has been run or given up */
       SCHEDULE_MISSED_POLICY,  /* u64 enum schedule_missed */
       SCHEDULE_OVERLAP_POLICY, /* u64 enum schedule_overlap */
       SCHEDULE_LAST_EVENT,     /* repeated, as the targets: u64 event of the last run; 0: none */
       SCHEDULE_DELETE_AFTER,   /* u64 1: goes after its last run */
       SCHEDULE_WINDOW_MIN,     /* u64: FlexibleTimeWindow, answered; runs come at its beginning */
       SCHEDULE_TAG,            /* repeated: rec {1 name, 2 value} */
       SCHEDULE_SKIPPED_FROM_S, /* u64 wall s: what was due from then on … */
       SCHEDULE_SKIPPED_TO_S,   /* … and before then was given up; absent: nothing */
};
enum { /* fields of a target */
       TARGET_ID = 1,
       TARGET_ARN,       /* of a function, qualifier allowed */
       TARGET_INPUT,     /* JSON text that replaces the event */
       TARGET_ROLE,      /* scheduler: must allow lambda:InvokeFunction */
       TARGET_RETRIES,   /* u64 as given: of a run that fails, within what its function allows */
       TARGET_MAX_AGE_S, /* u64 as given; likewise */
};
enum schedule_missed { MISSED_ONCE, MISSED_SKIP, MISSED_ALL };
enum schedule_overlap { OVERLAP_RUN, OVERLAP_SKIP };
enum { SCHEDULE_TARGETS_MAX = 5, SCHEDULE_MISSED_MAX = 1000 };

/* Kinds: first part of the key. */
#define SCHEDULE_KIND_RULE "rule"         /* group "default" (the event bus) */
#define SCHEDULE_KIND_SCHEDULE "schedule" /* group as given */

struct schedules;

struct schedules_opts {
    uv_loop_t *loop;
    struct store *store;
    struct functions *functions;
    struct queue *queue;
    struct roles *roles;
    const char *region;
};
struct schedules *schedules_open(const struct schedules_opts *o);
/* After queue_start: reads the rows, makes up for what was missed, arms the timer. */
void schedules_start(struct schedules *s);
/* Nothing becomes due any more; schedules_close frees, once the store is closed and the loop has turned. */
void schedules_stop(struct schedules *s);
void schedules_close(struct schedules *s);

/* A row's name. */
struct schedule_name {
    struct str kind, group, name;
};
/* In any transaction: the row; E_NOT_FOUND. */
int schedule_get(struct store_txn *t, const struct schedule_name *n, struct str *rec);
/* In a job: writes the row (checked by the caller, SCHEDULE_ID may be absent for a new one), or
 * removes it. schedules_changed follows from the job's done. */
int schedule_put(struct store_txn *t, const struct schedule_name *n, struct str rec);
int schedule_del(struct store_txn *t, const struct schedule_name *n);
/* Rows of that kind in key order, all (from NULL), or from that (group, name) on, or only what is
 * behind it; until each returns false. */
void schedule_each(struct store_txn *t, struct str kind, const struct schedule_name *from,
                   bool behind,
                   bool (*each)(void *ctx, const struct schedule_name *n, struct str rec),
                   void *ctx);
/* Loop thread, after the commit: reads the row again. */
void schedules_changed(struct schedules *s, const struct schedule_name *n);

/* Appends the ARN: "arn:aws:events:R:A:rule/NAME" or "arn:aws:scheduler:R:A:schedule/GROUP/NAME". */
void schedule_arn(struct buf *out, const char *region, const struct schedule_name *n);

/* Appends to a row's record that it begins now, on the clock by which that expression goes:
 * SCHEDULE_LAST_S and SCHEDULE_SKIPPED_*. row: the one that it replaces, of which is remembered what had
 * been given up before now; NULL: it never ran, so whatever comes again when the clock is set back is
 * to be run. */
void schedule_put_place(struct buf *rec, struct str expr, struct str row);
/* Those fields, for who keeps the others of a row (schedules_keep). */
#define SCHEDULE_PLACE SCHEDULE_LAST_S, SCHEDULE_SKIPPED_FROM_S, SCHEDULE_SKIPPED_TO_S

/* The next times (wall s, ascending) at which an enabled row with that record is due;
 * how many of `max`. */
size_t schedule_upcoming(struct str rec, int64_t *out, size_t max);
/* Runs it now, beside its times: queue rows in one job. done(ctx, rc, err); E_CONFLICT when that is
 * none. */
void schedule_run_now(struct schedules *s, const struct schedule_name *n,
                      void (*done)(void *ctx, int rc, const struct err *err), void *ctx);

#endif
