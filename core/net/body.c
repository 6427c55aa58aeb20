/* body: one switch per byte for the framing, one step per run for the data.
 *
 * Extensions and trailers are bounded (they carry nothing for us), so that a body of a few bytes
 * cannot be wrapped in an endless coat. Chunk data may be as long as eight hex digits say; limits
 * on the whole are the taker's. */
#include "net/body.h"

#include "net/scan.h"

enum { EXTRA_MAX = 8 * 1024 };

void body_init(struct body *b, int64_t content_length)
{
    *b = (struct body){.state = BODY_SIZE};
    if (content_length >= 0) {
        b->left = (uint64_t)content_length;
        b->state = b->left ? BODY_LENGTH : BODY_ENDED;
    }
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum body_state size_byte(struct body *b, unsigned char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        b->left = b->left << 4 | (unsigned)digit;
        return ++b->digits > 8 ? BODY_BROKEN : BODY_SIZE;
    }
    if (b->digits == 0)
        return BODY_BROKEN;
    return c == ';' ? BODY_EXT : c == '\r' ? BODY_SIZE_LF : BODY_BROKEN;
}

static enum body_state trailer_byte(struct body *b, unsigned char c)
{
    if (++b->extra > EXTRA_MAX)
        return BODY_BROKEN;
    switch (b->state) {
    case BODY_TRAILER:
        if (c == '\r')
            return BODY_LAST_LF;
        return scan_is_token_byte(c) ? BODY_TRAILER_NAME : BODY_BROKEN;
    case BODY_TRAILER_NAME:
        if (c == ':')
            return BODY_TRAILER_VALUE;
        return scan_is_token_byte(c) ? BODY_TRAILER_NAME : BODY_BROKEN;
    case BODY_TRAILER_VALUE:
        if (c == '\r')
            return BODY_TRAILER_LF;
        return scan_is_value_byte(c) ? BODY_TRAILER_VALUE : BODY_BROKEN;
    case BODY_TRAILER_LF:
        return c == '\n' ? BODY_TRAILER : BODY_BROKEN;
    default:
        return c == '\n' ? BODY_ENDED : BODY_BROKEN;
    }
}

static enum body_state frame_byte(struct body *b, unsigned char c)
{
    switch (b->state) {
    case BODY_SIZE:
        return size_byte(b, c);
    case BODY_EXT:
        if (++b->extra > EXTRA_MAX)
            return BODY_BROKEN;
        if (c == '\r')
            return BODY_SIZE_LF;
        return scan_is_value_byte(c) ? BODY_EXT : BODY_BROKEN;
    case BODY_SIZE_LF:
        if (c != '\n')
            return BODY_BROKEN;
        b->digits = 0;
        b->extra = 0;
        return b->left ? BODY_CHUNK : BODY_TRAILER;
    case BODY_CHUNK_CR:
        return c == '\r' ? BODY_CHUNK_LF : BODY_BROKEN;
    case BODY_CHUNK_LF:
        return c == '\n' ? BODY_SIZE : BODY_BROKEN;
    default:
        return trailer_byte(b, c);
    }
}

static enum body_rc data_run(struct body *b, struct str *in, struct str *out)
{
    size_t n = b->left < in->n ? (size_t)b->left : in->n;
    *out = str_of(in->p, n);
    *in = str_from(*in, n);
    b->left -= n;
    if (b->left == 0)
        b->state = b->state == BODY_LENGTH ? BODY_ENDED : BODY_CHUNK_CR;
    return BODY_DATA;
}

enum body_rc body_next(struct body *b, struct str *in, struct str *out)
{
    for (;;) {
        if (b->state == BODY_ENDED)
            return BODY_END;
        if (b->state == BODY_BROKEN)
            return BODY_BAD;
        if (in->n == 0)
            return BODY_MORE;
        if (b->state == BODY_LENGTH || b->state == BODY_CHUNK)
            return data_run(b, in, out);
        b->state = (uint8_t)frame_byte(b, (unsigned char)*in->p);
        *in = str_from(*in, 1);
    }
}
