/* function: function records, in the store and in memory.
 *
 * A function has a row for $LATEST, one for each published version, and one for each alias, which
 * names the version it stands for. The row of $LATEST also holds what belongs to the function as a
 * whole. A policy, a URL and a configuration of asynchronous calls belong to the row they were
 * given to: $LATEST's, a version's, or an alias's.
 *
 * A struct fn is one version as the rest of the core sees it, reached by one qualifier: immutable,
 * reference counted, made from its rows when first asked for and cached (bounded). An update makes
 * a new one; runs in flight keep the old. */
#ifndef SVC_FUNCTION_H
#define SVC_FUNCTION_H

#include "auth/policy.h"
#include "base/arena.h"
#include "base/json.h"
#include "store/store.h"

struct functions;
struct package;

/* T_FUNCTIONS record, key NAME NUL VERSION NUL (a number with leading zeros, so that byte order is
 * the order of versions), and T_ALIASES record, key NAME NUL ALIAS NUL. An alias has what is marked
 * with (a), but neither generation nor code nor configuration. */
enum {
    FN_ID = 1,     /* u64, of the function (a) */
    FN_GENERATION, /* u64 */
    FN_NAME,       /* (a) */
    FN_VERSION,    /* "$LATEST", "7"; of an alias: the version that it names (a) */
    FN_RUNTIME,
    FN_ROLE, /* ARN */
    FN_HANDLER,
    FN_DESCRIPTION,     /* (a) */
    FN_TIMEOUT_S,       /* u64 */
    FN_MEMORY_MB,       /* u64 */
    FN_ENV,             /* repeated: rec {1 name, 2 value} */
    FN_LOG_FORMAT,      /* "Text" or "JSON" */
    FN_PACKAGE,         /* SHA-256 of the zip, 32 bytes */
    FN_CODE_SIZE,       /* u64: bytes of the zip */
    FN_MODIFIED_MS,     /* u64 */
    FN_REVISION,        /* UUID; changes with every write of the row (a) */
    FN_POLICY,          /* repeated: rec {1 sid, 2 statement as JSON text} (a) */
    FN_POLICY_JSON,     /* all of them as one document; absent: no statement (a) */
    FN_POLICY_REVISION, /* no longer written: FN_REVISION covers the policy */
    FN_URL_AUTH,        /* "NONE" or "AWS_IAM"; absent: no URL (a) */
    FN_URL_CREATED,     /* u64 ms (a) */
    FN_URL_MODIFIED,    /* u64 ms (a) */
    FN_URL_CORS,        /* JSON object as the API has it; absent: none (a) */
    FN_URL_MODE,        /* "BUFFERED" or "RESPONSE_STREAM" (a) */
    FN_LAST_VERSION,    /* u64, $LATEST: number of the last version published */
    FN_CONTENT,         /* versions: digest of code and configuration, 32 bytes */
    FN_OWN_DESCRIPTION, /* versions: $LATEST's, when publishing gave another */
    FN_DEPLOYED,        /* versions: u64 1 when a deployment published it */
    FN_ALIAS,           /* aliases: name (a) */
    FN_WEIGHT,          /* aliases: rec {1 version, 2 u64 share of calls in millionths} (a) */
    FN_TAG,             /* $LATEST, repeated: rec {1 key, 2 value} */
    FN_RESERVED,        /* u64, $LATEST: reserved concurrency; absent: none */
    FN_RECURSIVE_LOOP,  /* $LATEST: "Allow" or "Terminate" */
    FN_ASYNC,           /* rec of FN_ASYNC_*; absent: AWS's defaults (a) */
    FN_PROVISIONED,     /* rec {1 u64 executions, 2 u64 modified ms} (a) */
    FN_DEAD_LETTER,     /* ARN of a function */
    FN_TRACING,         /* "Active"; absent: "PassThrough" */
    FN_EPHEMERAL_MB,    /* u64; absent: 512 */
    FN_LOG_GROUP,       /* absent: /aws/lambda/NAME */
    FN_LOG_APP_LEVEL,   /* "INFO" … of JSON logs */
    FN_LOG_SYSTEM_LEVEL,
    FN_UPDATE_RUNTIME_ON, /* "Auto", "FunctionUpdate", "Manual" */
    FN_ARCHITECTURE,      /* "x86_64", "arm64": what was asked for; absent: this machine's */
    FN_EVENT_RATE, /* $LATEST, decimal text: events begun in a second at most; "": the server's */
};
enum {                       /* of FN_ASYNC; absent numbers: not set */
       FN_ASYNC_RETRIES = 1, /* u64 */
       FN_ASYNC_MAX_AGE_S,   /* u64 */
       FN_ASYNC_ON_SUCCESS,  /* ARN of a function */
       FN_ASYNC_ON_FAILURE,  /* the same */
       FN_ASYNC_MODIFIED_MS
}; /* u64 */

