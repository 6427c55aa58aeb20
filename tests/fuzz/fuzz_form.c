/* Forms: the same fields and the same file come out however the body is cut. First byte: the size of
 * the pieces. */
#include "api/form_data.h"
#include "fuzz.h"

struct outcome {
    struct buf fields, file;
    int files, rc;
};

static int field(void *ctx, struct str name, struct str value)
{
    struct outcome *o = ctx;
    CHECK(name.p && o->files == 0);
    buf_add(&o->fields, name);
    buf_addc(&o->fields, '\0');
    buf_add(&o->fields, value);
    buf_addc(&o->fields, '\0');
    return 0;
}

static int file(void *ctx, struct str filename, struct str content_type)
{
    struct outcome *o = ctx;
    CHECK(++o->files == 1);
    buf_add(&o->fields, filename);
    buf_addc(&o->fields, '\0');
    buf_add(&o->fields, content_type);
    return 0;
}

static int data(void *ctx, struct str bytes)
{
    struct outcome *o = ctx;
    CHECK(o->files == 1 && bytes.n > 0);
    buf_add(&o->file, bytes);
    return 0;
}

static const struct form_data_sink sink = {field, file, data};

static void read_form(struct str in, size_t piece, struct outcome *o)
{
    struct form_data f;
    form_data_init(&f, STR("B"), &sink, o);
    while (in.n && o->rc == 0)
        o->rc = form_data_feed(&f, fuzz_bytes(&in, piece));
    if (o->rc == 0)
        o->rc = form_data_end(&f);
    form_data_deinit(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str in = {(const char *)bytes, size < 4000 ? size : 4000};
    struct outcome a = {.rc = 0}, b = {.rc = 0};
    size_t piece = 1 + fuzz_u8(&in);
    char *copy = fuzz_copy(in);
    form_data_boundary(in);
    in.p = copy;
    read_form(in, in.n ? in.n : 1, &a);
    read_form(in, piece, &b);
    CHECK(a.rc == b.rc && a.files == b.files && str_eq(buf_str(&a.fields), buf_str(&b.fields)));
    CHECK(a.rc || str_eq(buf_str(&a.file), buf_str(&b.file)));
    buf_deinit(&a.fields);
    buf_deinit(&a.file);
    buf_deinit(&b.fields);
    buf_deinit(&b.file);
    free(copy);
    return 0;
}
