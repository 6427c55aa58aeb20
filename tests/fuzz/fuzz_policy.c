/* Policies: KIND, then NUL-separated document, action, resource, principal, and one value that every
 * condition key and variable has. Asking twice gives the same; joined with itself as the resource's
 * policy it gives no more than either side alone. */
#include "auth/policy.h"
#include "fuzz.h"

static size_t find(void *ctx, struct str name, struct str *values, size_t max)
{
    CHECK(max > 0 && name.n > 0);
    values[0] = *(struct str *)ctx;
    return values[0].n ? 1 : 0;
}

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
    struct str value = fuzz_line(&in);
    q.find = find;
    q.find_ctx = &value;
    enum policy_effect effect = policy_eval(p, &q);
    CHECK(effect == POLICY_NONE || effect == POLICY_ALLOW || effect == POLICY_DENY ||
          (effect == POLICY_DELEGATE && kind != POLICY_IDENTITY));
    CHECK(policy_eval(p, &q) == effect);
    struct policy *both[] = {p, p};
    CHECK(policy_eval_all(both, 2, &q) == effect);
    struct policy_caller who = {.policies = both, .count = kind == POLICY_IDENTITY ? 1 : 0};
    struct policy_guard guard = {.policy = kind == POLICY_IDENTITY ? NULL : p};
    enum policy_side side;
    enum policy_effect joined = policy_decide(&who, &guard, &q, &side);
    CHECK(joined == (effect == POLICY_DELEGATE ? POLICY_NONE : effect));
    who.root = true;
    CHECK(policy_decide(&who, &guard, &q, &side) ==
          (effect == POLICY_DENY && guard.policy ? POLICY_DENY : POLICY_ALLOW));
    policy_free(p);
    return 0;
}