enum {
    FUNCTION_NAME_MAX = 64,
    FUNCTION_TIMEOUT_MAX_S = 900,
    FUNCTION_MEMORY_MAX_MB = 10240,
    FUNCTION_ENV_MAX = 4096,
    FUNCTION_POLICY_MAX = 20480,
    FUNCTION_FILE_MAX = 6 * 1024 * 1024, /* bytes function_file gives at once */
    FUNCTION_UNRESERVED_MIN = 100,       /* of the account's concurrency, … */
    FUNCTION_UNRESERVED_SHARE = 10,      /* … or one in so many: what cannot be reserved */
    FUNCTION_TAGS_MAX = 50,
    FUNCTION_WEIGHT_ALL = 1000000, /* unit of FN_WEIGHT */
};

struct fn_env {
    struct str name, value;
};

struct fn_file { /* one file of the unpacked package; sorted by path, but in a sealed fn */
    struct str path;
    uint64_t offset, size; /* in the unpacked form */
};

struct fn {
    int refs;
    uint64_t id;              /* of the function; a re-created function has another */
    uint64_t generation;      /* of this version's code or configuration; grows with each update */
    struct str name, version; /* "thumbs", "$LATEST" */
    struct str qualifier;     /* it was asked for by: "$LATEST", a number, an alias */
    struct str arn;           /* unqualified */
    struct str runtime, role, handler, description;
    uint32_t timeout_ms, memory_mb;
    const struct fn_env *env;
    size_t env_count;
    struct str code_sha256; /* base64 */
    uint64_t code_size;
    int64_t modified_ms;
    struct str revision_id;
    struct str log_group;      /* "/aws/lambda/thumbs" */
    bool log_json;             /* LogFormat */
    uint8_t log_app_level;     /* enum log_severity, of what the function logs, when JSON */
    uint8_t log_system_level;  /* of START and REPORT, likewise */
    unsigned char package[32]; /* SHA-256 of the zip, key of T_PACKAGES */
    const struct fn_file *files;
    size_t file_count;
    struct str policy_json; /* resource policy document, "" when none */
    struct policy *policy;  /* compiled, NULL when none */
    bool url;               /* has a function URL */
    struct str url_auth;    /* "NONE" or "AWS_IAM" */
    bool url_open;          /* the policy lets anybody call the URL */
    bool url_streams;       /* RESPONSE_STREAM */
    json_t *url_cors;       /* as the API has it, NULL none; fn's own */
    uint64_t event_rate;    /* of its events begun in a second at most; 0: as the server has it */
    bool loops;             /* may run any number of times in one chain */
    bool limited;           /* has reserved concurrency, which it may not pass: */
    uint32_t reserved;
    bool retries_set; /* of asynchronous calls: */
    uint32_t retries;
    int64_t max_age_ms;                             /* of asynchronous calls; 0: not set */
    struct str on_success, on_failure, dead_letter; /* ARNs of functions, "" none */
    bool sealed;              /* internal: evaluates a manifest, no host calls, no logs */
    bool spec;                /* sealed only: runs specs; its runner stays for the next one */
    struct str inline_source; /* sealed only: the bytes of files, concatenated */
    struct arena *arena;      /* holds all of the above */
    /* the cache's */
    struct functions *home_;
    struct fn *next_, *newer_, *older_;
    struct fn *other_; /* an alias's second version, … */
    uint32_t weight_;  /* … and its share of calls, in FUNCTION_WEIGHT_ALL */
    bool cached_;
    struct str flat_;    /* unpacked form when small, else p NULL and: */
    uint64_t flat_blob_; /* where it is */
    int flat_fd_;        /* open and pinned while somebody uses fn */
    bool flat_open_;     /* flat_fd_ is */
};

struct functions *functions_open(struct store *s, const char *region);
void functions_close(struct functions *f);
/* Forgets some that nobody uses; they are read again when they are asked for. False: none was left
 * among those looked at. */
bool functions_forget(struct functions *f);

