/* Signatures: METHOD, path, query, then headers as NAME:VALUE, all NUL-separated. Nothing that was
 * not signed with our key passes, and what we sign does. */
#include "auth/sigv4.h"
#include "fuzz.h"

enum { HEADERS = 24 };
static const int64_t now_ms = 1795777200000; /* 2026-11-27T11:00:00Z */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct sigv4_header h[HEADERS];
    struct sigv4_request r = {.headers = h};
    struct sigv4_claim claim;
    struct err err = {0};
    r.method = fuzz_line(&in);
    r.path = fuzz_line(&in);
    r.query = fuzz_line(&in);
    while (in.n && r.header_count < HEADERS) {
        struct str value = fuzz_line(&in), name = str_cut(&value, ':');
        h[r.header_count++] = (struct sigv4_header){name, value.p ? value : STR("")};
    }
    if (sigv4_claim(&r, &claim, &err) == 0) {
        struct str none = {NULL, 0};
        CHECK(sigv4_verify(&r, &claim, none, STR("UNSIGNED-PAYLOAD"), now_ms, &err) != 0);
        CHECK(sigv4_verify(&r, &claim, STR("a secret that nobody knows"), STR("UNSIGNED-PAYLOAD"),
                           now_ms, &err) != 0);
    } else {
        CHECK(err.code != 0);
    }
    return 0;
}
