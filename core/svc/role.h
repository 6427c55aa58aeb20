/* role: execution roles and their inline policies.
 *
 * Records live in T_ROLES; compiled policies are cached in memory and dropped when a write job
 * changes the role. */
#ifndef SVC_ROLE_H
#define SVC_ROLE_H

#include "auth/policy.h"
#include "base/rec.h"
#include "store/store.h"

struct roles;

struct roles *roles_open(struct store *s, const char *region);
void roles_close(struct roles *r);

/* T_ROLES record: fields ROLE_*. */
enum {
    ROLE_ID = 1, /* "AROA…" */
    ROLE_PATH,   /* "/" */
    ROLE_TRUST,  /* AssumeRolePolicyDocument, JSON text */
    ROLE_DESCRIPTION,
    ROLE_CREATED_MS,    /* u64 */
    ROLE_POLICY,        /* repeated: rec {1 name, 2 document} */
    ROLE_MAX_SESSION_S, /* u64 */
};

/* 0 when the role allows it; E_DENIED with a text that names the statement that is missing (or the
 * Deny): `User: <role arn> is not authorized to perform: s3:GetObject on resource: arn:… because …`
 * A role that is gone denies. role_arn "" denies. */
int role_allows(struct roles *r, struct str role_arn, struct str action, struct str resource,
                struct err *err);
/* The same, also telling which of the two it was: *explicit_deny. */
int role_check(struct roles *r, struct str role_arn, const struct policy_query *q,
               bool *explicit_deny, struct err *err);

/* In any transaction: the raw record, by name or ARN (path included); E_NOT_FOUND. */
int role_get(struct store_txn *t, struct str name, struct str *rec);
/* In a job: is there a role with that ARN, and does lambda.amazonaws.com may assume it? 0, or
 * E_INVALID with AWS's text. */
int role_assumable_by_lambda(struct store_txn *t, struct str role_arn, struct err *err);
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
/* Appends a record without policies. */
void role_build(struct buf *out, const struct role_spec *spec);
/* Appends the role's ARN, from its name and record. */
void role_arn(struct buf *out, struct str name, struct str rec);

/* Inline policies of a record: one's document (E_NOT_FOUND), or each in turn (*rest starts as the
 * record). */
int role_policy_get(struct str rec, struct str policy, struct str *document);
bool role_policy_next(struct str *rest, struct str *name, struct str *document);
/* In a job: adds or replaces one, or removes it. E_NOT_FOUND (no role, or nothing to remove),
 * E_QUOTA. The document has been checked by policy_parse. */
int role_policy_put(struct store_txn *t, struct str role, struct str policy, struct str document,
                    struct err *err);
int role_policy_del(struct store_txn *t, struct str role, struct str policy, struct err *err);

#endif
