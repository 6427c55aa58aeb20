/* The decoders of bodies: chunked, and aws-chunked inside. The same bytes come out however the input
 * is cut. First byte: bit 0 aws-chunked, 1 signed, 2 trailer, the rest the size of the pieces. */
#include "fuzz.h"
#include "net/aws_chunked.h"
#include "net/body.h"

struct outcome {
    struct buf bytes;
    int end; /* 1 ended, -1 broken, 0 wants more */
};

static void chunked(struct str in, size_t piece, struct outcome *o)
{
    struct body b;
    body_init(&b, -1);
    while (in.n && !o->end) {
        struct str part = fuzz_bytes(&in, piece), out;
        while (part.n && !o->end) {
            enum body_rc rc = body_next(&b, &part, &out);
            if (rc == BODY_DATA)
                buf_add(&o->bytes, out);
            else if (rc == BODY_BAD)
                o->end = -1;
            else if (rc == BODY_END)
                o->end = 1;
            else
                CHECK(part.n == 0);
        }
    }
}

static void aws_chunked(struct str in, size_t piece, uint8_t how, struct outcome *o)
{
    struct aws_chunked d;
    aws_chunked_init(&d, how & 2, how & 4);
    while (in.n && !o->end) {
        struct str part = fuzz_bytes(&in, piece), out;
        while (part.n && !o->end) {
            enum aws_chunked_rc rc = aws_chunked_next(&d, &part, &out);
            if (rc == AWS_CHUNKED_DATA)
                buf_add(&o->bytes, out);
            else if (rc == AWS_CHUNKED_BAD)
                o->end = -1;
            else if (rc == AWS_CHUNKED_CHUNK)
                CHECK(!(how & 2) || out.n == AWS_CHUNKED_SIGNATURE);
            else if (rc == AWS_CHUNKED_TRAILER)
                CHECK(how & 4 && d.name.n > 0);
            else
                CHECK(part.n == 0);
        }
    }
    if (!o->end)
        o->end = aws_chunked_ended(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    uint8_t how = fuzz_u8(&in);
    size_t piece = 1 + (how >> 3);
    struct outcome a = {0}, b = {0};
    a.bytes = b.bytes = BUF_INIT;
    char *copy = fuzz_copy(in);
    in.p = copy;
    if (how & 1) {
        aws_chunked(in, in.n ? in.n : 1, how, &a);
        aws_chunked(in, piece, how, &b);
    } else {
        chunked(in, in.n ? in.n : 1, &a);
        chunked(in, piece, &b);
    }
    CHECK(a.end == b.end && str_eq(buf_str(&a.bytes), buf_str(&b.bytes)));
    CHECK(a.bytes.n <= in.n);
    buf_deinit(&a.bytes);
    buf_deinit(&b.bytes);
    free(copy);
    return 0;
}
