/* Documents of CompleteMultipartUpload: whatever is taken is a list of parts in their order. */
#include "api/s3_complete_doc.h"
#include "base/checksum.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(str_of((const char *)data, size));
    struct upload_claim *claims = NULL;
    struct err err = {0};
    size_t count = 0;
    int rc = s3_complete_read(str_of(copy, size), &claims, &count, &err);
    if (rc == 0)
        CHECK(claims && count && count <= EXTENTS_MAX);
    else
        CHECK(!claims && err_row(rc)->status == 400);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        CHECK(claims[i].number > (i ? claims[i - 1].number : 0));
        CHECK(claims[i].number <= EXTENTS_MAX && claims[i].alg < CHECKSUM_ALGS);
    }
    free(claims);
    free(copy);
    return 0;
}
