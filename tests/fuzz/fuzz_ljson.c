/* The runner's JSON codec: it takes what jscan takes, and what it read it writes and reads again. */
#include "runner/ljson.h" /* Lua's headers before base/str.h */

#include "base/jscan.h"
#include "fuzz.h"
#include "runner/state.h"

static struct runner r;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ljson_problem problem;
    if (!r.L) {
        memory_init(&r.memory, NULL, 512 << 20);
        state_open(&r);
    }
    char *copy = fuzz_copy(str_of((const char *)data, size));
    struct str in = {copy, size};
    lua_settop(r.L, 0);
    bool ok = ljson_read(r.L, in, 0, &problem);
    CHECK(ok == jscan_valid(in) || !ok); /* depth and numbers: it may refuse more */
    if (ok) {
        struct buf once = BUF_INIT, twice = BUF_INIT;
        if (ljson_write(r.L, -1, &once, &ljson_strict, &problem)) {
            CHECK(jscan_valid(buf_str(&once)));
            CHECK(ljson_read(r.L, buf_str(&once), 0, &problem));
            CHECK(ljson_write(r.L, -1, &twice, &ljson_strict, &problem));
            CHECK(once.n == twice.n);
        }
        buf_deinit(&once);
        buf_deinit(&twice);
    }
    free(copy);
    return 0;
}
