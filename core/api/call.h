/* call: one API request on its way through the gate, as the handlers see it.
 *
 * gate.c does the fixed steps for every row of ops.def (identify, route, authorise, limit, take the
 * body, check its hash); a handler reads the call and ends it with exactly one call_* reply, now or
 * later. Errors are encoded by the row's protocol. */
#ifndef API_CALL_H
#define API_CALL_H

#include <jansson.h>

#include "net/http.h"
#include "svc/guard.h"
#include "svc/identity.h"
#include "svc/object.h"

/* What the server is made of; filled once by main. */
struct services {
    uv_loop_t *loop;
    const char *region;
    struct store *store;
    struct functions *functions;
    struct roles *roles;
    struct identities *identities;
    struct guards guards;
    struct pool *pool;
    struct queue *queue;
    struct schedules *schedules; /* svc/schedule.h */
    struct objects *objects;
    struct bucket_policies *policies; /* svc/bucket_policy.h */
    struct logs *logs;
    struct deploy_env *deploy;       /* svc/deploy.h */
    struct blueprint_env *blueprint; /* svc/blueprint.h */
    struct str trusted_proxy;        /* --trusted-proxy: an address; "" for none */
    struct str domain;               /* --domain: buckets are hosts below it; "" for none */
    struct str root_access_key, root_secret;
    const char *endpoint;     /* the API's URL, in links */
    const char *public_url;   /* --public-url: the same, when it was told; else "" */
    json_t *settings;         /* the flags it was started with (GET /perilune/v1/settings) */
    struct signins *signins;  /* svc/signin.h */
    struct pulse *pulse;      /* svc/pulse.h */
    int64_t lifecycle_day_ms; /* --lifecycle-day */
    struct upkeep *upkeep;    /* api/upkeep.h; NULL: none under way */
    struct trend *trend;      /* svc/trend.h */
    const char *console_url;  /* where the console is; "" without one */
    bool behind_tls_proxy;    /* what arrives here was TLS at the proxy before us */
    uint64_t concurrency;     /* of the account: --concurrency */
    int64_t started_ms;
};

enum protocol { PROTO_REST_JSON, PROTO_S3, PROTO_QUERY, PROTO_JSON11, PROTO_PLAIN };

/* The form of a body, as x-amz-content-sha256 names it (S3). */
enum payload {
    PAYLOAD_WHOLE,            /* its hash was signed, if not in the head then when it has come */
    PAYLOAD_UNSIGNED,         /* UNSIGNED-PAYLOAD */
    PAYLOAD_CHUNKS,           /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD: aws-chunked, each signed */
    PAYLOAD_CHUNKS_TRAILER,   /* …-TRAILER: and a signed trailer */
    PAYLOAD_UNSIGNED_TRAILER, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER: aws-chunked */
};

struct op; /* a row of ops.def, see gate.h */

struct call {
    struct http_req *req;
    struct services *svc;
    const struct op *op;
    enum protocol protocol;
    struct identity who;
    struct arena *arena;   /* the request's */
    struct str param[3];   /* path parameters, decoded: {f} {a} …; S3: bucket, key */
    struct str body;       /* collected bodies */
    bool scanned, is_json; /* scanned: is_json tells whether the body is one JSON text */
    json_t *json; /* parsed body of JSON operations (an object; {} when empty); freed by the gate */
    const struct xml_node *xml; /* parsed body of XML operations, in the arena */
    bool promised;              /* S3: a header promised a digest of the collected body */
    enum payload payload;
    struct str expect_sha256;      /* streamed bodies: hex to compare with, p NULL when unsigned */
    void *user;                    /* the handler's */
    struct call_private *private_; /* the gate's */
};

/* Query parameter, decoded into the arena; p NULL when absent, "" when without value. For
 * PROTO_QUERY also the form's fields. */
struct str call_query(struct call *c, const char *name);
/* Request header; p NULL when absent. Presigned links may bear x-amz-* headers in their query, which
 * stand for the header where that is absent (all but checksums: AWS takes no notice of those). */
struct str call_header(const struct call *c, const char *name);
/* Walks the headers, then those that a presigned link bears: *at starts as 0; false at the end. */
bool call_header_next(const struct call *c, size_t *at, struct str *name, struct str *value);

/* Extra response header, before the reply. The value is copied; name is a literal or in the arena.
 */
void call_set_header(struct call *c, const char *name, struct str value);
/* BODY_STREAM only, before anything that the body does is made to last: hands over the hex SHA-256
 * of what came. 0, or E_BAD_SHA256 / E_BAD_SIGNATURE. (S3 handlers may instead give expect_sha256
 * to the store and skip this.) Services whose clients send no x-amz-content-sha256 are only now
 * fully authenticated, and asked whether they may; loop thread. */
int call_body_check(struct call *c, struct str sha256_hex, struct err *err);

/* Replies. Each ends the call: c is invalid afterwards. */
void call_json(struct call *c, int status, json_t *json /* taken */);
void call_bytes(struct call *c, int status, const char *content_type, struct str body);
/* The same for a large body in malloc'd memory, which is taken (http_reply_owned). */
void call_owned(struct call *c, int status, const char *content_type, struct str body, char *owner);
void call_xml(struct call *c, int status, const struct buf *xml);
void call_empty(struct call *c, int status);
/* PROTO_QUERY, 200: <NameResponse><NameResult>inner</NameResult><ResponseMetadata>…; with inner
 * NULL no result element. */
void call_result(struct call *c, const struct buf *inner);
/* code E_*, err optional. */
void call_error(struct call *c, int code, const struct err *err);
/* Streamed: head with the protocol's usual headers, then http_reply_write/end on c->req; ends by
 * call_stream_end. */
void call_stream_begin(struct call *c, int status, const char *content_type, int64_t length);
void call_stream_end(struct call *c, bool ok);
/* Where the caller reaches the API, without a slash at the end, in the arena: --public-url, else the
 * host that he named; p NULL past the arena's limit. */
struct str call_base_url(struct call *c);
/* "arn:aws:s3:::BUCKET[/KEY]" in the arena (key p NULL: of the bucket), whatever bytes the key holds;
 * p NULL past the arena's limit. */
struct str call_s3_arn(struct call *c, struct str bucket, struct str key);
/* May the caller do that? Its own policies, the resource's and those of its session are joined by
 * AWS's rules (permit.c). 0, or E_DENIED with "…because no identity-based policy allows…". For
 * checks beyond the row's own. */
int call_authorise(struct call *c, const char *action, struct str resource, struct err *err);
/* The same with condition keys that only the handler knows. */
int call_authorise_with(struct call *c, const char *action, struct str resource,
                        const struct policy_key *keys, size_t key_count, struct err *err);

/* For streams that go on: false once the console session that asked has ended, or the key behind
 * session or signature signs no more. */
bool call_lives(struct call *c);

/* XML text escape into a buffer: the five characters; what XML 1.0 cannot carry becomes U+FFFD. */
void xml_escape(struct buf *out, struct str s);
/* <name>escaped text</name> */
void xml_element(struct buf *out, const char *name, struct str text);

#endif
