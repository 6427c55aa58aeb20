/* serve_opts: the server's flags. Each is also read from PERILUNE_<FLAG> (--max-runners is
 * PERILUNE_MAX_RUNNERS); a flag on the command line wins. */
#ifndef CLI_SERVE_OPTS_H
#define CLI_SERVE_OPTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cli_flag;

struct serve_opts {
    const char *data;           /* --data DIR */
    const char *listen;         /* --listen HOST:PORT */
    const char *console_listen; /* --console-listen HOST:PORT or none; NULL: beside the API */
    const char *console_url;    /* --console-url URL; NULL: as it listens */
    const char *console_dir;    /* --console-dir DIR; NULL: what is embedded */
    const char *public_url;     /* --public-url URL: NULL: as it listens */
    const char *region;         /* --region */
    const char *trusted_proxy;  /* --trusted-proxy ADDRESS: may say who the client is */
    const char *domain;         /* --domain NAME: buckets as hosts below it; NULL for none */
    const char *user;           /* --user NAME: who the server becomes when started as root */
    const char *jit;            /* --jit on|off */
    uint64_t max_runners;       /* --max-runners */
    uint64_t memory;      /* --memory, bytes for all runners together; 0: half of the machine's */
    uint64_t concurrency; /* --concurrency: invocations under way, of all functions */
    uint64_t idle_timeout_s;  /* --idle-timeout */
    uint64_t fetch_idle_s;    /* --fetch-idle */
    const char *ca_file;      /* --ca-file: NULL: the system's */
    uint64_t lifecycle_day_s; /* --lifecycle-day: length of a day of buckets' rules */
    uint64_t queue_max_rows;  /* --queue-max-rows */
    uint64_t queue_max_bytes; /* --queue-max-bytes */
    uint64_t event_rate;      /* --event-rate: of one function, a second; 0: no brake */
    uint64_t runs_keep;       /* --runs-keep: rows of the ledger for each function */
    uint64_t runs_sample;     /* --runs-sample */
    uint64_t runs_age_s;      /* --runs-age */
    uint64_t store_max;       /* --store-max */
    uint64_t log_max;         /* --log-max */
    bool allow_weak_jail;     /* --allow-weak-jail */
    bool behind_tls_proxy;    /* --behind-tls-proxy */
    bool verbose;             /* --verbose */
};

/* Fills *out from defaults, environment and arguments. 0, or 2 after a line on stderr; 3 when help
 * was printed. */
int serve_opts_parse(int argc, char **argv, struct serve_opts *out);
/* [{"flag","arg","help","kind","value","default"}]: what the server was started with. Numbers are of
 * bytes, seconds or a count, as kind says; text that is not set is null. The caller's reference. */
json_t *serve_opts_json(const struct serve_opts *o);
/* The same flags as rows of the command line's table, for help, completions and manual; ends with a
 * row whose name is NULL. */
const struct cli_flag *serve_opts_flags(void);

#endif
