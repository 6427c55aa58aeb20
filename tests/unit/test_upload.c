/* test_upload: uploads in a real store: parts in any order and again, what complete takes and
 * refuses, one commit for object and events, nothing left behind, sweeps that a restart takes up. */
#include "upload_help.h"

#include "base/checksum.h"
#include "base/clock.h"
#include "base/codec.h"
#include "svc/bucket_rows.h"

enum { MIN = UPLOAD_PART_MIN };

static int get(struct world *w, const char *key, struct object_meta *m)
{
    struct store_txn *t = store_read(w->f.store);
    int rc = object_get(t, STR("photos"), str_c(key), m);
    store_read_end(t);
    return rc;
}

static void etag_of(const struct upload_claim *c, size_t n, char out[48])
{
    unsigned char md5[HASH_MAX];
    char hex[33];
    struct hash *h = hash_new(HASH_MD5);
    for (size_t i = 0; i < n; i++)
        hash_update(h, c[i].md5, 16);
    hash_final(h, md5);
    hex_encode(md5, 16, hex);
    snprintf(out, 48, "%s-%zu", hex, n);
}

/* --- the way through --------------------------------------------------------------------------- */

static void in_any_order(void **state)
{
    struct world *w = *state;
    struct str big = pattern(MIN + 1000), tail = STR("the end");
    const struct upload_claim claims[] = {claim_of(2, big), claim_of(7, big), claim_of(9, tail)};
    struct object_meta m;
    char etag[48];
    uint64_t id = begin_with(w, "k", CHECKSUM_NONE, false);
    assert_int_equal(part(w, "k", id, 9, CHECKSUM_NONE, tail).rc, 0);
    assert_int_equal(part(w, "k", id, 7, CHECKSUM_NONE, STR("an older one")).rc, 0);
    assert_int_equal(part(w, "k", id, 7, CHECKSUM_NONE, big).rc, 0);
    assert_int_equal(part(w, "k", id, 2, CHECKSUM_NONE, big).rc, 0);
    assert_int_equal(part(w, "k", id, 3, CHECKSUM_NONE, big).rc, 0); /* left out */
    assert_int_equal(get(w, "k", &m), E_NO_KEY);
    await_files(w, 3);

    struct outcome o = complete(w, "k", id, claims, 3);
    assert_int_equal(o.rc, 0);
    etag_of(claims, 3, etag);
    assert_string_equal(o.etag, etag);
    struct store_txn *t = store_read(w->f.store);
    assert_int_equal(object_get(t, STR("photos"), STR("k"), &m), 0);
    assert_int_equal(m.size, 2 * big.n + tail.n);
    assert_int_equal(m.extents.count, 3);
    assert_str(m.content_type, "image/png");
    struct reader r = {0};
    int rc;
    r.r = object_read_open(w->objects, &m, 0, m.size, &rc);
    store_read_end(t);
    while (reader_next(w, &r, BLOB_READ_MAX))
        ;
    assert_true(str_eq(str_of(r.bytes.p, big.n), big));
    assert_true(str_eq(str_of(r.bytes.p + big.n, big.n), big));
    assert_true(str_eq(str_of(r.bytes.p + 2 * big.n, r.bytes.n - 2 * big.n), tail));
    object_read_close(r.r);
    buf_deinit(&r.bytes);

    await_rows(w, T_PARTS, 3); /* the part left out and the count of changes went */
    await_files(w, 2);
    o = complete(w, "k", id, claims, 3); /* the answer was lost */
    assert_int_equal(o.rc, 0);
    assert_string_equal(o.etag, etag);
    assert_int_equal(complete(w, "k", id, claims, 2).rc, E_NO_UPLOAD);
    assert_int_equal(part(w, "k", id, 4, CHECKSUM_NONE, tail).rc, E_NO_UPLOAD);
    assert_int_equal(abort_upload(w, "k", id), E_NO_UPLOAD);

    del(w, "k");
    await_rows(w, T_PARTS, 0);
    assert_int_equal(rows(w, T_UPLOADS), 0);
    assert_int_equal(rows(w, T_OBJECTS), 0);
    assert_int_equal(rows(w, T_BLOBS), 0);
    await_files(w, 0);
    assert_int_equal(complete(w, "k", id, claims, 3).rc, E_NO_UPLOAD);
}

