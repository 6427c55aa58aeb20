/* url_call: one call of a function URL, as the files that serve it share it.
 *
 *     url.c        from the request to the invocation
 *     url_cors.c   what browsers are told about pages of other origins
 *     url_reply.c  the answer, whole or as the function writes it */
#ifndef API_URL_CALL_H
#define API_URL_CALL_H

#include "api/gate.h"
#include "base/work.h"
#include "svc/function.h"
#include "svc/invoke.h"

enum { URL_CORS_HEADERS = 6 };

struct url_call {
    struct services *svc;
    struct http_req *req;
    struct fn *fn;       /* until invoke has it */
    struct str raw_path; /* from the slash after the function's name on */
    struct str arn;      /* as invoked */
    struct call *caller; /* who signs, where the URL wants that; else NULL */
    struct work work;    /* checks a large body's signature */
    struct str body;
    int body_rc;
    struct err *body_err;
    struct buf event; /* malloc'd when there is a large body, else in the arena */
    bool event_malloced;
    bool cors; /* the configuration answers for the function's own access-control-* headers */
    struct http_header cors_headers[URL_CORS_HEADERS];
    size_t cors_count;
    struct invoke_stream stream; /* RESPONSE_STREAM */
    void (*resume)(void *arg);
    void *resume_arg;
};

/* Headers that concern one connection only. */
bool url_is_hop(struct str name);

/* url_cors.c: u->cors_headers, when the request comes from an origin that is let in. */
void url_cors_headers(struct url_call *u);
/* A preflight that the configuration answers: ends the request. */
bool url_cors_preflight(struct url_call *u);

/* url_reply.c. u: cors headers are added; NULL: none. */
void url_reply_error(struct http_req *req, const struct url_call *u, int rc, const struct err *err);
/* done of the invocation. */
void url_invoked(void *ctx, const struct invoke_result *r);
/* For a URL that streams. */
struct invoke_stream *url_stream(struct url_call *u);

#endif
