/* session: temporary credentials, as STS gives them out.
 *
 * Nothing is stored. The session token is the session's record, sealed under the master key and
 * bound to its access key id: whoever brings a token of ours brings secret, role, time of expiry and
 * session policies along, and can have made up none of them. What cannot be taken back this way ends
 * with its role or user: the token holds the id of that very role, so one made anew under the same
 * name is another. Tokens seen lately are kept open, bounded. Loop thread only. */
#ifndef SVC_SESSION_H
#define SVC_SESSION_H

#include "auth/policy.h"
#include "base/rec.h"
#include "store/store.h"
#include "svc/recent.h"

enum session_of { SESSION_OF_ROLE = 1, SESSION_OF_USER, SESSION_OF_ROOT };
enum { SESSION_TOKEN_MAX = 12 * 1024 };

struct session_spec {
    enum session_of of;
    struct str name, id;           /* of the role or user */
    struct str session_name;       /* roles */
    struct str access_key, secret; /* "ASIA…" */
    int64_t issued_ms, expires_ms;
    struct str policy; /* session policy, "" none */
    const struct str *policy_arns;
    size_t policy_arn_count;
};
/* Appends the token. */
void session_token(const struct store *s, const struct session_spec *spec, struct buf *out);

struct session { /* until the next call of a function here */
    struct recent_entry entry;
    enum session_of of;
    struct str name, id, session_name, secret;
    int64_t issued_ms, expires_ms;
    bool limited; /* has session policies: only what they allow too */
    struct policy **policies;
    size_t count;
    struct str access_key, token, rec; /* in memory */
    struct buf memory;
};

struct sessions;

struct sessions *sessions_open(struct store *s);
void sessions_close(struct sessions *s);
/* NULL: not a token of ours, or not of that access key. Expiry is the caller's to look at. */
const struct session *session_find(struct sessions *s, struct str access_key, struct str token);
/* Managed policies have changed. */
void sessions_clear(struct sessions *s);

#endif