static void refusals(void **state)
{
    struct world *w = *state;
    struct str big = pattern(MIN), less = pattern(MIN - 1);
    uint64_t id = begin_with(w, "k", CHECKSUM_NONE, false);
    struct upload_claim one = claim_of(1, less), two = claim_of(2, big), none = claim_of(5, big),
                        wrong = claim_of(2, less);
    struct object_meta m;
    part(w, "k", id, 1, CHECKSUM_NONE, less);
    part(w, "k", id, 2, CHECKSUM_NONE, big);
    assert_int_equal(complete(w, "k", id, (struct upload_claim[]){one, two}, 2).rc, E_PART_SIZE);
    assert_int_equal(complete(w, "k", id, (struct upload_claim[]){two, none}, 2).rc, E_NO_PART);
    assert_int_equal(complete(w, "k", id, &none, 1).rc, E_NO_PART);
    assert_int_equal(complete(w, "k", id, &wrong, 1).rc, E_NO_PART);
    two.alg = CHECKSUM_CRC32; /* said of a part that has none */
    assert_int_equal(complete(w, "k", id, &two, 1).rc, E_NO_PART);
    two.alg = CHECKSUM_NONE;
    assert_int_equal(complete(w, "another", id, &two, 1).rc, E_NO_UPLOAD);
    assert_int_equal(complete(w, "k", id + 1, &two, 1).rc, E_NO_UPLOAD);

    struct outcome o = {0};
    complete_start(w, "k", id, &two, 1, (struct upload_complete_req){.size = 7}, &o);
    wait_for(w, &o);
    assert_int_equal(o.rc, E_BAD_REQUEST);
    o = (struct outcome){0};
    complete_start(w, "k", id, &two, 1, (struct upload_complete_req){.if_match = STR("x")}, &o);
    wait_for(w, &o);
    assert_int_equal(o.rc, E_NO_KEY);
    queue.refuse = true; /* nobody listens: nothing is asked of the queue */
    assert_int_equal(get(w, "k", &m), E_NO_KEY);
    assert_int_equal(complete(w, "k", id, &two, 1).rc, 0);
    o = (struct outcome){0};
    id = begin_with(w, "k", CHECKSUM_NONE, false);
    part(w, "k", id, 1, CHECKSUM_NONE, STR("new"));
    one = claim_of(1, STR("new"));
    complete_start(w, "k", id, &one, 1, (struct upload_complete_req){.if_none_match = true}, &o);
    wait_for(w, &o);
    assert_int_equal(o.rc, E_PRECONDITION);
}

