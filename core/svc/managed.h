/* managed: policies that stand by themselves and are attached to users and roles.
 *
 * Those of the account are rows of T_POLICIES with up to five numbered versions, of which one is in
 * force; the built-in ones ("arn:aws:iam::aws:policy/…") are a table in here and have one version.
 * Nothing counts attachments: who wants to know walks the entities. Functions that write run inside
 * jobs; whoever submits the job tells the caches (identity_policy_changed). */
#ifndef SVC_MANAGED_H
#define SVC_MANAGED_H

#include "base/rec.h"
#include "store/store.h"

enum {                 /* stored: never renumber */
       MANAGED_ID = 1, /* "ANPA…" */
       MANAGED_PATH,
       MANAGED_DESCRIPTION,
       MANAGED_CREATED_MS, /* u64 */
       MANAGED_UPDATED_MS, /* u64 */
       MANAGED_DEFAULT,    /* u64: number of the version in force */
       MANAGED_LAST,       /* u64: the last number given */
       MANAGED_VERSION,    /* repeated: rec {1 number u64, 2 document, 3 created ms u64} */
       MANAGED_TAG,        /* repeated: rec {1 key, 2 value} */
};
enum { MANAGED_VERSIONS_MAX = 5, MANAGED_BYTES_MAX = 6144, MANAGED_NAME_MAX = 128 };

struct managed_version {
    uint64_t number;
    struct str document;
    int64_t created_ms;
};

/* "arn:aws:iam::000000000000:policy[/PATH]/NAME" -> NAME; p NULL when it is none of the account's. */
struct str managed_name_of(struct str arn);
void managed_arn(struct buf *out, struct str name, struct str rec);

/* A built-in policy as a record of the same fields; in ARN order. False past the last. rec is
 * appended to. */
bool managed_builtin(size_t i, struct str *arn, struct str *name, struct buf *rec);

/* In any transaction. The record behind an ARN, built-in or not, appended to out; or the document in
 * force (borrowed from t). E_NOT_FOUND with AWS's text, also when the ARN's path is another. */
int managed_get(struct store_txn *t, struct str arn, struct buf *out, struct err *err);
int managed_document(struct store_txn *t, struct str arn, struct str *document);

/* Versions of a record: each in turn (*rest starts as the record), or one by "v3". */
bool managed_version_next(struct str *rest, struct managed_version *v);
int managed_version_get(struct str rec, struct str arn, struct str version,
                        struct managed_version *v, struct err *err);

/* Inside jobs. */
int managed_create(struct store_txn *t, struct str name, struct str rec, struct err *err);
int managed_put(struct store_txn *t, struct str name, struct str rec);
/* E_CONFLICT while it is attached or has versions besides the one in force. */
int managed_delete(struct store_txn *t, struct str arn, struct err *err);
/* Adds a version (*number out), made the one in force when `make_default`. */
int managed_version_add(struct store_txn *t, struct str arn, struct str document, int64_t now_ms,
                        bool make_default, uint64_t *number, struct err *err);
int managed_version_del(struct store_txn *t, struct str arn, struct str version, struct err *err);
int managed_version_set(struct store_txn *t, struct str arn, struct str version, struct err *err);
/* How many entities a policy is attached to. */
size_t managed_attached(struct store_txn *t, struct str arn);

/* Starts a record of the account with one version. */
struct managed_spec {
    struct str path, description, document;
    int64_t now_ms;
};
void managed_build(struct buf *out, const struct managed_spec *spec);

#endif
