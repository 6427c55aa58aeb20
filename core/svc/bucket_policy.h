/* bucket_policy: what a bucket's own policy says about a request, and what makes it public.
 *
 * A document is compiled when it is first asked and kept while its row stays what it was. Loop
 * thread only. */
#ifndef SVC_BUCKET_POLICY_H
#define SVC_BUCKET_POLICY_H

#include "auth/policy.h"
#include "store/store.h"

enum { BUCKET_POLICY_MAX = 20 * 1024 }; /* bytes, as in S3 */

/* Tags of CONF_PUBLIC_ACCESS's rules: u64, 1 when set. */
enum {
    PUBLIC_ACCESS_BLOCK_ACLS = 1,
    PUBLIC_ACCESS_IGNORE_ACLS,
    PUBLIC_ACCESS_BLOCK_POLICY,
    PUBLIC_ACCESS_RESTRICT,
};

struct bucket_policies;
struct bucket_policies *bucket_policies_open(struct store *s);
void bucket_policies_close(struct bucket_policies *p);

/* The policy of the bucket that an ARN lies in, valid until the next call; NULL: no policy, no such
 * bucket, not of S3, or a stranger (nobody signs) before a bucket that restricts public access. One
 * that cannot be read, which may have been a Deny, denies everything. */
const struct policy *bucket_policy_find(struct bucket_policies *p, struct str resource,
                                        bool stranger);

/* May the text be this bucket's policy? E_BAD_POLICY with S3's text, E_POLICY_LENGTH. */
int bucket_policy_check(struct str json, struct str bucket, struct err *err);
/* Does it let everybody in, as S3 judges it: an Allow for any principal that no condition narrows to
 * fixed addresses, accounts, organisations or sources. */
bool bucket_policy_is_public(struct str json);
/* In any transaction: is one of the switches (PUBLIC_ACCESS_*) on? */
bool bucket_public_access_blocked(struct store_txn *t, struct str bucket, uint16_t which);

#endif
