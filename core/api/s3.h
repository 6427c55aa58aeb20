/* s3: what the S3 handlers share. */
#ifndef API_S3_H
#define API_S3_H

#include "api/call.h"

#define S3_XMLNS "http://s3.amazonaws.com/doc/2006-03-01/"

/* <?xml …?><name xmlns="…">; the caller closes the element. */
void s3_xml_begin(struct buf *out, const char *name);
/* <name>2026-11-23T11:32:04.000Z</name> */
void s3_xml_time(struct buf *out, const char *name, int64_t ms);
/* <name>123</name> */
void s3_xml_number(struct buf *out, const char *name, uint64_t v);
/* <Owner> or another name with the one owner there is. */
void s3_xml_owner(struct buf *out, const char *name);
/* Sends the document (taken) as the operation's success, or E_LIMIT when it did not fit. */
void s3_xml_reply(struct call *c, struct buf *doc);

/* 0 or E_NO_BUCKET: is call.param[0] a bucket? */
int s3_bucket_check(struct call *c);
/* The request's principal as events name it. */
const char *s3_principal(struct call *c);

/* If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, p NULL where absent. Answers
 * 200, 304 or 412 for an object with this ETag (no quotes) and time, in the order HTTP gives them.
 */
struct s3_conditions {
    struct str if_match, if_none_match, if_modified_since, if_unmodified_since;
};
int s3_conditions_judge(const struct s3_conditions *k, struct str etag, int64_t modified_ms);

#endif
