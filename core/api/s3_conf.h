/* s3_conf: configurations of a bucket, as the handlers of each kind put and get them. */
#ifndef API_S3_CONF_H
#define API_S3_CONF_H

#include "api/s3.h"
#include "api/xml.h"
#include "svc/bucket_conf.h"

/* Ends the call: keeps text (what s3_conf_answer gives back) and rules (may be NULL) as the bucket's
 * configuration of that kind and answers as the row says; rc != 0 answers that with err instead.
 * Both buffers are taken either way. */
void s3_conf_put(struct call *c, int rc, const struct err *err, enum bucket_conf kind,
                 struct buf *text, struct buf *rules);
/* Ends the call: removes it, present or not. */
void s3_conf_delete(struct call *c, enum bucket_conf kind);
/* Ends the call: the XML document `root` with the text inside, or, when there is none, with
 * `otherwise`, or error `absent` when that is NULL. */
void s3_conf_answer(struct call *c, enum bucket_conf kind, const char *root, const char *otherwise,
                    int absent);
/* Appends the text or the rules. E_NO_BUCKET, E_NOT_FOUND. */
int s3_conf_text(struct call *c, enum bucket_conf kind, struct buf *out);

/* "true" and "false"; E_BAD_XML else. An element that is not there leaves *out. */
int s3_xml_bool(const struct xml_node *n, const char *name, bool *out);

#endif
