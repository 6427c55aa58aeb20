/* s3_digest: what the headers of a request promise about a body that has been collected.
 *
 * Runs where the body is examined, on the pool when it is large, so it only reads the call. */
#include "api/gate_call.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/hash.h"

static int check_md5(struct str text, struct str body)
{
    unsigned char md5[HASH_MAX];
    struct buf want = BUF_INIT;
    int rc = base64_decode(&want, text) && want.n == 16 ? 0 : E_INVALID_DIGEST;
    if (rc == 0) {
        hash_once(HASH_MD5, body, md5);
        rc = memcmp(want.p, md5, 16) == 0 ? 0 : E_BAD_DIGEST;
    }
    buf_deinit(&want);
    return rc;
}

static int check_checksum(enum checksum_alg alg, struct str text, struct str body, struct err *err)
{
    unsigned char want[CHECKSUM_MAX], got[CHECKSUM_MAX];
    if (!checksum_decode(alg, text, want))
        return err_set(err, E_BAD_REQUEST, "Value for %s header is invalid.", checksum_header(alg));
    checksum_once(alg, body, got);
    if (memcmp(want, got, checksum_size(alg)) == 0)
        return 0;
    return err_set(err, E_BAD_DIGEST, "The %s you specified did not match the calculated checksum.",
                   checksum_name(alg));
}

int s3_digest_check(const struct call *c, struct str body, bool *promised, struct err *err)
{
    struct str md5 = call_header(c, "content-md5");
    int rc = md5.p ? check_md5(md5, body) : 0;
    *promised = md5.p != NULL;
    if (strcmp(c->op->name, "CompleteMultipartUpload") == 0) /* there they are the object's */
        return rc;
    for (int i = CHECKSUM_NONE + 1; i < CHECKSUM_ALGS && rc == 0; i++) {
        enum checksum_alg alg = (enum checksum_alg)i;
        struct str text = call_header(c, checksum_header(alg));
        if (!text.p)
            continue;
        *promised = true;
        rc = check_checksum(alg, text, body, err);
    }
    return rc;
}
