/* sim: what the parts of the simulator know of each other.
 *
 *   world.c   random numbers, the clocks, the trace, and how a failure is told
 *   store.c   the interface of store/store.h in memory: snapshots, jobs, batches, faults, crashes
 *   loop.c    as much of libuv as the queue and the schedules use, in virtual time
 *   parts.c   pretended functions, roles, logs, and a pool whose runs end when the simulator says so
 *   events.c  what must be true of every change of an event's rows
 *   plans.c   what must be true of every change of a schedule's row
 *   main.c    the steps, and seeds in child processes
 *
 * Everything between them (svc/queue*.c, retry.c, schedule*.c, ledger.c, lineage.c) is the program's
 * own code, linked from build/libperilune.a. */
#ifndef SIM_H
#define SIM_H

#include <stdnoreturn.h>

#include "base/clock.h"
#include "base/rec.h"
#include "store/key.h"
#include "store/store.h"
#include "svc/function.h"
#include "svc/invoke.h"
#include "svc/queue_lane.h"
#include "svc/schedule.h"

/* --- world.c */
struct world {
    uint64_t seed, step;
    int64_t boot_ns, wall_ns; /* CLOCK_BOOTTIME (and MONOTONIC), CLOCK_REALTIME */
    int64_t look_ns;          /* that much passes at each look at a clock */
    bool calm;                /* no faults, no failures: what is owed must come about */
    bool ending;              /* the process is going down: nothing counts any more */
};
extern struct world world;

void world_begin(uint64_t seed, bool tracing);
/* 0 … below - 1 */
uint64_t pick(uint64_t below);
/* True once in n times. */
bool once_in(uint64_t n);
void pass_ms(int64_t ms);
void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the steps before this one were, the seed, and the end of the process. */
noreturn void broken(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define MUST(c, ...)                                                                               \
    do {                                                                                           \
        if (!(c))                                                                                  \
            broken(__VA_ARGS__);                                                                   \
    } while (0)

/* --- store.c */
struct row {
    unsigned refs;
    uint32_t key_n, val_n;
    char bytes[]; /* key, value */
};
static inline struct str row_key(const struct row *r)
{
    return str_of(r->bytes, r->key_n);
}
static inline struct str row_val(const struct row *r)
{
    return r ? str_of(r->bytes + r->key_n, r->val_n) : STR("");
}
struct change { /* a row before and after; NULL: absent */
    enum table table;
    struct row *old, *new;
};
enum trouble { FINE, DISK_FULL, DISK_BROKEN };

extern struct store *disk; /* the store of the process that runs now */
void disk_begin(void);     /* an empty one */
void disk_boot(void);      /* a process opens it */
/* One thing of these happens, if there is any to happen: a job is applied, a batch is stamped, it is
 * committed, a job's done is called. */
void disk_step(void);
/* All of that, until there is nothing left. */
void disk_flush(void);
/* kill -9: what is not committed is gone. Jobs that the process has submitted end with E_SHUTDOWN. */
void disk_crash(void);
void disk_trouble(enum trouble t);
enum trouble disk_in_trouble(void);
size_t disk_jobs(void); /* not done yet */
/* Rows as they are committed. */
size_t disk_rows(enum table table);
const struct row *disk_row(enum table table, size_t i);
const struct row *disk_find(enum table table, struct str key);

/* --- loop.c */
extern uv_loop_t sim_loop;
void loop_begin(void);
void loop_turn(void);
/* The loop sleeps until then (boot time); INT64_MAX: for ever. */
int64_t loop_next_ns(void);

/* --- parts.c */
enum { FUNCTIONS = 8 };
enum run_end { RUN_OK, RUN_ERROR, RUN_THROTTLED, RUN_PLATFORM, RUN_REFUSED };
struct actor { /* a function */
    char name[8];
    struct fn *fn;                                   /* as it is now; NULL: deleted */
    uint64_t rate;                                   /* events a second; 0: any number */
    unsigned live, limit;                            /* running now, and how many may */
    unsigned fails;                                  /* in 10 runs */
    bool role_denies;                                /* its role may invoke nobody */
    int64_t changed_ns, gone_ns, denied_ns, shut_ns; /* when that was so last */
    int64_t age_ms_least;                            /* of all that it ever had */
    int64_t changed_s;                               /* of store time */
    int64_t second;                                  /* of store time, and … */
    uint64_t second_runs;                            /* … what was begun in it */
    bool second_slow;                                /* … while looks at the clock took time */
};
extern struct actor actors[FUNCTIONS];
void parts_begin(void);
/* Another process: nothing runs. */
void parts_boot(void);
/* Something of one function is configured anew. */
void parts_change(void);
void parts_calm(void);
struct actor *actor_named(struct str name);
/* Its events are let in. */
bool fn_admits(const struct fn *fn);
size_t runs_live(void);
const struct invoke_req *run_any(void);
/* One of them ends, somehow. */
void runs_end_one(void);
/* All end with that. */
void runs_end_all(enum run_end end);

/* --- events.c */
struct known {          /* an event that is in the store */
    struct known *next; /* of its slot */
    uint64_t id;
    char request_id[37], function[8];
    uint32_t failed;    /* errors of the function since it was accepted or redriven */
    bool running;       /* in this process */
    bool told;          /* how a run has ended, and that is not committed yet: */
    bool redriven;      /* asked for */
    bool dropped;       /* asked for */
    enum run_end end;   /* so, */
    int64_t told_ms;    /* then, */
    uint32_t retries;   /* under these rules, */
    int64_t max_age_ms; /* and these functions are to hear of it: */
    char success[8], failure[8], letter[8];
    int64_t changed_ns; /* its row, the last time */
};
void events_begin(void);
/* Another process. */
void events_boot(void);
/* A job's changes are in the store. */
void events_committed(const struct change *c, size_t n);
/* A run is asked for, and has ended. */
void event_begins(const struct invoke_req *req, struct actor *a);
void event_ends(const struct invoke_req *req, enum run_end end);
/* The client's event of that number is in the store, or was. */
bool event_was_born(uint64_t number);
/* The whole store makes sense. */
void events_audit(void);
/* Nothing is left to run. */
void events_settled(void);
/* One that is dead, or in any state; NULL: there is none. */
struct known *event_any(bool dead);

struct sim_stats {
    uint64_t accepted, runs, done, dead, put_off, throttled, sent, crashes, poison, loops, too_old,
        fired, missed;
};
extern struct sim_stats stats;

/* --- plans.c */
void plans_begin(void);
/* A schedule is made, changed, paused or deleted. */
void plans_change(void);
void plans_committed(const struct change *c, size_t n);
/* From now on all is well. */
void plans_calm(void);
/* All that was due since has been run. */
void plans_settled(void);

/* --- main.c */
extern struct queue *queue;
extern struct schedules *schedules;
extern struct queue_opts queue_opts;

#endif
