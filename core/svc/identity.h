/* identity: who signs, and what they may do.
 *
 * From an access key (and a session token) to an identity and the secret that its signatures are
 * checked with; from an identity to a decision. An identity holds names only, no pointers into
 * caches: each decision asks for the policies anew, so a change takes effect at the next one, be it
 * in the middle of a request. Knows nothing of HTTP. Loop thread only. */
#ifndef SVC_IDENTITY_H
#define SVC_IDENTITY_H

#include "base/arena.h"
#include "svc/access_key.h"
#include "svc/principal.h"
#include "svc/role.h"
#include "svc/session.h"

enum identity_kind { IDENTITY_ANONYMOUS, IDENTITY_ROOT, IDENTITY_USER, IDENTITY_ROLE };

struct identity {
    enum identity_kind kind;
    bool root;          /* may do everything that no resource policy denies */
    struct str arn;     /* "arn:aws:iam::000000000000:root", "…:user/NAME",
                           "arn:aws:sts::000000000000:assumed-role/ROLE/SESSION"; "" anonymous */
    struct str user_id; /* as GetCallerIdentity and events give it: "AIDA…", "AROA…:SESSION" */
    struct str access_key;
    struct str name;          /* the user's or role's */
    struct str id;            /* its id */
    struct str principal_arn; /* aws:PrincipalArn: the user's or role's ARN */
    struct str token;         /* of a session, else "" */
    int64_t issued_ms;        /* of a session's token */
    int64_t expires_ms;
};

struct identities;

struct identities_opts {
    uv_loop_t *loop;
    struct store *store;
    struct roles *roles;
    struct str root_access_key, root_secret; /* for as long as the server runs */
};
struct identities *identities_open(const struct identities_opts *o);
/* Before the store closes. */
void identities_close(struct identities *ids);

/* Who bears that access key and token ("" none): fills *out and *secret, both in the arena. 0;
 * E_TOKEN_EXPIRED, with both filled, so that the signature can be checked all the same;
 * E_BAD_ACCESS_KEY (no such key, inactive, or temporary and without its token), E_BAD_TOKEN,
 * E_LIMIT, E_IO. */
int identity_find(struct identities *ids, struct str access_key, struct str token,
                  struct arena *arena, struct identity *out, struct str *secret);
/* A signature of that key was good. */
void identity_used(struct identities *ids, const struct identity *who, struct str service,
                   struct str region);

/* May `who` do what q says, against the resource's own policy (guard, may be NULL)? Adds to q who
 * asks (principal, principal_role, the keys aws:PrincipalArn, aws:username, …). E_DENIED with AWS's
 * text. */
int identity_allows(struct identities *ids, const struct identity *who,
                    const struct policy_guard *guard, const struct policy_query *q,
                    struct err *err);

struct principals *identity_users(struct identities *ids);
struct access_keys *identity_keys(struct identities *ids);
/* After the commit of a write: forget what was compiled. */
void identity_user_changed(struct identities *ids, struct str user);
void identity_key_changed(struct identities *ids, struct str access_key);
void identity_policy_changed(struct identities *ids); /* a managed policy */

#endif
