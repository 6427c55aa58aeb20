/* XML bodies: bounded, and no document makes a tree that is not one. */
#include "api/xml.h"
#include "base/arena.h"
#include "fuzz.h"

static size_t count(const struct xml_node *n, int depth)
{
    size_t all = 0;
    CHECK(depth <= XML_DEPTH_MAX);
    for (; n; n = n->next) {
        CHECK(n->name.n > 0);
        all += 1 + count(n->child, depth + 1);
    }
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(str_of((const char *)data, size));
    struct arena *a = arena_new(4 << 20);
    struct xml_node *root = NULL;
    if (xml_parse(a, str_of(copy, size), &root) == 0) {
        CHECK(root && !root->next);
        CHECK(count(root, 1) <= XML_ELEMENTS_MAX);
    }
    arena_free(a);
    free(copy);
    return 0;
}
