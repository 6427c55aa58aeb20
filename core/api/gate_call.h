/* gate_call: what the gate keeps about a call besides what handlers see, and the steps that lie in
 * files of their own. Included by gate.c, route.c, resource.c, call.c, url.c, lambda_tags.c, s3_body.c
 * and the reply files only. */
#ifndef API_GATE_CALL_H
#define API_GATE_CALL_H

#include "api/gate.h"
#include "auth/sigv4.h"
#include "base/work.h"

struct call_param {
    struct str name, value; /* decoded, in the arena */
};

struct call_header {
    const char *name;
    struct str value;
    struct call_header *next;
};

struct call_private {
    struct sigv4_request sig; /* the request as sigv4 reads it */
    struct sigv4_claim claim;
    const struct gate_session *session; /* of the console; NULL: signed, or anonymous */
    struct str secret;                  /* of the claimed key; p NULL: unknown */
    int key_rc;                         /* 0, or what is wrong with the claimed key or token */
    bool used;                          /* the signature was good: to be noted, on the loop */
    bool authorised;                    /* the row's action has been asked for */
    bool verified;                      /* the signature has been checked */
    struct call_param *params;          /* of the query, then of the form */
    size_t param_count;
    struct call_header *headers, **headers_end; /* of the reply */
    size_t header_count;
    uint64_t budget; /* bytes of the gate's budget for bodies that this call holds */
    uint64_t began_ns;
    int stream_status;    /* of a reply that is under way */
    struct s3_body *body; /* taken by s3_body.c */
    /* set on the pool or in place: see gate.c */
    struct work work;
    char sha256[65];
    struct ahead *ahead; /* NULL: the body is looked at when it is whole */
    struct err *refusal; /* found by the route, told once the signature has been checked */
    json_t *json;
    int json_rc;
    struct err *json_err;
};

/* route.c */
/* Which protocol to answer in when no signature has named a service. */
enum protocol route_guess(const struct services *svc, const struct http_req *req);
/* The protocol of a credential scope's service; false: none of ours. */
bool route_protocol(struct str service, enum protocol *out);
/* The bucket that the request's host names (BUCKET.DOMAIN); "" when it names none. */
struct str route_host_bucket(const struct services *svc, const struct http_req *req);
/* S3: sets c->param to bucket and key, decoded, and returns the scope as ops.def writes it; NULL on a
 * broken escape. */
const char *route_s3_split(struct call *c);
/* Finds the row: sets c->op and c->param. For PROTO_QUERY before the form is read the row found is
 * a placeholder that takes the body; route_action then finds the real one. E_UNKNOWN_OPERATION,
 * E_NOT_IMPLEMENTED, E_METHOD, E_BAD_URI with text. */
int route_find(struct call *c, struct err *err);
int route_action(struct call *c, struct err *err);

/* resource.c: the ARN the row's action is checked on, into the arena. */
int resource_arn(struct call *c, struct str *out);
/* It lies in the body. */
bool resource_in_body(const struct op *op);

/* call.c: appends the decoded fields of a query or form to the call's. E_BAD_URI, E_LIMIT. */
int call_fields(struct call *c, struct str text, struct err *err);
/* Decodes one of them into the arena; '+' is a blank. false on a broken escape or a full arena. */
bool call_decode(struct call *c, struct str s, struct str *out);

/* reply_error.c: the namespace of IAM's and STS's answers. */
const char *call_xmlns(const struct call *c);
/* What stands in x-amz-id-2 and <HostId>: opaque to clients. */
#define CALL_HOST_ID TRIGGER_HOST_ID

/* permit.c: has the bucket call.param[0] a policy that strangers are judged by? */
bool call_stranger_is_heard(struct call *c);

/* s3_digest.c: compares body with Content-MD5 and x-amz-checksum-*; *promised: there was one.
 * E_INVALID_DIGEST, E_BAD_REQUEST, E_BAD_DIGEST. Any thread. */
int s3_digest_check(const struct call *c, struct str body, bool *promised, struct err *err);

/* gate.c: checks the signature over that payload hash. E_BAD_ACCESS_KEY for an unknown key, else
 * sigv4_verify's. */
int gate_verify(struct call *c, struct str payload_hash, struct err *err);
/* call.c: the body's hash against what was promised and signed. Any thread. */
int gate_body_check(struct call *c, struct str sha256_hex, struct err *err);
/* gate.c: who signs a request that is no operation (a function's URL)? The scope must name
 * `service`. 0 and *out, to be asked with call_authorise_with (never for a handler or a reply): its
 * `who` is what the head claims until gate_body_check has compared the body too, which it must when
 * private_->verified is false or expect_sha256 is set. E_NO_AUTH when nobody signs, or what is wrong
 * with the signature. */
int gate_identify(struct services *svc, struct http_req *req, const char *service,
                  struct call **out, struct err *err);
/* gate.c: notes the use of the key whose signature was good. Loop thread. */
void gate_note_use(struct call *c);
/* gate.c: the row's action on the row's resource, once; nobody is told what a key may do before its
 * signature has been found good. Loop thread. */
int gate_authorise(struct call *c, struct err *err);
/* Ends the call's accounts; the reply functions call it just before the reply goes out. */
void gate_settle(struct call *c, int status);

#endif
