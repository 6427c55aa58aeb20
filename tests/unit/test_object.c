/* test_object: objects in a real store: bodies of all sizes, checks that leave nothing, references
 * and files, events in the same commit, conditions, back-pressure. The queue is the test's own: it
 * keeps what it is given, or refuses. */
#include "base/codec.h"
#include "base/hash.h"
#include "base/json.h"
#include "world_help.h"

/* --- helpers ------------------------------------------------------------------------------------
 */

struct outcome {
    bool done;
    int rc;
    char etag[48];
    char text[256];
};

static void put_done(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct outcome *o = ctx;
    o->done = true;
    o->rc = rc;
    snprintf(o->etag, sizeof o->etag, "%s", m ? m->etag : "");
    snprintf(o->text, sizeof o->text, "%s", err_text(err, rc));
}

static struct object_put_req request(const char *key)
{
    return (struct object_put_req){.bucket = STR("photos"),
                                   .key = str_c(key),
                                   .request_id = "11111111-2222-4333-8444-555555555555",
                                   .peer = "127.0.0.1",
                                   .principal = "root"};
}

static void resume(void *ctx)
{
    *(bool *)ctx = true;
}

/* Writes in runs of 60,000 bytes and waits when told to. */
static struct outcome put(struct world *w, const struct object_put_req *r, struct str body)
{
    struct outcome out = {0};
    bool go = true;
    struct object_put *p = object_put_open(w->objects, r);
    object_put_on_drained(p, resume, &go);
    while (body.n) {
        size_t n = body.n < 60000 ? body.n : 60000;
        go = object_put_write(p, str_of(body.p, n));
        body = str_from(body, n);
        while (!go)
            uv_run(&w->f.loop, UV_RUN_ONCE);
    }
    object_put_finish(p, put_done, &out);
    while (!out.done)
        uv_run(&w->f.loop, UV_RUN_ONCE);
    return out;
}

static void md5_hex(struct str s, char out[33])
{
    unsigned char d[16];
    hash_once(HASH_MD5, s, d);
    hex_encode(d, 16, out);
}

/* So many blob files are on the disk once the pool is quiet: for 40 ms, within 10 s. */
static void assert_blob_files(struct world *w, size_t want)
{
    for (int i = 0, quiet = 0; i < 5000 && quiet < 20; i++) {
        uv_run(&w->f.loop, UV_RUN_NOWAIT);
        usleep(2000);
        quiet = folder_files(w->f.dir, "blobs") == want ? quiet + 1 : 0;
    }
    assert_int_equal(folder_files(w->f.dir, "blobs"), want);
}

struct reading {
    bool done;
    struct buf bytes;
};

static void got(void *ctx, int rc, struct str bytes)
{
    struct reading *r = ctx;
    assert_int_equal(rc, 0);
    buf_add(&r->bytes, bytes);
    r->done = true;
}

/* Fails unless the object's body is `want`. */
static void assert_body(struct world *w, const char *key, struct str want)
{
    struct object_meta m;
    char etag[33];
    struct store_txn *t = store_read(w->f.store);
    assert_int_equal(object_get(t, STR("photos"), str_c(key), &m), 0);
    assert_int_equal(m.size, want.n);
    md5_hex(want, etag);
    assert_string_equal(m.etag, etag);
    assert_int_equal(m.blob != 0, want.n > OBJECT_INLINE_MAX);
    if (!m.blob)
        assert_true(str_eq(m.inline_body, want));
    uint64_t blob = m.blob;
    store_read_end(t);
    if (!blob)
        return;
    int rc, fd = blob_open(w->f.store, blob, &rc);
    assert_true(fd >= 0);
    for (size_t at = 0; at < want.n; at += 1 << 20) {
        struct reading r = {.bytes = BUF_INIT};
        size_t n = want.n - at < 1 << 20 ? want.n - at : 1 << 20;
        blob_read(w->f.store, fd, at, n, got, &r);
        while (!r.done)
            uv_run(&w->f.loop, UV_RUN_ONCE);
        assert_true(str_eq(buf_str(&r.bytes), str_of(want.p + at, n)));
        buf_deinit(&r.bytes);
    }
    blob_close(w->f.store, blob, fd);
}

