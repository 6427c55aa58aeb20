/* hostcall_tags: the numbers and field tags of host calls, shared by the core (hostcall.c) and the
 * runner's modules. Arguments and results are recs (base/rec.h); u64 fields are marked, all others
 * are bytes. */
#ifndef SVC_HOSTCALL_TAGS_H
#define SVC_HOSTCALL_TAGS_H

enum hostcall_number {
    HC_CALL_NONE_,
#define X(number, name, action, resource) number,
#include "svc/hostcall.def"
#undef X
    HC_CALL_COUNT
};

enum hostcall_tag {
    HC_ERR_CODE = 1, /* errors: the Lua code of errors.def ("AccessDenied") */
    HC_ERR_TEXT, /* errors: a sentence; for a denial `"s3:GetObject" on "arn:…"` and the role */
    HC_NAME,     /* package.read: path in the package */
    HC_BODY,     /* package.read result, s3.get result, s3.put argument: bytes */
    HC_MS,       /* time.sleep: u64 milliseconds */
    HC_BUCKET,
    HC_KEY,
    HC_RANGE, /* s3.get: "bytes=0-99" as HTTP has it */
    HC_CONTENT_TYPE,
    HC_META,          /* repeated: rec {1 name, 2 value} */
    HC_IF_NONE_MATCH, /* u64 1: only when absent */
    HC_ETAG,          /* without quotes */
    HC_SIZE,          /* u64: whole object's bytes */
    HC_LAST_MODIFIED, /* u64 ms since 1970 */
    HC_PREFIX,
    HC_DELIMITER,
    HC_CURSOR, /* s3.list: opaque; absent on the first and in the last page */
    HC_LIMIT,  /* u64 rows of a page, default 1000 */
    HC_ENTRY,  /* s3.list result, repeated: rec {HC_KEY, HC_SIZE, HC_ETAG, HC_LAST_MODIFIED} */
    HC_COMMON_PREFIX, /* s3.list result, repeated */
    HC_NAMESPACE,
    HC_VALUE,      /* kv: bytes */
    HC_VERSION,    /* kv: u64 */
    HC_TTL_MS,     /* kv.set: u64 */
    HC_IF_ABSENT,  /* kv.set: u64 1 */
    HC_IF_VERSION, /* kv.set, kv.delete: u64 */
    HC_N,          /* kv.incr: i64 as u64, default 1; result: the new number likewise */
    HC_INIT,       /* kv.incr: i64 as u64, default 0 */
    HC_FUNCTION,
    HC_QUALIFIER,
    HC_PAYLOAD,        /* JSON text */
    HC_FUNCTION_ERROR, /* lambda.invoke result: u64 1 when HC_PAYLOAD is an error object */
    HC_DELAY_MS,       /* lambda.invoke_async: u64 */
    HC_REQUEST_ID,
    HC_EXISTS, /* u64 1: kv.get found it */
    /* kv.list: prefix, cursor and limit as s3.list; HC_ENTRY: {HC_KEY, HC_VALUE, HC_VERSION} */
    HC_OP,       /* kv.commit, repeated: rec {HC_KIND, …} */
    HC_KIND,     /* u64 OP_* */
    HC_KEEP_TTL, /* u64 1: the write leaves the expiry as it is */
    HC_URL,
    HC_METHOD,  /* default GET */
    HC_HEADERS, /* repeated: rec {1 name, 2 value}; of an answer: names in lower case, each once */
    HC_MAX_BYTES,   /* u64: of the answer's body */
    HC_STATUS,      /* u64 */
    HC_FROM_BUCKET, /* s3.copy: HC_BUCKET and HC_KEY are the target */
    HC_FROM_KEY,
    HC_EXPIRES_S, /* s3.presign: u64; HC_METHOD as http.request has it; result: HC_URL */
    HC_HANDLE,    /* u64: s3.open, s3.create gave it */
    HC_LEFT,      /* u64: s3.open, s3.read result: bytes still to come */
};

/* Parts of a kv.commit. */
enum hostcall_op {
    OP_CHECK = 1, /* HC_NAMESPACE, HC_KEY bears HC_VERSION (0: is absent) */
    OP_SET,       /* HC_NAMESPACE, HC_KEY, HC_VALUE, HC_TTL_MS or HC_KEEP_TTL */
    OP_DELETE,    /* HC_NAMESPACE, HC_KEY */
    OP_INVOKE,    /* HC_FUNCTION, HC_QUALIFIER, HC_PAYLOAD, HC_DELAY_MS */
};

#endif
