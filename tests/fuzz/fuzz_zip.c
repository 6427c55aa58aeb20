/* Packages: what the scan takes lies inside the file, sorted, each name once and relative. */
#include "fuzz.h"
#include "svc/package.h"
#include "svc/zipscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(str_of((const char *)data, size));
    struct zip_bytes z = {.mem = {copy, size}, .fd = -1, .size = size};
    struct zipscan s = {0};
    struct err err = {0};
    if (zipscan(&z, &s, &err) == 0) {
        CHECK(s.count > 0 && s.count <= s.total_entries && s.total_entries <= 65535);
        for (size_t i = 0; i < s.count; i++) {
            const struct zip_entry *e = &s.entries[i];
            CHECK(e->header_at + e->packed <= size);
            CHECK(e->name.n > 0 && e->name.p[0] != '/' && !memchr(e->name.p, 0, e->name.n));
            CHECK(i == 0 || str_cmp(s.entries[i - 1].name, e->name) < 0);
        }
    } else {
        CHECK(err.code != 0);
    }
    zipscan_deinit(&s);
    free(copy);
    return 0;
}
