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

/* What the policy of the bucket that q->resource lies in says. POLICY_NONE: nothing, no policy, no
 * such bucket, not of S3. A bucket that restricts public access hears nothing from strangers (no
 * principal). 0, or E_INTERNAL. */
int bucket_policy_effect(struct bucket_policies *p, const struct policy_query *q,
                         enum policy_effect *out);

/* May the text be this bucket's policy? E_BAD_POLICY with S3's text, E_POLICY_LENGTH. */
int bucket_policy_check(struct str json, struct str bucket, struct err *err);
/* Does it let everybody in, as S3 judges it: an Allow for any principal that no condition narrows to
 * fixed addresses, accounts, organisations or sources. */
bool bucket_policy_is_public(struct str json);
/* In any transaction: is one of the switches (PUBLIC_ACCESS_*) on? */
bool bucket_public_access_blocked(struct store_txn *t, struct str bucket, uint16_t which);

#endif
