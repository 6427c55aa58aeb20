/* entity: what roles and users have in common: their records, ids, ARNs, inline and attached
 * policies, tags.
 *
 * Both are rows NAME\0 -> rec of the fields below, in T_ROLES and T_USERS. The functions that write
 * run inside jobs and refuse, with AWS's text, before they write anything; whoever submits the job
 * tells the caches afterwards (role_changed, identity_user_changed). */
#ifndef SVC_ENTITY_H
#define SVC_ENTITY_H

#include "base/rec.h"
#include "store/store.h"

enum {                /* stored: never renumber */
       ENTITY_ID = 1, /* "AROA…", "AIDA…" */
       ENTITY_PATH,   /* "/" */
       ENTITY_TRUST,  /* roles: AssumeRolePolicyDocument, JSON text */
       ENTITY_DESCRIPTION,
       ENTITY_CREATED_MS,    /* u64 */
       ENTITY_POLICY,        /* repeated: rec {1 name, 2 document} */
       ENTITY_MAX_SESSION_S, /* roles: u64 */
       ENTITY_ATTACHED,      /* repeated: ARN of a managed policy */
       ENTITY_TAG,           /* repeated: rec {1 key, 2 value} */
       ENTITY_KEY,           /* users, repeated: access key id */
};
enum { ENTITY_NAME_MAX = 64, ENTITY_ATTACHED_MAX = 20, ENTITY_TAGS_MAX = 50 };

struct entity_kind {
    enum table table;
    const char *word, *Word; /* "role", "Role" */
    const char *id_prefix;   /* "AROA" */
    uint32_t policy_bytes_max;
};
extern const struct entity_kind entity_role, entity_user;

/* "AROA" and 17 more of [A-Z2-7]; out holds 22 bytes. */
enum { ENTITY_ID_SIZE = 22 };
void entity_id(const char *prefix, char out[static ENTITY_ID_SIZE]);
/* Appends the ARN, from the name and the record's path. */
void entity_arn(const struct entity_kind *kind, struct buf *out, struct str name, struct str rec);
/* "arn:aws:iam::000000000000:role[/PATH]/NAME" -> NAME; p NULL when it is none of that kind. */
struct str entity_name_of(const struct entity_kind *kind, struct str arn);

/* In any transaction. By name; E_NOT_FOUND with AWS's text. */
int entity_get(struct store_txn *t, const struct entity_kind *kind, struct str name,
               struct str *rec, struct err *err);
int entity_put(struct store_txn *t, const struct entity_kind *kind, struct str name,
               struct str rec);
int entity_del(struct store_txn *t, const struct entity_kind *kind, struct str name);

/* Inline policies of a record: one's document, or each in turn (*rest starts as the record). */
int entity_policy_get(const struct entity_kind *kind, struct str rec, struct str policy,
                      struct str *document, struct err *err);
bool entity_policy_next(struct str *rest, struct str *name, struct str *document);
/* In a job: adds or replaces one, or removes it. E_NOT_FOUND (no such entity, or nothing to
 * remove), E_QUOTA. The document has been checked by policy_parse. */
int entity_policy_put(struct store_txn *t, const struct entity_kind *kind, struct str name,
                      struct str policy, struct str document, struct err *err);
int entity_policy_del(struct store_txn *t, const struct entity_kind *kind, struct str name,
                      struct str policy, struct err *err);

/* Walks the repeated fields of one tag whose values are texts: ENTITY_ATTACHED, ENTITY_KEY. */
bool entity_next(struct str *rest, uint16_t tag, struct str *value);
bool entity_has(struct str rec, uint16_t tag, struct str value);
bool entity_tag_next(struct str *rest, struct str *key, struct str *value);
/* p NULL when there is none. Keys are compared without case, as AWS does. */
struct str entity_tag(struct str rec, struct str key);

/* Appends rec without the fields of that tag and value (p NULL: of that tag). */
void entity_copy_but(struct buf *out, struct str rec, uint16_t tag, struct str value);
/* Appends rec without the tag of that key. */
void entity_copy_but_tag(struct buf *out, struct str rec, struct str key);

#endif