static void checksums(void **state)
{
    struct world *w = *state;
    struct str big = pattern(MIN + 3), tail = STR("tail");
    for (enum checksum_alg alg = CHECKSUM_CRC32; alg < CHECKSUM_ALGS; alg++) {
        for (int composite = 0; composite < 2; composite++) {
            unsigned char raw[2][CHECKSUM_MAX], want[CHECKSUM_MAX];
            char text[CHECKSUM_TEXT_MAX + 4];
            bool sha = alg == CHECKSUM_SHA1 || alg == CHECKSUM_SHA256;
            if (sha && !composite)
                continue;
            struct upload_claim claims[] = {claim_of(1, big), claim_of(2, tail)};
            checksum_once(alg, big, raw[0]);
            checksum_once(alg, tail, raw[1]);
            claims[0].alg = claims[1].alg = (uint8_t)alg;
            memcpy(claims[0].checksum, raw[0], 32);
            memcpy(claims[1].checksum, raw[1], 32);
            struct checksum s;
            checksum_init(&s, alg);
            size_t n = checksum_size(alg);
            checksum_update(&s, composite ? str_of((char *)raw[0], n) : big);
            checksum_update(&s, composite ? str_of((char *)raw[1], n) : tail);
            checksum_final(&s, want);
            checksum_encode(alg, want, text);
            if (composite)
                snprintf(text + strlen(text), 4, "-2");

            uint64_t id = begin_with(w, "k", alg, composite);
            part(w, "k", id, 1, alg, big);
            part(w, "k", id, 2, alg, tail);
            struct outcome o = {0};
            struct upload_complete_req r = {.alg = alg, .checksum = STR("AAAA")};
            complete_start(w, "k", id, claims, 2, r, &o);
            wait_for(w, &o);
            assert_int_equal(o.rc, E_BAD_DIGEST);
            claims[1].checksum[0] ^= 1;
            assert_int_equal(complete(w, "k", id, claims, 2).rc, E_NO_PART);
            claims[1].checksum[0] ^= 1;
            r.checksum = str_c(text);
            r.checksum_type = composite ? STR("COMPOSITE") : STR("FULL_OBJECT");
            o = (struct outcome){0};
            complete_start(w, "k", id, claims, 2, r, &o);
            wait_for(w, &o);
            assert_int_equal(o.rc, 0);
            assert_string_equal(o.checksum, text);
            assert_int_equal(o.composite, composite);
        }
    }
}

/* --- at once ------------------------------------------------------------------------------------ */

static void completes_at_once(void **state)
{
    struct world *w = *state;
    struct str body = STR("one part");
    const struct upload_claim claim = claim_of(1, body);
    struct outcome o[3] = {{0}};
    uint64_t id = begin_with(w, "k", CHECKSUM_NONE, false);
    part(w, "k", id, 1, CHECKSUM_NONE, body);
    for (int i = 0; i < 3; i++)
        complete_start(w, "k", id, &claim, 1, (struct upload_complete_req){0}, &o[i]);
    for (int i = 0; i < 3; i++) {
        wait_for(w, &o[i]);
        assert_int_equal(o[i].rc, 0);
        assert_string_equal(o[i].etag, o[0].etag);
    }
}

/* A part that is sent again between reading and commit must not slip in. */
static void a_part_changes_meanwhile(void **state)
{
    struct world *w = *state;
    struct str old = pattern(1000), new = pattern(2000);
    const struct upload_claim claim = claim_of(1, old);
    struct outcome o = {0};
    struct object_meta m;
    uint64_t id = begin_with(w, "k", CHECKSUM_NONE, false);
    part(w, "k", id, 1, CHECKSUM_NONE, old);
    complete_start(w, "k", id, &claim, 1, (struct upload_complete_req){0}, &o);
    struct outcome late = part(w, "k", id, 1, CHECKSUM_NONE, new); /* its job may come first */
    wait_for(w, &o);
    if (o.rc == 0) {
        assert_int_equal(get(w, "k", &m), 0);
        assert_int_equal(m.size, old.n);
        assert_int_equal(late.rc, E_NO_UPLOAD);
    } else {
        assert_int_equal(o.rc, E_NO_PART);
        assert_int_equal(late.rc, 0);
        assert_int_equal(get(w, "k", &m), E_NO_KEY);
    }
}

/* --- 10,000 parts ------------------------------------------------------------------------------- */

enum { BATCH = 1000 };
struct batch {
    uint64_t id;
    uint32_t from;
};

static int fake_parts(struct store_txn *t, void *ctx)
{
    const struct batch *b = ctx;
    unsigned char md5[16];
    for (uint32_t n = b->from; n < b->from + BATCH; n++) {
        char space[EXTENT_KEY];
        struct buf rec = BUF_INIT;
        hash_once(HASH_MD5, str_of((const char *)&n, sizeof n), md5);
        const struct extent x = {
            .size = MIN + n, .md5 = str_of((char *)md5, 16), .blob = (1ull << 62) + n};
        extent_encode(&rec, &x);
        assert_int_equal(store_put(t, T_PARTS, extent_key(b->id, n, space), buf_str(&rec)), 0);
        assert_int_equal(blob_ref(t, x.blob, x.size), 0);
        buf_deinit(&rec);
    }
    return upload_changed(t, b->id);
}

