/* test_object_read: bodies in parts: their list as a record has it, and the reader over every
 * boundary of records, blobs and parts; held against deletes and restarts. */
#include "upload_help.h"

/* --- the list ---------------------------------------------------------------------------------- */

static void numbers(void **state)
{
    (void)state;
    static const uint32_t sets[][8] = {
        {1, 2, 3}, {2, 3, 7, 9, 10}, {10000}, {1, 3, 5, 9998, 10000}};
    for (size_t s = 0; s < 4; s++) {
        struct extents_maker m = {0};
        uint32_t n = 0;
        for (; sets[s][n]; n++)
            extents_add(&m, sets[s][n], 10 + n);
        struct buf rec = BUF_INIT;
        struct extents e = {7, n, buf_str(&m.runs), buf_str(&m.index)}, back;
        extents_encode(&rec, &e);
        assert_int_equal(extents_decode(buf_str(&rec), &back), 0);
        uint32_t held = 0;
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(extents_number(&back, i), sets[s][i]);
        for (uint32_t k = 0; k <= 10001; k++)
            held += extents_holds(&back, k);
        assert_int_equal(held, n);
        for (uint32_t i = 0; i < n; i++)
            assert_true(extents_holds(&back, sets[s][i]));
        for (size_t cut = 0; cut < rec.n; cut++) /* no cut of it is a list */
            assert_int_not_equal(extents_decode(str_of(rec.p, cut), &back), 0);
        buf_deinit(&rec);
        buf_deinit(&m.runs);
        buf_deinit(&m.index);
    }
}

static void the_longest(void **state)
{
    (void)state;
    struct extents_maker m = {0};
    for (uint32_t k = 1; k <= EXTENTS_MAX; k++)
        extents_add(&m, k, 5 << 20);
    assert_int_equal(m.runs.n, 4);
    assert_int_equal(m.index.n, 157 * 8);
    assert_true(m.size == 10000ull * (5 << 20));
    buf_deinit(&m.runs);
    buf_deinit(&m.index);
}

/* --- reading ----------------------------------------------------------------------------------- */

static const size_t sizes[] = {3, 20000, 1, 16384, 70000, 5, 0, 17000, 2};
enum { PARTS = sizeof sizes / sizeof *sizes };

/* An object in parts as Complete would make it, though its parts are small. */
struct small {
    struct extents_maker maker;
    struct object_meta meta;
};

static struct small make_small(struct world *w)
{
    struct small s = {0};
    uint64_t id = begin_with(w, "k", CHECKSUM_NONE, false);
    for (uint32_t i = 0, at = 0; i < PARTS; at += (uint32_t)sizes[i], i++) {
        struct str body = str_of(pattern(200000).p + at, sizes[i]);
        assert_int_equal(part(w, "k", id, 2 * i + 1, CHECKSUM_NONE, body).rc, 0);
        extents_add(&s.maker, 2 * i + 1, sizes[i]);
    }
    s.meta.size = s.maker.size;
    s.meta.extents = (struct extents){id, PARTS, buf_str(&s.maker.runs), buf_str(&s.maker.index)};
    return s;
}

static void free_small(struct small *s)
{
    buf_deinit(&s->maker.runs);
    buf_deinit(&s->maker.index);
}

static void read_part(struct world *w, const struct object_meta *m, struct str whole,
                      uint64_t first, uint64_t count, size_t max)
{
    struct reader r = {0};
    int rc;
    r.r = object_read_open(w->objects, m, first, count, &rc);
    assert_non_null(r.r);
    while (reader_next(w, &r, max))
        ;
    assert_int_equal(object_read_left(r.r), 0);
    assert_true(str_eq(buf_str(&r.bytes), str_of(whole.p + first, count)));
    object_read_close(r.r);
    buf_deinit(&r.bytes);
}