/* Loop thread. qualifier "" is $LATEST; an alias of two versions gives either, by its weights. 0
 * and *out with a reference taken, or E_NOT_FOUND with AWS's text in err. */
int function_get(struct functions *f, struct str name, struct str qualifier, struct fn **out,
                 struct err *err);
void fn_ref(struct fn *fn);
void fn_unref(struct fn *fn);
/* Loop thread, after the commit of a job that changed NAME: the cache forgets it and `changed` (set
 * by the pool) is told, so that warm runners of the old generation retire. */
void function_changed(struct functions *f, struct str name);
void functions_on_change(struct functions *f, void (*changed)(void *ctx, struct str name),
                         void *ctx);

/* Bytes of one file of fn's package; done(ctx, rc, bytes), bytes valid during the call; may be
 * called before this returns. E_NOT_FOUND when there is no such file, E_LIMIT above
 * FUNCTION_FILE_MAX. Works for a replaced or deleted fn too, as long as it is referenced. */
void function_file(struct functions *f, struct fn *fn, struct str path,
                   void (*done)(void *ctx, int rc, struct str bytes), void *ctx);

/* Loop thread: is this still what the store has under its name and version? */
bool function_current(struct functions *f, const struct fn *fn);
/* Loop thread: the concurrency that all functions have reserved together, as of the last change. */
uint64_t function_reservations(const struct functions *f);

/* In any transaction: the record of the version that qualifier ("" is $LATEST) leads to, through an
 * alias too; E_NOT_FOUND with AWS's text. */
int function_record(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                    struct str *rec, struct err *err);
/* In any transaction: the row that bears the policy, URL … of that qualifier: an alias's own. */
int function_row(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                 struct str *rec, struct err *err);
/* Calls each for every function's $LATEST whose name is > after, in name order, until it returns
 * false; borrowed from t. */
void function_each(struct store_txn *t, struct str after,
                   bool (*each)(void *ctx, struct str name, struct str rec), void *ctx);

/* --- writing, all inside jobs; shared by the Lambda API and by deployments ----------------------
 */

struct fn_spec { /* what a caller may set; p NULL: unchanged on update, default on create */
    struct str name, runtime, role, handler, description, log_format;
    uint32_t timeout_s, memory_mb; /* 0: unchanged or default */
    const struct fn_env *env;
    size_t env_count;
    bool env_set;
    struct str dead_letter, tracing, log_group, app_log_level, system_log_level, architecture;
    uint32_t ephemeral_mb;     /* 0: unchanged or default */
    const struct fn_env *tags; /* on create */
    size_t tag_count;
    const struct package *package; /* made by package_build; NULL on a configuration update */
    struct str revision_id;        /* when set it must be the current one */
};
/* Validates the fields that need no store (patterns, limits): E_VALIDATION or E_INVALID with AWS's
 * text. The writers below call it too. */
int fn_spec_check(const struct fn_spec *spec, bool create, struct err *err);
/* [A-Za-z0-9-_]{1,64}, else E_VALIDATION. */
int function_name_check(struct str name, struct err *err);
/* 0, or E_PRECONDITION when `given` is set and is not the row's FN_REVISION. */
int function_check_revision(struct str given, struct str row, struct err *err);
/* In any transaction. */
bool function_exists(struct store_txn *t, struct str name);
/* Also E_EXISTS, E_INVALID (role, bootstrap), E_PRECONDITION (revision), E_NOT_FOUND. */
int function_create(struct store_txn *t, const char *region, const struct fn_spec *spec,
                    struct err *err);
int function_update(struct store_txn *t, const char *region, const struct fn_spec *spec,
                    struct err *err);
/* All of it: versions, aliases, policies, URLs and package references. */
int function_delete(struct store_txn *t, struct str name, struct err *err);
/* In any transaction: is there such a function (qualifier "" is $LATEST)? Its id and the policy
 * document of that qualifier ("" when none; borrowed from t). E_NOT_FOUND. */
int function_find(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id,
                  struct str *policy_json);
/* Resource policy of a qualifier: adds one statement (JSON object text with Sid), removes by Sid.
 * E_EXISTS, E_NOT_FOUND, E_POLICY_LENGTH, E_BAD_POLICY. */
int function_policy_add(struct store_txn *t, struct str name, struct str qualifier, struct str sid,
                        struct str statement, struct err *err);
int function_policy_remove(struct store_txn *t, struct str name, struct str qualifier,
                           struct str sid, struct err *err);

#endif
