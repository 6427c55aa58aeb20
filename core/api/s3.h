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
/* Does it name one that there is not? */
bool s3_bucket_missing(struct call *c);
/* ?versionId=…: 0 when absent or "null" (all versions there are); E_NO_VERSION, E_INVALID. */
int s3_version_check(struct call *c, struct err *err);
int s3_version_judge(struct str id, struct err *err);
/* The same, and is call.param[1] an object of the bucket? 0, E_NO_BUCKET, E_NO_KEY, E_KEY_TOO_LONG. */
int s3_object_check(struct call *c, struct err *err);
/* x-amz-acl, x-amz-grant-*: 0 or E_NO_ACL (s3_acl.c). */
int s3_acl_headers(struct call *c);
/* A canned list that changes nothing? */
bool s3_acl_fits(struct str canned);
/* x-amz-server-side-encryption*: 0, E_NOT_IMPLEMENTED for what is not AES256, E_INVALID for what is
 * nothing. The other gives that header back. */
int s3_encryption_headers(struct call *c, struct err *err);
void s3_encryption_answer(struct call *c);
/* call_authorise on the bucket, or the object, that the path names. */
int s3_authorise_bucket(struct call *c, const char *action, struct err *err);
int s3_authorise_object(struct call *c, const char *action, struct err *err);
/* A known value of ObjectOwnership? */
bool s3_ownership_known(struct str rule);
/* Appends it as CONF_OWNERSHIP keeps it. */
void s3_ownership_text(struct buf *out, struct str rule);
/* Reads x-amz-tagging into pairs: 0 (absent: nothing), E_BAD_TAG, E_INVALID (s3_tagging.c). */
int s3_tags_header(struct call *c, struct buf *pairs, struct err *err);
/* The same of a Tagging document: E_BAD_XML, E_BAD_TAG. */
int s3_tags_xml(struct call *c, struct str text, struct buf *pairs, struct err *err);
/* What the head of an upload, a multipart upload or a copy says to keep (s3_meta.c). Zeroed before,
 * freed after, whatever s3_meta_read said. */
struct s3_meta {
    struct str content_type;             /* p NULL: none given */
    struct buf headers, user_meta, tags; /* pairs */
};
/* 0; E_NOT_IMPLEMENTED, E_META_LIMIT, E_INVALID, E_NO_ACL, E_BAD_TAG, E_DENIED (tags). */
int s3_meta_read(struct call *c, struct s3_meta *m, struct err *err);
void s3_meta_free(struct s3_meta *m);
/* x-amz-checksum-… and x-amz-checksum-type of the answer, where the object has one. */
void s3_checksum_answer(struct call *c, const struct object_meta *m);
/* x-amz-expiration, where a rule of the bucket will take the object that the path names: as it is in
 * t, or as it is now. */
void s3_expiration_answer(struct call *c, struct store_txn *t, const struct object_meta *m);
void s3_expiration_of_new(struct call *c);

/* May an object be made with this key? Keys leave in XML and in events, so UTF-8 only: 0,
 * E_KEY_TOO_LONG, E_BAD_URI. */
int s3_key_check(struct str key);
/* An ETag without its quotes, if it has them. */
struct str s3_unquoted(struct str etag);
/* The ETag that a deletion asks for, without quotes; "" for any ("*"): what is not there is gone. */
struct str s3_delete_match(struct str given);
/* If-None-Match and If-Match of a request that writes: *none when the former is "*", *match the ETag
 * without quotes, "" for none. Other values: E_NOT_IMPLEMENTED. */
int s3_write_conditions(struct call *c, bool *none, struct str *match, struct err *err);

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