static uint64_t longest_ns;
static void turn(struct world *w)
{
    uint64_t began = clock_mono_ns(), took;
    uv_run(&w->f.loop, UV_RUN_NOWAIT);
    took = clock_mono_ns() - began;
    longest_ns = took > longest_ns ? took : longest_ns;
    usleep(200);
}

static void ten_thousand(void **state)
{
    struct world *w = *state;
    struct upload_claim *claims = calloc(EXTENTS_MAX, sizeof *claims);
    struct object_meta m;
    struct outcome o = {0};
    struct batch b = {.id = begin_with(w, "k", CHECKSUM_NONE, false)};
    for (b.from = 1; b.from <= EXTENTS_MAX; b.from += BATCH)
        assert_int_equal(call_run(&w->f, fake_parts, &b), 0);
    for (uint32_t n = 1; n <= EXTENTS_MAX; n++)
        claims[n - 1] = claim_of(n, str_of((const char *)&n, sizeof n));
    assert_int_equal(part(w, "k", b.id, EXTENTS_MAX, CHECKSUM_NONE, STR("the tail")).rc, 0);
    claims[EXTENTS_MAX - 1] = claim_of(EXTENTS_MAX, STR("the tail"));
    longest_ns = 0;
    complete_start(w, "k", b.id, claims, EXTENTS_MAX, (struct upload_complete_req){0}, &o);
    while (!o.done)
        turn(w);
    assert_int_equal(o.rc, 0);
    struct store_txn *t = store_read(w->f.store);
    assert_int_equal(object_get(t, STR("photos"), STR("k"), &m), 0);
    assert_int_equal(m.extents.count, EXTENTS_MAX);
    assert_true(m.size == 9999ull * MIN + 49995000ull + 8); /* the others are only rows */
    for (uint32_t i = 0; i < EXTENTS_MAX; i += 617) {
        uint64_t begins = (uint64_t)i * MIN + (uint64_t)i * (i + 1) / 2, found_begins;
        uint32_t found;
        assert_int_equal(extents_find(t, &m.extents, begins, &found, &found_begins), 0);
        assert_true(found == i && found_begins == begins);
        if (i) {
            assert_int_equal(extents_find(t, &m.extents, begins - 1, &found, &found_begins), 0);
            assert_true(found == i - 1);
        }
    }
    struct reader r = {0};
    int rc;
    r.r = object_read_open(w->objects, &m, m.size - 5, 5, &rc);
    store_read_end(t);
    assert_true(reader_next(w, &r, 100));
    assert_str(buf_str(&r.bytes), " tail");
    object_read_close(r.r);
    buf_deinit(&r.bytes);
    assert_true(longest_ns < 100 * 1000000ull); /* a machine at work; some 0.5 ms else */

    del(w, "k"); /* one small commit; the rest in slices, which a restart takes up */
    restart(w);
    await_rows(w, T_PARTS, 0);
    assert_int_equal(rows(w, T_UPLOADS), 0);
    assert_int_equal(rows(w, T_BLOBS), 0);
    free(claims);
}

/* --- owners ------------------------------------------------------------------------------------- */

static int own(struct store_txn *t, void *ctx)
{
    return object_body_ref(t, ctx);
}

static int disown(struct store_txn *t, void *ctx)
{
    struct world *w = ctx;
    struct object_meta m;
    int rc = object_get(t, STR("photos"), STR("k"), &m);
    return rc ? rc : object_body_drop(w->objects, t, &m);
}

