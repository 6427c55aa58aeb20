/* s3_part: what UploadPart and UploadPartCopy share. */
#ifndef API_S3_PART_H
#define API_S3_PART_H

#include "api/call.h"
#include "svc/upload.h"

/* The part that the request names: its number, the upload and the checksum that the upload's parts
 * have. E_NO_BUCKET, E_NO_UPLOAD, E_INVALID. */
struct s3_part {
    uint64_t upload;
    uint32_t number;
    enum checksum_alg checksum;
    bool composite; /* every part must come with it */
};
int s3_part_read(struct call *c, struct s3_part *p, struct err *err);

#endif