static int get(struct world *w, const char *key)
{
    struct object_meta m;
    struct store_txn *t = store_read(w->f.store);
    int rc = object_get(t, STR("photos"), str_c(key), &m);
    store_read_end(t);
    return rc;
}

struct removal {
    bool done, existed;
    int rc;
};

static void removed(void *ctx, int rc, bool existed, const struct err *err)
{
    struct removal *r = ctx;
    (void)err;
    *r = (struct removal){true, existed, rc};
}

static struct removal del(struct world *w, const char *bucket, const char *key)
{
    struct removal r = {0};
    object_delete(w->objects, str_c(bucket), str_c(key), "id", "::1", "root", removed, &r);
    while (!r.done)
        uv_run(&w->f.loop, UV_RUN_ONCE);
    return r;
}

/* --- bodies -------------------------------------------------------------------------------------
 */

static void bodies(void **state)
{
    struct world *w = *state;
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 65536, 131072, 1000000, 9000001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct object_put_req r = request("k");
        struct outcome out = put(w, &r, pattern(sizes[i]));
        assert_int_equal(out.rc, 0);
        assert_body(w, "k", pattern(sizes[i]));
    }
    assert_blob_files(w, 1); /* each overwrite let go of the one before */
    assert_true(del(w, "photos", "k").existed);
    assert_int_equal(get(w, "k"), E_NO_KEY);
    assert_blob_files(w, 0);
    struct removal again = del(w, "photos", "k");
    assert_int_equal(again.rc, 0);
    assert_false(again.existed);
}

static void survives_restart(void **state)
{
    struct world *w = *state;
    struct object_put_req r = request("dir/\xc3\xa9");
    struct buf pairs = BUF_INIT;
    object_pair_put(&pairs, STR("author"), STR("me"));
    r.user_meta = buf_str(&pairs);
    r.content_type = STR("image/png");
    r.promise.checksum = CHECKSUM_CRC32;
    assert_int_equal(put(w, &r, STR("123456789")).rc, 0);
    buf_deinit(&pairs);
    objects_close(w->objects);
    fixture_restart(&w->f);
    w->objects = objects_open(&w->f.loop, w->f.store, NULL, "us-east-1");

    struct object_meta m;
    struct str rest, name, value;
    struct store_txn *t = store_read(w->f.store);
    assert_int_equal(object_get(t, STR("photos"), r.key, &m), 0);
    assert_str(m.content_type, "image/png");
    assert_str(m.checksum_alg, "CRC32");
    assert_str(m.checksum, "y/Q5Jg=="); /* CRC-32's check value cbf43926 */
    assert_str(m.inline_body, "123456789");
    rest = m.user_meta;
    assert_true(object_pair_next(&rest, &name, &value));
    assert_str(name, "author");
    assert_str(value, "me");
    store_read_end(t);
}

/* --- checks -------------------------------------------------------------------------------------
 */

