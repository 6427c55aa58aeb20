/* pool_impl: the structs that the files of the pool share, and what they call of each other.
 * Nobody outside includes this.
 *
 *     pool.c           opening, draining, closing; function versions
 *     invoke.c         one invocation: admit, acquire, run, settle, meter
 *     dispatch.c       which runner takes it; those that wait
 *     runners.c        runners: spare, loading, warm, retired, dead
 *     runner_events.c  what the zygote reports of them, what they say
 *     load.c           the code that a spare is given
 *     pool_time.c      deadlines, idle runners, the 2 ms tick
 *     pool_call.c      host calls
 *
 * Whoever calls out (done, metered, hostcall, cancel) has left all structs in order before, because
 * the callee may call invoke() again at once. A struct runner lives until the zygote has reported
 * its end, so that no callback makes one vanish under its caller. */
#ifndef SVC_POOL_IMPL_H
#define SVC_POOL_IMPL_H

#include "proc/channel.h"
#include "proc/zygote.h"
#include "svc/logs.h"
#include "svc/outcome.h"
#include "svc/pool.h"

enum {
    POOL_SLOW_NS = 2 * 1000 * 1000, /* a head older than this is slow: nobody waits behind it */
    POOL_TICK_MS = 2,
    POOL_LOOK_MS = 5,             /* between two looks at what runs use of the processor */
    POOL_HOG_NS = 2 * 1000000,    /* a run that has used more is no longer a quick one … */
    POOL_YIELD_NS = 20 * 1000000, /* … and one that has used this takes a smaller share */
    POOL_FIFO_MAX = 1000,         /* waiting invocations of one version */
    POOL_FIFO_MS = 10 * 1000,     /* and how long they wait */
    POOL_INIT_MS = 10 * 1000,     /* the init phase */
    POOL_GRACE_MS = 50,           /* between the deadline's signal and SIGKILL */
    POOL_RETIRE_MS = 1000,        /* a retired runner that has not ended by itself is killed */
    POOL_REFILL_MS = 5,           /* a taken spare is replaced after its first reply, or this */
    POOL_MADE_MAX = 2,            /* runners that one turn of the loop makes */
    POOL_STARTING_MAX = 8,        /* runners that are being made */
    POOL_LOST_MAX = 3,            /* runners that an invocation may lose before it has started */
    POOL_RUNNER_BYTES = 2 << 20,  /* what a runner holds beside its function's memory */
    POOL_RSS_SLACK = 8 << 20,     /* peak RSS may pass the function's limit by this much */
    POOL_LOG_MAX = 1 << 20,       /* log bytes of one invocation */
    POOL_TAIL_MAX = 4096,
    POOL_CALLS_MAX = 256,         /* host calls of one runner, abandoned ones included */
    POOL_ARGS_MAX = 16 << 20,     /* argument bytes of one runner's open calls … */
    POOL_ARGS_ALL = 64 << 20,     /* … and of all; a function may hold as much as is left, … */
    POOL_ARGS_LEAST = 128 << 10,  /* … and each of its runners this, always */
    POOL_ARGS_WAIT_MS = 2000,     /* how long what comes in parts waits for that */
    POOL_RESULTS_MAX = 32 << 20,  /* result bytes that one runner has not taken yet … */
    POOL_RESULTS_ALL = 64 << 20,  /* … while all together have no more than this; else … */
    POOL_RESULTS_LEAST = 1 << 20, /* … so many, or a single one */
    POOL_BUCKETS = 256,           /* of the table of versions */
    POOL_STARVED_NS = 20 * 1000 * 1000 /* a version without runners takes one after this */
};

