/* aws_chunked: one state per byte of the framing, one step per run of the data.
 *
 * A chunk's size has at most ten hex digits (an upload ends at 5 GiB, ten digits are a TiB); its
 * extension and each trailer line fit into the decoder's own line, so no input makes it grow. */
#include "net/aws_chunked.h"

#include "net/scan.h"

enum { DIGITS_MAX = 10 };

enum state {
    SIZE, /* hex digits */
    EXT,  /* what follows them, up to CR */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* the first byte of a trailer line, or CR of the end */
    NAME,
    VALUE,
    VALUE_CR, /* after a LF that some clients put before the CRLF */
    VALUE_LF,
    END_LF,
    ENDED, /* a whole body; one more CRLF is let pass */
    EXTRA_LF,
    DONE,
    BROKEN,
};

void aws_chunked_init(struct aws_chunked *d, bool is_signed, bool has_trailer)
{
    *d = (struct aws_chunked){.is_signed = is_signed, .has_trailer = has_trailer, .state = SIZE};
}

bool aws_chunked_ended(const struct aws_chunked *d)
{
    return d->state == ENDED || d->state == DONE;
}

bool aws_chunked_in_trailer(const struct aws_chunked *d)
{
    return d->last && d->trailers > 0;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum state size_byte(struct aws_chunked *d, unsigned char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        d->left = d->left << 4 | (unsigned)digit;
        return ++d->digits > DIGITS_MAX ? BROKEN : SIZE;
    }
    if (d->digits == 0)
        return BROKEN;
    d->n = 0;
    if (c == ';')
        return EXT;
    return c == '\r' && !d->is_signed ? SIZE_LF : BROKEN;
}

/* Keeps a byte of an extension or of a trailer line. */
static enum state keep(struct aws_chunked *d, unsigned char c, enum state next)
{
    if (d->n == AWS_CHUNKED_LINE_MAX || !scan_is_value_byte(c))
        return BROKEN;
    d->line[d->n++] = (char)c;
    return next;
}

/* "chunk-signature=" and 64 hex digits, nothing else. */
static bool has_signature(const struct aws_chunked *d)
{
    static const char name[] = "chunk-signature=";
    size_t at = sizeof name - 1;
    if (d->n != at + AWS_CHUNKED_SIGNATURE || memcmp(d->line, name, at) != 0)
        return false;
    for (; at < d->n; at++)
        if (hex_digit((unsigned char)d->line[at]) < 0)
            return false;
    return true;
}

static enum state ext_byte(struct aws_chunked *d, unsigned char c)
{
    if (c != '\r')
        return keep(d, c, EXT);
    return !d->is_signed || has_signature(d) ? SIZE_LF : BROKEN;
}

static enum state line_byte(struct aws_chunked *d, unsigned char c)
{
    if (c == '\r')
        return END_LF;
    d->n = 0;
    if (!d->has_trailer || ++d->trailers > AWS_CHUNKED_TRAILERS_MAX || !scan_is_token_byte(c))
        return BROKEN;
    return keep(d, c, NAME);
}

static enum state name_byte(struct aws_chunked *d, unsigned char c)
{
    if (c == ':') {
        d->cut = d->n;
        return VALUE;
    }
    return scan_is_token_byte(c) ? keep(d, c, NAME) : BROKEN;
}

static enum state value_byte(struct aws_chunked *d, unsigned char c)
{
    return c == '\r' ? VALUE_LF : c == '\n' ? VALUE_CR : keep(d, c, VALUE);
}

static enum state frame_byte(struct aws_chunked *d, unsigned char c)
{
    switch ((enum state)d->state) {
    case SIZE:
        return size_byte(d, c);
    case EXT:
        return ext_byte(d, c);
    case SIZE_LF:
        d->last = d->left == 0;
        d->digits = 0;
        return c != '\n' ? BROKEN : d->last ? LINE : DATA;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE : BROKEN;
    case LINE:
        return line_byte(d, c);
    case NAME:
        return name_byte(d, c);
    case VALUE:
        return value_byte(d, c);
    case VALUE_CR:
        return c == '\r' ? VALUE_LF : BROKEN;
    case VALUE_LF:
        return c == '\n' ? LINE : BROKEN;
    case END_LF:
        return c == '\n' ? ENDED : BROKEN;
    case ENDED:
        return c == '\r' ? EXTRA_LF : BROKEN;
    case EXTRA_LF:
        return c == '\n' ? DONE : BROKEN;
    default:
        return BROKEN;
    }
}

static struct str signature(const struct aws_chunked *d)
{
    return d->is_signed ? str_of(d->line + d->n - AWS_CHUNKED_SIGNATURE, AWS_CHUNKED_SIGNATURE)
                        : STR("");
}

static enum aws_chunked_rc data_run(struct aws_chunked *d, struct str *in, struct str *out)
{
    size_t n = d->left < in->n ? (size_t)d->left : in->n;
    *out = str_of(in->p, n);
    *in = str_from(*in, n);
    d->left -= n;
    if (d->left == 0)
        d->state = DATA_CR;
    return AWS_CHUNKED_DATA;
}

enum aws_chunked_rc aws_chunked_next(struct aws_chunked *d, struct str *in, struct str *out)
{
    while (in->n) {
        uint8_t was = d->state;
        if (was == DATA)
            return data_run(d, in, out);
        d->state = (uint8_t)frame_byte(d, (unsigned char)*in->p);
        if (d->state == BROKEN)
            return AWS_CHUNKED_BAD;
        *in = str_from(*in, 1);
        if ((was == DATA_LF && d->state == SIZE) || (was == SIZE_LF && d->state == LINE)) {
            *out = signature(d);
            return AWS_CHUNKED_CHUNK;
        }
        if (was == VALUE_LF && d->state == LINE) {
            d->name = str_of(d->line, d->cut);
            d->value = str_trim(str_of(d->line + d->cut, (size_t)d->n - d->cut));
            return AWS_CHUNKED_TRAILER;
        }
    }
    return d->state == BROKEN ? AWS_CHUNKED_BAD : AWS_CHUNKED_MORE;
}
