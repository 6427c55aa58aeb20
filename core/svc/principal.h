/* principal: users or roles with their policies compiled, as long as nothing changed them.
 *
 * One struct principals holds the users, another the roles. What is handed out lives until the next
 * call of a function here, so it is asked for anew at each decision: a change takes effect at the
 * next one. Loop thread only. */
#ifndef SVC_PRINCIPAL_H
#define SVC_PRINCIPAL_H

#include "auth/policy.h"
#include "svc/entity.h"
#include "svc/recent.h"

struct principal {
    struct recent_entry entry;
    bool exists;
    bool broken; /* a stored document cannot be read: it may do nothing */
    struct str name, id, arn;
    struct str rec;           /* a copy of the record, for tags and settings */
    struct policy **policies; /* inline ones, then attached ones */
    size_t count;
    struct policy *trust; /* roles */
    struct buf memory;    /* holds name, arn, rec */
};

struct principals;

struct principals *principals_open(struct store *s, const struct entity_kind *kind);
void principals_close(struct principals *p);

/* Never NULL but when the store cannot be read; one that is not there has `exists` false. */
const struct principal *principal_find(struct principals *p, struct str name);
/* The same by ARN, which must be right to the path; NULL also when it is none. */
const struct principal *principal_by_arn(struct principals *p, struct str arn);
/* After the commit: forgets one; forgets all. */
void principal_changed(struct principals *p, struct str name);
void principals_clear(struct principals *p);

#endif