struct invocation {
    struct invocation *next; /* in its version's queue, or among the free */
    struct invoke_req req;
    struct version *version;
    uint32_t id;        /* on its runner */
    uint64_t asked_ns;  /* when invoke() was called */
    uint64_t pushed_ns; /* onto its runner */
    uint64_t begun_ns;  /* when it became the head of a loaded runner; 0: not yet */
    uint64_t log_bytes, log_cut;
    uint32_t lost;  /* runners that died before it started */
    bool touched;   /* it has called or logged: it has started, whatever its state word says */
    bool announced; /* START has been logged */
    bool over;      /* its function's reserved concurrency was used up */
    bool shared;    /* takes part of what is not reserved */
    struct buf tail;
};

struct call { /* a host call under way */
    struct hostcall pub;
    struct call *next, **at; /* in its runner's list, or the pool's orphans */
    struct runner *runner;   /* NULL: gone */
    uint32_t id;             /* the runner's name for it */
    uint32_t invocation;     /* 0: init phase */
    size_t reserved;         /* result bytes set aside for it */
    struct buf args;         /* the copy that pub.args shows … */
    char *owned;             /* … or the payload's own memory */
    char *chain;             /* pub.chain */
};

enum runner_state {
    RUNNER_SPARE,   /* starting, or up and without a function */
    RUNNER_LOADING, /* in its init phase */
    RUNNER_WARM,
    RUNNER_GRACE, /* its head's deadline has passed, it was signalled, SIGKILL follows */
    RUNNER_DYING, /* retired or killed: its end will be reported; nothing it says counts */
};

struct runner {
    struct pool *pool;
    struct runner *all_next, **all_at;    /* every runner of the pool */
    struct runner *next, *prev;           /* the spares, or the idle by age; NULL ends */
    struct runner *sibling, **sibling_at; /* runners of the version */
    struct runner *idle_next, **idle_at;  /* idle runners of the version, last used first */
    struct channel *channel;
    struct version *version;
    struct load *load; /* LOAD is being put together */
    struct log_stream *stream;
    char stream_name[64];
    uint32_t token;
    pid_t pid;
    int pidfd; /* -1: not yet reported by the zygote */
    enum runner_state state;
    bool up;         /* READY 0 has come */
    bool in_init;    /* has a function, READY has not come */
    bool last_words; /* dead, and what it had said is being read */
    bool killed;     /* SIGKILL was sent, or will be once there is a pidfd */
    bool cold;       /* the next REPORT carries the init time */
    bool rss_due;    /* has run since its RSS was looked at */
    bool hog;        /* its slices are long until the run ends … */
    bool yields;     /* … and its share is small … */
    int nice;        /* … and then it has its first niceness again; 0: not known */
    struct invocation *entries[FRAME_SLOTS]; /* slot = index; live ones are contiguous */
    uint32_t first, count;
    uint32_t last_id;
    uint64_t head_ns;   /* when the head began, or the load */
    uint32_t looked_id; /* the head when it was last looked at … */
    uint64_t looked_ns; /* … and the processor's time that the runner had used at the first look */
    uint64_t deadline_ms; /* of the loop's clock; 0: none */
    uint64_t idle_ms;     /* idle since */
    uint64_t init_us, init_log_bytes;
    uint64_t charge;                 /* bytes counted in the pool's memory */
    struct call *calls, *left;       /* of the current invocation; abandoned ones */
    uint32_t calls_live, calls_open; /* of the current invocation; all */
    size_t args_bytes, reserved; /* arguments, also those on their way; result bytes set aside */
    struct hostcall_handle *handles; /* what the current invocation has open */
    uint64_t last_handle;
};

struct turns {                 /* a link in a ring, or its head */
    struct turns *next, *prev; /* NULL: in none */
};

struct tally { /* of one function, shared by its versions */
    struct tally *chain;
    uint64_t function_id;
    uint32_t refs;        /* versions */
    uint32_t live;        /* invocations, executing or waiting */
    uint32_t count;       /* runners loading, warm or in grace */
    size_t args_bytes;    /* of its runners */
    bool owes;            /* like a version's, to another function */
    struct turns wait;    /* among functions with someone waiting */
    struct turns waiters; /* head: its versions with someone waiting */
};