static void every_boundary(void **state)
{
    struct world *w = *state;
    struct small s = make_small(w);
    struct str whole = pattern(200000);
    uint64_t edges[PARTS * 3], n = 0, at = 0;
    for (size_t i = 0; i < PARTS; at += sizes[i], i++) {
        if (at)
            edges[n++] = at - 1;
        edges[n++] = at;
        if (at + 1 < s.meta.size)
            edges[n++] = at + 1;
    }
    for (size_t i = 0; i < n; i++) {
        read_part(w, &s.meta, whole, edges[i], 0, 100);
        for (size_t k = 0; k < n; k++)
            if (edges[k] >= edges[i])
                read_part(w, &s.meta, whole, edges[i], edges[k] - edges[i] + 1, BLOB_READ_MAX);
        read_part(w, &s.meta, whole, edges[i], s.meta.size - edges[i], 30000);
    }
    read_part(w, &s.meta, whole, 0, 300, 1);

    for (uint32_t i = 0; i < PARTS; i++) {
        struct extent x;
        uint64_t begins, want = 0;
        for (uint32_t k = 0; k < i; k++)
            want += sizes[k];
        struct store_txn *t = store_read(w->f.store);
        assert_int_equal(extents_place(t, &s.meta.extents, i, &x, &begins), 0);
        assert_int_equal(begins, want);
        assert_int_equal(x.size, sizes[i]);
        store_read_end(t);
    }
    free_small(&s);
}

static void one_place(void **state)
{
    struct world *w = *state;
    struct object_meta m = {.size = 10, .inline_body = STR("0123456789")};
    read_part(w, &m, m.inline_body, 0, 10, 3);
    read_part(w, &m, m.inline_body, 9, 1, 100);
    read_part(w, &m, m.inline_body, 4, 0, 100);

    struct object_meta gone = {.size = 10, .blob = 12345};
    int rc = 0;
    assert_null(object_read_open(w->objects, &gone, 0, 1, &rc));
    assert_int_equal(rc, E_IO);
    struct object_meta lost = {.size = 10,
                               .extents = {99, 1, STR("\1\0\1\0"), STR("\0\0\0\0\0\0\0\0")}};
    assert_null(object_read_open(w->objects, &lost, 0, 1, &rc));
    assert_int_equal(rc, E_INTERNAL);
}

static void close_while_reading(void **state)
{
    struct world *w = *state;
    struct small s = make_small(w);
    struct reader r = {0};
    int rc;
    r.r = object_read_open(w->objects, &s.meta, 5, 100000, &rc);
    object_read_next(r.r, 30000, reader_got, &r);
    object_read_close(r.r);
    settle(w);
    assert_false(r.got);
    object_read_close(NULL);
    free_small(&s);
}

/* --- held -------------------------------------------------------------------------------------- */

static void held_against_the_sweep(void **state)
{
    struct world *w = *state;
    struct small s = make_small(w);
    struct reader r = {0}, other = {0};
    int rc;
    await_files(w, 3);
    r.r = object_read_open(w->objects, &s.meta, 0, s.meta.size, &rc);
    other.r = object_read_open(w->objects, &s.meta, 3, 1, &rc);
    reader_next(w, &r, 2);
    assert_int_equal(abort_upload(w, "k", s.meta.extents.list), 0);
    settle(w);
    assert_int_equal(blob_files(w), 3);
    object_read_close(other.r);
    settle(w);
    assert_int_equal(blob_files(w), 3);
    while (reader_next(w, &r, 30000))
        ;
    assert_true(str_eq(buf_str(&r.bytes), str_of(pattern(200000).p, s.meta.size)));
    object_read_close(r.r);
    await_rows(w, T_PARTS, 0);
    assert_int_equal(rows(w, T_UPLOADS), 0);
    assert_int_equal(rows(w, T_BLOBS), 0);
    await_files(w, 0);
    buf_deinit(&r.bytes);
    free_small(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(the_longest),
        cmocka_unit_test_setup_teardown(every_boundary, setup, teardown),
        cmocka_unit_test_setup_teardown(one_place, setup, teardown),
        cmocka_unit_test_setup_teardown(close_while_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(held_against_the_sweep, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
