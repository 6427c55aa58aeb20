/* test_object_list: listings of a real bucket against the plain reading of S3's rules: random keys
 * over a small alphabet, every prefix, delimiter, start and page size, and pages chained by their
 * last entry. */
#include "svc/object.h"

#include "store_help.h"
#include "svc/object_rows.h"

enum { KEYS = 160, KEY_MAX_LEN = 8 };

static char keys[KEYS][OBJKEY_MAX + 1];
static size_t key_count;
static uint64_t bucket_id;
static uint32_t seed = 12345;

static uint32_t next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(str_c(a), str_c(b));
}

static void make_keys(void)
{
    static const char letters[] = "ab/-\xff";
    for (size_t i = 0; i < KEYS; i++) {
        size_t n = 1 + next_random() % KEY_MAX_LEN;
        for (size_t k = 0; k < n; k++)
            keys[i][k] = letters[next_random() % 5];
        keys[i][n] = '\0';
    }
    /* long ones, that span several rows of the table */
    for (size_t i = 0; i < 12; i++) {
        size_t n = 478 + next_random() % 540;
        memset(keys[i], 'a', n);
        keys[i][n - 1] = "ab/"[i % 3];
        keys[i][400 + i] = '/';
        keys[i][n] = '\0';
    }
    qsort(keys, KEYS, sizeof keys[0], by_bytes);
    for (size_t i = 0; i < KEYS; i++)
        if (i == 0 || strcmp(keys[key_count - 1], keys[i]) != 0)
            memmove(keys[key_count++], keys[i], sizeof keys[i]);
}

static int fill(struct store_txn *t, void *ctx)
{
    (void)ctx;
    int rc = bucket_create(t, STR("listed"), &bucket_id);
    for (size_t i = 0; i < key_count && rc == 0; i++) {
        struct buf rec = BUF_INIT;
        struct object_meta m = {.size = i, .inline_body = STR("x")};
        object_encode(&rec, &m);
        rc = objkey_put(t, bucket_id, str_c(keys[i]), buf_str(&rec));
        buf_deinit(&rec);
    }
    return rc;
}

/* --- what came out ------------------------------------------------------------------------------
 */

struct page {
    char names[KEYS][OBJKEY_MAX + 1];
    bool group[KEYS];
    size_t n;
    bool truncated;
};

static void add(struct page *p, struct str name, bool group)
{
    assert_true(p->n < KEYS);
    memcpy(p->names[p->n], name.p, name.n);
    p->names[p->n][name.n] = '\0';
    p->group[p->n++] = group;
}

static void entry(void *ctx, const struct object_meta *m)
{
    assert_true(m->size < key_count);
    assert_str(m->key, keys[m->size]);
    add(ctx, m->key, false);
}

static void common(void *ctx, struct str prefix)
{
    add(ctx, prefix, true);
}

static void list(struct fixture *f, const struct object_list *l, struct page *out, struct buf *last)
{
    struct store_txn *t = store_read(f->store);
    out->n = 0;
    assert_int_equal(object_list(t, l, entry, common, out, &out->truncated, last), 0);
    store_read_end(t);
}

/* The rules, read plainly: walk all keys, keep those with the prefix and beyond `after`, fold those
 * with the delimiter. A group that `after` names is done with. */
static void model(const struct object_list *l, struct page *out)
{
    out->n = 0;
    out->truncated = false;
    for (size_t i = 0; i < key_count; i++) {
        struct str key = str_c(keys[i]), name = key;
        if (!str_starts(key, l->prefix) || str_cmp(key, l->after) <= 0)
            continue;
        ptrdiff_t at = l->delimiter.n ? str_find(str_from(key, l->prefix.n), l->delimiter) : -1;
        if (at >= 0)
            name.n = l->prefix.n + (size_t)at + l->delimiter.n;
        if (at >= 0 && str_eq(name, l->after))
            continue;
        if (at >= 0 && out->n && out->group[out->n - 1] &&
            str_eq(str_c(out->names[out->n - 1]), name))
            continue;
        if (out->n == l->limit) {
            out->truncated = true;
            return;
        }
        add(out, name, at >= 0);
    }
}

