/* iam: what the files of IAM's Query API share: parameters, one write on its way, pages, XML.
 *
 * Roles and users have the same operations under two names: those handlers stand on both rows and
 * take the kind from the row's name. */
#ifndef API_IAM_H
#define API_IAM_H

#include "api/gate.h"
#include "svc/managed.h"

enum { IAM_NAME_MAX = 128, IAM_PAGE_MAX = 1000 };

/* --- parameters: 0 or E_VALIDATION with AWS's text ----------------------------------------------
 */

int iam_invalid(struct err *err, const char *member, struct str value, const char *constraint);
/* A required name of [A-Za-z0-9_+=,.@-]. */
int iam_name(struct call *c, const char *field, size_t max, struct str *out, struct err *err);
/* Of the row: by its name, "…User…" or "…Role…". */
const struct entity_kind *iam_kind(const struct call *c);
/* RoleName or UserName; a user's may be left out where `self` is allowed: the caller. */
int iam_entity_name(struct call *c, const struct entity_kind *kind, bool self, struct str *out,
                    struct err *err);
/* "/" when absent. `whole`: must end in '/' too. */
int iam_path(struct call *c, const char *field, bool whole, struct str *out, struct err *err);
/* *out stays when absent. */
int iam_number(struct call *c, const char *field, uint64_t low, uint64_t high, uint64_t *out,
               struct err *err);
/* *out stays when absent. */
int iam_bool(struct call *c, const char *field, bool *out, struct err *err);
int iam_text(struct call *c, const char *field, size_t max, struct str *out, struct err *err);
/* A required policy document of that kind. */
int iam_document(struct call *c, const char *field, enum policy_kind kind, struct str *out,
                 struct err *err);
/* A required ARN. */
int iam_arn(struct call *c, const char *field, struct str *out, struct err *err);
/* LIST.member.I, or p NULL. */
struct str iam_member(struct call *c, const char *list, int i, const char *member);
/* Appends Tags.member.N as ENTITY_TAG fields. */
int iam_tags(struct call *c, struct buf *out, struct err *err);
/* Boundaries are not supported: refused, never dropped. */
int iam_refuse_boundary(struct call *c, struct err *err);

/* --- writes -------------------------------------------------------------------------------------
 */

struct iam_change {
    struct job job;
    struct call *c;
    struct err err;
    const struct entity_kind *kind; /* NULL: of a managed policy */
    struct str name, policy, document, rec, arn, version, value;
    uint64_t number;
    int64_t now_ms;
    bool flag;
    char keys[KEYS_PER_USER][KEY_ID_SIZE]; /* access keys to be forgotten, "" none */
    int (*apply)(struct iam_change *ch, struct store_txn *t);
    void (*reply)(struct iam_change *ch); /* NULL: an empty result */
};
/* Submits a copy of *from; rc != 0: answers that with from->err instead. */
void iam_submit(struct call *c, const struct iam_change *from, int rc);
/* rec's copy in the arena, or E_LIMIT; frees b. */
int iam_keep(struct call *c, struct buf *b, struct str *rec);

/* --- reads --------------------------------------------------------------------------------------
 */

/* rc and err, or the result; frees b. */
void iam_reply(struct call *c, int rc, const struct err *err, struct buf *b);

/* Part of a list that lies in one record: Marker counts what came before. */
struct iam_page {
    uint64_t skip, max, seen;
    bool more;
};
int iam_page(struct call *c, struct iam_page *p, struct err *err);
/* Does the next element belong to the page? */
bool iam_page_has(struct iam_page *p);
/* <IsTruncated>, <Marker> */
void iam_page_end(const struct iam_page *p, struct buf *b);
/* Answers a page of what lies in the record of the entity that the request names, as <list>: next
 * takes one out, add writes it. Those whose value does not begin with `prefix` do not count. */
void iam_list_members(struct call *c, const char *list, struct str prefix,
                      bool (*next)(struct str *rest, struct str *key, struct str *value),
                      void (*add)(struct buf *b, struct str key, struct str value));

/* --- XML ----------------------------------------------------------------------------------------
 */

void iam_document_element(struct buf *b, const char *name, struct str document);
void iam_date_element(struct buf *b, const char *name, int64_t ms);
void iam_number_element(struct buf *b, const char *name, uint64_t n);
/* "RoleName" or "UserName" */
void iam_name_element(struct buf *b, const struct entity_kind *kind, struct str name);
/* <Tags>…</Tags> of a record with ENTITY_TAG (MANAGED_TAG) fields; `always` also when there are
 * none. */
void iam_tags_element(struct buf *b, struct str rec, uint16_t tag, bool always);
/* The members of a <Role> or <User>. */
void iam_entity_members(struct buf *b, const struct entity_kind *kind, struct str name,
                        struct str rec, bool with_tags);

#endif
