/* post_policy: the document that says which forms may be posted. Pure functions. */
#ifndef API_POST_POLICY_H
#define API_POST_POLICY_H

#include "base/err.h"

struct form_field {
    struct str name, value;
};
struct form_field_list {
    const struct form_field *f;
    size_t n;
};
/* By name, in any case of letters; p NULL when there is none. */
struct str form_field_get(const struct form_field_list *l, const char *name);

/* Does the document (JSON) hold for the form at that time? *min, *max: sizes that the file may have,
 * bytes. E_FORM_POLICY when it is no policy; E_DENIED with S3's text when it has expired, a condition
 * fails or a field has none. */
int post_policy_check(struct str json, const struct form_field_list *fields, struct str bucket,
                      int64_t now_ms, uint64_t *min, uint64_t *max, struct err *err);

#endif
