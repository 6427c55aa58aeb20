/* lambda: what the handlers of the Lambda API share. */
#ifndef API_LAMBDA_H
#define API_LAMBDA_H

#include "api/gate.h"
#include "svc/function.h"

/* Judges path, query, headers and body by the table of constraints (lambda_check.def): E_VALIDATION
 * with all that is wrong. lambda_target does it; handlers without a target call it. */
int lambda_check(struct call *c, struct err *err);

/* The function that c->param[0] and ?Qualifier= name; qualifier "" when none is given.
 * E_VALIDATION, E_INVALID (they disagree), E_NOT_FOUND (another region or account), with AWS's
 * texts. */
int lambda_target(struct call *c, struct str *name, struct str *qualifier, struct err *err);
/* For what belongs to a function as a whole: E_INVALID for a version or an alias. */
int lambda_whole_target(struct call *c, struct str *name, struct err *err);
/* The same from any text that names a function. */
int lambda_name(struct call *c, struct str text, struct str *name, struct str *qualifier,
                struct err *err);
/* An answer in parts (lambda_stream.c): where invoke puts them, NULL without memory, and what is then
 * its done, whose ctx is the stream's. Takes a reference of fn. */
struct invoke_result;
struct invoke_stream *lambda_stream(struct call *c, struct fn *fn);
void lambda_stream_invoked(void *ctx, const struct invoke_result *r);
/* The error of an invocation that did not run. */
void lambda_reply_unrun(struct call *c, const struct invoke_result *r);

/* The same for a function as a whole. */
int lambda_whole_name(struct call *c, struct str text, struct str *name, struct err *err);
/* "arn:…:function:NAME[:QUALIFIER]" in the arena. */
struct str lambda_arn(struct call *c, struct str name, struct str qualifier);

/* A FunctionConfiguration of a T_FUNCTIONS record; qualifier "" for an unqualified ARN. */
json_t *lambda_configuration(struct call *c, struct str rec, struct str qualifier);
/* The function's tags as an object, its reserved concurrency as {"ReservedConcurrentExecutions"} or
 * {}; of $LATEST's row. */
json_t *lambda_tags(struct str rec);
json_t *lambda_reserved(struct str rec);
/* A link, good for ten minutes, to the zip that a version's row names. */
struct str lambda_package_link(struct call *c, struct str rec);
/* Answers with that, as it is stored now, with the row's status. */
void lambda_reply_configuration(struct call *c, struct str name, struct str qualifier);
/* Members of CreateFunction and UpdateFunctionConfiguration into *out, borrowed from c->json and
 * the arena. E_BAD_JSON, E_VALIDATION, E_INVALID. */
int lambda_read_spec(struct call *c, struct fn_spec *out, struct err *err);
/* The member Architectures, of code; the member Tags as pairs in the arena. */
int lambda_read_architecture(struct call *c, struct fn_spec *out, struct err *err);
int lambda_read_tags(struct call *c, const struct fn_env **out, size_t *count, struct err *err);

/* What UpdateFunctionCode does, for a zip in the arena; ends the call. */
void lambda_update_code(struct call *c, struct str name, struct str zip, bool publish,
                        struct str revision_id);

/* A page of a list, by ?Marker= and ?MaxItems=. Zeroed and filled by lambda_page_begin (E_VALIDATION
 * with AWS's text); lambda_page_add takes an item and the marker that stands for it, and is false
 * when the page is full; lambda_page_end answers with the member NAME and NextMarker, or with the
 * error. */
struct lambda_page {
    struct call *c;
    struct str marker;
    size_t limit;
    json_t *items;
    struct str last; /* marker of the last item, in the arena */
    bool more;
};
enum { LAMBDA_PAGE = 50 };
int lambda_page_begin(struct lambda_page *p, struct call *c, struct err *err);
bool lambda_page_add(struct lambda_page *p, struct str marker, json_t *item /* taken */);
void lambda_page_end(struct lambda_page *p, const char *member, int rc, const struct err *err);
/* A page over what a function's versions ($LATEST first) and then its aliases have: answers. `one` is
 * given a lambda_listing and is false when the page is full; absent: what is said when there is no
 * such function, NULL for the usual. */
struct lambda_listing {
    struct lambda_page page;
    struct str name;
};
void lambda_list_qualifiers(struct call *c, const char *member, const char *absent,
                            bool (*one)(void *listing, struct str qualifier, struct str rec));

/* One write job of a handler: apply in the store's thread, then either the call's error or `reply`
 * (after the cache has been told that NAME changed). Lies in the arena; embed it first. */
struct lambda_job {
    struct job job;
    struct call *c;
    struct str name; /* of the function */
    struct err err;
    void (*reply)(struct lambda_job *j);
    /* called before the answer, whatever it is; may be NULL */
    void (*clean)(struct lambda_job *j);
};
/* A reply without a body, with the row's status. */
void lambda_reply_empty(struct lambda_job *j);
void lambda_submit(struct lambda_job *j, struct call *c, struct str name,
                   int (*apply)(struct job *job, struct store_txn *t),
                   void (*reply)(struct lambda_job *j));

#endif
