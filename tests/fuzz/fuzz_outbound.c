/* URLs of functions' requests: the canonical text is canonical. Input: a URL, NUL, a Location. */
#include "auth/outbound.h"
#include "fuzz.h"

static void canonical(const struct outbound *o)
{
    struct outbound again;
    CHECK(o->url_n <= OUTBOUND_URL_MAX && o->url[o->url_n] == 0 && strlen(o->url) == o->url_n);
    CHECK(o->scope_n <= o->url_n && o->origin_n <= o->scope_n);
    CHECK(strncmp(o->url, o->tls ? "https://" : "http://", o->tls ? 8 : 7) == 0);
    CHECK(outbound_parse(str_of(o->url, o->url_n), &again, NULL) == 0);
    CHECK(strcmp(o->url, again.url) == 0 && strcmp(o->host, again.host) == 0);
    CHECK(o->port == again.port && o->tls == again.tls);
    CHECK(outbound_match(STR("*"), str_of(o->url, o->scope_n), false));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size}, url = fuzz_line(&in);
    struct outbound o, to;
    if (outbound_parse(url, &o, NULL))
        return 0;
    canonical(&o);
    if (outbound_join(&o, in, &to, NULL) == 0)
        canonical(&to);
    return 0;
}
