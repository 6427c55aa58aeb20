/* test_bucket_xml: listings as the server and as S3 write them, and what is no listing. */
#include "cli/bucket_xml.h"

#include "unit.h"

static json_t *empty(void)
{
    return json_pack("{s:[], s:[], s:[]}", "buckets", "objects", "prefixes");
}

static void same(json_t *doc, const char *want)
{
    char *got = json_dumps(doc, JSON_COMPACT);
    assert_string_equal(got, want);
    free(got);
    json_decref(doc);
}

static void buckets(void **state)
{
    (void)state;
    json_t *doc = empty();
    char *token = NULL;
    assert_true(bucket_xml_read(
        STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListAllMyBucketsResult>"
            "<Owner><ID>1</ID><DisplayName>d</DisplayName></Owner><Buckets>"
            "<Bucket><Name>a</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>"
            "<Bucket><CreationDate>2026-01-02T00:00:00.000Z</CreationDate><Name>b.c</Name></Bucket>"
            "</Buckets></ListAllMyBucketsResult>"),
        doc, &token));
    assert_null(token);
    same(doc, "{\"buckets\":[{\"name\":\"a\",\"created\":\"2026-01-01T00:00:00.000Z\"},"
              "{\"created\":\"2026-01-02T00:00:00.000Z\",\"name\":\"b.c\"}],\"objects\":[],"
              "\"prefixes\":[]}");
}

static void objects(void **state)
{
    (void)state;
    json_t *doc = empty();
    char *token = NULL;
    assert_true(bucket_xml_read(
        STR("<ListBucketResult><Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount>"
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1</NextContinuationToken>"
            "<Contents><Key>p/a+b%2Bc%26</Key><LastModified>2026</LastModified>"
            "<ETag>&quot;e&quot;</ETag><Size>5368709120</Size><StorageClass>STANDARD</StorageClass>"
            "</Contents><CommonPrefixes><Prefix>p/d%20e/</Prefix></CommonPrefixes>"
            "<EncodingType>url</EncodingType></ListBucketResult>"),
        doc, &token));
    assert_string_equal(token, "t&1");
    free(token);
    same(doc, "{\"buckets\":[],\"objects\":[{\"key\":\"p/a b+c&\",\"modified\":\"2026\","
              "\"etag\":\"\\\"e\\\"\",\"size\":5368709120}],\"prefixes\":[\"p/d e/\"]}");

    doc = empty(); /* without url encoding a percent sign is itself */
    token = NULL;
    assert_true(
        bucket_xml_read(STR("<R><Contents><Key>100%&lt;x&gt;</Key></Contents></R>"), doc, &token));
    same(doc, "{\"buckets\":[],\"objects\":[{\"key\":\"100%<x>\"}],\"prefixes\":[]}");
}

static void hostile(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "<a>",
        "<a></b>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<a>\xff</a>",
        "<R><EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents></R>",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *doc = empty();
        char *token = NULL;
        if (bucket_xml_read(str_c(bad[i]), doc, &token))
            fail_msg("taken: %s", bad[i]);
        json_decref(doc);
        free(token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),
        cmocka_unit_test(objects),
        cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
