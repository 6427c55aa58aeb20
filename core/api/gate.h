/* gate: the fixed way of every API request, as steps on a row of ops.def.
 *
 *   parse -> authenticate -> route -> authorise -> limit -> take the body -> check its hash ->
 *   parse it -> handler
 *
 * No handler repeats a step: when it runs, the caller is known, may do what the row's action says
 * on the row's resource, and the body (if the row takes one) is complete and is what was signed.
 * Rows live in ops_<service>.def; a new operation is one row there and one handler. */
#ifndef API_GATE_H
#define API_GATE_H

#include "api/call.h"

enum op_body {
    BODY_NONE,    /* nothing is expected; what comes is read (<= 64 KiB), checked and ignored */
    BODY_BYTES,   /* collected into call.body; too large: E_LIMIT */
    BODY_PAYLOAD, /* the same; too large: E_PAYLOAD_LIMIT */
    BODY_JSON,    /* collected and parsed into call.json, an object; an empty body is {} */
    BODY_XML,     /* collected and parsed into call.xml, whatever its root; an empty body is NULL */
    BODY_FORM,    /* collected; its fields are call_query's */
    BODY_STREAM,  /* left to the handler (http_body_stream); see call.expect_sha256, call_body_check
                   */
};

/* Which ARN the row's action is checked on. {0} {1}: path parameters. */
enum op_resource {
    RES_ANY,            /* "*"; S3: arn:aws:s3:::*, logs: a group without a name, as AWS has it */
    RES_FUNCTION,       /* {0} in any form a function may be named, ?Qualifier= */
    RES_WHOLE_FUNCTION, /* the same without its qualifier */
    RES_FUNCTION_JSON,  /* the same from the member FunctionName; checked once the body is parsed */
    RES_BUCKET,         /* arn:aws:s3:::{0} */
    RES_OBJECT,         /* arn:aws:s3:::{0}/{1} */
    RES_ROLE,           /* the ARN of the role RoleName (form field); a list's: role/ */
    RES_USER,           /* the same of UserName; absent: of the caller, when that is a user */
    RES_KEY_OWNER,      /* the ARN of the user whose key AccessKeyId is */
    RES_POLICY,         /* PolicyArn, or what Path and PolicyName will make */
    RES_POLICY_SOURCE,  /* PolicySourceArn */
    RES_ROLE_ARN,       /* RoleArn */
    RES_LOG_GROUP,      /* …:log-group:GROUP:log-stream:STREAM from logGroupName or
                          logGroupIdentifier, logStreamName */
    RES_RULE,           /* arn:aws:events:…:rule/NAME from the member Name */
    RES_RULE_TARGETS,   /* the same from the member Rule */
    RES_RULE_ARN,       /* the member ResourceARN, whatever it is */
    RES_SCHEDULE,       /* arn:aws:scheduler:…:schedule/default/{0} */
    RES_SCHEDULE_GROUP, /* arn:aws:scheduler:…:schedule-group/{0} */
    RES_PERILUNE,       /* arn:aws:perilune:REGION:ACCOUNT:KIND[/{0}], KIND the path's third segment
                     ("secret" for secrets); of schedules KIND/{0}/{1} */
};

struct op {
    const char *service; /* of the credential scope: "lambda" */
    const char *name;    /* "CreateFunction" */
    enum protocol protocol;
    const char *method;  /* REST_JSON, S3 */
    const char *pattern; /* REST_JSON: path; S3: scope "/", "/b", "/b/k"; JSON11: the target */
    const char *select;  /* S3: "" or the sub-resource, see ops.def */
    int status;          /* of success */
    enum op_body body;
    uint64_t body_limit;
    const char *action; /* "" : none is needed but a valid signature */
    enum op_resource resource;
    void (*handler)(struct call *c);
};

/* All rows, in the order of ops.def (ops.c); at most GATE_OPS_MAX. */
enum { GATE_OPS_MAX = 320 };
extern const struct op gate_ops[];
extern const size_t gate_op_count;

/* What the listener calls for each request; ctx is the struct services. */
void gate_request(struct http_req *req, void *ctx);

/* Whose session a request of the console bears, found by its token (console.c). */
struct gate_session {
    struct identity who; /* in the request's arena */
    char id[17];         /* svc/signin's */
};
/* Behind --trusted-proxy: req->peer becomes the address that the proxy names. */
void gate_take_peer(const struct services *svc, struct http_req *req);
/* The same walk for a call of the console: req->path and host are the API's already, nothing is
 * signed, `service` takes the credential scope's place. */
void gate_request_as(struct http_req *req, struct services *svc, const struct gate_session *session,
                     const char *service);

/* /url/<function>/…, signed or not: checks and answers by itself (url.c). */
void url_request(struct services *svc, struct http_req *req);

/* LAMBDA_PACKAGES…: a function's zip for whoever bears a link to it (lambda_package.c). */
#define LAMBDA_PACKAGES "/perilune/packages/"
void lambda_package_request(struct services *svc, struct http_req *req);

/* Handlers, one prototype per row. */
#define REST_JSON(service, name, method, pattern, status, body, limit, action, resource, handler)  \
    void handler(struct call *c);
#define S3(name, method, scope, select, status, body, limit, action, resource, handler)            \
    void handler(struct call *c);
#define QUERY(service, name, action, resource, handler) void handler(struct call *c);
#define JSON11(service, target, name, action, resource, handler) void handler(struct call *c);
#include "api/ops.def"
#undef REST_JSON
#undef S3
#undef QUERY
#undef JSON11

#endif
