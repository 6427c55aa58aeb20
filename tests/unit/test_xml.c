/* test_xml: trees, and the documents that must be refused: DTDs, depth, numbers, torn ends. */
#include "api/xml.h"

#include "base/buf.h"
#include "unit.h"

static struct xml_node *parse(struct arena *a, struct str doc)
{
    struct xml_node *root;
    return xml_parse(a, doc, &root) == 0 ? root : NULL;
}

static void tree(void **state)
{
    (void)state;
    struct arena *a = arena_new(65536);
    struct xml_node *r = parse(
        a, STR("<?xml version=\"1.0\"?>\n<c:Conf xmlns:c=\"urn:x\" q=\"1\">\n <Id> a&amp;b </Id>"
               "<Event>one</Event><Event>t<![CDATA[w<]]>o</Event><Empty/></c:Conf>\n"));
    assert_non_null(r);
    assert_str(r->name, "Conf");
    assert_str(xml_child_text(r, "Id"), "a&b");
    assert_str(xml_child(r, "Id")->text, " a&b ");
    const struct xml_node *e = xml_child(r, "Event");
    assert_str(e->text, "one");
    assert_str(e->next->text, "tw<o");
    assert_str(xml_child_text(r, "Empty"), "");
    assert_non_null(xml_child_text(r, "Empty").p);
    assert_null(xml_child(r, "Nope"));
    assert_null(xml_child_text(r, "Nope").p);
    arena_free(a);
}

static void refused(void **state)
{
    (void)state;
    static const char *const docs[] = {
        "",
        " ",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a>&nope;</a>",
        "<a>\x01</a>",
        "<a>\xff\xfe</a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<a b=1/>",
        "<a><b:/></a>",
    };
    for (size_t i = 0; i < sizeof docs / sizeof *docs; i++) {
        struct arena *a = arena_new(65536);
        if (parse(a, str_c(docs[i])))
            fail_msg("taken: %s", docs[i]);
        arena_free(a);
    }
}

static void torn(void **state)
{
    (void)state;
    const char doc[] = "<a><b>x &lt; y</b><c d=\"e\"><![CDATA[z]]></c><!-- n --></a>";
    for (size_t n = 0; n < sizeof doc - 1; n++) {
        struct arena *a = arena_new(65536);
        assert_null(parse(a, str_of(doc, n)));
        arena_free(a);
    }
}

static bool nested(int depth)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < depth; i++)
        buf_lit(&b, "<a>");
    for (int i = 0; i < depth; i++)
        buf_lit(&b, "</a>");
    struct arena *a = arena_new(1 << 20);
    bool ok = parse(a, buf_str(&b)) != NULL;
    arena_free(a);
    buf_deinit(&b);
    return ok;
}

static bool wide(size_t elements, size_t memory)
{
    struct buf b = BUF_INIT;
    buf_lit(&b, "<a>");
    for (size_t i = 1; i < elements; i++)
        buf_lit(&b, "<b/>");
    buf_lit(&b, "</a>");
    struct arena *a = arena_new(memory);
    bool ok = parse(a, buf_str(&b)) != NULL;
    arena_free(a);
    buf_deinit(&b);
    return ok;
}

static void bounds(void **state)
{
    (void)state;
    assert_true(nested(XML_DEPTH_MAX));
    assert_false(nested(XML_DEPTH_MAX + 1));
    assert_true(wide(XML_ELEMENTS_MAX, 4 << 20));
    assert_false(wide(XML_ELEMENTS_MAX + 1, 4 << 20));
    assert_false(wide(XML_ELEMENTS_MAX, 65536)); /* the arena's limit is one too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tree), cmocka_unit_test(refused),
                                       cmocka_unit_test(torn), cmocka_unit_test(bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
