/* Base64, hex, percent-encoding, ARNs: what is encoded decodes to itself, what decodes strictly
 * encodes to itself. */
#include "auth/arn.h"
#include "base/codec.h"
#include "fuzz.h"

static void base64(struct str in)
{
    struct buf text = BUF_INIT, back = BUF_INIT;
    base64_encode(&text, in);
    CHECK(base64_decode(&back, buf_str(&text)) && str_eq(buf_str(&back), in));
    buf_clear(&back);
    buf_clear(&text);
    if (base64_decode(&back, in)) {
        base64_encode(&text, buf_str(&back));
        CHECK(str_eq(buf_str(&text), in));
    } else {
        CHECK(back.n == 0);
    }
    buf_clear(&text);
    buf_clear(&back);
    base64url_encode(&text, in);
    CHECK(base64url_decode(&back, buf_str(&text)) && str_eq(buf_str(&back), in));
    buf_deinit(&text);
    buf_deinit(&back);
}

static void uri(struct str in)
{
    struct buf text = BUF_INIT, back = BUF_INIT;
    uri_encode(&text, in, false);
    CHECK(uri_decode(&back, buf_str(&text), false) && str_eq(buf_str(&back), in));
    buf_clear(&text);
    buf_clear(&back);
    form_encode(&text, in);
    CHECK(uri_decode(&back, buf_str(&text), true) && str_eq(buf_str(&back), in));
    buf_clear(&back);
    uri_decode(&back, in, true);
    CHECK(back.n <= in.n);
    buf_deinit(&text);
    buf_deinit(&back);
}

static void names(struct str in)
{
    struct arn arn;
    struct str name, qualifier;
    if (arn_parse(in, &arn))
        CHECK(arn.resource.p + arn.resource.n == in.p + in.n);
    if (arn_function(in, STR("us-east-1"), &name, &qualifier) == 0)
        CHECK(name.n >= 1 && name.n <= 64 && qualifier.n <= 128);
    struct str rest = in, pattern = str_cut(&rest, '|');
    if (rest.p)
        arn_match(pattern, rest);
    CHECK(arn_match(STR("*"), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(str_of((const char *)data, size));
    struct str in = {copy, size};
    base64(in);
    uri(in);
    names(in);
    free(copy);
    return 0;
}
