/* Schedule expressions and zone files: EXPRESSION NUL, then either a TZif file or eight bytes of time. */
#include "base/zone.h"
#include "fuzz.h"
#include "svc/schedule_expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size}, text = fuzz_line(&in);
    struct schedule_expr e;
    struct err err = {0};
    char *copy = fuzz_copy(in);
    struct zone *z = zone_parse(str_of(copy, in.n));
    free(copy);
    if (schedule_parse(text, &e, &err)) {
        CHECK(err.code == E_INVALID);
    } else {
        int64_t t = (int64_t)fuzz_u32(&in);
        for (int i = 0; i < 4 && t >= 0; i++) {
            int64_t next = schedule_next_s(&e, z, 1700000000, t);
            CHECK(next == -1 || next > t);
            t = next;
        }
    }
    if (z)
        zone_instant_s(z, 1790000000);
    zone_free(z);
    return 0;
}