struct version {
    struct version *chain; /* in the table */
    struct tally *tally;
    struct fn *fn;
    uint32_t refs; /* runners and invocations */
    bool stale;    /* replaced: its runners retire when idle */
    bool mute;     /* … and removed with its log: nothing is logged any more */
    bool starved;  /* has waited, since it last got a runner, when there was no place for one */
    bool owes;     /* the next of its runners to end a run gives its place to a starved version of
                      its function */
    struct runner *runners, *idle;
    uint32_t count, busy;             /* runners loading, warm or in grace; those with a head */
    struct invocation *first, **last; /* those that wait for a runner */
    uint32_t waiting;
    struct turns wait; /* among the function's versions with someone waiting */
};

struct pool {
    struct pool_opts opts;
    uint32_t cores, spares_wanted;
    struct zygote *zygote;
    struct channels *channels;
    uint32_t layers;
    char layers_text[160];
    struct version *table[POOL_BUCKETS];
    struct tally *tallies[POOL_BUCKETS];
    struct runner *all;
    struct runner *spare_first, *spare_last;  /* the oldest is first: most likely up */
    struct runner *idle_first, *idle_last;    /* the longest idle is first */
    uint32_t spare_count, starting, assigned; /* assigned: loading, warm, grace */
    uint32_t busy, behind, waiting;           /* runners with a head; entries behind; in queues */
    uint32_t live, shared; /* invocations; those of functions that reserved none */
    uint64_t shared_max;   /* what they may be */
    uint32_t starved;      /* versions that are */
    struct version *turn;  /* whose turn it is to take what is free */
    uint32_t made;         /* runners made in the turn that began at … */
    uint64_t made_ms;      /* … this time, ms of the loop */
    uint64_t memory;       /* sum of charges */
    size_t reserved;       /* sum of the runners' */
    size_t args_bytes;     /* likewise, and the orphans' */
    uint32_t last_token;
    struct turns waiters; /* head: functions with someone waiting */
    struct invocation *free_invocations;
    struct call *free_calls, *orphans; /* orphans: abandoned, their runner is gone */
    uv_timer_t deadline, tick, look, keeper, refill;
    uint64_t deadline_at, keeper_at, refill_at; /* 0: not armed; ms of the loop */
    bool ticking, looking, closed;
    int open_handles;
    void (*drained)(void *ctx);
    void *drained_ctx;
    bool draining;
    struct pool_stats stats;
};

/* pool.c */
struct version *pool_version(struct pool *p, struct fn *fn); /* takes a reference for the caller */
void version_unref(struct pool *p, struct version *v);
void pool_tally_unref(struct pool *p, struct tally *tally);
void pool_check_drained(struct pool *p);

/* invoke.c */
void invoke_began(struct runner *r, struct invocation *inv);
void invoke_replied(struct runner *r, const struct frame_reply *reply, struct str answer,
                    char **owned);
void invoke_failed(struct runner *r, struct invocation *inv, const struct outcome *o,
                   uint64_t now_ns); /* inv: popped */
void invoke_refuse(struct pool *p, struct invocation *inv, int rc);
/* Whether it waits in its version's queue; the others only for a runner that is being made. */
bool invoke_is_patient(const struct invocation *inv);
/* A line of the run (inv) or of the init phase (NULL), within the log's limit. */
void invoke_log(struct runner *r, struct invocation *inv, enum log_severity level, struct str line);

