/* s3_complete_doc: the document of CompleteMultipartUpload. Any thread. */
#ifndef API_S3_COMPLETE_DOC_H
#define API_S3_COMPLETE_DOC_H

#include "svc/upload.h"

/* 0 and the claims (malloc'd; 1 … EXTENTS_MAX, numbers rise), or E_BAD_XML, E_PART_ORDER, E_INVALID (a
 * number or a checksum that is none), E_BAD_REQUEST (no part), E_LIMIT, and nothing. */
int s3_complete_read(struct str doc, struct upload_claim **claims, size_t *count, struct err *err);

#endif
