/* checksum: a table of five rows, and the step from a register to bytes on the wire. */
#include "base/checksum.h"

#include "base/codec.h"
#include "base/crc.h"
#include "base/hash.h"

static const struct row {
    const char *name, *header, *element;
    size_t size;
    bool is_crc;
    enum crc_kind crc;
    enum hash_alg hash;
} rows[CHECKSUM_ALGS] = {
    [CHECKSUM_NONE] = {"", "", "", 0, false, 0, 0},
    [CHECKSUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4, true, CRC_32, 0},
    [CHECKSUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4, true, CRC_32C, 0},
    [CHECKSUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8, true,
                            CRC_64NVME, 0},
    [CHECKSUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20, false, 0, HASH_SHA1},
    [CHECKSUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32, false, 0,
                         HASH_SHA256},
};

const char *checksum_name(enum checksum_alg alg)
{
    return rows[alg].name;
}

const char *checksum_word(enum checksum_alg alg)
{
    return alg == CHECKSUM_NONE ? "null" : rows[alg].header + sizeof "x-amz-checksum-" - 1;
}

const char *checksum_header(enum checksum_alg alg)
{
    return rows[alg].header;
}

const char *checksum_element(enum checksum_alg alg)
{
    return rows[alg].element;
}

size_t checksum_size(enum checksum_alg alg)
{
    return rows[alg].size;
}

enum checksum_alg checksum_of_name(struct str name)
{
    for (enum checksum_alg a = CHECKSUM_CRC32; a < CHECKSUM_ALGS; a++)
        if (str_ieq(name, str_c(rows[a].name)))
            return a;
    return CHECKSUM_NONE;
}

enum checksum_alg checksum_of_header(struct str header)
{
    for (enum checksum_alg a = CHECKSUM_CRC32; a < CHECKSUM_ALGS; a++)
        if (str_ieq(header, str_c(rows[a].header)))
            return a;
    return CHECKSUM_NONE;
}

bool checksum_decode(enum checksum_alg alg, struct str text, unsigned char out[CHECKSUM_MAX])
{
    struct buf b;
    buf_init(&b, 64);
    bool ok = text.n < CHECKSUM_TEXT_MAX && base64_decode(&b, text) && b.rc == 0 &&
              b.n == rows[alg].size && b.n > 0;
    if (ok)
        memcpy(out, b.p, b.n);
    buf_deinit(&b);
    return ok;
}

size_t checksum_encode(enum checksum_alg alg, const unsigned char *raw,
                       char out[static CHECKSUM_TEXT_MAX])
{
    struct buf b = BUF_INIT;
    base64_encode(&b, str_of((const char *)raw, rows[alg].size));
    size_t n = b.n;
    if (n)
        memcpy(out, b.p, n);
    out[n] = '\0';
    buf_deinit(&b);
    return n;
}

/* --- under way ----------------------------------------------------------------------------------
 */

void checksum_init(struct checksum *s, enum checksum_alg alg)
{
    *s = (struct checksum){.alg = alg};
    if (alg != CHECKSUM_NONE && !rows[alg].is_crc)
        s->hash = hash_new(rows[alg].hash);
}

void checksum_update(struct checksum *s, struct str bytes)
{
    if (s->hash)
        hash_update(s->hash, bytes.p, bytes.n);
    else if (rows[s->alg].is_crc)
        s->crc = crc_update(rows[s->alg].crc, s->crc, bytes.p, bytes.n);
}

static void put_crc(unsigned char *out, uint64_t crc, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (unsigned char)(crc >> 8 * (size - 1 - i));
}

static uint64_t get_crc(const unsigned char *in, size_t size)
{
    uint64_t crc = 0;
    for (size_t i = 0; i < size; i++)
        crc = crc << 8 | in[i];
    return crc;
}

void checksum_final(struct checksum *s, unsigned char out[CHECKSUM_MAX])
{
    if (s->hash)
        hash_final(s->hash, out);
    else
        put_crc(out, s->crc, rows[s->alg].size);
    *s = (struct checksum){.alg = CHECKSUM_NONE};
}

void checksum_deinit(struct checksum *s)
{
    hash_free(s->hash);
    *s = (struct checksum){.alg = CHECKSUM_NONE};
}

void checksum_once(enum checksum_alg alg, struct str bytes, unsigned char out[CHECKSUM_MAX])
{
    struct checksum s;
    checksum_init(&s, alg);
    checksum_update(&s, bytes);
    checksum_final(&s, out);
}

bool checksum_combine(enum checksum_alg alg, unsigned char *a, const unsigned char *b,
                      uint64_t b_size)
{
    const struct row *r = &rows[alg];
    if (!r->is_crc)
        return false;
    put_crc(a, crc_combine(r->crc, get_crc(a, r->size), get_crc(b, r->size), b_size), r->size);
    return true;
}