/* dispatch.c */
/* False: no runner takes it now; *soon: one that is being made will. */
bool dispatch_acquire(struct pool *p, struct invocation *inv, bool *soon);
void dispatch_wait(struct pool *p, struct invocation *inv, bool front);
void dispatch_version(struct pool *p, struct version *v);
void dispatch_waiting(struct pool *p);
void dispatch_expire(struct pool *p, uint64_t now_ns);
void dispatch_forget_all(struct pool *p); /* the pool closes: all that wait are told */
void dispatch_relieve(struct pool *p, uint64_t now_ns);
/* A runner of v has ended a run: whether it goes, to make place for a starved version. */
bool dispatch_gives_way(struct pool *p, struct version *v);
/* Takes back what waits behind the head (from: index of the first entry to take back). */
void dispatch_revoke(struct runner *r, uint32_t from);

/* runners.c */
/* Whether number and memory of runners allow one more, when the idle make place; with `now` they
 * do. */
bool runners_may_grow(struct pool *p, bool now);
/* Whether a runner can be had in this turn of the loop; and one for this version, NULL when not, which
 * has yet to be given its code (load_begin). */
bool runners_at_hand(struct pool *p);
struct runner *runners_take(struct pool *p, struct version *v);
bool runners_push(struct runner *r, struct invocation *inv, uint64_t now_ns);
struct invocation *runners_pop(struct runner *r);     /* its head, off the books */
void runners_shorten(struct runner *r);               /* one entry less */
void runners_next(struct runner *r, uint64_t now_ns); /* after pop: next head, idle, or retired */
void runners_retire(struct runner *r);
void runners_kill(struct runner *r);
void runners_refill(struct pool *p);
/* What r, which is at work, has held at most. Idle ones go when that is too much for all. */
void runners_charge(struct runner *r, uint64_t peak);
/* Off the books; the head ends as o says (NULL: it had not started), all others wait again. */
void runners_give_up(struct runner *r, const struct outcome *o);
/* It ends by itself after its last REPLY; its other entries wait again. */
void runners_end(struct runner *r);
/* Off the books, and nothing else. */
void runners_leave(struct runner *r);
/* Its end has been reported. */
void runners_free(struct runner *r);
void runners_signal(struct runner *r, int sig);
/* Whether the head has begun. Its state word is the runner's claim; what the core has seen of it
 * counts more. */
bool runners_head_started(struct runner *r);
void runners_forget_all(struct pool *p);

/* runner_events.c */
extern const struct zygote_ops runner_events_zygote;
extern const struct channel_ops runner_events_channel;
void runner_events_broke(struct runner *r, const char *what); /* the protocol */

/* load.c */
void load_begin(struct runner *r);
void load_cancel(struct runner *r);

/* pool_time.c */
void pool_time_open(struct pool *p);
void pool_time_close(struct pool *p);
/* Sets the runner's deadline: ms after now_ns (clock_mono_ns). */
void pool_time_deadline(struct pool *p, struct runner *r, uint64_t now_ns, uint64_t ms);
void pool_time_tick(struct pool *p);
void pool_time_look(struct pool *p);                /* something runs: see how long */
void pool_time_brisk(struct runner *r);             /* its run has ended */
void pool_time_overdue(struct runner *r);           /* in grace: answer its caller, kill it */
void pool_time_idle(struct runner *r);              /* has just become idle: look at it in time */
void pool_time_refill(struct pool *p, uint64_t ms); /* make spares, in that time or sooner */

/* pool_call.c */
void pool_call_begin(struct runner *r, uint32_t id, const struct frame_call *c, struct str args,
                     char *owned);
/* For a CALL that comes in parts (channel.h); what is taken counts from now on, and begins or is
 * dropped when it is whole. */
enum channel_room pool_call_room(struct runner *r, uint32_t size, uint64_t waited_ns);
void pool_call_drop(struct runner *r, struct str args, char *owned);
/* The invocation that made them has ended, or the runner has. */
void pool_call_abandon(struct runner *r);
void pool_call_orphan(struct runner *r); /* the runner goes */
void pool_call_close(struct pool *p);    /* the pool goes; orphans finish by themselves */

static inline struct invocation *runner_head(struct runner *r)
{
    return r->count ? r->entries[r->first] : NULL;
}

#endif
