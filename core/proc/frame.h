/* frame: what core and runner say to each other through the rings of ring.h.
 *
 * A frame is {u32 length, u16 type, u16 flags, u32 id} and `length` bytes of body, at most
 * FRAME_BODY_MAX; longer payloads travel as a first part and FRAME_CHUNK frames with the same id.
 * Three rings: `work` (core -> runner: INVOKE only, read between invocations), `data` (core ->
 * runner: LOAD, RESULT, CHUNK, CREDIT, RETIRE) and `out` (runner -> core: the rest). A payload is
 * announced with its full size; what does not fit the first frame waits until the receiver grants
 * credit (CREDIT: u32 bytes in the body), so that a stream nobody reads blocks no other. Runner ->
 * core payloads are bounded by the core's reassembly limit instead and need no credit.
 *
 * Bodies are either a fixed struct below followed by bytes, or a rec (base/rec.h). The core treats
 * all that arrives on `out` as hostile. */
#ifndef PROC_FRAME_H
#define PROC_FRAME_H

#include <stdint.h>

enum {
    RING_BYTES = 64 * 1024,
    FRAME_MAX = 16 * 1024,                  /* header included */
    FRAME_BODY_MAX = FRAME_MAX - 12,        /* body bytes of one frame */
    FRAME_SLOTS = 32,                       /* waiting entries in `work` */
    FRAME_CALLS_MAX = 64,                   /* open host calls of a runner */
    FRAME_REASSEMBLY_MAX = 8 * 1024 * 1024, /* runner -> core bytes not yet whole, per runner */
    PAYLOAD_MAX = 6291556,                  /* event and answer of a synchronous invoke */
};

struct frame {
    uint32_t length; /* bytes of body */
    uint16_t type;   /* FRAME_* */
    uint16_t flags;  /* FRAME_F_* */
    uint32_t id;     /* invocation (INVOKE, REPLY, LOG, …) or call (CALL, RESULT) */
};

enum {
    /* core -> runner, ring `work` */
    FRAME_INVOKE = 1, /* struct frame_invoke, then ARN, client context, first part of the event */
    /* core -> runner, ring `data` */
    FRAME_LOAD =
        16, /* u32 total, then the first part of a rec of LOAD_* fields; rest in CHUNKs (id 0) */
    FRAME_RESULT = 17, /* struct frame_result, first part of a rec of HC_* fields */
    FRAME_CHUNK = 18,  /* further bytes of the payload with this id (both directions) */
    FRAME_CREDIT =
        19, /* u32: the receiver of payload `id` takes that many more bytes (both ways) */
    FRAME_RETIRE = 20, /* end quietly */
    /* runner -> core, ring `out` */
    FRAME_READY = 32, /* spare is up (id 0), or the function is loaded (id 1): struct frame_ready */
    FRAME_CALL = 33,  /* struct frame_call, first part of a rec of HC_* fields */
    FRAME_LOG = 34,   /* u8 level, then the line (UTF-8, no newline); id = invocation, 0 in init */
    FRAME_REPLY = 35, /* struct frame_reply, first part of the answer */
};

enum {
    FRAME_F_INVOCATION = 1, /* CHUNK, CREDIT: id is an invocation's (event or reply) */
    FRAME_F_CALL = 2,       /* CHUNK, CREDIT: id is a host call's (arguments or result) */
    FRAME_F_LOAD = 4,       /* CHUNK, CREDIT: of LOAD */
};

/* What an event's bytes are. */
enum { EVENT_JSON = 0, EVENT_URL = 1 }; /* URL: a rec of URL_* fields, made into the 2.0 payload */

struct frame_invoke {
    uint32_t slot;         /* index of the entry's state word (ring.h) */
    uint32_t event_kind;   /* EVENT_* */
    uint32_t event_size;   /* whole event */
    uint32_t attempt;      /* counts from 1 */
    uint16_t arn_size;     /* invoked function ARN follows the struct */
    uint16_t context_size; /* then the client context (JSON text, 0: none) */
    char request_id[36];
};

struct frame_result {
    int32_t rc;    /* 0 or E_* */
    uint32_t size; /* whole rec; on an error HC_ERR_CODE and HC_ERR_TEXT */
};

struct frame_ready {
    uint64_t init_us;     /* time the init phase took (id 1) */
    uint64_t memory_peak; /* allocator's peak in bytes */
    uint32_t ok; /* id 1: 0 when init failed; every INVOKE is then answered with that error */
    uint32_t pad;
};

struct frame_call {
    uint32_t invocation; /* id of the invocation that calls; 0 in the init phase */
    uint16_t number;     /* HC_* of svc/hostcall.def */
    uint16_t pad;
    uint32_t size; /* whole rec of arguments */
};

enum { REPLY_JSON = 0, REPLY_HTTP = 1 }; /* HTTP (for EVENT_URL): a rec of URL_* fields */

struct frame_reply {
    uint32_t kind;        /* REPLY_* */
    uint32_t error;       /* 0 ok; else FRAME_ERROR_*: the answer is an error object in JSON */
    uint32_t size;        /* whole answer */
    uint32_t duration_us; /* by the runner's clock; for information */
    uint64_t memory_peak; /* allocator's peak of this invocation in bytes */
    char error_type[64];  /* NUL-padded; e.g. "Runtime.LuaError" */
};

enum {
    FRAME_ERROR_NONE,
    FRAME_ERROR_FUNCTION, /* the handler raised; the state stays */
    FRAME_ERROR_MEMORY,   /* out of memory: the runner ends after this reply */
    FRAME_ERROR_INIT, /* import, syntax, handler-not-found: the state stays, later calls fail alike
                       */
};

/* Fields of LOAD. */
enum {
    LOAD_NAME = 1,   /* function name */
    LOAD_VERSION,    /* "$LATEST" or number */
    LOAD_ARN,        /* unqualified function ARN */
    LOAD_HANDLER,    /* "file.function" */
    LOAD_MEMORY_MB,  /* u64 */
    LOAD_TIMEOUT_MS, /* u64 */
    LOAD_REGION,
    LOAD_LOG_GROUP,
    LOAD_LOG_STREAM,
    LOAD_ENV,    /* repeated: rec {1 name, 2 value} */
    LOAD_FILE,   /* repeated: rec {1 path in the package, 2 size u64, 3 bytes (only small or handler
                    files)} */
    LOAD_JIT,    /* u64: 0 off, 1 on */
    LOAD_SEALED, /* u64: 1: no host calls at all (evaluating a manifest) */
    LOAD_SPEC,   /* u64: 1: the state of 'perilune test': host calls work in memory (lua/spec/) */
};

/* Fields of a URL event (core -> runner) and of an HTTP reply (runner -> core). */
enum {
    URL_METHOD = 1,
    URL_RAW_PATH,
    URL_RAW_QUERY,
    URL_HEADER, /* repeated: rec {1 lower-case name, 2 value}; same-name headers already joined by
                   "," */
    URL_COOKIE, /* repeated */
    URL_DOMAIN, /* Host of the request */
    URL_SOURCE_IP,
    URL_API_ID,
    URL_TIME_MS,  /* u64 wall */
    URL_BODY,     /* raw bytes */
    URL_STATUS,   /* u64, reply only */
    URL_PROTOCOL, /* "HTTP/1.1" */
    URL_IAM,      /* who signed: rec {1 access key, 2 ARN, 3 id} */
};

#endif