static void owners(void **state)
{
    struct world *w = *state;
    struct str body = pattern(30000);
    const struct upload_claim claim = claim_of(1, body);
    struct object_meta m;
    uint64_t id = begin_with(w, "k", CHECKSUM_NONE, false);
    part(w, "k", id, 1, CHECKSUM_NONE, body);
    complete(w, "k", id, &claim, 1);
    assert_int_equal(get(w, "k", &m), 0);
    assert_int_equal(call_run(&w->f, own, &m), 0);
    assert_int_equal(call_run(&w->f, disown, w), 0);
    objects_committed(w->objects, 0, NULL, 0);
    settle(w);
    assert_int_equal(rows(w, T_PARTS), 2);
    del(w, "k");
    await_rows(w, T_PARTS, 0);
    await_files(w, 0);
}

/* --- a bucket that goes -------------------------------------------------------------------------- */

static int remove_bucket(struct store_txn *t, void *ctx)
{
    return bucket_delete(t, str_c(ctx));
}

static void bucket_goes(void **state)
{
    struct world *w = *state;
    char name[] = "photos", key[16];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i % 3 ? i : 0);
        uint64_t id = begin_with(w, key, CHECKSUM_NONE, false);
        if (i % 10 == 0)
            assert_int_equal(part(w, key, id, 1, CHECKSUM_NONE, pattern(20000)).rc, 0);
    }
    assert_int_equal(rows(w, T_UPLOADS), 300);
    assert_int_equal(call_run(&w->f, remove_bucket, name), 0);
    restart(w);
    await_rows(w, T_UPLOADS, 0);
    assert_int_equal(rows(w, T_PARTS), 0);
    assert_int_equal(rows(w, T_OBJECTS), 0);
    await_files(w, 0);
}

/* --- lists --------------------------------------------------------------------------------------- */

struct listed {
    struct buf text;
};

static void add_upload(void *ctx, const struct upload *u)
{
    buf_printf(ctx, "%.*s ", STR_FMT(u->key));
}

static void add_prefix(void *ctx, struct str prefix)
{
    buf_printf(ctx, "[%.*s] ", STR_FMT(prefix));
}

/* All pages of that size. */
static void assert_list(struct world *w, const char *prefix, const char *delimiter, size_t limit,
                        const char *want)
{
    struct buf text = BUF_INIT, last = BUF_INIT, after = BUF_INIT;
    bool more = true;
    uint64_t id = 0;
    for (int pages = 0; more && pages < 50; pages++) {
        const struct upload_list l = {.bucket = STR("photos"),
                                      .prefix = str_c(prefix),
                                      .delimiter = str_c(delimiter),
                                      .after = buf_str(&after),
                                      .after_id = id,
                                      .limit = limit};
        struct store_txn *t = store_read(w->f.store);
        assert_int_equal(upload_list(t, &l, add_upload, add_prefix, &text, &more, &last, &id), 0);
        store_read_end(t);
        buf_clear(&after);
        buf_add(&after, buf_str(&last));
    }
    assert_false(more);
    assert_str(buf_str(&text), want);
    buf_deinit(&text);
    buf_deinit(&last);
    buf_deinit(&after);
}

static void lists(void **state)
{
    struct world *w = *state;
    static const char *const keys[] = {"d/b", "a", "b/2", "b/1", "b/2", "b/2", "c", "d/a/x"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        begin_with(w, keys[i], CHECKSUM_NONE, false);
    for (size_t limit = 1; limit < 10; limit++) {
        assert_list(w, "", "", limit, "a b/1 b/2 b/2 b/2 c d/a/x d/b ");
        assert_list(w, "", "/", limit, "a [b/] c [d/] ");
        assert_list(w, "b/", "", limit, "b/1 b/2 b/2 b/2 ");
        assert_list(w, "d/", "/", limit, "[d/a/] d/b ");
        assert_list(w, "x", "/", limit, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(checksums, setup, teardown),
        cmocka_unit_test_setup_teardown(completes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_changes_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand, setup, teardown),
        cmocka_unit_test_setup_teardown(owners, setup, teardown),
        cmocka_unit_test_setup_teardown(bucket_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
