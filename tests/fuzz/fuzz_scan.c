/* The head scan: the same verdict however the bytes arrive, and what it lets pass is split. */
#include "base/arena.h"
#include "fuzz.h"
#include "net/http.h"
#include "net/scan.h"
#include "net/split.h"

static enum scan_rc in_pieces(struct scan *s, struct str in, size_t piece)
{
    enum scan_rc rc = SCAN_MORE;
    *s = (struct scan){0};
    for (size_t n = 0; rc == SCAN_MORE && n < in.n;) {
        n = n + piece < in.n ? n + piece : in.n;
        rc = scan_head(s, str_of(in.p, n));
    }
    return rc;
}

static void split(struct str in, const struct scan *s)
{
    struct arena *a = arena_new(1 << 20);
    struct http_header headers[SCAN_HEADERS_MAX];
    struct http_req req = {.arena = a};
    int rc = split_head(str_of(in.p, s->at), s, &req, headers);
    CHECK(rc == 0 || rc == 400 || rc == 501);
    if (rc == 0) {
        CHECK(req.header_count <= SCAN_HEADERS_MAX);
        CHECK(scan_token(req.method) && req.path.n > 0);
        for (size_t i = 0; i < req.header_count; i++)
            CHECK(scan_token(headers[i].name) && scan_value(headers[i].value));
    }
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    char *copy = fuzz_copy(in);
    struct scan whole, bytewise;
    in.p = copy;
    enum scan_rc a = in_pieces(&whole, in, size ? size : 1), b = in_pieces(&bytewise, in, 1);
    CHECK(a == b);
    if (a == SCAN_DONE) {
        CHECK(whole.at == bytewise.at && whole.at <= size && (whole.has_host || whole.minor == 0));
        CHECK(whole.content_length == bytewise.content_length);
        split(in, &whole);
    } else if (a == SCAN_BAD) {
        CHECK(whole.status == bytewise.status && whole.status >= 400 && whole.why);
    }
    free(copy);
    return 0;
}
