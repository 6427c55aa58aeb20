/* Log filter patterns: PATTERN NUL TEXT. */
#include "base/arena.h"
#include "fuzz.h"
#include "svc/logs_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size}, pattern = fuzz_line(&in);
    char *a_copy = fuzz_copy(pattern), *b_copy = fuzz_copy(in);
    struct arena *a = arena_new(1 << 20);
    struct err err = {0};
    int rc = 0;
    const struct log_filter *f = log_filter_parse(a, str_of(a_copy, pattern.n), &rc, &err);
    if (rc)
        CHECK(!f && err.code != 0);
    else
        CHECK(log_filter_match(f, str_of(b_copy, in.n)) ==
              log_filter_match(f, str_of(b_copy, in.n)));
    arena_free(a);
    free(a_copy);
    free(b_copy);
    return 0;
}
