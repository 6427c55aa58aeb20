/* The two readers of JSON in the core: what jansson takes, strictly configured, jscan takes too, and
 * jscan's answer does not depend on how the bytes arrive. */
#include <jansson.h>

#include "base/jscan.h"
#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(str_of((const char *)data, size));
    struct str in = {copy, size};
    struct jscan j;
    bool valid = jscan_valid(in), fed = true;
    jscan_init(&j);
    for (size_t i = 0; i < size && fed; i++)
        fed = jscan_feed(&j, copy + i, 1);
    CHECK((fed && jscan_end(&j)) == valid);
    struct err err = {0};
    json_t *v = json_parse(in, &err);
    if (v) {
        CHECK(valid);
        struct buf out = BUF_INIT;
        json_write(&out, v);
        CHECK(jscan_valid(buf_str(&out)));
        json_t *again = json_parse(buf_str(&out), NULL);
        CHECK(again && json_equal(v, again));
        json_decref(again);
        json_decref(v);
        buf_deinit(&out);
    } else {
        CHECK(err.code != 0);
    }
    free(copy);
    return 0;
}