static void try_checks(struct world *w, struct str body, enum checksum_alg alg)
{
    unsigned char md5[16], sha[32], sum[CHECKSUM_MAX];
    hash_once(HASH_MD5, body, md5);
    hash_once(HASH_SHA256, body, sha);
    checksum_once(alg, body, sum);
    for (int bad = 0; bad < 4; bad++) {
        struct object_put_req r = request("checked");
        unsigned char m[16], s[32], x[CHECKSUM_MAX];
        memcpy(m, md5, sizeof m), memcpy(s, sha, sizeof s), memcpy(x, sum, sizeof x);
        m[15] ^= bad == 1;
        s[0] ^= bad == 2;
        x[3] ^= bad == 3;
        r.promise.md5 = str_of((char *)m, sizeof m);
        r.promise.sha256 = str_of((char *)s, sizeof s);
        r.promise.checksum = alg;
        r.promise.checksum_raw = str_of((char *)x, checksum_size(alg));
        struct outcome out = put(w, &r, body);
        static const int want[] = {0, E_BAD_DIGEST, E_BAD_SHA256, E_BAD_DIGEST};
        assert_int_equal(out.rc, want[bad]);
        if (bad == 3)
            assert_non_null(strstr(out.text, checksum_name(alg)));
        assert_int_equal(get(w, "checked"), bad == 0 ? 0 : E_NO_KEY);
        if (bad == 0)
            assert_true(del(w, "photos", "checked").existed);
        assert_blob_files(w, 0);
    }
}

static void checks(void **state)
{
    struct world *w = *state;
    for (enum checksum_alg alg = CHECKSUM_CRC32; alg < CHECKSUM_ALGS; alg++) {
        try_checks(w, STR(""), alg);
        try_checks(w, pattern(1000), alg);
        try_checks(w, pattern(300000), alg);
    }
}

static void conditions(void **state)
{
    struct world *w = *state;
    struct object_put_req r = request("c");
    r.if_match = STR("900150983cd24fb0d6963f7d28e17f72");
    assert_int_equal(put(w, &r, STR("x")).rc, E_NO_KEY);
    r = request("c");
    r.if_none_match = true;
    assert_int_equal(put(w, &r, STR("abc")).rc, 0);
    assert_int_equal(put(w, &r, pattern(100000)).rc, E_PRECONDITION);
    assert_blob_files(w, 0);
    r = request("c");
    r.if_match = STR("900150983cd24fb0d6963f7d28e17f72"); /* md5 of abc */
    assert_int_equal(put(w, &r, STR("new")).rc, 0);
    assert_int_equal(put(w, &r, STR("newer")).rc, E_PRECONDITION);
    assert_body(w, "c", STR("new"));
}

static void refused(void **state)
{
    struct world *w = *state;
    char longest[1026];
    memset(longest, 'k', sizeof longest);
    longest[1024] = '\0';
    struct object_put_req r = request(longest);
    assert_int_equal(put(w, &r, STR("x")).rc, 0);
    assert_body(w, longest, STR("x"));
    assert_int_equal(del(w, "photos", longest).rc, 0);
    longest[1024] = 'k';
    longest[1025] = '\0';
    r = request(longest);
    assert_int_equal(put(w, &r, STR("x")).rc, E_KEY_TOO_LONG);
    assert_int_equal(put(w, &r, pattern(100000)).rc, E_KEY_TOO_LONG);
    r = request("");
    assert_int_equal(put(w, &r, STR("x")).rc, E_INVALID);
    r = request("k");
    r.bucket = STR("nobody");
    assert_int_equal(put(w, &r, STR("x")).rc, E_NO_BUCKET);
    assert_int_equal(put(w, &r, pattern(100000)).rc, E_NO_BUCKET);
    assert_int_equal(del(w, "nobody", "k").rc, E_NO_BUCKET);
    r = request("k");
    r.content_type = STR("a\r\nb");
    assert_int_equal(put(w, &r, STR("x")).rc, E_INVALID);
    assert_blob_files(w, 0);
}

static void aborted(void **state)
{
    struct world *w = *state;
    static const size_t sizes[] = {0, 10, 20000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct object_put_req r = request("a");
        struct object_put *p = object_put_open(w->objects, &r);
        object_put_write(p, pattern(sizes[i]));
        object_put_abort(p);
        assert_blob_files(w, 0);
        assert_int_equal(get(w, "a"), E_NO_KEY);
    }
}

/* --- events -------------------------------------------------------------------------------------
 */

