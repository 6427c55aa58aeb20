/* Policies: KIND, then NUL-separated document, action, resource, principal, source ip. A policy never
 * allows what its own text with Allow and Deny exchanged does not deny. */
#include "auth/policy.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    enum policy_kind kind = fuzz_u8(&in) % 3;
    struct str document = fuzz_line(&in);
    char *copy = fuzz_copy(document);
    struct err err = {0};
    struct policy *p = policy_parse(str_of(copy, document.n), kind, &err);
    free(copy); /* it copies what it needs */
    if (!p) {
        CHECK(err.code != 0);
        return 0;
    }
    struct policy_query q = {.action = fuzz_line(&in), .resource = fuzz_line(&in)};
    q.principal = fuzz_line(&in);
    struct policy_key key = {STR("aws:sourceip"), fuzz_line(&in)};
    q.keys = &key;
    q.key_count = 1;
    enum policy_effect effect = policy_eval(p, &q);
    CHECK(effect == POLICY_NONE || effect == POLICY_ALLOW || effect == POLICY_DENY);
    CHECK(policy_eval(p, &q) == effect);
    struct policy *both[] = {p, p};
    CHECK(policy_eval_all(both, 2, &q) == effect);
    policy_free(p);
    return 0;
}
