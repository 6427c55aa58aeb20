/* crc: the three cyclic redundancy checks that clients send: CRC-32 (IEEE 802.3, as zip has it),
 * CRC-32C (Castagnoli) and CRC-64/NVME. All are reflected, begin and end inverted; a crc of 0 is
 * that of nothing, and what one call returns is what the next one goes on from. */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include "base/str.h"

enum crc_kind { CRC_32, CRC_32C, CRC_64NVME };

uint64_t crc_update(enum crc_kind kind, uint64_t crc, const void *p, size_t n);
/* The crc of A followed by B from those of both and the length of B; no byte is read. */
uint64_t crc_combine(enum crc_kind kind, uint64_t a, uint64_t b, uint64_t b_size);

static inline uint32_t crc32_update(uint32_t crc, const void *p, size_t n)
{
    return (uint32_t)crc_update(CRC_32, crc, p, n);
}

#endif