static struct trigger rule(const char *id, const char *event, const char *suffix)
{
    return (struct trigger){.id = str_c(id),
                            .function_arn =
                                STR("arn:aws:lambda:us-east-1:000000000000:function:thumbs"),
                            .events = {str_c(event)},
                            .event_count = 1,
                            .suffix = str_c(suffix)};
}

struct rules {
    struct trigger list[3];
    size_t n;
    struct err err;
};

static int put_rules(struct store_txn *t, void *ctx)
{
    struct rules *r = ctx;
    return bucket_triggers_put(t, "us-east-1", STR("photos"), r->list, r->n, true, &r->err);
}

static uint64_t sequencer(void)
{
    const char *at = strstr(queue.payload, "\"sequencer\":\"");
    assert_non_null(at);
    return strtoull(at + 13, NULL, 16);
}

static void events(void **state)
{
    struct world *w = *state;
    struct rules rules = {.list = {rule("jpg", "s3:ObjectCreated:*", ".jpg"),
                                   rule("all", "s3:ObjectRemoved:Delete", "")},
                          .n = 2};
    assert_int_equal(call_run(&w->f, put_rules, &rules), 0);
    struct object_put_req r = request("a b.jpg");
    assert_int_equal(put(w, &r, STR("one")).rc, 0);
    assert_int_equal(queue.puts, 1);
    assert_int_equal(queue.kicks, 1);
    assert_string_equal(queue.function, "thumbs");
    assert_string_equal(queue.source, "arn:aws:s3:::photos");
    assert_int_equal(queue.request_id[14], '4');
    assert_non_null(strstr(queue.payload, "\"key\":\"a+b.jpg\""));
    assert_non_null(strstr(queue.payload, "\"eventName\":\"ObjectCreated:Put\""));
    assert_non_null(strstr(queue.payload, "\"configurationId\":\"jpg\""));
    assert_non_null(strstr(queue.payload, "\"size\":3,"));
    uint64_t first = sequencer();
    assert_int_equal(put(w, &r, STR("two")).rc, 0);
    assert_true(sequencer() > first);
    first = sequencer();

    r = request("c.png"); /* no rule wants it */
    assert_int_equal(put(w, &r, STR("x")).rc, 0);
    assert_int_equal(queue.puts, 2);
    assert_true(del(w, "photos", "c.png").existed);
    assert_int_equal(queue.puts, 3);
    assert_non_null(strstr(queue.payload, "ObjectRemoved:Delete"));
    assert_true(sequencer() > first);
    assert_false(del(w, "photos", "c.png").existed);
    assert_int_equal(queue.puts, 3);

    /* a body that is not what was promised makes no event */
    r = request("d.jpg");
    r.promise.checksum = CHECKSUM_CRC32;
    r.promise.checksum_raw = STR("\1\2\3\4");
    assert_int_equal(put(w, &r, STR("x")).rc, E_BAD_DIGEST);
    assert_int_equal(queue.puts, 3);

    rules.n = 0;
    assert_int_equal(call_run(&w->f, put_rules, &rules), 0);
    r = request("e.jpg");
    assert_int_equal(put(w, &r, STR("x")).rc, 0);
    assert_int_equal(queue.puts, 3);
    assert_int_equal(queue.kicks, 3);
}

static void full_queue(void **state)
{
    struct world *w = *state;
    struct rules rules = {.list = {rule("all", "s3:ObjectCreated:*", "")}, .n = 1};
    assert_int_equal(call_run(&w->f, put_rules, &rules), 0);
    queue.refuse = true;
    struct object_put_req r = request("k");
    assert_int_equal(put(w, &r, STR("x")).rc, E_THROTTLED);
    assert_int_equal(put(w, &r, pattern(100000)).rc, E_THROTTLED);
    assert_int_equal(get(w, "k"), E_NO_KEY);
    assert_blob_files(w, 0);
    assert_int_equal(queue.kicks, 0);
}

/* --- bucket rules -------------------------------------------------------------------------------
 */

