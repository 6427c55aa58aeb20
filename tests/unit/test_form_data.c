/* form_data: forms in pieces of every size, and what is no form. */
#include "api/form_data.h"

#include "unit.h"

static struct {
    struct buf fields, file, type, name;
    int refuse; /* by the sink */
} got;

static int field(void *ctx, struct str name, struct str value)
{
    (void)ctx;
    buf_printf(&got.fields, "%.*s=%.*s;", STR_FMT(name), STR_FMT(value));
    return got.refuse;
}

static int file(void *ctx, struct str filename, struct str content_type)
{
    (void)ctx;
    buf_add(&got.name, filename);
    buf_add(&got.type, content_type);
    return 0;
}

static int data(void *ctx, struct str bytes)
{
    (void)ctx;
    buf_add(&got.file, bytes);
    return 0;
}

static const struct form_data_sink sink = {field, file, data};

/* Feeds the form in runs of `step` bytes; the first error, or the end's. */
static int read_form(const char *form, size_t step)
{
    struct form_data f;
    struct str rest = str_c(form);
    int rc = 0;
    buf_clear(&got.fields);
    buf_clear(&got.file);
    buf_clear(&got.type);
    buf_clear(&got.name);
    form_data_init(&f, STR("B"), &sink, NULL);
    while (rest.n && rc == 0) {
        size_t n = step < rest.n ? step : rest.n;
        rc = form_data_feed(&f, str_of(rest.p, n));
        rest = str_from(rest, n);
    }
    if (rc == 0)
        rc = form_data_end(&f);
    form_data_deinit(&f);
    return rc;
}

#define PART(name, value)                                                                          \
    "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_PART(value)                                                                           \
    "--B\r\ncontent-disposition: form-data; name=file; filename=\"a;b.txt\"\r\n"                   \
    "Content-Type: text/x\r\n\r\n" value "\r\n"

static void forms_in_pieces(void **state)
{
    (void)state;
    static const char form[] =
        "preamble\r\n" PART("key", "k") PART("empty", "") PART("lines", "a\r\n-b\r\n--C\r\n")
            FILE_PART("\r\nbytes\r\n--\r\n--A\r\n") PART("late", "ignored") "--B--\r\nepilogue";
    for (size_t step = 1; step < sizeof form; step++) {
        assert_int_equal(read_form(form, step), 0);
        assert_str(buf_str(&got.fields), "key=k;empty=;lines=a\r\n-b\r\n--C\r\n;");
        assert_str(buf_str(&got.file), "\r\nbytes\r\n--\r\n--A\r\n");
        assert_str(buf_str(&got.name), "a;b.txt");
        assert_str(buf_str(&got.type), "text/x");
    }
}

static void files(void **state)
{
    (void)state;
    assert_int_equal(read_form(FILE_PART("") "--B--", 3), 0);
    assert_int_equal(got.file.n, 0);
    assert_int_equal(read_form(FILE_PART("x"), 1), E_BAD_FORM); /* no delimiter after it */
    assert_int_equal(read_form(PART("key", "k") "--B--\r\n", 1), E_NO_FILE);
    assert_int_equal(read_form("", 1), E_BAD_FORM);
    got.refuse = E_DENIED;
    assert_int_equal(read_form(PART("key", "k") FILE_PART("x") "--B--", 100), E_DENIED);
    got.refuse = 0;
}

static void no_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "--Bx\r\n\r\n",
        "--B\r\n\r\nvalue\r\n--B--",
        "--B\r\nContent-Disposition: form-data\r\n\r\nv\r\n--B--",
        "--B\r\nContent-Disposition: attachment; name=a\r\n\r\nv\r\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\nv\r\n--B--",
        PART("a", "1") "--B\r\nContent-Type: x\r\n\r\nv\r\n--B--",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_form(bad[i], 7), E_BAD_FORM);
    struct buf long_one = BUF_INIT;
    buf_lit(&long_one, "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n");
    for (int i = 0; i < FORM_FIELDS_MAX; i++)
        buf_addc(&long_one, 'x');
    buf_lit(&long_one, "xx\r\n--B--");
    buf_addc(&long_one, 0);
    assert_int_equal(read_form(long_one.p, 1000), E_LIMIT);
    memset(long_one.p + 5, 'h', FORM_HEAD_MAX + 100);
    assert_int_equal(read_form(long_one.p, 1000), E_BAD_FORM);
    memset(long_one.p, 'p', 10000);
    assert_int_equal(read_form(long_one.p, 1000), E_BAD_FORM);
    buf_deinit(&long_one);
}

static void boundaries(void **state)
{
    (void)state;
    assert_str(form_data_boundary(STR("multipart/form-data; boundary=abc")), "abc");
    assert_str(form_data_boundary(STR("Multipart/Form-Data;charset=x; boundary=\"a b;c\"")),
               "a b;c");
    assert_null(form_data_boundary(STR("multipart/form-data")).p);
    assert_null(form_data_boundary(STR("multipart/form-data; boundary=")).p);
    assert_null(form_data_boundary(STR("multipart/form-data; boundary=\"a")).p);
    assert_null(form_data_boundary(STR("multipart/mixed; boundary=a")).p);
    assert_null(form_data_boundary(STR("")).p);
    char text[200];
    snprintf(text, sizeof text, "multipart/form-data; boundary=%071d", 1);
    assert_null(form_data_boundary(str_c(text)).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_in_pieces),
        cmocka_unit_test(files),
        cmocka_unit_test(no_forms),
        cmocka_unit_test(boundaries),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&got.fields);
    buf_deinit(&got.file);
    buf_deinit(&got.type);
    buf_deinit(&got.name);
    return rc;
}
