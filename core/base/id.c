/* id: identifiers from a pool of random bytes.
 *
 * A request id is made for every request, so the kernel is asked for 1 KiB at a time. Bytes are
 * cleared as they are handed out: an id that has been given away cannot be read back from here.
 * Each thread has a pool of its own; none may be in use before a fork, or parent and child would
 * draw the same ids. */
#include "base/id.h"

#include "base/codec.h"
#include "base/hash.h"

static _Thread_local struct {
    unsigned char bytes[1024];
    size_t left;
} pool;

static void draw(unsigned char *out, size_t n)
{
    while (n) {
        if (pool.left == 0) {
            random_bytes(pool.bytes, sizeof pool.bytes);
            pool.left = sizeof pool.bytes;
        }
        size_t take = n < pool.left ? n : pool.left;
        pool.left -= take;
        memcpy(out, pool.bytes + pool.left, take);
        memset(pool.bytes + pool.left, 0, take);
        out += take;
        n -= take;
    }
}

void id_uuid(char out[static 37])
{
    unsigned char b[16];
    char hex[33];
    draw(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    hex_encode(b, sizeof b, hex);
    memcpy(out, hex, 8);
    memcpy(out + 9, hex + 8, 4);
    memcpy(out + 14, hex + 12, 4);
    memcpy(out + 19, hex + 16, 4);
    memcpy(out + 24, hex + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    out[36] = 0;
}

bool id_is_uuid(struct str s)
{
    if (s.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        char c = s.p[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !digit)
            return false;
    }
    return true;
}

void id_hex(char *out, size_t n)
{
    unsigned char b[16];
    char hex[2 * sizeof b + 1];
    for (size_t at = 0; at < n; at += 2 * sizeof b) {
        size_t part = n - at < 2 * sizeof b ? n - at : 2 * sizeof b;
        draw(b, (part + 1) / 2);
        hex_encode(b, (part + 1) / 2, hex);
        memcpy(out + at, hex, part);
    }
    out[n] = 0;
}
