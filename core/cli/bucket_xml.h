/* bucket_xml: the listings of S3, read into the JSON that `bucket ls` prints. */
#ifndef CLI_BUCKET_XML_H
#define CLI_BUCKET_XML_H

#include <jansson.h>

#include "base/str.h"

/* Appends what a ListAllMyBucketsResult or ListBucketResult holds to doc's arrays: "buckets"
 * [{"name", "created"}], "objects" [{"key", "size", "modified", "etag"}], "prefixes" [text]. Keys
 * are decoded when the document says they are url-encoded. *token is malloc'd when there is a
 * next page. False when the text is not XML or has a DTD. */
bool bucket_xml_read(struct str xml, json_t *doc, char **token);

#endif