static void assert_same(const struct object_list *l, const struct page *got,
                        const struct page *want)
{
    bool same = got->n == want->n && got->truncated == want->truncated;
    for (size_t i = 0; same && i < got->n; i++)
        same = strcmp(got->names[i], want->names[i]) == 0 && got->group[i] == want->group[i];
    if (!same)
        fail_msg("prefix '%.*s' delimiter '%.*s' after '%.*s' limit %zu: %zu rows%s, want %zu%s",
                 STR_FMT(l->prefix), STR_FMT(l->delimiter), STR_FMT(l->after), l->limit, got->n,
                 got->truncated ? "+" : "", want->n, want->truncated ? "+" : "");
}

/* --- tests --------------------------------------------------------------------------------------
 */

static struct page got, want, all;

static void against_model(void **state)
{
    struct fixture *f = *state;
    static const char *const prefixes[] = {"", "a", "a/", "/", "-", "\xff", "b/a", "zz", "aaaa"};
    static const char *const delimiters[] = {"", "/", "a", "-", "//", "\xff"};
    struct buf last = BUF_INIT;
    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (size_t d = 0; d < sizeof delimiters / sizeof *delimiters; d++)
            for (size_t i = 0; i < 40; i++) {
                struct object_list l = {.bucket = STR("listed"),
                                        .prefix = str_c(prefixes[p]),
                                        .delimiter = str_c(delimiters[d]),
                                        .limit = i % 3 ? 1 + next_random() % 9 : KEYS};
                if (i)
                    l.after = str_c(keys[next_random() % key_count]);
                if (i % 4 == 3 && l.after.n > 1)
                    l.after.n--; /* no key, perhaps */
                list(f, &l, &got, &last);
                model(&l, &want);
                assert_same(&l, &got, &want);
            }
    buf_deinit(&last);
}

/* Pages of every size, put together, are the whole listing. */
static void pages(void **state)
{
    struct fixture *f = *state;
    static const char *const delimiters[] = {"", "/", "a"};
    struct buf last = BUF_INIT;
    for (size_t d = 0; d < 3; d++)
        for (size_t limit = 1; limit < 30; limit += 4) {
            struct object_list l = {
                .bucket = STR("listed"), .delimiter = str_c(delimiters[d]), .limit = KEYS};
            char after[OBJKEY_MAX + 1] = "";
            list(f, &l, &all, &last);
            assert_false(all.truncated);
            l.limit = limit;
            size_t n = 0;
            do {
                l.after = str_c(after);
                list(f, &l, &got, &last);
                for (size_t i = 0; i < got.n; i++)
                    assert_string_equal(got.names[i], all.names[n++]);
                if (got.n)
                    snprintf(after, sizeof after, "%.*s", STR_FMT(buf_str(&last)));
            } while (got.truncated);
            assert_int_equal(n, all.n);
        }
    buf_deinit(&last);
}

static void edges(void **state)
{
    struct fixture *f = *state;
    struct buf last = BUF_INIT;
    struct object_list l = {.bucket = STR("listed"), .limit = 0};
    list(f, &l, &got, &last);
    assert_int_equal(got.n, 0);
    assert_false(got.truncated);
    char huge[3000];
    memset(huge, 'a', sizeof huge);
    l.limit = KEYS;
    l.prefix = str_of(huge, sizeof huge);
    list(f, &l, &got, &last);
    assert_int_equal(got.n, 0);
    l.prefix = STR("");
    l.after = str_of(huge, sizeof huge);
    list(f, &l, &got, &last);
    model(&l, &want);
    assert_same(&l, &got, &want);
    l.bucket = STR("nobody");
    struct store_txn *t = store_read(f->store);
    assert_int_equal(object_list(t, &l, entry, common, &got, &got.truncated, &last), E_NO_BUCKET);
    store_read_end(t);
    buf_deinit(&last);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_init(f);
    make_keys();
    assert_true(key_count > 100);
    assert_int_equal(call_run(f, fill, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_deinit(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_model),
        cmocka_unit_test(pages),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
