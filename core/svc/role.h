/* role: execution roles: what they may do, and their records.
 *
 * Records live in T_ROLES, with the fields of svc/entity.h; their compiled form is kept by
 * svc/principal and dropped when a write job changes the role. */
#ifndef SVC_ROLE_H
#define SVC_ROLE_H

#include "svc/principal.h"

struct roles;

struct roles *roles_open(struct store *s, const char *region);
void roles_close(struct roles *r);

/* The roles, compiled. */
struct principals *role_principals(struct roles *r);

/* 0 when the role allows it; E_DENIED with a text that names the statement that is missing (or the
 * Deny): `User: <role arn> is not authorized to perform: s3:GetObject on resource: arn:… because …`
 * A role that is gone denies. role_arn "" denies. */
int role_allows(struct roles *r, struct str role_arn, struct str action, struct str resource,
                struct err *err);
/* The same for a session of the role ("" : none), against the resource's own policy (guard, may be
 * NULL), also telling which of the two it was: *explicit_deny. */
int role_check(struct roles *r, struct str role_arn, struct str session,
               const struct policy_guard *guard, const struct policy_query *q, bool *explicit_deny,
               struct err *err);

/* In any transaction: the raw record, by name or ARN (path included); E_NOT_FOUND. */
int role_get(struct store_txn *t, struct str name, struct str *rec);
/* In any transaction: is there a role with that ARN, and may that service assume it, on behalf of
 * source_arn ("": of nothing)? 0, or E_INVALID. */
int role_assumable(struct store_txn *t, struct str role_arn, const char *service,
                   struct str source_arn);
/* In a job: is there a role with that ARN, and may lambda.amazonaws.com assume it? 0, or
 * E_INVALID with AWS's text. */
int role_assumable_by_lambda(struct store_txn *t, struct str role_arn, struct err *err);
/* Who may assume it, compiled; NULL: there is no such role. The caller frees it. */
struct policy *role_trust(struct store *s, struct str role_arn);
/* In a job: writes or replaces the record (role_build makes it), or removes it. role_changed must
 * be called from the job's done. */
int role_put(struct store_txn *t, struct str name, struct str rec);
int role_del(struct store_txn *t, struct str name);
/* Loop thread, after the commit: forgets the compiled form. */
void role_changed(struct roles *r, struct str name);
/* "arn:aws:iam::000000000000:role[/PATH]/NAME" -> NAME; p NULL when it is none. */
struct str role_name_of(struct str arn);

/* What role_build makes a record of. */
struct role_spec {
    struct str id;   /* "AROA…"; empty: a new one */
    struct str path; /* empty: "/" */
    struct str trust, description;
    int64_t created_ms;
    uint64_t max_session_s; /* 0: 3600 */
};
/* Appends a record without policies; those, and the ARN, are svc/entity.h's. */
void role_build(struct buf *out, const struct role_spec *spec);

#endif