static int delete_bucket(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return bucket_delete(t, STR("photos"));
}

static int count;
static bool count_rule(void *ctx, const struct trigger *tr)
{
    (void)ctx;
    (void)tr;
    count++;
    return true;
}

static int rules_stored(struct world *w)
{
    struct store_txn *t = store_read(w->f.store);
    count = 0;
    assert_int_equal(bucket_triggers(t, STR("photos"), count_rule, NULL), 0);
    store_read_end(t);
    return count;
}

static void rules(void **state)
{
    struct world *w = *state;
    struct rules r = {.list = {rule("a", "s3:ObjectCreated:*", ".jpg"),
                               rule("b", "s3:ObjectCreated:Put", ".png")},
                      .n = 2};
    assert_int_equal(call_run(&w->f, put_rules, &r), 0);
    assert_int_equal(rules_stored(w), 2);

    struct rules bad = r;
    bad.list[1].suffix = STR("g");
    assert_int_equal(call_run(&w->f, put_rules, &bad), E_INVALID);
    assert_non_null(strstr(bad.err.text, "ambiguously"));
    bad = r;
    bad.list[1].id = STR("a");
    assert_int_equal(call_run(&w->f, put_rules, &bad), E_INVALID);
    bad = r;
    bad.list[0].function_arn = STR("not an arn");
    assert_int_equal(call_run(&w->f, put_rules, &bad), E_INVALID);
    assert_string_equal(bad.err.text, "The ARN could not be parsed");
    bad = r;
    bad.list[0].function_arn = STR("arn:aws:lambda:mars-1:000000000000:function:thumbs");
    assert_int_equal(call_run(&w->f, put_rules, &bad), E_INVALID);
    assert_string_equal(bad.err.arg_name,
                        "arn:aws:lambda:mars-1:000000000000:function:thumbs, null");
    assert_string_equal(
        bad.err.arg_value,
        "Not authorized to invoke function [arn:aws:lambda:mars-1:000000000000:function:thumbs]");
    bad = r;
    bad.list[0].events[0] = STR("s3:ObjectEaten:*");
    assert_int_equal(call_run(&w->f, put_rules, &bad), E_INVALID);
    assert_int_equal(rules_stored(w), 2);

    r.n = 1;
    assert_int_equal(call_run(&w->f, put_rules, &r), 0);
    assert_int_equal(rules_stored(w), 1);
}

static void bucket_life(void **state)
{
    struct world *w = *state;
    struct object_put_req r = request("k");
    assert_int_equal(call_run(&w->f, make_bucket, NULL), E_BUCKET_OWNED);
    assert_int_equal(put(w, &r, STR("x")).rc, 0);
    assert_int_equal(call_run(&w->f, delete_bucket, NULL), E_BUCKET_NOT_EMPTY);
    assert_int_equal(get(w, "k"), 0);
    assert_true(del(w, "photos", "k").existed);
    struct rules rs = {.list = {rule("all", "s3:ObjectCreated:*", "")}, .n = 1};
    assert_int_equal(call_run(&w->f, put_rules, &rs), 0);
    assert_int_equal(call_run(&w->f, delete_bucket, NULL), 0);
    assert_int_equal(get(w, "k"), E_NO_BUCKET);
    assert_int_equal(call_run(&w->f, delete_bucket, NULL), E_NO_BUCKET);
    assert_int_equal(call_run(&w->f, make_bucket, NULL), 0);
    assert_int_equal(get(w, "k"), E_NO_KEY);
    assert_int_equal(rules_stored(w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(checks, setup, teardown),
        cmocka_unit_test_setup_teardown(conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(aborted, setup, teardown),
        cmocka_unit_test_setup_teardown(events, setup, teardown),
        cmocka_unit_test_setup_teardown(full_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(rules, setup, teardown),
        cmocka_unit_test_setup_teardown(bucket_life, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
